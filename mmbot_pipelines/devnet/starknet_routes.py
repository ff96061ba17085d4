"""JSON-RPC 2.0: requests, batches and notifications to methods, errors to answers."""

import inspect
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmbot_pipelines.devnet.starknet_errors import RpcError, invalid_params

log = logging.getLogger(__name__)
MISSING = object()


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a method: its published name, how to read it, what it defaults to."""

    name: str
    read: Callable[[Any], Any]
    default: Any = MISSING


def required(name: str, read: Callable[[Any], Any]) -> Param:
    """Name a parameter that every request must bring."""
    return Param(name, read)


def optional(name: str, read: Callable[[Any], Any], default: Any) -> Param:
    """Name a parameter that a request may leave out."""
    return Param(name, read, default)


class Route:
    """A method and its parameters, taken by name or by position."""

    def __init__(self, method: Callable[..., Any], *params: Param) -> None:
        self.method = method
        self.params = params

    def arguments(self, given: Any) -> list[Any]:
        """Read a request's parameters.

        Raises:
            RpcError: INVALID_PARAMS, saying which and why.
        """
        names = [param.name for param in self.params]
        if isinstance(given, list):
            if len(given) > len(names):
                raise invalid_params(f"at most {len(names)} parameters, got {len(given)}")
            given = dict(zip(names, given, strict=False))
        if unknown := sorted(given.keys() - set(names)):
            raise invalid_params(f"unknown: {', '.join(unknown)}")
        return [self._read(param, given.get(param.name, param.default)) for param in self.params]

    @staticmethod
    def _read(param: Param, value: Any) -> Any:
        if value is MISSING:
            raise invalid_params(f"missing: {param.name}")
        return value if value is param.default else param.read(value)


async def answer(routes: Mapping[str, Route], text: bytes) -> Any:
    """Answer a request or a batch; None where only notifications came."""
    try:
        request = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return _failure(None, RpcError("PARSE_ERROR"))
    if not isinstance(request, list):
        return await _answer_one(routes, request)
    if not request:
        return _failure(None, RpcError("INVALID_REQUEST"))
    answers = [await _answer_one(routes, item) for item in request]
    return [item for item in answers if item is not None] or None


async def _answer_one(routes: Mapping[str, Route], request: Any) -> Any:
    if not _is_request(request):
        return _failure(None, RpcError("INVALID_REQUEST"))
    request_id = request.get("id", MISSING)
    try:
        route = routes.get(request["method"])
        if route is None:
            raise RpcError("METHOD_NOT_FOUND", request["method"])
        result = route.method(*route.arguments(request.get("params", [])))
        if inspect.isawaitable(result):
            result = await result
        response = {"jsonrpc": "2.0", "id": request_id, "result": result}
    except RpcError as e:
        response = _failure(request_id, e)
    except Exception:
        log.exception("%s failed", request["method"])
        response = _failure(request_id, RpcError("INTERNAL_ERROR"))
    return None if request_id is MISSING else response


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_request(request: Any) -> bool:
    return (
        isinstance(request, dict)
        and request.get("jsonrpc") == "2.0"
        and isinstance(request.get("method"), str)
        and isinstance(request.get("params", []), list | dict)
        and isinstance(request.get("id"), str | int | float | None)
        and not isinstance(request.get("id"), bool)
    )


def _failure(request_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": error.body()}
