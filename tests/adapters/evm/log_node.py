"""A fake node whose every block holds one log."""

from typing import Any

from mmbot_pipelines.core.money import Address
from tests.adapters.rpc.fake_node import FakeNode, Refusal, word

ESCROW = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
TOPIC = b"\x07" * 32


class LogNode:
    """A fake node whose every block holds one log; it takes ranges up to `most` blocks."""

    def __init__(self, node: FakeNode, head: int = 10_000, most: int = 10**9) -> None:
        self.head, self.most = head, most
        self.fork = 0  # part of every block's hash
        self.reorgs = 0  # how many of the next reads see a reorg in the middle
        self.code = -32602
        self.ranges: list[tuple[int, int]] = []  # asked for and taken
        self.refused = 0
        self.change: dict[str, Any] = {}  # fields of every log that lie
        node.methods |= {"eth_getBlockByNumber": self.block, "eth_getLogs": self.logs}

    def hash(self, number: int) -> str:
        return word(self.fork * 10**9 + number)

    def block(self, tag: str, full: bool) -> Any:
        number = self.head if tag == "latest" else int(tag, 16)
        if number > self.head:
            return None
        return {"number": hex(number), "hash": self.hash(number), "gasLimit": "0x1c9c380"}

    def logs(self, wanted: dict[str, Any]) -> Any:
        first, last = int(wanted["fromBlock"], 16), int(wanted["toBlock"], 16)
        if last - first + 1 > self.most:
            self.refused += 1
            raise Refusal(self.code, "query exceeds max block range")
        self.ranges.append((first, last))
        if self.reorgs:
            self.reorgs -= 1
            self.fork += 1
        return [self.log(number) | self.change for number in range(first, last + 1)]

    def log(self, number: int) -> dict[str, Any]:
        return {
            "address": ESCROW.lower(),
            "topics": ["0x" + TOPIC.hex()],
            "data": "0x",
            "blockNumber": hex(number),
            "blockHash": self.hash(number),
            "transactionHash": word(number),
            "logIndex": "0x0",
            "removed": False,
        }
