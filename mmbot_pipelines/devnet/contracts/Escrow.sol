// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Locks users' orders on zkSync until the L1 registry says that the recipient is paid.
contract Escrow {
    struct Order {
        address recipient_address;
        uint256 amount;
        uint256 fee;
    }

    event SetOrder(uint256 order_id, address recipient_address, uint256 amount, uint256 fee);
    event ClaimPayment(uint256 order_id, address claimerAddress, uint256 amount);

    address public owner;
    bool public paused;
    /// The L1 registry as zkSync shows it to contracts: its aliased address.
    address public ethereum_payment_registry;
    address public mm_zksync_wallet;

    uint256 private nextOrderId;
    mapping(uint256 => Order) private orders;
    mapping(uint256 => bool) private pending;

    modifier onlyOwner() {
        require(msg.sender == owner, "Only Owner can call this function");
        _;
    }

    modifier whenNotPaused() {
        require(!paused, "Escrow is paused");
        _;
    }

    constructor(address aliasedRegistry, address marketMakerWallet) {
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
        require(recipient_address != address(0), "Invalid recipient address");
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
        require(msg.sender == ethereum_payment_registry, "Only the payment registry can claim");
        require(pending[order_id], "Order is not pending");
        Order memory order = orders[order_id];
        require(order.recipient_address == recipient_address, "Recipient does not match");
        require(order.amount == amount, "Amount does not match");

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

    function set_ethereum_payment_registry(address aliasedRegistry) external onlyOwner {
        ethereum_payment_registry = aliasedRegistry;
    }

    function set_mm_zksync_wallet(address marketMakerWallet) external onlyOwner {
        mm_zksync_wallet = marketMakerWallet;
    }

    function pause() external onlyOwner {
        paused = true;
    }

    function unpause() external onlyOwner {
        paused = false;
    }
}
