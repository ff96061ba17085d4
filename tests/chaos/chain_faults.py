"""Misbehaviour of local chains: reorgs, and a recipient that passes only the simulation."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.types import TxData

from mmbot_pipelines.devnet.chain import ask

_ALTERNATING = Web3.to_checksum_address(f"{0xDECE1:#042x}")

# NUMBER, PUSH1 1, AND, PUSH1 parity, XOR, PUSH1 11, JUMPI, STOP, JUMPDEST, PUSH0, PUSH0, REVERT:
# a simulation runs in the newest block, the transaction in the one after it.
_ALTERNATING_CODE = "0x4360011660{parity:02x}18600b57005b5f5ffd"


def alternating_recipient(w3: Web3) -> ChecksumAddress:
    """Deploy a recipient that takes money in every second block, the newest one included.

    It does not look at the gas price, which an estimate shows as it will be signed.
    """
    code = _ALTERNATING_CODE.format(parity=w3.eth.block_number & 1)
    ask(w3, "anvil_setCode", _ALTERNATING, code)
    return _ALTERNATING


def reorg(w3: Web3, depth: int, rng: Random, *, loses: bool) -> int:
    """Replace the newest blocks by as many others; return how many transactions came back.

    The same transactions come back in another order, as far as their nonces allow, for the
    real network's pools still have them. Those that nobody signed, sent by anvil for an
    address without a key, do not.

    loses: a part of the transactions does not come back at all, the newest of each sender.
    """
    with _blocks_held(w3):
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
            if not isinstance(given, HexBytes | bytes) and _has_signature(given):
                raw = ask(w3, "debug_getRawTransaction", Web3.to_hex(given["hash"]))
                found[given["from"]].append(raw)
    return dict(found)


def _has_signature(given: TxData) -> bool:
    # anvil leaves r and s empty where it sends for an address without a key
    return int(given["s"].hex(), 16) != 0


@contextmanager
def _blocks_held(w3: Web3) -> Iterator[None]:
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
