// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Upgradeable} from "./ERC1967Proxy.sol";

interface IZkSyncMailbox {
    function requestL2Transaction(
        address contractL2,
        uint256 l2Value,
        bytes calldata data,
        uint256 l2GasLimit,
        uint256 l2GasPerPubdataByteLimit,
        bytes[] calldata factoryDeps,
        address refundRecipient
    ) external payable returns (bytes32 canonicalTxHash);
}

interface IZkSyncEscrow {
    function claim_payment(uint256 orderId, address recipient, uint256 amount) external;
}

interface IStarknetCore {
    function sendMessageToL2(uint256 toAddress, uint256 selector, uint256[] calldata payload)
        external
        payable
        returns (bytes32 messageHash, uint256 nonce);
}

/// Pays recipients on L1 and asks the origin network's escrow for the money back (ABI v1).
///
/// It stands behind a proxy.
contract PaymentRegistry is Upgradeable {
    error OwnableUnauthorizedAccount(address account);

    enum Chain {
        Starknet,
        ZKSync
    }

    struct TransferInfo {
        uint256 destAddress;
        uint256 amount;
        bool isUsed;
        Chain chainId;
    }

    event Transfer(uint256 indexed orderId, address srcAddress, TransferInfo transferInfo);
    event ClaimPayment(TransferInfo transferInfo);

    mapping(bytes32 => TransferInfo) public transfers;
    address public marketMaker;

    IZkSyncMailbox public zkSyncDiamond;
    address public zkSyncEscrow;

    IStarknetCore public starknetCore;
    // Named as in the deployed registry, whose getters the bot reads.
    uint256 public StarknetEscrowAddress;
    uint256 public StarknetEscrowClaimPaymentSelector;

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
        zkSyncEscrow = escrow;
    }

    function setStarknetEscrowAddress(uint256 escrow) external onlyOwner {
        StarknetEscrowAddress = escrow;
    }

    function setStarknetClaimPaymentSelector(uint256 claimSelector) external onlyOwner {
        StarknetEscrowClaimPaymentSelector = claimSelector;
    }

    /// The deployed registry gets these when it is initialized.
    function setZKSync(IZkSyncMailbox diamond, address escrow) external onlyOwner {
        zkSyncDiamond = diamond;
        zkSyncEscrow = escrow;
    }

    function setStarknet(IStarknetCore core, uint256 escrow, uint256 claimSelector)
        external
        onlyOwner
    {
        starknetCore = core;
        StarknetEscrowAddress = escrow;
        StarknetEscrowClaimPaymentSelector = claimSelector;
    }

    function transfer(uint256 orderId, uint256 destAddress, Chain chainId)
        external
        payable
        onlyOwnerOrMM
    {
        // An address wider than 160 bits is cut and the money sent to a stranger, as there.
        require(destAddress != 0, "Invalid destination address.");
        require(msg.value > 0, "Invalid amount, should be higher than 0.");
        TransferInfo storage info = transfers[transferKey(orderId, destAddress, msg.value, chainId)];
        require(!info.isUsed, "Transfer already processed.");

        // Stored before the call: a recipient that calls back in finds its transfer used.
        info.destAddress = destAddress;
        info.amount = msg.value;
        info.isUsed = true;
        info.chainId = chainId;

        (bool success,) = address(uint160(destAddress)).call{value: msg.value}("");
        require(success, "Transfer failed.");
        emit Transfer(orderId, msg.sender, info);
    }

    function claimPayment(uint256 orderId, uint256 destAddress, uint256 amount)
        external
        payable
        onlyOwnerOrMM
    {
        TransferInfo memory info = paid(orderId, destAddress, amount, Chain.Starknet);
        uint256[] memory payload = new uint256[](5);
        (payload[0], payload[1]) = halves(orderId);
        payload[2] = destAddress;
        (payload[3], payload[4]) = halves(amount);
        starknetCore.sendMessageToL2{value: msg.value}(
            StarknetEscrowAddress, StarknetEscrowClaimPaymentSelector, payload
        );
        emit ClaimPayment(info);
    }

    function claimPaymentZKSync(
        uint256 orderId,
        uint256 destAddress,
        uint256 amount,
        uint256 gasLimit,
        uint256 gasPerPubdataByteLimit
    ) external payable onlyOwnerOrMM {
        TransferInfo memory info = paid(orderId, destAddress, amount, Chain.ZKSync);
        zkSyncDiamond.requestL2Transaction{value: msg.value}(
            zkSyncEscrow,
            0,
            abi.encodeCall(
                IZkSyncEscrow.claim_payment, (orderId, address(uint160(destAddress)), amount)
            ),
            gasLimit,
            gasPerPubdataByteLimit,
            new bytes[](0),
            msg.sender
        );
        emit ClaimPayment(info);
    }

    function checkOwner() internal view override {
        if (msg.sender != owner) revert OwnableUnauthorizedAccount(msg.sender);
    }

    function paid(uint256 orderId, uint256 destAddress, uint256 amount, Chain chainId)
        private
        view
        returns (TransferInfo memory info)
    {
        info = transfers[transferKey(orderId, destAddress, amount, chainId)];
        require(info.isUsed, "Transfer not found.");
    }

    function transferKey(uint256 orderId, uint256 destAddress, uint256 amount, Chain chainId)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(orderId, destAddress, amount, chainId));
    }

    /// A uint256 as Starknet carries it: two felts, low half first.
    function halves(uint256 value) private pure returns (uint256 low, uint256 high) {
        return (value & type(uint128).max, value >> 128);
    }
}
