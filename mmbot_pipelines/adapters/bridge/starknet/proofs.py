"""Claims by a storage proof: the registry's record of our transfer is proven on Starknet.

Asks the prover, L1 and Starknet; writes transactions of our account through the lane. A
prover works on a task; then our account submits the proof to the escrow. Both may be done
twice: the same task has the same idempotency key, and the escrow pays once.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from eth_utils.crypto import keccak
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.client_models import Call as StarknetCall

from mmbot_pipelines.adapters.bridge.registry_abi import V1
from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet.claim_polls import ClaimPolls
from mmbot_pipelines.adapters.bridge.starknet.proof_submission import ProofFailed, ProofSubmitter
from mmbot_pipelines.adapters.bridge.starknet.prover import (
    Prover,
    ProverRefused,
    ProverUnavailable,
    Slots,
    TaskState,
    TaskUnknown,
)
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.lane import StarknetLane
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import MessageEnd, Progress, Task
from mmbot_pipelines.core.errors import Failure, NotServed, TryLater, Waits
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Event, Fees

__all__ = [
    "ByProof",
    "ProofFailed",
    "TransferNotFinal",
    "TransferNotFound",
    "entrypoint",
    "transfer_slot",
]

T = TypeVar("T")
R = TypeVar("R")

_KIND = "task "  # what a claim's name begins with
_AT_ONCE = 8  # requests to the prover
_MEMBERS = 3  # slots of one transfer: recipient, amount, isUsed and chainId
_MAX_UNKNOWN_POLLS = 5  # times that the prover must not know a task before it is given up


class TransferNotFound(TryLater):
    """L1 does not show the transfer that is to be proven: its node is behind, or a reorg."""


class TransferNotFinal(Waits):
    """The transfer that is to be proven is not final: a reorg of L1 may still remove it."""

    reason = "waiting: its transfer needs MMBOT_L1_FINALITY_BLOCKS before a proof is ordered"


class ByProof:
    """The port `Repayment` by proofs of L1's storage. Threads may share it."""

    claim_gas = Gas(0)  # nothing is sent on L1

    def __init__(
        self,
        rpc: StarknetRpc,
        l1: Rpc,
        prover: Prover,
        lane: StarknetLane,
        *,
        escrow: Address,
        registry: Address,
        transfers_slot: int,
        entrypoint: int,
        cost: Wei,
        finality_blocks: int,
        poll_seconds: float = 10.0,
        unknown_seconds: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the parts; nothing is asked yet.

        transfers_slot: of the registry's mapping `transfers`, in its storage layout.
        entrypoint: the escrow's selector; it takes order id, L1 block and slot, as u256.
        cost: of one proof and its transaction on Starknet, in wei, for deciding.
        finality_blocks: of L1 on top of a transfer's before its proof is ordered.
        poll_seconds: between two looks after one task.
        unknown_seconds: for which the prover must not know a task before it is given up.
        """
        self._l1 = l1
        self._prover = prover
        self._escrow = escrow
        self._registry = registry
        self._transfers_slot = transfers_slot
        self._entrypoint = entrypoint
        self._cost = cost
        self._finality_blocks = finality_blocks
        self._unknown_seconds = unknown_seconds
        self._clock = clock
        self._polls = ClaimPolls(_KIND, seconds=poll_seconds, clock=clock)
        self._unknown: dict[str, tuple[float, int]] = {}  # since when, and how often
        self._submitter = ProofSubmitter(
            rpc, lane, escrow=escrow, registry=registry, call=self._call
        )

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Return what a proof costs, in wei, as it is set."""
        return [self._cost] * len(orders)

    def claims(self, orders: Sequence[Order], fees: Fees) -> list[Task | Failure]:
        """Order one proof for each order whose transfer is final on L1.

        Raises:
            RpcUnavailable: L1 cannot be read.
        """
        receipts = [("eth_getTransactionReceipt", (o.transfer_tx,)) for o in orders]
        polls = self._l1.poll([("eth_blockNumber", ()), *receipts])
        head = min(decoding.quantity(poll.answers[0]) for poll in polls)
        reported = zip(*(poll.answers[1:] for poll in polls), strict=True)
        return _each(
            lambda pair: self._begin(*pair, head), list(zip(orders, reported, strict=True))
        )

    @property
    def max_batch(self) -> int:
        """Return 1: a proof is of one order."""
        return 1

    def claim_batches(
        self, batches: Sequence[Sequence[Order]], fees: Fees
    ) -> Sequence[Call | Failure]:
        """Build nothing: no claim is sent on L1."""
        raise NotServed("a proof claims one order")

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Poll the tasks, and submit finished proofs until the escrow has paid.

        Raises:
            ProverUnavailable, ProverRefused: of no task anything is known.
            RpcRefused: our account on Starknet cannot send.
        """
        due = self._polls.due(orders)
        proving = [order for order in due if order.status is Status.PROVING]
        proved = [order for order in due if order.status is Status.PROVED]
        states = dict(zip((o.key for o in proving), self._states(proving), strict=True))
        to_show = [order for order in proving if states[order.key] is TaskState.DONE]
        seen = {key: state for key, state in states.items() if isinstance(state, Progress)}
        to_show += self._submitter.not_accepted(proved)
        if to_show:
            seen |= self._submitter.submit_proofs(to_show)
        faults = [state for state in states.values() if isinstance(state, Failure)]
        if faults and len(faults) == len(states) and not to_show:
            raise faults[0]
        for key, state in states.items():
            if isinstance(state, Failure):
                seen[key] = Progress(waits=f"waiting: {state}")
        return [seen.get(order.key, Progress()) for order in orders]

    def claimed_in(self, events: Sequence[Event], orders: Sequence[Order]) -> list[bool]:
        """Return False: no claim is sent on L1."""
        return [False] * len(orders)

    def message_ends(self, claims: Sequence[TxHash]) -> list[Sequence[MessageEnd] | None]:
        """Return nothing: no message is sent."""
        return [()] * len(claims)

    def record_costs(self) -> None:
        """Write what our transactions on Starknet have cost, in fri."""
        self._submitter.lane.record_costs()

    def _states(self, orders: Sequence[Order]) -> list[TaskState | Progress | Failure]:
        """Return how far each order's task is, or what that means for the order."""
        return _each(self._state, orders)

    def _state(self, order: Order) -> TaskState | Progress | Failure:
        task = _task(order)[0]
        try:
            state, why = self._prover.state(task)
        except TaskUnknown as e:
            return self._forgotten(order, task, e)
        except (ProverRefused, ProverUnavailable) as e:
            return e
        self._unknown.pop(task, None)
        if state is TaskState.FAILED:
            reported = f"{order.claim_ref} failed: {why} (reported by {self._prover.host})"
            return Progress(lost=ProofFailed(reported))
        return state

    def _forgotten(self, order: Order, task: str, unknown: TaskUnknown) -> Progress:
        """Give up a task that the prover keeps not knowing: one such answer may be a gateway's."""
        now = self._clock()
        since, polls = self._unknown.get(task, (now, 0))
        self._unknown[task] = since, polls + 1
        if polls + 1 < _MAX_UNKNOWN_POLLS or now - since < self._unknown_seconds:
            return Progress(waits=f"waiting: {unknown}")
        del self._unknown[task]
        return Progress(lost=ProofFailed(f"{order.claim_ref} failed: {unknown}"))

    def _begin(self, order: Order, receipts: Sequence[Answer], head: int) -> Task | Failure:
        blocks = {_block(receipt) for receipt in receipts}
        if len(blocks) > 1:
            return RpcDisagrees(f"nodes of L1 differ about the block of {order.transfer_tx}")
        block = blocks.pop()
        if block is None:
            return TransferNotFound(f"L1 shows no transaction {order.transfer_tx} to be proven")
        if head - block < self._finality_blocks:
            return TransferNotFinal(
                f"{head - block} blocks are on top of the transfer's, {block}; a proof is ordered "
                f"when there are {self._finality_blocks}"
            )
        first = self._slot(order)
        wanted = Slots(
            chain_id=self._l1.chain_id,
            block=block,
            account=self._registry,
            slots=[first + member for member in range(_MEMBERS)],
        )
        try:
            task = self._prover.submit(wanted, idempotency_key=self._key(order, wanted))
        except Failure as e:
            return e
        return Task(f"{_KIND}{task} of block {block}")

    def _key(self, order: Order, wanted: Slots) -> str:
        """Return the idempotency key of a task: another task or recipient has another key."""
        named = [self._escrow, order.key, order.attempt, self._prover.query(wanted)]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def _slot(self, order: Order) -> int:
        return transfer_slot(V1.key(order), self._transfers_slot)

    def _call(self, order: Order) -> StarknetCall:
        _, block = _task(order)
        given = (order.number, block, self._slot(order))
        halves = [half for value in given for half in abi.halves(value)]
        return StarknetCall(int(self._escrow, 16), self._entrypoint, halves)


def entrypoint(name: str) -> int:
    """Return the selector of a function of the escrow."""
    return int(get_selector_from_name(name))


def transfer_slot(key: bytes, mapping: int) -> int:
    """Return where the registry keeps a transfer.

    Source: Solidity documentation, "Mappings and Dynamic Arrays".
    """
    return int.from_bytes(keccak(key + mapping.to_bytes(32, "big")))


def _block(receipt: Answer) -> int | None:
    """Return the block of a transaction that succeeded."""
    if receipt is None or isinstance(receipt, RpcError):
        return None
    fields = decoding.fields(receipt)
    succeeded = decoding.quantity(fields.get("status")) == 1
    return decoding.quantity(fields.get("blockNumber")) if succeeded else None


def _task(order: Order) -> tuple[str, int]:
    """Read the task's id and the L1 block it proves from the order's claim."""
    task, _, block = str(order.claim_ref).removeprefix(_KIND).partition(" of block ")
    return task, int(block)


def _each(do: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do something for many at once."""
    if not items:
        return []
    with ThreadPoolExecutor(min(_AT_ONCE, len(items))) as pool:
        return list(pool.map(do, items))
