// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Upgradeable} from "./ERC1967Proxy.sol";

/// Locks users' orders on zkSync until the L1 registry says that the recipient is paid.
///
/// It stands behind a proxy, and refuses in the deployed escrow's words.
contract Escrow is Upgradeable {
    struct Order {
        address recipient_address;
        uint256 amount;
        uint256 fee;
    }

    event SetOrder(uint256 order_id, address recipient_address, uint256 amount, uint256 fee);
    event ClaimPayment(uint256 order_id, address claimerAddress, uint256 amount);

    bool public paused;
    /// The L1 registry as zkSync shows it to contracts: its aliased address.
    address public ethereum_payment_registry;
    address public mm_zksync_wallet;

    uint256 private nextOrderId;
    mapping(uint256 => Order) private orders;
    mapping(uint256 => bool) private pending;

    modifier whenNotPaused() {
        require(!paused, "Pausable: paused");
        _;
    }

    function initialize(address aliasedRegistry, address marketMakerWallet) external initializer {
        owner = msg.sender;
        ethereum_payment_registry = aliasedRegistry;
        mm_zksync_wallet = marketMakerWallet;
    }

    function set_order(address recipient_address, uint256 fee)
        external
        payable
        whenNotPaused
        returns (uint256 order_id)
    {
        require(msg.value > fee, "Value must be higher than the fee");
        order_id = nextOrderId++;
        uint256 amount = msg.value - fee;
        orders[order_id] = Order(recipient_address, amount, fee);
        pending[order_id] = true;
        emit SetOrder(order_id, recipient_address, amount, fee);
    }

    function claim_payment(uint256 order_id, address recipient_address, uint256 amount)
        external
        whenNotPaused
    {
        require(msg.sender == ethereum_payment_registry, "Only PAYMENT_REGISTRY can call");
        payOut(order_id, recipient_address, amount);
    }

    /// One order that cannot be paid out takes all others down with it.
    function claim_payment_batch(
        uint256[] calldata order_ids,
        address[] calldata recipient_addresses,
        uint256[] calldata amounts
    ) external whenNotPaused {
        require(msg.sender == ethereum_payment_registry, "Only PAYMENT_REGISTRY can call");
        require(order_ids.length == recipient_addresses.length, "Invalid lengths");
        require(order_ids.length == amounts.length, "Invalid lengths");
        for (uint256 i = 0; i < order_ids.length; i++) {
            payOut(order_ids[i], recipient_addresses[i], amounts[i]);
        }
    }

    function payOut(uint256 order_id, address recipient_address, uint256 amount) private {
        require(pending[order_id], "Order claimed or nonexistent");
        Order memory order = orders[order_id];
        require(order.recipient_address == recipient_address, "recipient_address not match L1");
        require(order.amount == amount, "amount not match L1");

        pending[order_id] = false;
        (bool success,) = mm_zksync_wallet.call{value: order.amount + order.fee}("");
        require(success, "Payment failed");
        emit ClaimPayment(order_id, mm_zksync_wallet, amount);
    }

    function get_order(uint256 order_id) external view returns (address, uint256, uint256) {
        Order memory order = orders[order_id];
        return (order.recipient_address, order.amount, order.fee);
    }

    function is_order_pending(uint256 order_id) external view returns (bool) {
        return pending[order_id];
    }

    function set_ethereum_payment_registry(address aliasedRegistry)
        external
        whenNotPaused
        onlyOwner
    {
        ethereum_payment_registry = aliasedRegistry;
    }

    function set_mm_zksync_wallet(address marketMakerWallet) external whenNotPaused onlyOwner {
        mm_zksync_wallet = marketMakerWallet;
    }

    function pause() external onlyOwner {
        paused = true;
    }

    function unpause() external onlyOwner {
        paused = false;
    }

    function checkOwner() internal view override {
        require(msg.sender == owner, "Ownable: caller is not the owner");
    }
}
