// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Stand-in for zkSync's base token, a system contract of the L2: logs ether that is created.
contract L2BaseToken {
    event Mint(address indexed account, uint256 amount);

    /// The ether itself is this contract's own, for no contract can create any on anvil.
    function mint(address account, uint256 amount) external {
        bool success;
        assembly {
            success := call(2300, account, amount, 0, 0, 0, 0)
        }
        if (success) emit Mint(account, amount);
    }
}
