"""A reorg that brings the transactions back, as a real network's pools do."""

from collections.abc import Iterator
from random import Random

import pytest
from web3 import Web3

from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect
from tests.chaos.chain_faults import reorg

SENDERS = [account(n).address for n in (2, 3, 4)]
STRANGER = Web3.to_checksum_address("0x" + "ab" * 20)


@pytest.fixture
def w3() -> Iterator[Web3]:
    with Anvil(chain_id=31337) as chain:
        yield connect(chain.url)


def send(w3: Web3, count: int) -> list[str]:
    """Send transactions by turns of the senders, each into a block of its own."""
    return [
        w3.eth.send_transaction({"from": SENDERS[n % 3], "to": SENDERS[0], "value": n}).to_0x_hex()
        for n in range(count)
    ]


def order(w3: Web3) -> list[str]:
    """Return the transactions of all blocks in their order."""
    blocks = (w3.eth.get_block(n) for n in range(1, w3.eth.block_number + 1))
    return [Web3.to_hex(tx) for block in blocks for tx in block["transactions"]]  # type: ignore[arg-type]


def test_all_come_back_in_another_order(w3: Web3) -> None:
    sent, head = send(w3, 12), w3.eth.block_number
    last = w3.eth.get_block(head)["hash"]
    assert reorg(w3, 12, Random(1), loses=False) == 12
    assert w3.eth.block_number == head
    assert w3.eth.get_block(head)["hash"] != last
    assert sorted(order(w3)) == sorted(sent)
    assert order(w3) != sent
    assert ask(w3, "anvil_getAutomine")


def test_what_is_lost_are_each_senders_newest(w3: Web3) -> None:
    sent = send(w3, 12)
    back = reorg(w3, 12, Random(7), loses=True)
    assert 0 < back < 12
    kept = order(w3)
    for turn in range(3):
        own = sent[turn::3]
        assert [tx for tx in own if tx in kept] == own[: len(set(own) & set(kept))]


def test_older_blocks_stay(w3: Web3) -> None:
    sent = send(w3, 4)
    assert reorg(w3, 1, Random(3), loses=False) == 1
    assert order(w3)[:3] == sent[:3]


def test_what_has_no_key_does_not_come_back(w3: Web3) -> None:
    ask(w3, "anvil_setBalance", STRANGER, hex(10**18))
    ask(w3, "anvil_impersonateAccount", STRANGER)
    w3.eth.send_transaction({"from": STRANGER, "to": SENDERS[0]})
    assert reorg(w3, 1, Random(4), loses=False) == 0
    assert order(w3) == []


def test_a_chain_with_block_times_goes_on(w3: Web3) -> None:
    send(w3, 1)
    ask(w3, "evm_setIntervalMining", 7)
    reorg(w3, 1, Random(5), loses=False)
    assert ask(w3, "anvil_getIntervalMining") == 7
