"""A chain that takes its newest blocks back and tells them otherwise."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from hexbytes import HexBytes
from web3 import Web3
from web3.types import TxData

from mmbot_pipelines.devnet.chain import ask


def reorg(w3: Web3, depth: int, rng: Random, *, loses: bool) -> int:
    """Replace the newest blocks by as many others; return how many transactions came back.

    The same transactions come back in another order, as far as their nonces allow, for the
    real network's pools still have them. Those that nobody signed, sent by anvil for an
    address without a key, do not.

    loses: a part of the transactions does not come back at all, the newest of each sender.
    """
    with _held(w3):
        depth = min(depth, w3.eth.block_number)
        waiting = _signed(w3, depth)
        for sent in waiting.values():
            if loses:
                del sent[rng.randint(0, len(sent)) :]
        raws = []
        while waiting := {sender: sent for sender, sent in waiting.items() if sent}:
            raws.append(waiting[rng.choice(sorted(waiting))].pop(0))
        blocks = sorted(rng.randrange(depth) for _ in raws)
        ask(w3, "anvil_reorg", depth, [list(pair) for pair in zip(raws, blocks, strict=True)])
        return len(raws)


def _signed(w3: Web3, depth: int) -> dict[str, list[str]]:
    """Return the signed transactions of the newest blocks by their senders, oldest first."""
    head = w3.eth.block_number
    found: dict[str, list[str]] = defaultdict(list)
    for number in range(head - depth + 1, head + 1):
        for given in w3.eth.get_block(number, full_transactions=True)["transactions"]:
            if not isinstance(given, HexBytes | bytes) and _has_key(given):
                raw = ask(w3, "debug_getRawTransaction", Web3.to_hex(given["hash"]))
                found[given["from"]].append(raw)
    return dict(found)


def _has_key(given: TxData) -> bool:
    # anvil leaves r and s empty where it was told to send for an address without a key
    return int(given["s"].hex(), 16) != 0


@contextmanager
def _held(w3: Web3) -> Iterator[None]:
    """Let no block come in between."""
    interval, automine = ask(w3, "anvil_getIntervalMining"), ask(w3, "anvil_getAutomine")
    ask(w3, "evm_setIntervalMining", 0)  # ends automine too
    try:
        yield
    finally:
        if automine:
            ask(w3, "evm_setAutomine", True)
        elif interval:
            ask(w3, "evm_setIntervalMining", interval)
