"""The PaymentRegistry in memory, on a `ChainMemory`: the port `Registry`.

It keeps nothing itself: what is paid is what the chain has executed.
"""

import json
from collections.abc import Sequence
from typing import Any

from mmbot_pipelines.bridge.audit.facts import RegistryTransfer
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Payment
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Event
from tests.ports.chain_memory import ChainMemory

REGISTRY = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")


class RegistryMemory:
    """The port `Registry`, scriptable."""

    def __init__(self, chain: ChainMemory, address: Address = REGISTRY) -> None:
        self.chain = chain
        self.address = address
        self.rejecting: set[Address] = set()  # recipients that refuse money
        self.market_maker = chain.wallet
        self.owner: Address | None = None
        self.slow = 0  # a search begins at this block, and reads one block at a time, to block 1
        self.min_claim_value = 0  # wei; a claim that carries less reverts
        chain.contracts[address] = self._revert

    # the port

    def transfer(self, order: Order) -> Call:
        return Call(to=self.address, data=_encode("transfer", order), value=order.amount)

    def payments(self, events: Sequence[Event], orders: Sequence[Order]) -> list[Payment]:
        logged = [json.loads(e.data) for e in events if e.address == self.address]
        paid = [tuple(order) for kind, *order in logged if kind == "transfer"]

        def payment(order: Order) -> Payment:
            if (order.origin, order.number, order.recipient, order.amount) in paid:
                return Payment.ORDER
            numbers = {one[:2] for one in paid}
            return Payment.OTHER if (order.origin, order.number) in numbers else Payment.NONE

        return [payment(order) for order in orders]

    def used(self, orders: Sequence[Order]) -> list[bool]:
        self.chain.head()
        return [self._paid_by(self.transfer(order)) is not None for order in orders]

    def paid_in(self, order: Order, *, below: int | None = None) -> TxHash | int | None:
        self.chain.head()
        if self.slow and below != 1:
            return self.slow if below is None else below - 1
        return self._paid_by(self.transfer(order))

    def transfers(self, first: int, last: int) -> list[RegistryTransfer]:
        """Return the successful transfers in these blocks (the port `PaymentLog`)."""
        mined = {block.block.number: block.transactions for block in self.chain.blocks}
        calls = [
            call
            for number in range(first, last + 1)
            for transaction in mined.get(number, [])
            for call in transaction.made
        ]
        logged = [json.loads(call.data) for call in calls if call.data]
        return [
            RegistryTransfer(key=f"{o}:{n}", recipient=int(recipient, 16), amount=amount)
            for kind, o, n, recipient, amount in logged
            if kind == "transfer"
        ]

    def accepts(self, wallets: Sequence[Address]) -> list[bool]:
        self.chain.head()
        return [wallet in (self.market_maker, self.owner) for wallet in wallets]

    # for the origins

    def claim(self, order: Order, *, value: Wei) -> Call:
        """Build the call that sends the claim of an order to its origin."""
        return Call(to=self.address, data=_encode("claim", order), value=value)

    def claims(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        """Return whose claims the events of one transaction show."""
        logged = [e.data for e in events if e.address == self.address]
        return [_encode("claim", order) in logged for order in orders]

    def claim_batch(self, orders: Sequence[Order], *, value: Wei) -> Call:
        """Build the call that sends the claims of several orders to their origin, together."""
        data = json.dumps(["claims", *(json.loads(_encode("", o))[1:] for o in orders)])
        return Call(to=self.address, data=data.encode(), value=value)

    def claimed_batches(self, origin: str) -> list[tuple[TxHash, list[list[Any]]]]:
        """Return the claims of several orders that have succeeded on L1, with what they name."""
        found = []
        for tx, call in self.chain.made():
            kind, *orders = json.loads(call.data or b'[""]')
            if kind == "claims" and orders[0][0] == origin:
                found.append((tx, [order[1:] for order in orders]))
        return found

    def claimed(self, order: Order) -> bool:
        """Return whether a claim of this very order has succeeded on L1."""
        data = _encode("claim", order)
        return any(call.data == data for _, call in self.chain.made())

    def _paid_by(self, transfer: Call) -> TxHash | None:
        return next((tx for tx, call in self.chain.made() if call == transfer), None)

    def _revert(self, call: Call) -> str | None:
        if self.chain.sender not in (self.market_maker, self.owner):
            return "Only Owner or MM can call this function"
        kind, *order = json.loads(call.data)
        if kind == "transfer":
            if call.value == 0:
                return "Invalid amount, should be higher than 0."
            if self._paid_by(call):
                return "Transfer already processed."
            return "Transfer failed." if order[2] in self.rejecting else None
        for named in order if kind == "claims" else [order]:
            paid = Call(to=call.to, data=json.dumps(["transfer", *named]).encode(), value=named[3])
            if not self._paid_by(paid):
                return "Transfer not found."
        return "mv" if call.value < self.min_claim_value else None


def _encode(kind: str, order: Order) -> bytes:
    return json.dumps([kind, order.origin, order.number, order.recipient, order.amount]).encode()
