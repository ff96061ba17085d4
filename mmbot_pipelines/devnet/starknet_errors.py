"""The errors of Starknet's JSON-RPC 0.10.2 and of JSON-RPC 2.0, with their published words."""

from typing import Any

PUBLISHED = {
    "CONTRACT_NOT_FOUND": (20, "Contract not found"),
    "ENTRYPOINT_NOT_FOUND": (
        21,
        "Requested entry point does not exist in the contract",
    ),
    "BLOCK_NOT_FOUND": (24, "Block not found"),
    "INVALID_TXN_INDEX": (27, "Invalid transaction index in a block"),
    "CLASS_HASH_NOT_FOUND": (28, "Class hash not found"),
    "TXN_HASH_NOT_FOUND": (29, "Transaction hash not found"),
    "PAGE_SIZE_TOO_BIG": (31, "Requested page size is too big"),
    "INVALID_CONTINUATION_TOKEN": (
        33,
        "The supplied continuation token is invalid or unknown",
    ),
    "TOO_MANY_KEYS_IN_FILTER": (34, "Too many keys provided in a filter"),
    "CONTRACT_ERROR": (40, "Contract error"),
    "TRANSACTION_EXECUTION_ERROR": (41, "Transaction execution error"),
    "INVALID_TRANSACTION_NONCE": (52, "Invalid transaction nonce"),
    "INSUFFICIENT_RESOURCES_FOR_VALIDATE": (
        53,
        "The transaction's resources don't cover validation or the minimal transaction fee",
    ),
    "INSUFFICIENT_ACCOUNT_BALANCE": (
        54,
        (
            "Account balance is smaller than the transaction's maximal fee "
            "(calculated as the sum of each resource's limit x max price)"
        ),
    ),
    "VALIDATION_FAILURE": (55, "Account validation failed"),
    "NON_ACCOUNT": (58, "Sender address is not an account contract"),
    "DUPLICATE_TX": (
        59,
        "A transaction with the same hash already exists in the mempool",
    ),
    "UNSUPPORTED_TX_VERSION": (61, "the transaction version is not supported"),
    "PARSE_ERROR": (-32700, "Parse error"),
    "INVALID_REQUEST": (-32600, "Invalid Request"),
    "METHOD_NOT_FOUND": (-32601, "Method not found"),
    "INVALID_PARAMS": (-32602, "Invalid params"),
    "INTERNAL_ERROR": (-32603, "Internal error"),
}


class RpcError(Exception):
    """Answer a request with a published error, by its name in the specification."""

    def __init__(self, name: str, data: Any = None) -> None:
        self.name = name
        self.code, self.message = PUBLISHED[name]
        self.data = data
        super().__init__(f"{self.code} {self.message}" + ("" if data is None else f": {data}"))

    def body(self) -> dict[str, Any]:
        """Return the error object of the JSON-RPC answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


def invalid_params(reason: str) -> RpcError:
    """Refuse parameters that do not fit the specification, saying which."""
    return RpcError("INVALID_PARAMS", {"reason": reason})
