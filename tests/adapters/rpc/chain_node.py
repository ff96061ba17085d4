"""A fake node of a chain that several nodes must agree on."""

from typing import Any

from tests.adapters.rpc.fake_node import FakeNode, word


class ChainNode:
    """A fake node of a chain whose state at block n is n."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.fork = 0  # part of the hashes
        self.mined = 97  # the block of the transaction
        self.status = "0x1"
        self.hides = False  # that the transaction is mined
        self.pending = 7
        self.base_fee = "0x7"
        node.methods |= {
            "eth_getBlockByNumber": self.block,
            "eth_call": lambda _, at: word(int(at, 16)),
            "eth_getTransactionCount": self.count,
            "eth_getTransactionReceipt": self.receipt,
        }

    def block(self, tag: str, full: bool) -> Any:
        number = self.node.height if tag == "latest" else int(tag, 16)
        if number > self.node.height:
            return None
        fields = {"number": hex(number), "gasLimit": "0x1c9c380", "baseFeePerGas": self.base_fee}
        return fields | {"hash": word(self.fork * 10**9 + number)}

    def count(self, wallet: str, tag: str) -> str:
        return hex(self.pending if tag == "pending" else int(tag, 16))

    def receipt(self, tx: str) -> Any:
        if self.hides or self.mined > self.node.height:
            return None
        return {
            "transactionHash": tx,
            "status": self.status,
            "blockNumber": hex(self.mined),
            "blockHash": word(self.mined),
            "gasUsed": "0x5208",
            "effectiveGasPrice": "0x65",
        }
