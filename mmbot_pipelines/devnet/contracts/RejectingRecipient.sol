// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// A recipient that refuses money.
contract RejectingRecipient {
    receive() external payable {
        revert("no thanks");
    }
}
