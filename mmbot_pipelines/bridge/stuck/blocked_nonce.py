"""A nonce in trouble, and the fees and gas that it can be taken with now. Reads the chain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import CANCEL, REPAY
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.fee_bump import is_priced_out, replacement_fees
from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Part, Transaction

_ANY_PRICE = 2**256

# What a transaction without data takes: 21 000 to an account without code (Yellow Paper,
# G_transaction), a little more to one that is delegated. What is left costs nothing.
CANCEL_GAS = Gas(30_000)

_MIN_GAS = 21_000  # of one transaction
_MAX_GAS = 2**24  # of one transaction (EIP-7825)

# While the transfer was reorged out, a claim stays in the lane behind it.
_BEFORE_CLAIMED = (Status.TRANSFERRING, Status.FULFILLED, Status.PROVING)


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckNonce:
    """A nonce in trouble, with all of its rows and the orders they are for."""

    rows: Sequence[Transaction]
    orders: Sequence[Order]  # those that are stored
    old: bool  # undecided for longer than is good
    blocks: bool  # the lane: the lowest nonce, or held by nothing but its own price
    first: bool  # the lowest undecided nonce of the wallet
    awaited: bool  # by rows at higher nonces
    # of a claim that stands right behind its transfer: the newest row at the transfer's nonce
    transfer: Transaction | None = None

    @property
    def newest(self) -> Transaction:
        """Return the row that stands for the nonce."""
        return self.rows[-1]

    @property
    def order(self) -> Order | None:
        """Return the order of a nonce that serves only one."""
        return self.orders[0] if len(self.orders) == 1 else None

    @property
    def waiting(self) -> list[Order]:
        """Return the orders that wait for these rows still."""
        return [order for order in self.orders if self._is_waiting(order)]

    @property
    def stray(self) -> bool:
        """Return whether no order waits for these rows any more."""
        return self.newest.purpose != CANCEL and bool(self.orders) and not self.waiting

    def _is_waiting(self, order: Order) -> bool:
        if self.transfer is not None:
            return self.transfer.purpose != CANCEL  # without its transfer it can only revert
        hashes = {row.hash for row in self.rows}
        if self.newest.purpose == REPAY:
            return order.status in _BEFORE_CLAIMED and order.claim_tx in hashes
        return order.status is Status.TRANSFERRING and order.transfer_tx in hashes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A transaction to take a nonce with; without a call it only uses the nonce up."""

    newest: Transaction
    call: Call | None
    gas: Gas
    fees: Fees
    why: str
    batch: tuple[Part, ...] = ()


class FeeQuotes:
    """The fees and gas that a nonce can be taken with now."""

    def __init__(self, bridge: Bridge, stuck_nonces: Sequence[StuckNonce], market: Fees) -> None:
        hashes = [row.hash for stuck_nonce in stuck_nonces for row in stuck_nonce.rows]
        taken = bridge.chain.known_by_any_node(hashes)
        self.market = market
        self._pooled = {tx for tx, is_pooled in zip(hashes, taken, strict=True) if is_pooled}

    def fees(self, stuck_nonce: StuckNonce, max_fee_per_gas: int) -> Fees | None:
        """Return fees that take the nonce for at most `max_fee_per_gas` wei per gas."""
        return replacement_fees(stuck_nonce.rows, self._pooled, self.market, max_fee_per_gas)

    def paying(
        self,
        stuck_nonce: StuckNonce,
        call: Call,
        gas: Gas,
        fees: Fees,
        batch: tuple[Part, ...] = (),
    ) -> Replacement:
        """Return the same again, at other fees.

        batch: whom it serves still, where it serves several.
        """
        why = self._slow(stuck_nonce)
        newest = stuck_nonce.newest
        return Replacement(newest=newest, call=call, gas=gas, fees=fees, why=why, batch=batch)

    def cancelling(self, stuck_nonce: StuckNonce, why: str) -> Replacement | None:
        """Return what uses the nonce up; there is always a price for it."""
        fees = self.fees(stuck_nonce, _ANY_PRICE)
        # Absurd fees that some node claims to have are no reason to block everybody for ever:
        # at one nonce only one is mined, and the nodes that never had them take this one.
        fees = fees or replacement_fees(stuck_nonce.rows, (), self.market, _ANY_PRICE)
        if fees is None:
            return None
        newest = stuck_nonce.newest
        by_order = {part.subject: part for part in newest.batch}.values()
        batch = tuple(replace(p, purpose=CANCEL, value=Wei(0)) for p in by_order)
        return Replacement(
            newest=newest, call=None, gas=CANCEL_GAS, fees=fees, why=why, batch=batch
        )

    def _slow(self, stuck_nonce: StuckNonce) -> str:
        if is_priced_out(stuck_nonce.newest.fees, self.market):
            return "blocks ask for more than was signed"
        return f"not mined since {stuck_nonce.newest.stored_at:%H:%M:%S} UTC"


def gas_of(newest: Transaction, estimate: Gas | Failure | None) -> Gas | None:
    """Return the gas of a replacement: as estimated now, else as it was signed before."""
    if estimate is None or isinstance(estimate, Failure):
        return signed_gas(newest)
    return estimate


def signed_gas(newest: Transaction) -> Gas | None:
    """Return the gas that was signed, None where no node takes a transaction with it."""
    return newest.gas if _MIN_GAS <= newest.gas <= _MAX_GAS else None
