"""JSON-RPC 2.0 over the local node's methods: dispatch, parameters, published errors."""

import inspect
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starknet_py.constants import FIELD_PRIME
from starknet_py.net.client_models import DAMode, ResourceBounds, ResourceBoundsMapping

from mmbot_pipelines.devnet.starknet.chain import BlockId, Call, Invoke, L1Message, RpcError
from mmbot_pipelines.devnet.starknet.gas import GAS

log = logging.getLogger(__name__)
Readers = Mapping[str, Callable[[Any], Any]]
_FELT = re.compile(r"0x(0|[a-fA-F1-9][a-fA-F0-9]{0,62})")
_TAGS = ("pre_confirmed", "latest", "l1_accepted")
_QUERY = 2**128  # added to the version of a transaction that is only to be estimated


@dataclass(frozen=True, slots=True)
class Method:
    """A function whose parameters have their published names, and how each is read."""

    act: Callable[..., Any]
    readers: Readers

    def __call__(self, given: Any) -> Any:
        """Read a request's parameters, by name or by position, and answer it."""
        if isinstance(given, list):
            if len(given) > len(self.readers):
                raise RpcError("INVALID_PARAMS", {"reason": "too many parameters"})
            given = dict(zip(self.readers, given, strict=False))
        try:
            read = {name: self.readers[name](value) for name, value in given.items()}
            inspect.signature(self.act).bind(**read)
        except (KeyError, TypeError, ValueError) as e:
            raise RpcError("INVALID_PARAMS", {"reason": f"{type(e).__name__}: {e}"[:200]}) from e
        return self.act(**read)


def answer(methods: Mapping[str, Method], text: bytes) -> Any:
    """Answer a request or a batch of them."""
    try:
        request = json.loads(text)
    except ValueError:
        return _failure(None, RpcError("PARSE_ERROR"))
    if isinstance(request, list):
        return [_answer_one(methods, item) for item in request]
    return _answer_one(methods, request)


def _answer_one(methods: Mapping[str, Method], request: Any) -> Any:
    if not isinstance(request, dict) or not {"id", "method"} <= request.keys():
        return _failure(None, RpcError("INVALID_REQUEST"))
    try:
        if request["method"] not in methods:
            raise RpcError("METHOD_NOT_FOUND", request["method"])
        result = methods[request["method"]](request.get("params", []))
    except RpcError as e:
        return _failure(request["id"], e)
    except Exception:
        log.exception("%s failed", request["method"])
        return _failure(request["id"], RpcError("INTERNAL_ERROR"))
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def _failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.body()}


def felt(value: str) -> int:
    """Read FELT: no leading zeros, below the field's prime."""
    if not _FELT.fullmatch(value) or int(value, 16) >= FIELD_PRIME:
        raise ValueError(f"{value!r} is not a FELT")
    return int(value, 16)


def felts(values: list[str]) -> tuple[int, ...]:
    return tuple(felt(value) for value in values)


def hex_number(value: str) -> int:
    """Read an L1 hash or address."""
    return int(value, 16)


def whole(value: Any) -> int:
    """Read an amount for a control method: a number, or hex digits after 0x."""
    return value if isinstance(value, int) else int(value, 16)


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Return a reader of one of the allowed words."""

    def word(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is none of {', '.join(allowed)}")
        return str(value)

    return word


def flags(values: list[str]) -> list[str]:
    """Read SIMULATION_FLAG_FOR_ESTIMATE_FEE."""
    return [one_of("SKIP_VALIDATE")(value) for value in values]


def block_id(value: Any) -> BlockId:
    """Read BLOCK_ID: a tag, a number or a hash."""
    if isinstance(value, str):
        return BlockId(tag=one_of(*_TAGS)(value))
    if "block_hash" in value:
        return BlockId(hash=felt(value["block_hash"]))
    if value["block_number"] < 0:
        raise ValueError(f"{value} is no block")
    return BlockId(number=value["block_number"])


def function_call(value: Any) -> Call:
    """Read FUNCTION_CALL."""
    selector = felt(value["entry_point_selector"])
    return felt(value["contract_address"]), selector, felts(value["calldata"])


def message(value: Any) -> L1Message:
    """Read MSG_FROM_L1."""
    return L1Message(
        from_address=hex_number(value["from_address"]),
        to_address=felt(value["to_address"]),
        selector=felt(value["entry_point_selector"]),
        payload=felts(value["payload"]),
        nonce=0,
    )


def invoke(value: Any) -> Invoke:
    """Read BROADCASTED_INVOKE_TXN.

    Raises:
        RpcError: UNSUPPORTED_TX_VERSION.
    """
    version = felt(value["version"])
    if version % _QUERY != 3:
        raise RpcError("UNSUPPORTED_TX_VERSION")
    bounds = {name: value["resource_bounds"][name] for name in GAS}
    return Invoke(
        sender=felt(value["sender_address"]),
        calldata=felts(value["calldata"]),
        nonce=felt(value["nonce"]),
        version=version,
        signature=felts(value["signature"]),
        bounds=ResourceBoundsMapping(
            **{
                name: ResourceBounds(felt(b["max_amount"]), felt(b["max_price_per_unit"]))
                for name, b in bounds.items()
            }
        ),
        tip=felt(value["tip"]),
        nonce_mode=DAMode[value["nonce_data_availability_mode"]],
        fee_mode=DAMode[value["fee_data_availability_mode"]],
    )


def invokes(values: list[Any]) -> list[Invoke]:
    return [invoke(value) for value in values]
