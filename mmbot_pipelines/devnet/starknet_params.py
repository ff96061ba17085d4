"""Reads request parameters by the letter of the specification's types."""

import re
from collections.abc import Callable
from typing import Any

from starknet_py.net.client_models import DAMode, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.devnet.starknet_chain import BlockId
from mmbot_pipelines.devnet.starknet_errors import RpcError, invalid_params
from mmbot_pipelines.devnet.starknet_felt import PRIME
from mmbot_pipelines.devnet.starknet_sequencer import Call
from mmbot_pipelines.devnet.starknet_transactions import QUERY, Invoke, L1Message

FELT = re.compile(r"0x(0|[a-fA-F1-9][a-fA-F0-9]{0,62})")
STORAGE_KEY = re.compile(r"0x(0|[0-7][a-fA-F0-9]{0,62})")
NUM_AS_HEX = re.compile(r"0x[a-fA-F0-9]+")
ETH_ADDRESS = re.compile(r"0x[a-fA-F0-9]{40}")
TAGS = ("pre_confirmed", "latest", "l1_accepted")
BOUNDS = ("l1_gas", "l1_data_gas", "l2_gas")


def _hex(value: Any, pattern: re.Pattern[str], below: int, kind: str) -> int:
    if not isinstance(value, str) or not pattern.fullmatch(value) or int(value, 16) >= below:
        raise invalid_params(f"{str(value)[:80]!r} is not a {kind}")
    return int(value, 16)


def felt(value: Any) -> int:
    """Read FELT: no leading zeros, below the field's prime."""
    return _hex(value, FELT, PRIME, "FELT")


def storage_key(value: Any) -> int:
    """Read STORAGE_KEY, which may carry a leading zero."""
    text = "0x" + value[3:] if isinstance(value, str) and value[:3] == "0x0" != value else value
    return _hex(text, STORAGE_KEY, PRIME, "STORAGE_KEY")


def l1_hash(value: Any) -> int:
    """Read L1_TXN_HASH."""
    return _hex(value, NUM_AS_HEX, 2**256, "L1_TXN_HASH")


def eth_address(value: Any) -> int:
    """Read ETH_ADDRESS: forty digits."""
    return _hex(value, ETH_ADDRESS, 2**160, "ETH_ADDRESS")


def natural(value: Any) -> int:
    """Read a whole number that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise invalid_params(f"{str(value)[:80]!r} is not a whole number")
    return value


def whole(value: Any) -> int:
    """Read an amount for a control method: a number, or hex digits after 0x."""
    return natural(value) if isinstance(value, int) else _hex(value, NUM_AS_HEX, 2**256, "u256")


def boolean(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise invalid_params(f"{str(value)[:80]!r} is neither true nor false")
    return value


def list_of(read: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    """Read an array of what `read` reads."""

    def items(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise invalid_params(f"{str(value)[:80]!r} is not an array")
        return [read(item) for item in value]

    return items


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Read one of the allowed words."""

    def word(value: Any) -> str:
        if value not in allowed:
            raise invalid_params(f"{str(value)[:80]!r} is none of {', '.join(allowed)}")
        return str(value)

    return word


def members(value: Any, required: set[str], optional: frozenset[str] = frozenset()) -> Any:
    """Check an object's members: all required ones, none unknown."""
    if not isinstance(value, dict):
        raise invalid_params(f"{str(value)[:80]!r} is not an object")
    if missing := sorted(required - value.keys()):
        raise invalid_params(f"missing: {', '.join(missing)}")
    if unknown := sorted(value.keys() - required - optional):
        raise invalid_params(f"unknown: {', '.join(unknown)}")
    return value


def block_id(value: Any) -> BlockId:
    """Read BLOCK_ID: a tag, a number or a hash."""
    if isinstance(value, str):
        return BlockId(tag=one_of(*TAGS)(value))
    if isinstance(value, dict) and "block_hash" in value:
        return BlockId(hash=felt(members(value, {"block_hash"})["block_hash"]))
    return BlockId(number=natural(members(value, {"block_number"})["block_number"]))


def function_call(value: Any) -> Call:
    """Read FUNCTION_CALL."""
    call = members(value, {"contract_address", "entry_point_selector", "calldata"})
    selector = felt(call["entry_point_selector"])
    return felt(call["contract_address"]), selector, list_of(felt)(call["calldata"])


def message(value: Any) -> L1Message:
    """Read MSG_FROM_L1."""
    call = members(value, {"from_address", "to_address", "entry_point_selector", "payload"})
    return L1Message(
        from_address=eth_address(call["from_address"]),
        to_address=felt(call["to_address"]),
        selector=felt(call["entry_point_selector"]),
        payload=tuple(list_of(felt)(call["payload"])),
        nonce=0,
    )


def invoke(value: Any) -> Invoke:
    """Read BROADCASTED_INVOKE_TXN."""
    required = set(Invoke(sender=0, calldata=(), nonce=0).body()) - {"proof_facts"}
    tx = members(value, required, frozenset({"proof_facts", "proof"}))
    one_of("INVOKE")(tx["type"])
    version = felt(tx["version"])
    if version % QUERY != 3:
        raise RpcError("UNSUPPORTED_TX_VERSION")
    bounds = members(tx["resource_bounds"], set(BOUNDS))
    words = list_of(felt)
    return Invoke(
        sender=felt(tx["sender_address"]),
        calldata=tuple(words(tx["calldata"])),
        nonce=felt(tx["nonce"]),
        version=version,
        signature=tuple(words(tx["signature"])),
        bounds=ResourceBoundsMapping(**{name: _bound(bounds[name]) for name in BOUNDS}),
        tip=_hex(tx["tip"], FELT, 2**64, "u64"),
        paymaster_data=tuple(words(tx["paymaster_data"])),
        deployment_data=tuple(words(tx["account_deployment_data"])),
        nonce_mode=DAMode[one_of("L1", "L2")(tx["nonce_data_availability_mode"])],
        fee_mode=DAMode[one_of("L1", "L2")(tx["fee_data_availability_mode"])],
        proof_facts=tuple(words(tx.get("proof_facts") or [])),
    )


def _bound(value: Any) -> ResourceBounds:
    bound = members(value, {"max_amount", "max_price_per_unit"})
    return ResourceBounds(
        max_amount=_hex(bound["max_amount"], FELT, 2**64, "u64"),
        max_price_per_unit=_hex(bound["max_price_per_unit"], FELT, 2**128, "u128"),
    )
