"""The facts registry of the local Starknet: what is proven about L1's storage.

A real one believes proofs; this one believes its owner, whom `devnet_proveSlot` asks.
"""

from mmbot_pipelines.devnet.starknet_abi import FELT, U256, contract, function
from mmbot_pipelines.devnet.starknet_execution import Calldata, Frame, panic
from mmbot_pipelines.devnet.starknet_felt import halves, pseudo_hash

FACTS_ADDRESS = pseudo_hash("contract", "FactsRegistry")

SOME, NONE = 0, 1  # variants of Cairo's Option


def get_slot_value(frame: Frame, args: Calldata) -> list[int]:
    place = _place(args)
    args.end()
    if not frame.read("known", *place):
        return [NONE]
    return [SOME, *halves(frame.read_u256("values", *place))]


def set_slot_value(frame: Frame, args: Calldata) -> list[int]:
    place, value = _place(args), args.u256()
    args.end()
    if frame.caller != frame.read("Ownable_owner"):
        raise panic("Caller is not the owner")
    frame.write("known", *place, value=1)
    frame.write_u256("values", *place, value=value)
    return []


def _place(args: Calldata) -> tuple[int, ...]:
    return (args.eth_address(), *halves(args.u256()), *halves(args.u256()))


PLACE = [("account", FELT), ("block", U256), ("slot", U256)]

FACTS = contract(
    "FactsRegistry",
    [],
    [
        function(
            "get_slot_value",
            PLACE,
            [f"core::option::Option::<{U256}>"],
            get_slot_value,
            view=True,
        ),
        function("set_slot_value", [*PLACE, ("value", U256)], [], set_slot_value),
    ],
)
