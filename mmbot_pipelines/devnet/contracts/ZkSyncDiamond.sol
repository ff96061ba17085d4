// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Stand-in for the mailbox of zkSync's diamond on L1: prices, checks, hashes and queues
/// transactions for the L2, with the deployed one's numbers, words, event and storage writes.
///
/// It stands behind `DiamondProxy`. Its real fellow hands the value on to a bridge; here it
/// stays, and the messenger mints on the L2 what a transaction does not use.
///
/// Source: matter-labs/era-contracts, Mailbox.sol, TransactionValidator.sol, Config.sol,
/// AddressAliasHelper.sol (refund recipients; with EIP7702Checker in newer versions).
contract ZkSyncDiamond {
    struct L2CanonicalTransaction {
        uint256 txType;
        uint256 from; // as the L2 sees it: aliased, if it is a contract
        uint256 to;
        uint256 gasLimit;
        uint256 gasPerPubdataByteLimit;
        uint256 maxFeePerGas; // what a unit of L2 gas costs, wei
        uint256 maxPriorityFeePerGas;
        uint256 paymaster;
        uint256 nonce; // the request's number in the queue
        uint256 value;
        uint256[4] reserved; // what is paid on L1, whom the rest is given back to, 0, 0
        bytes data;
        bytes signature;
        uint256[] factoryDeps;
        bytes paymasterInput;
        bytes reservedDynamic;
    }

    struct PriorityOperation {
        bytes32 canonicalTxHash;
        uint64 expirationTimestamp;
        uint192 layer2Tip;
    }

    struct FeeParams {
        uint32 batchOverheadL1Gas;
        uint32 maxPubdataPerBatch;
        uint32 maxL2GasPerBatch;
        uint32 priorityTxMaxPubdata;
        uint64 minimalL2GasPrice;
    }

    event NewPriorityRequest(
        uint256 txId,
        bytes32 txHash,
        uint64 expirationTimestamp,
        L2CanonicalTransaction transaction,
        bytes[] factoryDeps
    );

    uint256 private constant PRIORITY_OPERATION_L2_TX_TYPE = 255;
    uint256 private constant PRIORITY_EXPIRATION = 0 days;
    uint256 private constant REQUIRED_L2_GAS_PRICE_PER_PUBDATA = 800;
    uint256 private constant L1_GAS_PER_PUBDATA_BYTE = 17;
    uint256 private constant TX_SLOT_OVERHEAD_L2_GAS = 10_000;
    uint256 private constant MEMORY_OVERHEAD_GAS = 10;
    uint256 private constant L1_TX_INTRINSIC_L2_GAS = 167_157;
    uint256 private constant L1_TX_MIN_L2_GAS_BASE = 173_484;
    uint256 private constant L1_TX_DELTA_544_ENCODING_BYTES = 1_656;
    uint256 private constant L1_TX_INTRINSIC_PUBDATA = 88;

    uint160 private constant ALIAS_OFFSET = uint160(0x1111000000000000000000000000000000001111);

    // The reentrancy guard's, as in the deployed contract: 1 while nobody is inside.
    uint256 private status;
    uint256 private priorityTxMaxGasLimit;
    FeeParams private feeParams;
    uint256 private chainBalance;
    mapping(uint256 => PriorityOperation) private priorityQueue;
    uint256 private tail;
    bool private sparesDelegated;

    modifier nonReentrant() {
        require(status == 1, "r1");
        status = 2;
        _;
        status = 1;
    }

    function initialize() external {
        require(status == 0, "1B");
        status = 1;
        priorityTxMaxGasLimit = 72_000_000;
        feeParams = FeeParams(1_000_000, 120_000, 80_000_000, 99_000, 0.25 gwei);
        chainBalance = 1; // of others
    }

    /// Newer diamonds refund an account that is delegated (EIP-7702) at its own address.
    function setSparesDelegated(bool spares) external {
        sparesDelegated = spares;
    }

    function getTotalPriorityTxs() external view returns (uint256) {
        return tail;
    }

    function l2TransactionBaseCost(uint256 gasPrice, uint256 l2GasLimit, uint256 gasPerPubdata)
        public
        view
        returns (uint256)
    {
        return l2GasPrice(gasPrice, gasPerPubdata) * l2GasLimit;
    }

    function requestL2Transaction(
        address contractL2,
        uint256 l2Value,
        bytes calldata data,
        uint256 l2GasLimit,
        uint256 l2GasPerPubdataByteLimit,
        bytes[] calldata factoryDeps,
        address refundRecipient
    ) external payable nonReentrant returns (bytes32 txHash) {
        require(l2GasPerPubdataByteLimit == REQUIRED_L2_GAS_PRICE_PER_PUBDATA, "qp");
        require(factoryDeps.length == 0, "uj"); // the stand-in takes none
        uint256 price = l2GasPrice(tx.gasprice, l2GasPerPubdataByteLimit);
        require(msg.value >= price * l2GasLimit + l2Value, "mv");
        chainBalance += msg.value;

        L2CanonicalTransaction memory request;
        request.txType = PRIORITY_OPERATION_L2_TX_TYPE;
        request.from = uint256(uint160(aliased(msg.sender)));
        request.to = uint256(uint160(contractL2));
        request.gasLimit = l2GasLimit;
        request.gasPerPubdataByteLimit = l2GasPerPubdataByteLimit;
        request.maxFeePerGas = price;
        request.nonce = tail;
        request.value = l2Value;
        request.reserved = [msg.value, uint256(uint160(refunded(refundRecipient))), 0, 0];
        request.data = data;

        bytes memory encoded = abi.encode(request);
        validate(request, encoded.length);
        txHash = keccak256(encoded);
        uint64 expiration = uint64(block.timestamp + PRIORITY_EXPIRATION);
        priorityQueue[tail] = PriorityOperation(txHash, expiration, 0);
        tail++;
        emit NewPriorityRequest(request.nonce, txHash, expiration, request, factoryDeps);
    }

    function l2GasPrice(uint256 gasPrice, uint256 gasPerPubdata) private view returns (uint256) {
        FeeParams memory params = feeParams;
        uint256 batchOverhead = params.batchOverheadL1Gas * gasPrice;
        uint256 pubdata =
            L1_GAS_PER_PUBDATA_BYTE * gasPrice + batchOverhead / params.maxPubdataPerBatch;
        uint256 byGas = params.minimalL2GasPrice + batchOverhead / params.maxL2GasPerBatch;
        uint256 byPubdata = (pubdata + gasPerPubdata - 1) / gasPerPubdata;
        return byGas > byPubdata ? byGas : byPubdata;
    }

    /// Refuse what a block cannot hold, and what does not pay for its own processing.
    function validate(L2CanonicalTransaction memory request, uint256 length) private view {
        uint256 overhead = MEMORY_OVERHEAD_GAS * length;
        if (overhead < TX_SLOT_OVERHEAD_L2_GAS) overhead = TX_SLOT_OVERHEAD_L2_GAS;
        require(request.gasLimit >= overhead, "my");
        uint256 body = request.gasLimit - overhead;
        require(body <= priorityTxMaxGasLimit, "ui");
        require(
            body / request.gasPerPubdataByteLimit <= feeParams.priorityTxMaxPubdata, "uk"
        );
        uint256 computation =
            L1_TX_INTRINSIC_L2_GAS + (length * L1_TX_DELTA_544_ENCODING_BYTES + 543) / 544;
        if (computation < L1_TX_MIN_L2_GAS_BASE) computation = L1_TX_MIN_L2_GAS_BASE;
        require(
            computation + L1_TX_INTRINSIC_PUBDATA * request.gasPerPubdataByteLimit <= body, "up"
        );
    }

    /// A contract of L1 is shown to the L2 under another address; a person keeps theirs.
    function aliased(address sender) private view returns (address) {
        return sender == tx.origin ? sender : aliasOf(sender);
    }

    /// Whom the rest is given back to: whatever has code on L1 has another address there.
    function refunded(address recipient) private view returns (address) {
        if (recipient.code.length == 0) return recipient;
        if (sparesDelegated && bytes3(recipient.code) == 0xef0100) return recipient;
        return aliasOf(recipient);
    }

    function aliasOf(address account) private pure returns (address) {
        unchecked {
            return address(uint160(account) + ALIAS_OFFSET);
        }
    }
}
