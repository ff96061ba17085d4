"""The wallet's lane: hold it, sign for it, broadcast what was stored in it.

The run that holds it gives out nonces; any other that signs for the wallet waits. Reads and writes
the chain and the store.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.ports.orders import BridgeUnitOfWork
from mmbot_pipelines.bridge.transitions import record_error
from mmbot_pipelines.core.error_log import Fault
from mmbot_pipelines.core.errors import Failure, PoolIsTaken, StoreUnavailable
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Part, Transaction, max_total_cost
from mmbot_pipelines.core.unit_of_work import Lane

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """A transaction of the wallet before it is signed."""

    subject: str
    purpose: str
    attempt: int
    nonce: int
    call: Call
    gas: Gas
    fees: Fees
    batch: tuple[Part, ...] = ()


def in_flight(bridge: Bridge) -> list[Transaction]:
    """List the wallet's undecided transactions, lowest nonce first."""
    wallet = bridge.chain.wallet
    return [row for row in bridge.store.outbox.in_flight() if row.wallet == wallet]


def for_each_wallet(
    bridge: Bridge,
    rows: Mapping[Address, Sequence[Transaction]],
    do: Callable[[Bridge, Sequence[Transaction]], _T],
) -> list[_T]:
    """Work on each wallet's transactions; what fails for one keeps no other waiting.

    Raises:
        Failure: the first one of a wallet, after all had their turn.
        StoreUnavailable: at once.
    """
    done, failure = list[_T](), None
    for wallet, waiting in rows.items():
        try:
            done.append(do(bridge.with_wallet(wallet), waiting))
        except StoreUnavailable:
            raise
        except Failure as e:
            failure = failure or e
    if failure is not None:
        raise failure
    return done


@contextmanager
def hold_lane(
    bridge: Bridge, since: Sequence[Transaction], balance: Wei
) -> Iterator[tuple[BridgeUnitOfWork, Lane, Wei]]:
    """Hold the wallet's lane in a unit of work; yield both, and what the wallet has free, in wei.

    What is in flight may take the rest of the balance. It may be less than nothing.
    since: what was in flight before the balance was read: some of it may be mined and decided
        until the lane is ours, and is missing there and in the balance.
    """
    chain = bridge.chain
    with bridge.store.begin() as uow:
        lane = uow.outbox.lock_lane(chain.chain_id, chain.wallet)
        rows = {row.hash: row for row in [*since, *lane.in_flight()]}
        yield uow, lane, Wei(balance - max_total_cost(rows.values()))


def sign(bridge: Bridge, unsigned: Unsigned, *, bump: int = 0) -> Transaction:
    """Sign a transaction; nothing is stored or sent yet.

    bump: how many of ours came before it at its nonce.
    """
    chain = bridge.chain
    signed = chain.sign(unsigned.call, nonce=unsigned.nonce, gas=unsigned.gas, fees=unsigned.fees)
    return Transaction(
        subject=unsigned.subject,
        purpose=unsigned.purpose,
        attempt=unsigned.attempt,
        bump=bump,
        chain_id=chain.chain_id,
        wallet=chain.wallet,
        nonce=unsigned.nonce,
        hash=signed.hash,
        raw=signed.raw,
        call=unsigned.call,
        gas=unsigned.gas,
        fees=unsigned.fees,
        stored_at=bridge.clock(),
        batch=unsigned.batch,
    )


def broadcast(bridge: Bridge, run: Run, stored: Sequence[Transaction]) -> list[Transaction]:
    """Broadcast stored transactions; record errors of those not taken, return the others."""
    results = bridge.chain.broadcast([row.raw for row in stored]) if stored else []
    taken = []
    for row, failure in zip(stored, results, strict=True):
        if failure is None:
            taken.append(row)
            continue
        kind = type(failure).__name__
        # What a node has no room for now is no error of its orders.
        for part in () if isinstance(failure, PoolIsTaken) else row.parts:
            fault = Fault(subject=part.subject, step="broadcast", kind=kind, message=str(failure))
            record_error(bridge, run, fault)
        run.log(
            f"{row.subject}: {row.purpose} {row.hash} with nonce {row.nonce} stored, not yet taken "
            f"by a node ({failure}); it is sent again"
        )
    return taken
