"""How contracts of the local node run: calls, storage variables, events, reverts.

Contracts are written in Python, but live by Cairo's rules: calldata are felts, and a revert
undoes everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbot_pipelines.devnet.starknet.chain import Event, State
from mmbot_pipelines.devnet.starknet.felt import (
    U128,
    felt,
    joined,
    pseudo_hash,
    selector_of,
    short_string,
)
from mmbot_pipelines.devnet.starknet.gas import Resources


class Reverted(Exception):
    """Execution stopped; `frames` are the calls it went through, outermost first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.frames: list[tuple[int, int, int]] = []  # address, class hash, selector

    def nested(self) -> Any:
        """Return the CONTRACT_EXECUTION_ERROR of the specification."""
        error: Any = self.reason
        for address, class_hash, selector in reversed(self.frames):
            error = {
                "contract_address": felt(address),
                "class_hash": felt(class_hash),
                "selector": felt(selector),
                "error": error,
            }
        return error

    def text(self) -> str:
        """Return the revert reason as a receipt carries it."""
        lines = [
            f"{depth}: Error in the called contract (contract address: {felt(address)}, "
            f"class hash: {felt(class_hash)}, selector: {felt(selector)}):"
            for depth, (address, class_hash, selector) in enumerate(self.frames)
        ]
        return "\n".join([*lines, self.reason])


class NoContract(Reverted):
    """Nothing is deployed at the called address."""


class NoEntryPoint(Reverted):
    """The called contract has no such function."""


def panic(message: str) -> Reverted:
    """Return the revert that Cairo's `assert` makes of a short string."""
    return Reverted(f"{felt(short_string(message))} ('{message}')")


class Calldata:
    """Read a call's arguments one after another.

    Raises:
        Reverted: an argument is missing, out of its type's range, or left over.
    """

    def __init__(self, values: Sequence[int]) -> None:
        self._values = list(values)
        self._number = 0

    def felt(self, below: int | None = None) -> int:
        self._number += 1
        return self._take(below)

    def u256(self) -> int:
        self._number += 1
        return joined(self._take(U128), self._take(U128))

    def eth_address(self) -> int:
        return self.felt(2**160)

    def array(self) -> list[int]:
        self._number += 1
        return [self._take() for _ in range(self._take(2**32))]

    def end(self) -> None:
        if self._values:
            raise panic("Input too long for arguments")

    def _take(self, below: int | None = None) -> int:
        if not self._values or (below is not None and self._values[0] >= below):
            raise panic(f"Failed to deserialize param #{self._number}")
        return self._values.pop(0)


EntryPoint = Callable[["Frame", Calldata], list[int]]


@dataclass(frozen=True, slots=True)
class Contract:
    """A class of contracts: its entry points by selector."""

    class_hash: int
    externals: Mapping[int, EntryPoint]
    l1_handlers: Mapping[int, EntryPoint]


def contract(name: str, externals: Sequence[EntryPoint], **more: EntryPoint) -> Contract:
    """Make a class out of Python functions named as its entry points.

    more: functions under other names; those that begin with "l1_" are handlers of L1 messages.
    """
    named = {function.__name__: function for function in externals} | more
    handlers = {n.removeprefix("l1_"): f for n, f in named.items() if n.startswith("l1_")}
    return Contract(
        class_hash=pseudo_hash("class", name),
        externals={selector_of(n): f for n, f in named.items() if not n.startswith("l1_")},
        l1_handlers={selector_of(n): f for n, f in handlers.items()},
    )


@dataclass(slots=True)
class ExecutionState:
    """Let transactions act on a state; `writes` and `events` are what they changed."""

    state: State
    transaction_hash: int = 0
    signature: tuple[int, ...] = ()
    writes: State = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    def read(self, *slot: Any) -> Any:
        return self.writes[slot] if slot in self.writes else self.state.get(slot, 0)

    def contract(self, address: int) -> Contract | None:
        """Return the class of the contract at `address`."""
        return self.read("class", address) or None

    def call(
        self,
        caller: int,
        address: int,
        selector: int,
        calldata: Sequence[int],
        *,
        l1_handler: bool = False,
    ) -> list[int]:
        """Call an entry point and return its felts.

        Raises:
            Reverted: it failed; writes and events of this call are undone.
        """
        contract = self.contract(address)
        if contract is None:
            raise NoContract(f"Requested contract address {felt(address)} is not deployed.")
        table = contract.l1_handlers if l1_handler else contract.externals
        before = self.mark()
        try:
            if selector not in table:
                raise NoEntryPoint(f"Entry point {felt(selector)} not found in contract.")
            return table[selector](Frame(self, address, caller), Calldata(calldata))
        except Reverted as e:
            self.undo(before)
            e.frames.insert(0, (address, contract.class_hash, selector))
            raise

    def mark(self) -> tuple[State, int]:
        """Return this point, for `undo`."""
        return dict(self.writes), len(self.events)

    def undo(self, mark: tuple[State, int]) -> None:
        """Remove all writes and events since the mark."""
        self.writes = dict(mark[0])
        del self.events[mark[1] :]

    def resources(self, calldata: Sequence[int], *, from_l1: bool = False) -> Resources:
        """Measure a transaction by its calldata, its writes and its events."""
        return Resources(
            l1_gas=16_000 + 600 * len(calldata) if from_l1 else 0,
            l1_data_gas=128 + 64 * len(self.writes),
            l2_gas=800_000 + 5_000 * len(calldata) + 40_000 * len(self.events),
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One running call: who called, on which contract, with access to its storage."""

    execution: ExecutionState
    address: int
    caller: int

    def read(self, variable: str, *keys: int) -> int:
        return int(self.execution.read(self.address, variable, *keys))

    def write(self, variable: str, *keys: int, value: int) -> None:
        self.execution.writes[(self.address, variable, *keys)] = value

    def emit(self, keys: Sequence[int], data: Sequence[int]) -> None:
        self.execution.events.append(Event(self.address, tuple(keys), tuple(data)))

    def call(self, address: int, function: str, *calldata: int) -> list[int]:
        return self.execution.call(self.address, address, selector_of(function), calldata)
