"""JSON-RPC 2.0 over the local node's methods, with the specification's errors."""

from collections.abc import Callable, Mapping
from typing import Any

_ERRORS = {
    "CONTRACT_NOT_FOUND": (20, "Contract not found"),
    "ENTRYPOINT_NOT_FOUND": (21, "Requested entry point does not exist in the contract"),
    "BLOCK_NOT_FOUND": (24, "Block not found"),
    "TXN_HASH_NOT_FOUND": (29, "Transaction hash not found"),
    "INVALID_CONTINUATION_TOKEN": (33, "The supplied continuation token is invalid or unknown"),
    "CONTRACT_ERROR": (40, "Contract error"),
    "TRANSACTION_EXECUTION_ERROR": (41, "Transaction execution error"),
    "INVALID_TRANSACTION_NONCE": (52, "Invalid transaction nonce"),
    "INSUFFICIENT_RESOURCES_FOR_VALIDATE": (
        53,
        "The transaction's resources don't cover validation or the minimal transaction fee",
    ),
    "INSUFFICIENT_ACCOUNT_BALANCE": (
        54,
        "Account balance is smaller than the transaction's maximal fee "
        "(calculated as the sum of each resource's limit x max price)",
    ),
    "VALIDATION_FAILURE": (55, "Account validation failed"),
    "DUPLICATE_TX": (59, "A transaction with the same hash already exists in the mempool"),
    "METHOD_NOT_FOUND": (-32601, "Method not found"),
}


class ErrorResponse(Exception):
    """A published error, by its name in the specification."""

    def __init__(self, name: str, data: Any = None) -> None:
        code, message = _ERRORS[name]
        self.body: dict[str, Any] = {"code": code, "message": message}
        if data is not None:
            self.body["data"] = data
        super().__init__(f"{name}: {self.body}")


def answer(methods: Mapping[str, Callable[..., Any]], request: Any) -> dict[str, Any]:
    """Answer a request whose parameters are given by name or by position."""
    answered = {"jsonrpc": "2.0", "id": request["id"]}
    given = request.get("params", [])
    try:
        if request["method"] not in methods:
            raise ErrorResponse("METHOD_NOT_FOUND")
        method = methods[request["method"]]
        result = method(**given) if isinstance(given, dict) else method(*given)
    except ErrorResponse as e:
        return answered | {"error": e.body}
    return answered | {"result": result}
