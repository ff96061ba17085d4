"""The nonce lane of our Starknet account. Reads chain and store, writes both.

A transaction is stored before it is sent; the same bytes are sent again as long as no node
knows it; and no second nonce is given out before the first is decided by a sealed block.

One whose nonce stays above the account's next one is given up: a node was wrong about it, and
it would hold the lane for ever. Nothing keeps it from being executed later, when the account
comes to its nonce. What it shows to the escrow is paid by then, and it reverts: it can cost
its fee, and never pays twice.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starknet_py.net.client_models import Call

from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.invokes import Invoke, Invokes
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.adapters.starknet.outcome import (
    InFlightInvoke,
    decided,
    helps,
    outcome,
)
from mmbot_pipelines.adapters.starknet.wallet import StarknetWallet, TxStatus
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import TxState

# Of one account in the block that is being built; ours has none when a nonce is asked for.
_MAX_PENDING = 50

# A nonce above the account's next one is waited for so long: a node may be behind.
_GIVE_UP_AFTER = timedelta(minutes=2)

_PRICED_AT_ONCE = 100  # fees that are read at once

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a node shows of one of our transactions."""

    used: int  # nonces of the account, up to the newest sealed block
    following: int  # the account's next nonce, behind the block that is being built
    status: TxStatus | None


