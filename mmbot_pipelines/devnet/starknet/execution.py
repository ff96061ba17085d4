"""How contracts of the local node run: typed arguments, storage, events, reverts.

Contracts are Python functions annotated with Cairo's types; a revert undoes everything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, get_type_hints

from starknet_py.cairo.data_types import ArrayType, FeltType, TupleType, UintType
from starknet_py.cairo.felt import encode_shortstring
from starknet_py.serialization.errors import CairoSerializerException
from starknet_py.serialization.factory import serializer_for_type

from mmbot_pipelines.devnet.starknet.chain import StarknetEvent, State
from mmbot_pipelines.devnet.starknet.felt import felt, pseudo_hash, selector_of

Felt = Annotated[int, FeltType()]
U256 = Annotated[int, UintType(256)]
EthAddress = Annotated[int, UintType(160)]
Felts = Annotated[list[int], ArrayType(FeltType())]


class ExecutionReverted(Exception):
    """Execution stopped; `frames` are the calls it went through, outermost first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.frames: list[dict[str, str]] = []

    def nested(self) -> Any:
        """Return the CONTRACT_EXECUTION_ERROR of the specification."""
        error: Any = self.reason
        for frame in reversed(self.frames):
            error = {**frame, "error": error}
        return error

    def text(self) -> str:
        """Return the revert reason as a receipt carries it: the innermost call comes last."""
        lines = [f"Error in the called contract {frame}:" for frame in self.frames]
        return "\n".join([*lines, self.reason])


class NoContract(ExecutionReverted):
    """Nothing is deployed at the called address."""


class NoEntryPoint(ExecutionReverted):
    """The called contract has no such function."""


def panic(message: str) -> ExecutionReverted:
    """Return the revert that Cairo's `assert` makes of a short string."""
    return ExecutionReverted(f"{felt(encode_shortstring(message))} ('{message}')")


EntryPoint = Callable[["Frame", Sequence[int]], list[int]]


@dataclass(frozen=True, slots=True)
class Contract:
    """A class of contracts: its entry points by selector."""

    class_hash: int
    externals: Mapping[int, EntryPoint]
    l1_handlers: Mapping[int, EntryPoint]


def contract(
    name: str,
    externals: Sequence[Callable[..., Any]],
    l1_handlers: Sequence[Callable[..., Any]] = (),
) -> Contract:
    """Make a class out of annotated functions named as its entry points."""
    return Contract(
        class_hash=pseudo_hash("class", name),
        externals={selector_of(f.__name__): _of_felts(f) for f in externals},
        l1_handlers={selector_of(f.__name__): _of_felts(f) for f in l1_handlers},
    )


def _of_felts(function: Callable[..., Any]) -> EntryPoint:
    """Let a function take its arguments as calldata, and answer felts."""
    _, *arguments, answer = get_type_hints(function, include_extras=True).values()
    calldata = serializer_for_type(TupleType([hint.__metadata__[0] for hint in arguments]))
    output = None if answer is type(None) else serializer_for_type(answer.__metadata__[0])

    def entry_point(frame: "Frame", given: Sequence[int]) -> list[int]:
        try:
            values = calldata.deserialize(list(given))
        except CairoSerializerException as e:
            raise ExecutionReverted(f"Failed to deserialize the calldata: {e}") from e
        result = function(frame, *values)
        return [] if output is None else output.serialize(result)

    return entry_point


@dataclass(slots=True)
class ExecutionState:
    """Let transactions act on a state; `writes` and `events` are what they changed."""

    state: State
    transaction_hash: int = 0
    signature: Sequence[int] = ()
    writes: State = field(default_factory=dict)
    events: list[StarknetEvent] = field(default_factory=list)

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
        from_l1: bool = False,
    ) -> list[int]:
        """Call an entry point and return its felts.

        from_l1: one of those that handle messages.

        Raises:
            Reverted: it failed; writes and events of this call are undone.
        """
        contract = self.contract(address)
        if contract is None:
            raise NoContract(f"Requested contract address {felt(address)} is not deployed.")
        table = contract.l1_handlers if from_l1 else contract.externals
        writes, events = dict(self.writes), len(self.events)
        try:
            if selector not in table:
                raise NoEntryPoint(f"Entry point {felt(selector)} not found in contract.")
            return table[selector](Frame(self, address, caller), calldata)
        except ExecutionReverted as e:
            self.writes = writes
            del self.events[events:]
            place = {"contract_address": address, "class_hash": contract.class_hash}
            e.frames.insert(0, {k: felt(v) for k, v in (place | {"selector": selector}).items()})
            raise


@dataclass(frozen=True, slots=True)
class Frame:
    """One running call: who called, on which contract, with access to its storage."""

    execution: ExecutionState
    address: int
    caller: int

    def read(self, variable: str, *keys: int) -> Any:
        return self.execution.read(self.address, variable, *keys)

    def write(self, variable: str, *keys: int, value: int) -> None:
        self.execution.writes[(self.address, variable, *keys)] = value

    def emit(self, keys: Sequence[int], data: Sequence[int]) -> None:
        self.execution.events.append(StarknetEvent(self.address, tuple(keys), tuple(data)))

    def call(self, address: int, function: str, *calldata: int) -> list[int]:
        return self.execution.call(self.address, address, selector_of(function), calldata)
