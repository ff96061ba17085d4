// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// A recipient that burns whatever gas it is given.
contract GasBurningRecipient {
    receive() external payable {
        assembly {
            invalid()
        }
    }
}