class StarknetLane:
    """The account's transactions. Threads may share it, and so may processes."""

    def __init__(
        self,
        rpc: StarknetRpc,
        wallet: StarknetWallet,
        invokes: Invokes,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.wallet = wallet
        self.invokes = invokes
        self.now = now
        self._rpc = rpc

    def in_flight(self) -> InFlightInvoke | None:
        """Decide executed transactions, resend those that no node knows, return the undecided."""
        rows = self.invokes.undecided(self.wallet.chain_id, self.wallet.address)
        while rows:
            group = [row for row in rows if row.nonce == rows[0].nonce]
            rows = rows[len(group) :]
            try:
                if (open_ := self._decide_nonce(group)) is not None:
                    return open_
            except ConcurrentUpdate:
                continue  # another run has decided it
        return None

    def record_costs(self) -> None:
        """Decide what is decided by now, and write the fees of what was executed.

        Raises:
            RpcRefused, RpcUnavailable: the nodes cannot be asked.
        """
        self.in_flight()
        chain_id, address = self.wallet.chain_id, self.wallet.address
        rows = self.invokes.unpriced(chain_id, address, max_rows=_PRICED_AT_ONCE)
        if not rows:
            return

        hashes = [row.hash for row in rows]
        reported = self._rpc.columns(lambda node: self.wallet.costs(node, hashes), str)
        for row, fees in zip(rows, reported, strict=True):
            # Where nodes differ nothing is written: they are asked again the next time.
            if fees[0] is not None and len(set(fees)) == 1:
                with suppress(ConcurrentUpdate):
                    self.invokes.price(row, fees[0])

    def statuses(self, txs: Sequence[TxHash]) -> list[list[TxStatus | None]]:
        """Return what the quorum knows of these transactions: one list for each of them.

        Where nodes differ, what each node that was asked knows of it.
        """
        return self._rpc.columns(lambda node: self.wallet.statuses(node, txs), outcome)

    def send(
        self, calls: Sequence[Call], subjects: Sequence[str], *, over: InFlightInvoke | None = None
    ) -> InFlightInvoke | None:
        """Sign, store and send one transaction; None where none can be sent now.

        over: what the sequencer refused; the new one takes its nonce.

        Raises:
            CallReverts: the called contract would refuse it.
            RpcRefused: our account does not take our signature.
            RpcDisagrees: nodes differ on our account's next nonce, or on its class.
        """
        if over is not None:
            nonce, bump = over.invoke.nonce, over.invoke.bump + 1
        else:
            nonce = self._next_nonce()
            if self._reopened(nonce):
                return self.in_flight()
            bump = self._free_bump(nonce)
        self._agree_on_class()
        signed = self._rpc.ask(lambda node: self.wallet.sign(node, calls, nonce=nonce, bump=bump))
        if over is not None and not helps(signed.raw, over):
            return over
        invoke = Invoke(
            chain_id=self.wallet.chain_id,
            wallet=self.wallet.address,
            nonce=nonce,
            bump=bump,
            hash=signed.hash,
            raw=signed.raw,
            subjects=tuple(subjects),
            stored_at=self.now(),
        )
        try:
            self.invokes.store(invoke)
        except ConcurrentUpdate:
            return None
        return InFlightInvoke(invoke, self._broadcast(invoke))

    def _reopened(self, nonce: int) -> bool:
        """Make undecided what has to be decided before this nonce is given out."""
        chain_id, address = self.wallet.chain_id, self.wallet.address
        newest = self.invokes.newest(chain_id, address)
        if newest is not None and nonce <= newest.nonce:
            # A reorg took it back, or a node is behind: the stored bytes go first.
            self.invokes.reopen(chain_id, address, nonce)
            return True
        if any(row.nonce < nonce for row in self.invokes.too_high(chain_id, address)):
            # The account has come past them: they were executed, or are lost for good.
            self.invokes.revive(chain_id, address, nonce)
            return True
        return False

    def _free_bump(self, nonce: int) -> int:
        """Return how many of ours have this nonce: only such as were given up as too high."""
        rows = self.invokes.too_high(self.wallet.chain_id, self.wallet.address)
        return max((row.bump + 1 for row in rows if row.nonce == nonce), default=0)

    def _agree_on_class(self) -> None:
        """Make sure that calls are encoded as the account's class takes them."""
        if self.wallet.cairo is not None:
            return
        (kinds,) = self._rpc.columns(
            lambda node: [self.wallet.class_version(node)], str, about="our account's class"
        )
        if len(set(kinds)) != 1:
            raise RpcDisagrees(
                f"nodes of starknet differ on the class of our account {self.wallet.address}: "
                "nothing is signed until they agree"
            )
        self.wallet.cairo = kinds[0]

    def _next_nonce(self) -> int:
        """Return the account's next nonce, as a quorum of nodes returns it.

        One that is too high would be stored, could never be executed, and would hold the lane.
        """

        def asked(node: StarknetNode) -> int:
            used = self.wallet.nonce(node, "latest")
            following = self.wallet.nonce(node, "pre_confirmed")
            if not 0 <= following - used <= _MAX_PENDING:
                raise NodeFault(
                    f"answered {following} as our account's next nonce, of which {used} are used"
                )
            return following

        return self._rpc.agreed(asked, _same_nonce, about="our account's next nonce")

    def _decide_nonce(self, group: Sequence[Invoke]) -> InFlightInvoke | None:
        """Decide a nonce where a quorum shows its outcome; else make sure that a node has it."""
        nonce = group[-1].nonce

        def asked(node: StarknetNode) -> list[_Seen]:
            # The nonces first: what is mined between the questions is not taken for lost.
            used = self.wallet.nonce(node, "latest")
            following = self.wallet.nonce(node, "pre_confirmed")
            reported = self.wallet.statuses(node, [row.hash for row in group])
            return [_Seen(used, following, status) for status in reported]

        def meaning(seen: _Seen) -> str:
            # Together: one node's nonce and another's missing status prove no loss.
            nonces = (seen.used > nonce, seen.used < nonce, seen.following < nonce)
            return f"{outcome(seen.status)} {nonces}"

        reported = self._rpc.columns(asked, meaning)
        known = None
        for row, column in zip(group, reported, strict=True):
            seen = [one.status for one in column]
            if (state := decided(seen)) is not None:
                self.invokes.decide(row, state)
                return None
            known = row if any(seen) else known
        newest, used = group[-1], [one.used for one in reported[-1]]
        following = max(one.following for column in reported for one in column)
        is_old = self.now() - newest.stored_at >= _GIVE_UP_AFTER
        if min(used) > nonce and (known is None or is_old):
            self._give_up(newest)
            return None
        if max(used) < nonce and (earlier := self._reorged_before(max(used), newest)):
            return self._decide_nonce(earlier)
        if following < nonce and is_old:
            self._give_up(newest, following)
            return None
        return (
            InFlightInvoke(newest, self._broadcast(newest))
            if known is None
            else InFlightInvoke(known)
        )

    def _give_up(self, invoke: Invoke, following: int | None = None) -> None:
        """Write that a transaction is lost: its nonce is another one's, or out of reach."""
        self.invokes.decide(invoke, TxState.LOST, ahead_of=following)
        why = (
            f"another transaction of the account has used nonce {invoke.nonce}"
            if following is None
            else f"its nonce {invoke.nonce} was never used, the account's next one is {following}"
        )
        _log.warning("starknet: our transaction %s is lost, %s", invoke.hash, why)

    def _reorged_before(self, nonce: int, later: Invoke) -> list[Invoke]:
        """Return rows before a transaction that a reorg removed: they must be executed first."""
        self.invokes.reopen(self.wallet.chain_id, self.wallet.address, nonce)
        rows = self.invokes.undecided(self.wallet.chain_id, self.wallet.address)
        first = rows[0].nonce
        return [row for row in rows if row.nonce == first < later.nonce]

    def _broadcast(self, invoke: Invoke) -> RpcError | None:
        return self._rpc.ask(lambda node: self.wallet.broadcast(node, invoke.raw))


def _same_nonce(reported: Sequence[int], quorum: int) -> int:
    strong = {nonce for nonce in reported if reported.count(nonce) >= quorum}
    if len(strong) != 1:
        raise RpcDisagrees(
            "nodes of starknet differ on the next nonce of our account "
            f"({', '.join(map(str, sorted(set(reported))))}): nothing is signed until they agree"
        )
    return strong.pop()
