// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Code for an account that is delegated to it (EIP-7702): makes many calls in one transaction.
///
/// Only the account itself may ask for them, so nobody decides but its key, as before. Nothing is
/// stored, nobody owns it, and there is no constructor: the same bytes serve any account. Plain
/// ETH comes in as if the account had no code. Whatever else calls the account reverts: it
/// accepts no ERC-721 or ERC-1155 and confirms no signature (ERC-1271).
contract BatchExecutor {
    struct Call {
        address target;
        uint256 value; // wei
        uint256 gas; // limit of this call, which it surely has
        bool mayFail; // then the others go on without it
        bytes data;
    }

    /// The call at this place has failed. The account logs it, so nobody else can.
    event CallFailed(uint256 index);

    error OnlyAccount();
    error TooLittleGas(uint256 index);

    // What a CALL itself takes at most: 2600 cold account, 9000 value, 25000 new account, memory.
    uint256 private constant OF_CALL = 40_000;

    receive() external payable {}

    /// Make the calls in their order. One that may not fail reverts all, with its own reason.
    ///
    /// Who is called can burn the call's gas and no more, so neighbours cannot be starved. A
    /// transaction with too little gas reverts as a whole: otherwise it would look as if the
    /// target had failed.
    function execute(Call[] calldata calls) external {
        if (msg.sender != address(this)) revert OnlyAccount();
        for (uint256 i = 0; i < calls.length; i++) {
            Call calldata item = calls[i];
            uint256 limit = item.gas;
            // Of what is left a call gets 63 of 64 parts at most (EIP-150), silently less.
            if (gasleft() < limit + limit / 63 + OF_CALL) revert TooLittleGas(i);
            if (!call(item.target, item.value, limit, item.data)) {
                if (!item.mayFail) {
                    assembly ("memory-safe") {
                        let memory_ := mload(0x40)
                        returndatacopy(memory_, 0, returndatasize())
                        revert(memory_, returndatasize())
                    }
                }
                emit CallFailed(i);
            }
        }
    }

    /// Copy nothing of what is returned: its length is the target's choice, at our cost.
    function call(address target, uint256 value, uint256 limit, bytes calldata data)
        private
        returns (bool success)
    {
        assembly ("memory-safe") {
            // Never kept, so that the next call's data takes the same place.
            let memory_ := mload(0x40)
            calldatacopy(memory_, data.offset, data.length)
            success := call(limit, target, value, memory_, data.length, 0, 0)
        }
    }
}
