"""Submits storage proofs to the escrow, again until it has paid. Reads and writes Starknet.

A proof was paid for, so whatever makes a submission fail (a pause, a stale nonce, a stranger
who was first, a reorg) only delays it. A proof is given up only when a quorum of nodes shows that
the escrow refuses it, alone in its transaction, and still does some blocks later.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from starknet_py.net.client_models import Call

from mmbot_pipelines.adapters.bridge.escrow import EscrowOrder, EscrowTerms
from mmbot_pipelines.adapters.bridge.starknet import views
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.lane import StarknetLane
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.adapters.starknet.outcome import InFlightInvoke
from mmbot_pipelines.adapters.starknet.wallet import CallReverts
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.errors import Failure, TryLater
from mmbot_pipelines.core.money import Address, TxHash

_CALLS = 20  # of one transaction on Starknet
_WAIT_BLOCKS = 50  # from the first refusal by the escrow to a new proof
_FIRST_PAUSE = timedelta(seconds=30)  # after a second revert on chain, doubled each time
_LONGEST_PAUSE = timedelta(hours=1)
_NO_FUNCTION = ("entrypoint_not_found", "not found in contract")

_BUSY = "waiting: an earlier transaction of our Starknet account is undecided"
_NOT_SENT = "waiting: our Starknet account cannot send now; asked again shortly"
_REVERTED = "waiting: its transaction reverted on Starknet several times; it is sent again later"


class ProofFailed(TryLater):
    """A proof was not made, or the escrow does not take it: another one is ordered."""


@dataclass(frozen=True, slots=True)
class ProofRefusal:
    """Why the escrow refuses one proof, where all witnesses agree that it does."""

    why: str
    block: int  # the newest sealed one that all of them have


class ProofSubmitter:
    """Submits proofs of many orders to one escrow."""

    def __init__(
        self,
        rpc: StarknetRpc,
        lane: StarknetLane,
        *,
        escrow: Address,
        registry: Address,
        call: Callable[[Order], Call],
    ) -> None:
        """Name the parts; nothing is asked yet.

        registry: on L1, which the escrow must obey for the proofs to be of use.
        call: builds the call that shows one order's proof.
        """
        self._rpc = rpc
        self.lane = lane
        self._escrow = escrow
        self._registry = registry
        self._call = call
        self._refused_at: dict[str, int] = {}  # by claim; forgotten at a restart: no harm

    def not_accepted(self, orders: Sequence[Order]) -> list[Order]:
        """List the orders whose transaction no witness has, other than reverted or given up."""
        txs = sorted({order.claim_tx for order in orders if order.claim_tx})
        reported = dict(zip(txs, self.lane.statuses(txs), strict=True)) if txs else {}
        lost = self.lane.invokes.lost(txs) if txs else set()

        def is_open(tx: TxHash) -> bool:
            return all(
                status is None or status.reverted or (tx in lost and not status.accepted)
                for status in reported[tx]
            )

        return [order for order in orders if order.claim_tx and is_open(order.claim_tx)]

    def submit_proofs(self, orders: Sequence[Order]) -> dict[str, Progress]:
        """Submit the proofs of unpaid orders: in one transaction, or alone after a revert.

        Raises:
            RpcRefused: our account does not take our signature.
        """
        open_ = self.lane.in_flight()
        if open_ is not None and open_.refused is None:
            return _progress(orders, open_)
        terms, held = self._rpc.ask(lambda node: self._read(node, orders))
        if against := self._against(terms):
            return {order.key: Progress(waits=f"waiting: {against}") for order in orders}
        unpaid = [
            order
            for order, state in zip(orders, held, strict=True)
            if isinstance(state, EscrowOrder) and state.is_of(order) and state.pending
        ]
        ready, paused = self._ready(unpaid)
        seen = {order.key: Progress(waits=_REVERTED) for order in paused}
        return seen | self._sent(ready, open_) if ready else seen

    def _sent(self, orders: list[Order], over: InFlightInvoke | None) -> dict[str, Progress]:
        """Send one transaction for as many as can go together."""
        alone = self._alone(orders)
        now = alone[:1] or orders[:_CALLS]
        later = {order.key: Progress(waits=_BUSY) for order in orders if order not in now}
        try:
            return later | _progress(now, self._send(now, over))
        except CallReverts:
            pass
        # One of them spoils it for all: find out which, each by itself.
        asked = [(order, self._refusal(order)) for order in now]
        good = [order for order, refusal in asked if refusal is None]
        seen = {order.key: self._weighed(order, r) for order, r in asked if r is not None}
        if good and len(good) < len(now):
            try:
                return later | seen | _progress(good, self._send(good, over))
            except CallReverts:
                pass
        return later | seen | {order.key: Progress(waits=_NOT_SENT) for order in good}

    def _send(self, orders: Sequence[Order], over: InFlightInvoke | None) -> InFlightInvoke | None:
        calls = [self._call(order) for order in orders]
        return self.lane.send(calls, [order.key for order in orders], over=over)

    def _read(
        self, node: StarknetNode, orders: Sequence[Order]
    ) -> tuple[EscrowTerms, list[EscrowOrder | Failure]]:
        at = "pre_confirmed"
        held = views.held(node, self._escrow, [o.number for o in orders], at)
        return views.terms(node, self._escrow, at), held

    def _against(self, terms: EscrowTerms) -> str | None:
        if terms.paused:
            return f"the escrow {self._escrow} is paused: its owner must resume it"
        if terms.registry != self._registry:
            return f"the escrow {self._escrow} obeys {terms.registry}, not our {self._registry}"
        return None

    def _ready(self, orders: Sequence[Order]) -> tuple[list[Order], list[Order]]:
        """Split orders into those that may be sent now and those that are held back."""
        pauses = self._pauses(orders)
        ready = [order for order in orders if pauses[order.key] <= self.lane.now()]
        return ready, [order for order in orders if order not in ready]

    def _pauses(self, orders: Sequence[Order]) -> dict[str, datetime]:
        """Return until when each order's proof is held back: longer with each revert of its own."""
        reverted = self.lane.invokes.reverted([order.key for order in orders])
        until = {}
        for order in orders:
            own = [row for row in reverted if row.subjects == (order.key,)]
            pause = min(_FIRST_PAUSE * 2 ** min(len(own), 10), _LONGEST_PAUSE)
            until[order.key] = own[-1].stored_at + pause if own else self.lane.now()
        return until

    def _alone(self, orders: Sequence[Order]) -> list[Order]:
        """List those that were in a transaction with others that reverted: one spoiled it."""
        reverted = self.lane.invokes.reverted([order.key for order in orders])
        spoiled = {key for row in reverted if len(row.subjects) > 1 for key in row.subjects}
        return [order for order in orders if order.key in spoiled]

    def _refusal(self, order: Order) -> ProofRefusal | None:
        """Return why the escrow refuses a proof, or None where no quorum shows that it does."""

        def asked(node: StarknetNode) -> list[tuple[str | None, int]]:
            block = node.newest()
            return [(self.lane.wallet.reverts(node, [self._call(order)]), block.number)]

        (reported,) = self._rpc.columns(asked, lambda seen: str(seen[0] is None))
        error_text = [why for why, _ in reported if why is not None]
        if len(error_text) < len(reported):
            self._refused_at.pop(str(order.claim_ref), None)
            return None
        return ProofRefusal(error_text[0], min(block for _, block in reported))

    def _weighed(self, order: Order, refusal: ProofRefusal) -> Progress:
        """Wait for a proof that the escrow refuses, or give it up after some blocks."""
        if any(words in refusal.why.lower() for words in _NO_FUNCTION):
            fix = "fix MMBOT_STARKNET_PROOF_ENTRYPOINT"
            return Progress(waits=f"waiting: the escrow has no such function: {fix}")
        first = self._refused_at.setdefault(str(order.claim_ref), refusal.block)
        if refusal.block - first < _WAIT_BLOCKS:
            return Progress(waits=f"waiting: the escrow does not take the proof: {refusal.why}")
        del self._refused_at[str(order.claim_ref)]
        return Progress(
            lost=ProofFailed(
                f"the escrow does not take {order.claim_ref}, {refusal.block - first} blocks "
                f"after the prover called it done: {refusal.why}"
            )
        )


def _progress(orders: Sequence[Order], open_: InFlightInvoke | None) -> dict[str, Progress]:
    """Return what a transaction under way means for each order."""
    if open_ is None:
        return {order.key: Progress(waits=_NOT_SENT) for order in orders}
    if open_.refused is not None:
        return {order.key: Progress(waits=open_.why) for order in orders}
    in_it = Progress(proven_in=open_.invoke.hash)
    subjects = open_.invoke.subjects
    return {o.key: in_it if o.key in subjects else Progress(waits=_BUSY) for o in orders}
