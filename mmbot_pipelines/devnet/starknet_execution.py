"""How contracts of the devnet run: calls, storage variables, events, reverts.

Contracts are written in Python, but live by Cairo's rules: calldata are felts,
storage variables have their real addresses, a revert undoes everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from starknet_py.hash.selector import get_selector_from_name
from starknet_py.hash.storage import get_storage_var_address

from mmbot_pipelines.devnet.starknet_felt import (
    U128,
    felt,
    halves,
    joined,
    short_string,
)
from mmbot_pipelines.devnet.starknet_history import History, Slot

selector_of = lru_cache(maxsize=None)(get_selector_from_name)
variable_address = lru_cache(maxsize=100_000)(get_storage_var_address)


class Reverted(Exception):
    """Stop execution; `frames` are the calls it went through, outermost first."""

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


@dataclass(frozen=True, slots=True)
class Event:
    """What a contract told the world."""

    address: int
    keys: tuple[int, ...]
    data: tuple[int, ...]


EntryPoint = Callable[["Frame", Calldata], list[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A class of contracts: its entry points by selector, and its ABI."""

    name: str
    class_hash: int
    abi: list[dict[str, Any]]
    externals: Mapping[int, EntryPoint]
    l1_handlers: Mapping[int, EntryPoint] = field(default_factory=dict)


class World:
    """Let transactions act on the state after block `at`; nothing stays unless committed."""

    def __init__(self, history: History, at: int, classes: Mapping[int, Contract]) -> None:
        self.history = history
        self.at = at
        self.classes = classes
        self.writes: dict[Slot, int] = {}
        self.events: list[Event] = []
        self.transaction_hash = 0
        self.signature: tuple[int, ...] = ()

    def read(self, slot: Slot) -> int:
        return self.writes[slot] if slot in self.writes else self.history.read(slot, self.at)

    def write(self, slot: Slot, value: int) -> None:
        self.writes[slot] = value

    def contract(self, address: int) -> Contract | None:
        """Return the class of the contract at `address`."""
        return self.classes.get(self.read(Slot("class", address)))

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

    def mark(self) -> tuple[dict[Slot, int], int]:
        """Remember this point, for `undo`."""
        return dict(self.writes), len(self.events)

    def undo(self, mark: tuple[dict[Slot, int], int]) -> None:
        """Take back all writes and events since the mark."""
        self.writes = dict(mark[0])
        del self.events[mark[1] :]

    def commit(self) -> None:
        """Write what was changed into the history, as of block `at`."""
        for slot, value in self.writes.items():
            if self.history.read(slot, self.at) != value:
                self.history.write(slot, value, self.at)


@dataclass(frozen=True, slots=True)
class Frame:
    """One running call: who called, on which contract, with access to its storage."""

    world: World
    address: int
    caller: int

    def read(self, variable: str, *keys: int, offset: int = 0) -> int:
        return self.world.read(self._slot(variable, keys, offset))

    def write(self, variable: str, *keys: int, value: int, offset: int = 0) -> None:
        self.world.write(self._slot(variable, keys, offset), value)

    def read_u256(self, variable: str, *keys: int, offset: int = 0) -> int:
        low = self.read(variable, *keys, offset=offset)
        return joined(low, self.read(variable, *keys, offset=offset + 1))

    def write_u256(self, variable: str, *keys: int, value: int, offset: int = 0) -> None:
        for index, half in enumerate(halves(value)):
            self.write(variable, *keys, value=half, offset=offset + index)

    def emit(self, keys: Sequence[int], data: Sequence[int]) -> None:
        self.world.events.append(Event(self.address, tuple(keys), tuple(data)))

    def call(self, address: int, function: str, calldata: Sequence[int]) -> list[int]:
        return self.world.call(self.address, address, selector_of(function), calldata)

    def _slot(self, variable: str, keys: tuple[int, ...], offset: int) -> Slot:
        return Slot("storage", self.address, variable_address(variable, *keys) + offset)
