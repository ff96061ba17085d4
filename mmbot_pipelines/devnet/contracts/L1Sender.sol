// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

interface IL2BaseToken {
    function mint(address account, uint256 amount) external;
}

/// What stands on the L2 at the aliased address of a contract of L1: it calls what the contract
/// asked for, and mints what the call does not use to the refund recipient, as zkSync's
/// bootloader does.
///
/// A request that fails reverts as a whole, refund and all: anvil keeps no log of it.
contract L1Sender {
    address private constant BOOTLOADER = address(0x8001);
    IL2BaseToken private constant BASE_TOKEN = IL2BaseToken(address(0x800A));
    uint256 private constant OVERHEAD = 21_000;

    /// paid: on L1, in wei; price: of a unit of L2 gas, in wei.
    function execute(
        address to,
        uint256 value,
        bytes calldata data,
        uint256 gasLimit,
        uint256 price,
        uint256 paid,
        address refundRecipient
    ) external payable {
        require(msg.sender == BOOTLOADER, "Only the bootloader");
        uint256 before = gasleft();
        (bool success, bytes memory returned) = to.call{value: value}(data);
        uint256 used = OVERHEAD + before - gasleft();
        if (!success) {
            assembly {
                revert(add(returned, 32), mload(returned))
            }
        }
        if (used > gasLimit) used = gasLimit;
        BASE_TOKEN.mint(refundRecipient, paid - value - used * price);
    }
}
