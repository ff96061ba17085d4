"""Claims by a storage proof: the registry's record of our transfer is proven on Starknet.

A prover works on it; then our account on Starknet shows the escrow where to look. Both may
be done twice: the same task is given under the same key, and the escrow pays once.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from eth_utils.crypto import keccak
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.client_models import Call as StarknetCall

from mmbot_pipelines.adapters.ethereum import wire
from mmbot_pipelines.adapters.ethereum.node import Answer, RpcError
from mmbot_pipelines.adapters.ethereum.registry import transfer_key
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.origins import starknet_escrow as abi
from mmbot_pipelines.adapters.origins import starknet_views as views
from mmbot_pipelines.adapters.origins.claim_looks import ClaimLooks
from mmbot_pipelines.adapters.origins.starknet_node import StarknetNode
from mmbot_pipelines.adapters.origins.starknet_prover import (
    Prover,
    ProverRefused,
    ProverUnavailable,
    Slots,
    TaskState,
    TaskUnknown,
)
from mmbot_pipelines.adapters.origins.starknet_rpc import StarknetRpc
from mmbot_pipelines.adapters.origins.starknet_wallet import CallReverts, StarknetWallet
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Progress, Task
from mmbot_pipelines.core.errors import Failure, TryLater
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Fees

T = TypeVar("T")
R = TypeVar("R")

_KIND = "task "  # what a claim's name begins with
_AT_ONCE = 8  # requests to the prover
_CALLS = 20  # of one transaction on Starknet
_MEMBERS = 3  # slots of one transfer: recipient, amount, isUsed and chainId


class ProofFailed(TryLater):
    """A proof was not made, or the escrow did not take it."""


class TransferNotFound(TryLater):
    """L1 does not show the transfer that is to be proven: its node is behind, or a reorg."""


class ByProof:
    """The port `Repayment` by proofs of L1's storage. Threads may share it."""

    claim_gas = Gas(0)  # nothing is sent on L1

    def __init__(
        self,
        rpc: StarknetRpc,
        l1: Rpc,
        prover: Prover,
        wallet: StarknetWallet,
        *,
        escrow: Address,
        registry: Address,
        transfers_slot: int,
        entrypoint: int,
        cost: Wei,
        look_seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Name the parts; nothing is asked yet.

        transfers_slot: of the registry's mapping `transfers`, in its storage layout.
        entrypoint: the escrow's selector; it takes order id, L1 block and slot, as u256.
        cost: of one proof and its transaction on Starknet, in wei, for deciding.
        look_seconds: between two looks after one task.
        """
        self._rpc = rpc
        self._l1 = l1
        self._prover = prover
        self._wallet = wallet
        self._escrow = escrow
        self._registry = registry
        self._transfers_slot = transfers_slot
        self._entrypoint = entrypoint
        self._cost = cost
        self._looks = ClaimLooks(_KIND, seconds=look_seconds, clock=clock)

    def message_fee(self, orders: Sequence[Order], fees: Fees) -> list[Wei]:
        """Return what a proof costs, in wei, as it is set."""
        return [self._cost] * len(orders)

    def claims(self, orders: Sequence[Order], fees: Fees) -> list[Task | Failure]:
        """Give one task for each order; one that cannot be given has its failure in place."""
        receipts = self._l1.batch([("eth_getTransactionReceipt", (o.transfer_tx,)) for o in orders])
        return _each(lambda pair: self._begin(*pair), list(zip(orders, receipts, strict=True)))

    def progress(self, orders: Sequence[Order]) -> list[Progress]:
        """Look after the tasks, show finished proofs to the escrow, and see whether it took them.

        Raises:
            ProverUnavailable, ProverRefused: of no task anything is known.
            RpcRefused: our account on Starknet cannot send.
        """
        due = self._looks.due(orders)
        proving = [order for order in due if order.status is Status.PROVING]
        seen: dict[str, Progress] = {}
        done: list[Order] = []
        for order, state in zip(proving, self._states(proving), strict=True):
            if state is TaskState.DONE:
                done.append(order)
            elif not isinstance(state, TaskState):
                seen[order.key] = Progress(lost=ProofFailed(f"{order.claim_ref} failed: {state}"))
        for start in range(0, len(done), _CALLS):
            part = done[start : start + _CALLS]
            seen |= self._rpc.ask(lambda node, part=part: self._show(node, part))  # type: ignore[misc]
        told = [order for order in due if order.status is Status.PROVED]
        if told:
            seen |= self._rpc.ask(lambda node: self._refused(node, told))
        return [seen.get(order.key, Progress()) for order in orders]

    def _states(self, orders: Sequence[Order]) -> list[TaskState | str]:
        """Return how far each order's task is, or in words why it failed.

        A task that cannot be asked after now is worked on, unless none can be.
        """
        asked = _each(lambda order: self._state(_task(order)[0]), orders)
        faults = [state for state in asked if isinstance(state, Failure)]
        if faults and len(faults) == len(asked):
            raise faults[0]
        return [TaskState.WORKING if isinstance(state, Failure) else state for state in asked]

    def _state(self, task: str) -> TaskState | str | Failure:
        try:
            state, why = self._prover.state(task)
        except TaskUnknown as e:
            return str(e)
        except (ProverRefused, ProverUnavailable) as e:
            return e
        return f"{why}, says {self._prover.host}" if state is TaskState.FAILED else state

    def _begin(self, order: Order, receipt: Answer) -> Task | Failure:
        if receipt is None or isinstance(receipt, RpcError):
            return TransferNotFound(f"L1 shows no transaction {order.transfer_tx} to be proven")
        block = wire.quantity(wire.fields(receipt).get("blockNumber"))
        first = self._slot(order)
        wanted = Slots(
            chain_id=self._l1.chain_id,
            block=block,
            account=self._registry,
            slots=[first + member for member in range(_MEMBERS)],
        )
        try:
            task = self._prover.submit(wanted, idempotency_key=f"{order.key}/{order.attempt}")
        except Failure as e:
            return e
        return Task(f"{_KIND}{task} of block {block}")

    def _slot(self, order: Order) -> int:
        """Return where the registry keeps an order's transfer.

        Source: Solidity documentation, "Mappings and Dynamic Arrays".
        """
        return int.from_bytes(
            keccak(transfer_key(order) + self._transfers_slot.to_bytes(32, "big"))
        )

    async def _show(self, node: StarknetNode, orders: Sequence[Order]) -> dict[str, Progress]:
        """Show proofs to the escrow, in one transaction, where it has not paid yet."""
        held = await views.held(node, self._escrow, [o.number for o in orders], "pre_confirmed")
        unpaid = [
            order
            for order, state in zip(orders, held, strict=True)
            if not isinstance(state, Failure) and state.is_of(order) and state.pending
        ]
        try:
            tx = await self._wallet.send(node, [self._call(o) for o in unpaid]) if unpaid else None
        except CallReverts as e:
            if len(unpaid) > 1:
                # One of them spoils it for all: find out which, each by itself.
                return await self._show(node, unpaid[:1]) | await self._show(node, unpaid[1:])
            lost = ProofFailed(f"the escrow does not take {unpaid[0].claim_ref}: {e}")
            return {unpaid[0].key: Progress(lost=lost)}
        return {order.key: Progress(proven_in=tx) for order in unpaid if tx}

    async def _refused(self, node: StarknetNode, orders: Sequence[Order]) -> dict[str, Progress]:
        lost = {}
        for order in orders:
            tx: TxHash | None = order.claim_tx
            if tx and (why := await self._wallet.reverted(node, tx)):
                failure = ProofFailed(f"the escrow did not take {order.claim_ref}, {tx}: {why}")
                lost[order.key] = Progress(lost=failure)
        return lost

    def _call(self, order: Order) -> StarknetCall:
        _, block = _task(order)
        given = (order.number, block, self._slot(order))
        halves = [half for value in given for half in abi.halves(value)]
        return StarknetCall(int(self._escrow, 16), self._entrypoint, halves)


def entrypoint(name: str) -> int:
    """Return the selector of a function of the escrow."""
    return int(get_selector_from_name(name))


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
