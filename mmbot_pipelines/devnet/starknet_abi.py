"""Cairo 1 ABIs, written small: each function stands beside the Python that acts for it."""

from collections.abc import Iterable, Sequence
from typing import Any

from mmbot_pipelines.devnet.starknet_execution import Contract, EntryPoint, selector_of
from mmbot_pipelines.devnet.starknet_felt import pseudo_hash

U256 = "core::integer::u256"
FELT = "core::felt252"
BOOL = "core::bool"
ADDRESS = "core::starknet::contract_address::ContractAddress"
ETH_ADDRESS = "core::starknet::eth_address::EthAddress"

Params = Sequence[tuple[str, str]]
AbiEntry = dict[str, Any]
Function = tuple[AbiEntry, EntryPoint]


def _typed(params: Params) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in params]


def struct(name: str, members: Params) -> AbiEntry:
    """Describe a struct."""
    return {"type": "struct", "name": name, "members": _typed(members)}


def event(name: str, data: Params, keys: Params = ()) -> AbiEntry:
    """Describe an event by its keyed and its plain members."""
    members = [{"name": n, "type": t, "kind": "key"} for n, t in keys]
    members += [{"name": n, "type": t, "kind": "data"} for n, t in data]
    return {"type": "event", "name": name, "kind": "struct", "members": members}


def function(
    name: str, inputs: Params, outputs: Sequence[str], act: EntryPoint, *, view: bool = False
) -> Function:
    """Describe an external function and name the Python that acts for it."""
    entry = {
        "type": "function",
        "name": name,
        "inputs": _typed(inputs),
        "outputs": [{"type": kind} for kind in outputs],
        "state_mutability": "view" if view else "external",
    }
    return entry, act


def l1_handler(name: str, inputs: Params, act: EntryPoint) -> Function:
    """Describe a function that only messages from L1 can call."""
    entry = {
        "type": "l1_handler",
        "name": name,
        "inputs": _typed(inputs),
        "outputs": [],
        "state_mutability": "external",
    }
    return entry, act


def contract(name: str, types: Iterable[AbiEntry], functions: Iterable[Function]) -> Contract:
    """Make a class of contracts out of its types and functions."""
    functions = list(functions)
    u256 = struct(U256, [("low", "core::integer::u128"), ("high", "core::integer::u128")])
    boolean = {
        "type": "enum",
        "name": BOOL,
        "variants": [{"name": "False", "type": "()"}, {"name": "True", "type": "()"}],
    }
    by_kind = {
        kind: {selector_of(e["name"]): act for e, act in functions if e["type"] == kind}
        for kind in ("function", "l1_handler")
    }
    return Contract(
        name=name,
        class_hash=pseudo_hash("class", name),
        abi=[u256, boolean, *types, *(entry for entry, _ in functions)],
        externals=by_kind["function"],
        l1_handlers=by_kind["l1_handler"],
    )
