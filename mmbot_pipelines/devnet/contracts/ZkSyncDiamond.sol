// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// Stand-in for zkSync's diamond proxy on L1: prices and queues transactions for the L2.
///
/// Like the real one it charges gas limit x L2 gas price, whatever is used later. Unlike the
/// real one it credits nothing on the L2: what is paid above the base cost stays here.
contract ZkSyncDiamond {
    struct Request {
        address sender; // as the L2 sees it: aliased, if it is a contract
        address contractL2;
        uint256 l2Value;
        bytes data;
        uint256 l2GasLimit;
        uint256 l2GasPerPubdataByteLimit;
        address refundRecipient;
        uint256 paid;
    }

    event PriorityRequest(uint256 indexed txId, bytes32 txHash, Request request);

    // zkSync Era's fee parameters (Config.sol and the mainnet genesis of era-contracts).
    uint256 private constant MIN_L2_GAS_PRICE = 0.1 gwei;
    uint256 private constant BATCH_OVERHEAD_L1_GAS = 1_000_000;
    uint256 private constant MAX_PUBDATA_PER_BATCH = 120_000;
    uint256 private constant MAX_L2_GAS_PER_BATCH = 200_000_000;
    uint256 private constant L1_GAS_PER_PUBDATA_BYTE = 17;
    uint256 private constant GAS_PER_PUBDATA = 800;
    uint256 private constant MIN_L2_GAS = 173_484;
    uint256 private constant MAX_L2_GAS = 72_000_000;

    uint160 private constant ALIAS_OFFSET = uint160(0x1111000000000000000000000000000000001111);

    uint256 public nextTxId;

    function l2TransactionBaseCost(uint256 gasPrice, uint256 l2GasLimit, uint256 gasPerPubdata)
        public
        pure
        returns (uint256)
    {
        uint256 batchOverhead = BATCH_OVERHEAD_L1_GAS * gasPrice;
        uint256 pubdataPrice =
            L1_GAS_PER_PUBDATA_BYTE * gasPrice + batchOverhead / MAX_PUBDATA_PER_BATCH;
        uint256 byGas = MIN_L2_GAS_PRICE + batchOverhead / MAX_L2_GAS_PER_BATCH;
        uint256 byPubdata = (pubdataPrice + gasPerPubdata - 1) / gasPerPubdata;
        return (byGas > byPubdata ? byGas : byPubdata) * l2GasLimit;
    }

    function requestL2Transaction(
        address contractL2,
        uint256 l2Value,
        bytes calldata data,
        uint256 l2GasLimit,
        uint256 l2GasPerPubdataByteLimit,
        bytes[] calldata factoryDeps,
        address refundRecipient
    ) external payable returns (bytes32 txHash) {
        require(l2GasPerPubdataByteLimit == GAS_PER_PUBDATA, "Gas per pubdata must be 800");
        require(l2GasLimit >= MIN_L2_GAS, "L2 gas limit too low");
        require(l2GasLimit <= MAX_L2_GAS, "L2 gas limit too high");
        require(factoryDeps.length == 0, "Factory dependencies are not supported");
        uint256 cost = l2TransactionBaseCost(tx.gasprice, l2GasLimit, l2GasPerPubdataByteLimit);
        require(msg.value >= cost + l2Value, "Value below the L2 base cost");

        Request memory request;
        request.sender = aliased(msg.sender);
        request.contractL2 = contractL2;
        request.l2Value = l2Value;
        request.data = data;
        request.l2GasLimit = l2GasLimit;
        request.l2GasPerPubdataByteLimit = l2GasPerPubdataByteLimit;
        request.refundRecipient = refundRecipient;
        request.paid = msg.value;

        uint256 txId = nextTxId++;
        txHash = keccak256(abi.encode(address(this), txId, request));
        emit PriorityRequest(txId, txHash, request);
    }

    /// A contract of L1 is shown to the L2 under another address; a person keeps theirs.
    function aliased(address sender) private view returns (address) {
        if (sender == tx.origin) return sender;
        unchecked {
            return address(uint160(sender) + ALIAS_OFFSET);
        }
    }
}
