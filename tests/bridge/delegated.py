"""The bridge whose account is delegated to the batch contract (EIP-7702), on chains in memory."""

import json
from collections.abc import Sequence

from mmbot_pipelines.core.delegation import AccountCode, BatchedCall, Delegation
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call, Transaction
from tests.bridge.harness import BridgeHarness
from tests.ports.chain_memory import ChainMemory


class BatchContractMemory:
    """The port `BatchContract`, of the chain in memory."""

    def __init__(self, chain: ChainMemory) -> None:
        self.chain = chain

    def delegation(self, account: Address) -> Delegation:
        self.chain.head()
        return Delegation(account=account, code=self.chain.account_code)

    def batch(self, account: Address, calls: Sequence[BatchedCall]) -> Call:
        inner = [[c.call.to, c.call.data.hex(), c.call.value, c.gas] for c in calls]
        return Call(to=account, data=json.dumps(["batch", inner]).encode(), value=Wei(0))

    def gas(self, calls: Sequence[BatchedCall]) -> Gas:
        return Gas(60_000 + sum(call.gas + 20_000 for call in calls))


def delegated() -> BridgeHarness:
    """Return a bridge that sends batches."""
    harness = BridgeHarness()
    harness.chain.account_code = AccountCode.OURS
    harness.replace(batch_contract=BatchContractMemory(harness.chain))
    return harness


def batches(harness: BridgeHarness) -> list[Transaction]:
    return [row for row in harness.transactions() if row.is_self_call]
