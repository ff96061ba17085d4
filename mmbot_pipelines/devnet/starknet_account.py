"""Accounts of the local Starknet: Stark-curve keys, Cairo 1 calldata, real addresses."""

from dataclasses import dataclass

from starknet_py.hash.address import compute_address
from starknet_py.hash.utils import private_to_stark_key, verify_message_signature

from mmbot_pipelines.devnet.starknet_abi import ADDRESS, FELT, contract, function, struct
from mmbot_pipelines.devnet.starknet_execution import Calldata, Frame, panic, selector_of
from mmbot_pipelines.devnet.starknet_felt import pseudo_hash, short_string

CALL = "core::starknet::account::Call"
FELTS = f"core::array::Array::<{FELT}>"
EXECUTE = selector_of("__execute__")
VALIDATE = selector_of("__validate__")


def read_calls(args: Calldata) -> list[tuple[int, int, list[int]]]:
    """Read the calls of an account's calldata: contract, selector, arguments."""
    calls = [(args.felt(), args.felt(), args.array()) for _ in range(args.felt(2**32))]
    args.end()
    return calls


def execute(frame: Frame, args: Calldata) -> list[int]:
    if frame.caller != 0:
        raise panic("Account: invalid caller")
    results: list[int] = []
    calls = read_calls(args)
    for address, selector, calldata in calls:
        answer = frame.world.call(frame.address, address, selector, calldata)
        results += [len(answer), *answer]
    return [len(calls), *results]


def validate(frame: Frame, args: Calldata) -> list[int]:
    read_calls(args)
    world = frame.world
    key = frame.read("Account_public_key")
    if len(world.signature) != 2 or 0 in world.signature:
        raise panic("Account: invalid signature")
    if not verify_message_signature(world.transaction_hash, list(world.signature), key):
        raise panic("Account: invalid signature")
    return [short_string("VALID")]


def is_valid_signature(frame: Frame, args: Calldata) -> list[int]:
    """Answer as SNIP-6 says: VALID, or zero."""
    message, signature = args.felt(), args.array()
    args.end()
    key = frame.read("Account_public_key")
    if len(signature) != 2 or 0 in signature:
        return [0]
    valid = verify_message_signature(message, signature, key)
    return [short_string("VALID") if valid else 0]


ACCOUNT = contract(
    "Account",
    [struct(CALL, [("to", ADDRESS), ("selector", FELT), ("calldata", FELTS)])],
    [
        function("__execute__", [("calls", f"core::array::Array::<{CALL}>")], [FELTS], execute),
        function("__validate__", [("calls", f"core::array::Array::<{CALL}>")], [FELT], validate),
        function(
            "is_valid_signature",
            [("hash", FELT), ("signature", FELTS)],
            [FELT],
            is_valid_signature,
            view=True,
        ),
    ],
)


@dataclass(frozen=True, slots=True)
class Keys:
    """A development key and the account it opens; worthless anywhere else."""

    private_key: int
    public_key: int
    address: int


def development_keys(number: int) -> Keys:
    """Derive the `number`-th development account, the same on every start."""
    private_key = pseudo_hash("mmbot devnet account", number)
    public_key = private_to_stark_key(private_key)
    address = compute_address(
        class_hash=ACCOUNT.class_hash, constructor_calldata=[public_key], salt=public_key
    )
    return Keys(private_key, public_key, address)
