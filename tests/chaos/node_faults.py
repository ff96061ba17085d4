"""What a node answers that is behind, or that lies. Pure: JSON-RPC in, JSON-RPC out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

_TAGS = ("latest", "pending", "safe", "finalized", "pre_confirmed")
_HALF = 0.5  # chance of each possible lie


@dataclass(frozen=True, slots=True)
class Behind:
    """A node that has stopped at a block; it still takes transactions.

    Of Starknet's methods it only knows which block is the newest.
    """

    height: int

    def asked(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the question as such a node understands it."""
        block = {"block_number": self.height}
        newest = block if question["method"].startswith("starknet_") else hex(self.height)
        return {**question, "params": _with(question.get("params") or [], newest)}

    def answered(self, question: Mapping[str, Any], result: Any) -> Any:
        """Return what such a node answers, of what a node that is not behind does."""
        match question["method"]:
            case "eth_blockNumber":
                return hex(self.height)
            case "starknet_blockNumber":
                return self.height
            case "eth_getBlockByNumber" | "eth_getTransactionReceipt" if self._later(result):
                return None
            case "eth_getTransactionByHash" if self._later(result):
                return result | {"blockNumber": None, "blockHash": None}
            case "eth_getLogs":
                return [log for log in result if not self._later(log)]
        return result

    def _later(self, result: Any) -> bool:
        key = "number" if isinstance(result, Mapping) and "number" in result else "blockNumber"
        number = result.get(key) if isinstance(result, Mapping) else None
        return number is not None and int(number, 16) > self.height


def _with(params: Any, newest: Any) -> Any:
    """Return parameters with every tag of the newest block replaced."""
    if isinstance(params, Mapping):
        return {name: _with(param, newest) for name, param in params.items()}
    if isinstance(params, list):
        return [_with(param, newest) for param in params]
    return newest if isinstance(params, str) and params in _TAGS else params


def lie(method: str, result: Any, rng: Random) -> Any:
    """Return something else than the truth, where there is a lie for the method."""
    log_start = LIES.get(method)
    if log_start is None or result is None or rng.random() < _HALF:
        return result
    return log_start(result, rng)


def _number(result: Any, rng: Random) -> str:
    return hex(max(0, int(result, 16) + rng.choice([-2, -1, 1, 5])))


def _balance(result: Any, rng: Random) -> str:
    return hex(rng.choice([0, 2 * int(result, 16)]))


def _receipt(result: Any, rng: Random) -> Any:
    flipped = "0x0" if result["status"] == "0x1" else "0x1"
    return rng.choice([None, {**result, "status": flipped}])


def _nothing(result: Any, _: Random) -> Any:
    return [] if isinstance(result, list) else None


def _another_hash(result: Any, rng: Random) -> Any:
    return {**result, "hash": f"0x{rng.randbytes(32).hex()}"}


def _another_block(result: Any, rng: Random) -> Any:
    return {**result, "block_hash": f"0x{rng.randbytes(31).hex()}"}


def _no_events(result: Any, _: Random) -> Any:
    return {**result, "events": []}


def _zeros(result: Any, _: Random) -> Any:
    return ["0x0"] * len(result)


def _view(result: Any, _: Random) -> str:
    return "0x" + "00" * (len(result) // 2 - 1)


LIES: Mapping[str, Callable[[Any, Random], Any]] = {
    "eth_blockNumber": _number,
    "eth_call": _view,
    "eth_getBalance": _balance,
    "eth_getBlockByNumber": _another_hash,
    "eth_getLogs": _nothing,
    "eth_getTransactionByHash": _nothing,
    "eth_getTransactionCount": _number,
    "eth_getTransactionReceipt": _receipt,
    "starknet_call": _zeros,
    "starknet_getBlockWithTxHashes": _another_block,
    "starknet_getEvents": _no_events,
}
