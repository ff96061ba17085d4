"""Values and errors as Starknet's JSON-RPC writes them, strictly read. Pure.

Source: Starknet JSON-RPC specification. What it does not allow is a fault of the node.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starknet_py.constants import FIELD_PRIME

from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.core.text import cleaned

_SHOWN = 40  # characters of a bad value that an error repeats
_HEX = re.compile(r"0x[0-9a-fA-F]{1,64}")

# Where an error keeps the error of the call within.
_NESTED = ("revert_error", "execution_error", "error")

GASES = ("l1_gas", "l1_data_gas", "l2_gas")


@dataclass(frozen=True, slots=True)
class FeeEstimate:
    """The fee of an execution; its unit is WEI or FRI."""

    gas: Mapping[str, tuple[int, int]]  # consumed, and its price, by kind
    total: int
    unit: str

    @staticmethod
    def read(value: object) -> "FeeEstimate":
        """Read FEE_ESTIMATE or MESSAGE_FEE_ESTIMATE of the specification.

        Raises:
            NodeFault: it is none.
        """
        parts = {f"{gas}_{part}": felt for gas in GASES for part in ("consumed", "price")}
        found = members(value, overall_fee=felt, unit=text, **parts)
        return FeeEstimate(
            {gas: (found[f"{gas}_consumed"], found[f"{gas}_price"]) for gas in GASES},
            found["overall_fee"],
            found["unit"],
        )


def word(value: int) -> str:
    """Write a felt as a hash of 32 bytes, as explorers do."""
    return f"0x{value:064x}"


def felt(value: object) -> int:
    """Read a felt.

    Raises:
        NodeFault: it is none.
    """
    if isinstance(value, str) and _HEX.fullmatch(value) and int(value, 16) < FIELD_PRIME:
        return int(value, 16)
    raise NodeFault(f"answered {cleaned(value, _SHOWN)}, which is no felt")


def felts(value: object) -> list[int]:
    """Read a list of felts."""
    return [felt(one) for one in listed(value)]


def whole(value: object) -> int:
    """Read a whole number that JSON has as one, e.g. a block's."""
    if type(value) is int and value >= 0:
        return value
    raise NodeFault(f"answered {cleaned(value, _SHOWN)}, which is no possible number")


def text(value: object) -> str:
    """Read a text."""
    if isinstance(value, str):
        return value
    raise NodeFault(f"answered {cleaned(value, _SHOWN)}, which is no text")


def listed(value: object) -> list[Any]:
    """Read a list."""
    if isinstance(value, list):
        return value
    raise NodeFault(f"answered {cleaned(value, _SHOWN)}, which is no list")


def members(value: object, **readers: Callable[[Any], Any]) -> dict[str, Any]:
    """Read an object, and these members of it; others stay as they came.

    Raises:
        NodeFault: it is no object, or has not these members.
    """
    if not isinstance(value, dict):
        raise NodeFault(f"answered {cleaned(value, _SHOWN)}, which is no object")
    return value | {name: read(value.get(name)) for name, read in readers.items()}


def reason(error: RpcError) -> str:
    """Return why a call failed: the reason of the innermost of the nested calls.

    Source: Starknet JSON-RPC specification, CONTRACT_EXECUTION_ERROR.
    """
    inner = error.data
    while isinstance(inner, dict):
        inner = next((inner[name] for name in _NESTED if name in inner), None)
    return cleaned(f"{error.message}: {innermost(str(inner))}" if inner else error)


def innermost(trace: str) -> str:
    """Return the last line of a trace of nested calls: it holds the reason."""
    return (trace.strip().splitlines() or [""])[-1]
