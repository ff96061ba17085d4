"""Why a call reverted, as text for people. Pure.

Source: Solidity documentation, "Panic via assert and Error via require".
"""

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse, data
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.core.text import cleaned

_ERROR = bytes.fromhex("08c379a0")  # Error(string)
_PANIC = bytes.fromhex("4e487b71")  # Panic(uint256)
_REVERTED = 3  # the JSON-RPC error code of geth and those who follow it

_PANICS = {
    0x00: "generic compiler panic",
    0x01: "assertion failed",
    0x11: "arithmetic overflow or underflow",
    0x12: "division or modulo by zero",
    0x21: "value outside of its enum",
    0x22: "wrongly encoded storage byte array",
    0x31: "pop of an empty array",
    0x32: "index out of bounds",
    0x41: "too much memory allocated",
    0x51: "call of an uninitialised function",
}

# Clients' errors, without spaces, where a call fails without REVERT.
_EXCEPTIONS = (
    "revert",
    "outofgas",
    "gasrequiredexceeds",
    "invalidopcode",
    "invalidfeopcode",
    "opcodenotfound",
    "stackoverflow",
    "stackunderflow",
    "invalidjump",
    "vmexecutionerror",
)


def decode_revert(returned: bytes) -> str:
    """Return the reason in a revert's data. Never raises, whatever a contract returns."""
    selector, rest = returned[:4], returned[4:]
    if not returned:
        return "reverted without a reason"
    if len(selector) < 4:
        return f"reverted with {len(returned)} bytes that are no error"
    try:
        if selector == _ERROR:
            (text,) = decode(["bytes"], rest, strict=False)
            return cleaned(text.decode(errors="replace")) or "reverted with an empty reason"
        if selector == _PANIC:
            (code,) = decode(["uint256"], rest)
            return f"panic 0x{code:02x}: {_PANICS.get(code, 'unknown to Solidity')}"
    except (DecodingError, OverflowError):
        return f"malformed error 0x{selector.hex()}"
    return f"custom error 0x{selector.hex()}"


def reason(error: RpcError) -> str | None:
    """Return why the call reverted, or None where the error is not about the call itself."""
    returned = _returned(error.data)
    error_text = error.message.lower().replace(" ", "")
    if returned:
        return decode_revert(returned)
    if error.code != _REVERTED and not any(words in error_text for words in _EXCEPTIONS):
        return None
    _, colon, text = error.message.partition("execution reverted: ")
    if colon and text:
        return text
    has_reason = error_text and "revert" not in error_text
    return error.message if has_reason else "reverted without a reason"


def _returned(given: object) -> bytes:
    """Find the returned bytes in an error's data: geth gives hex, others an object of it."""
    if isinstance(given, dict):
        given = given.get("data")
    try:
        return data(given)
    except InvalidResponse:
        return b""
