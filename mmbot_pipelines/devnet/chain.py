"""JSON-RPC that only a local chain answers: mining on demand, and blocks held back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint, TxReceipt

POLL_SECONDS = 0.02

# They look up names, the chain's id and its newest block before each transaction or call.
_NOT_FOR_OURS = ("ens_name_to_address", "gas_price_strategy", "validation")


def connect(rpc_url: str) -> Web3:
    """Return a client for a local chain."""
    session = requests.Session()
    session.trust_env = False  # else it reads the environment for proxies at each request
    w3 = Web3(HTTPProvider(rpc_url, session=session))
    for middleware in _NOT_FOR_OURS:
        w3.middleware_onion.remove(middleware)
    return w3


def ask(w3: Web3, method: str, *params: Any) -> Any:
    """Call one of anvil's own methods and return its result.

    Raises:
        RuntimeError: the chain answered with an error.
    """
    answer = w3.provider.make_request(RPCEndpoint(method), list(params))
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


def mine_now(w3: Web3) -> None:
    """Make the next block at once, where the chain would let transactions wait."""
    if not ask(w3, "anvil_getAutomine"):
        ask(w3, "evm_mine")


def mined(w3: Web3, tx_hash: HexBytes) -> TxReceipt:
    """Await a transaction's block and return its receipt, whatever its status."""
    return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=60, poll_latency=POLL_SECONDS)


@contextmanager
def one_block(w3: Web3) -> Iterator[None]:
    """Hold blocks back while transactions are sent, then make one block of them all.

    Raises:
        ValueError: blocks come at parts of a second, which anvil cannot restore.
    """
    interval = ask(w3, "anvil_getIntervalMining")  # whole seconds, cut
    if interval == 0:
        raise ValueError("start the chain with a block time of whole seconds")
    automine = ask(w3, "anvil_getAutomine")
    ask(w3, "evm_setIntervalMining", 0)  # ends automine too
    try:
        yield
        ask(w3, "evm_mine")
    finally:
        if automine:
            ask(w3, "evm_setAutomine", True)
        elif interval is not None:
            ask(w3, "evm_setIntervalMining", interval)
