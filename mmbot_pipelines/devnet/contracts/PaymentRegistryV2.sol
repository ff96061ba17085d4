// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Upgradeable} from "./ERC1967Proxy.sol";
import {IStarknetCore, IZkSyncMailbox} from "./PaymentRegistry.sol";

/// Pays recipients on L1 and asks the origin network's escrow for the money back (ABI v2): claims
/// may come in batches, and chains are named by their own ids.
///
/// It stands behind a proxy.
contract PaymentRegistryV2 is Upgradeable {
    error OwnableUnauthorizedAccount(address account);

    event Transfer(
        uint256 indexed orderId, address srcAddress, address destAddress, uint256 amount, uint128 chainId
    );
    event ClaimPayment(uint256 indexed orderId, address destAddress, uint256 amount, uint128 chainId);
    event ClaimPaymentBatch(
        uint256[] orderIds, address[] destAddresses, uint256[] amounts, uint128 chainId
    );

    bytes4 private constant CLAIM = bytes4(keccak256("claim_payment(uint256,address,uint256)"));
    bytes4 public constant ZKSyncEscrowClaimPaymentBatchSelector =
        bytes4(keccak256("claim_payment_batch(uint256[],address[],uint256[])"));

    mapping(bytes32 => bool) public transfers;
    address public marketMaker;

    // Named as in the deployed registry, whose getters the bot reads.
    uint128 public constant StarknetChainId = 0x534e5f4d41494e;
    uint128 public constant ZKSyncChainId = 324;

    IZkSyncMailbox public zkSyncDiamond;
    address public ZKSyncEscrowAddress;

    IStarknetCore public starknetCore;
    uint256 public StarknetEscrowAddress;
    uint256 public StarknetEscrowClaimPaymentSelector;
    uint256 public StarknetEscrowClaimPaymentBatchSelector;

    modifier onlyOwnerOrMM() {
        require(
            msg.sender == owner || msg.sender == marketMaker,
            "Only Owner or MM can call this function"
        );
        _;
    }

    function initialize(address owner_, address marketMaker_) external initializer {
        owner = owner_;
        marketMaker = marketMaker_;
    }

    function setMMAddress(address newMarketMaker) external onlyOwner {
        marketMaker = newMarketMaker;
    }

    function setZKSyncEscrowAddress(address escrow) external onlyOwner {
        ZKSyncEscrowAddress = escrow;
    }

    function setStarknetEscrowAddress(uint256 escrow) external onlyOwner {
        StarknetEscrowAddress = escrow;
    }

    function setStarknetClaimPaymentSelector(uint256 claimSelector) external onlyOwner {
        StarknetEscrowClaimPaymentSelector = claimSelector;
    }

    function setStarknetClaimPaymentBatchSelector(uint256 batchSelector) external onlyOwner {
        StarknetEscrowClaimPaymentBatchSelector = batchSelector;
    }

    /// The deployed registry gets these when it is initialized.
    function setZKSync(IZkSyncMailbox diamond, address escrow) external onlyOwner {
        zkSyncDiamond = diamond;
        ZKSyncEscrowAddress = escrow;
    }

    function setStarknet(IStarknetCore core, uint256 escrow, uint256 claimSelector)
        external
        onlyOwner
    {
        starknetCore = core;
        StarknetEscrowAddress = escrow;
        StarknetEscrowClaimPaymentSelector = claimSelector;
    }

    /// As there, neither the chain's id nor the recipient is checked.
    function transfer(uint256 orderId, address destAddress, uint128 chainId)
        external
        payable
        onlyOwnerOrMM
    {
        require(msg.value > 0, "Invalid amount, should be higher than 0.");
        bytes32 key = transferKey(orderId, destAddress, msg.value, chainId);
        require(!transfers[key], "Transfer already processed.");

        // Stored before the call: a recipient that calls back in finds its transfer used.
        transfers[key] = true;
        (bool success,) = destAddress.call{value: msg.value}("");
        require(success, "Transfer failed.");
        emit Transfer(orderId, msg.sender, destAddress, msg.value, chainId);
    }

    function claimPaymentStarknet(uint256 orderId, address destAddress, uint256 amount)
        external
        payable
        onlyOwnerOrMM
    {
        requirePaid(orderId, destAddress, amount, StarknetChainId);
        uint256[] memory payload = new uint256[](5);
        write(payload, 0, orderId, destAddress, amount);
        starknetCore.sendMessageToL2{value: msg.value}(
            StarknetEscrowAddress, StarknetEscrowClaimPaymentSelector, payload
        );
        emit ClaimPayment(orderId, destAddress, amount, StarknetChainId);
    }

    function claimPaymentBatchStarknet(
        uint256[] calldata orderIds,
        address[] calldata destAddresses,
        uint256[] calldata amounts
    ) external payable onlyOwnerOrMM {
        requireAllPaid(orderIds, destAddresses, amounts, StarknetChainId);
        uint256[] memory payload = new uint256[](1 + 5 * orderIds.length);
        payload[0] = orderIds.length;
        for (uint256 i = 0; i < orderIds.length; i++) {
            write(payload, 1 + 5 * i, orderIds[i], destAddresses[i], amounts[i]);
        }
        starknetCore.sendMessageToL2{value: msg.value}(
            StarknetEscrowAddress, StarknetEscrowClaimPaymentBatchSelector, payload
        );
        emit ClaimPaymentBatch(orderIds, destAddresses, amounts, StarknetChainId);
    }

    function claimPaymentZKSync(
        uint256 orderId,
        address destAddress,
        uint256 amount,
        uint256 gasLimit,
        uint256 gasPerPubdataByteLimit
    ) external payable onlyOwnerOrMM {
        requirePaid(orderId, destAddress, amount, ZKSyncChainId);
        bytes memory message = abi.encodeWithSelector(CLAIM, orderId, destAddress, amount);
        request(message, gasLimit, gasPerPubdataByteLimit);
        emit ClaimPayment(orderId, destAddress, amount, ZKSyncChainId);
    }

    function claimPaymentBatchZKSync(
        uint256[] calldata orderIds,
        address[] calldata destAddresses,
        uint256[] calldata amounts,
        uint256 gasLimit,
        uint256 gasPerPubdataByteLimit
    ) external payable onlyOwnerOrMM {
        requireAllPaid(orderIds, destAddresses, amounts, ZKSyncChainId);
        bytes memory message = abi.encodeWithSelector(
            ZKSyncEscrowClaimPaymentBatchSelector, orderIds, destAddresses, amounts
        );
        request(message, gasLimit, gasPerPubdataByteLimit);
        emit ClaimPaymentBatch(orderIds, destAddresses, amounts, ZKSyncChainId);
    }

    function checkOwner() internal view override {
        if (msg.sender != owner) revert OwnableUnauthorizedAccount(msg.sender);
    }

    function request(bytes memory message, uint256 gasLimit, uint256 gasPerPubdataByteLimit)
        private
    {
        zkSyncDiamond.requestL2Transaction{value: msg.value}(
            ZKSyncEscrowAddress,
            0,
            message,
            gasLimit,
            gasPerPubdataByteLimit,
            new bytes[](0),
            msg.sender
        );
    }

    function requireAllPaid(
        uint256[] calldata orderIds,
        address[] calldata destAddresses,
        uint256[] calldata amounts,
        uint128 chainId
    ) private view {
        require(orderIds.length == destAddresses.length, "Invalid lengths.");
        require(orderIds.length == amounts.length, "Invalid lengths.");
        for (uint256 i = 0; i < orderIds.length; i++) {
            requirePaid(orderIds[i], destAddresses[i], amounts[i], chainId);
        }
    }

    function requirePaid(uint256 orderId, address destAddress, uint256 amount, uint128 chainId)
        private
        view
    {
        require(transfers[transferKey(orderId, destAddress, amount, chainId)], "Transfer not found.");
    }

    function transferKey(uint256 orderId, address destAddress, uint256 amount, uint128 chainId)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(orderId, destAddress, amount, chainId));
    }

    /// Write an order as Starknet takes it: a uint256 is two felts, low half first.
    function write(
        uint256[] memory payload,
        uint256 first,
        uint256 orderId,
        address destAddress,
        uint256 amount
    ) private pure {
        (payload[first], payload[first + 1]) = (uint128(orderId), orderId >> 128);
        payload[first + 2] = uint160(destAddress);
        (payload[first + 3], payload[first + 4]) = (uint128(amount), amount >> 128);
    }
}
