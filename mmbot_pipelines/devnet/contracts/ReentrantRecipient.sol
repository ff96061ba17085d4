// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

interface IPayable {
    function transfer(uint256 orderId, uint256 destAddress, uint8 chainId) external payable;
}

/// A recipient that, when paid, asks the registry for the same transfer again.
///
/// Made the registry's market maker it is even allowed to ask: only the registry's own
/// bookkeeping can stop it then.
contract ReentrantRecipient {
    IPayable private immutable registry;
    uint256 private orderId;
    uint8 private chainId;
    bool private armed;

    uint256 public attempts;
    uint256 public successes;
    string public refusal;

    constructor(IPayable registry_) {
        registry = registry_;
    }

    function arm(uint256 orderId_, uint8 chainId_) public {
        (orderId, chainId, armed) = (orderId_, chainId_, true);
    }

    /// Pay oneself, and try to be paid twice.
    function attack(uint256 orderId_, uint8 chainId_) external payable {
        arm(orderId_, chainId_);
        registry.transfer{value: msg.value}(orderId_, uint160(address(this)), chainId_);
    }

    receive() external payable {
        if (!armed) return;
        armed = false;
        attempts++;
        try registry.transfer{value: msg.value}(orderId, uint160(address(this)), chainId) {
            successes++;
        } catch Error(string memory reason) {
            refusal = reason;
        }
    }
}
