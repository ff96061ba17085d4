"""The local Starknet reads like a real one."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.starknet.token import ETH
from tests.devnet.starknet_reading import BALANCE_OF, TOKEN, ReadingSuite, call
from tests.devnet.starknet_rpc import NOT_THERE, LocalStarknet, Rpc, specification, starknet


@pytest.fixture(scope="module")
def rpc() -> Iterator[LocalStarknet]:
    with starknet(l1_depth=3) as rpc:
        for amount in range(1, 9):
            rpc.act("transfer", 0x77, amount, 0, to=ETH)
            rpc.set_order(0xABC, amount, 1)
            rpc.mine()
        rpc.act("transfer", 0x77, 1, 0, to=ETH)
        yield rpc


class TestReading(ReadingSuite):
    pass


def test_the_specification_was_at_hand(rpc: Rpc) -> None:
    spec = specification()
    if spec is None:
        pytest.skip(NOT_THERE)
    rpc("chainId")
    assert "starknet_chainId" in spec.checked


def test_the_block_being_built_shows_its_transactions(rpc: Rpc) -> None:
    block = rpc("getBlockWithTxHashes", "pre_confirmed")
    assert block["block_number"] == rpc("blockNumber") + 1
    (only,) = block["transactions"]
    receipt = rpc("getTransactionReceipt", only)
    assert receipt["finality_status"] == "PRE_CONFIRMED"
    assert "block_hash" not in receipt


def test_events_of_the_block_being_built_have_no_block_hash(rpc: Rpc) -> None:
    wanted = {"address": TOKEN, "chunk_size": 100}
    sealed = rpc("getEvents", {**wanted, "to_block": "latest"})["events"]
    everything = rpc("getEvents", wanted)["events"]
    fresh = everything[len(sealed) :]
    assert everything[: len(sealed)] == sealed
    assert all("block_hash" in event for event in sealed)
    assert fresh
    assert all("block_hash" not in event for event in fresh)
    assert rpc("getEvents", {**wanted, "from_block": "pre_confirmed"})["events"] == fresh


def test_only_the_tag_reaches_the_block_being_built(rpc: Rpc) -> None:
    wanted = {"address": TOKEN, "chunk_size": 100}
    sealed = rpc("getEvents", {**wanted, "to_block": "latest"})
    beyond = rpc("blockNumber") + 1
    assert rpc("getEvents", {**wanted, "to_block": {"block_number": beyond}}) == sealed
    after = {**wanted, "from_block": {"block_number": beyond + 1}}
    assert rpc("getEvents", after) == {"events": []}
    assert rpc.refused("getBlockWithTxHashes", {"block_number": beyond}).code == 24


def test_finality_rises_with_depth() -> None:
    with starknet(l1_depth=2) as rpc:
        rpc.act("transfer", 0x77, 1, 0, to=ETH)
        (sent,) = rpc("getBlockWithTxHashes", "pre_confirmed")["transactions"]
        seen = [rpc("getTransactionStatus", sent)["finality_status"]]
        for _ in range(3):
            rpc.mine()
            seen.append(rpc("getTransactionStatus", sent)["finality_status"])
    assert seen == ["PRE_CONFIRMED", "ACCEPTED_ON_L2", "ACCEPTED_ON_L2", "ACCEPTED_ON_L1"]


def test_state_is_read_as_it_was(rpc: Rpc) -> None:
    asked = call(BALANCE_OF, "0x77")
    balances = [rpc("call", asked, {"block_number": n})[0] for n in range(4)]
    assert balances == ["0x0", "0x1", "0x3", "0x6"]


@pytest.mark.parametrize("path", ["", "rpc/v0_10", "?key=1"])
def test_any_path_is_served(rpc: Rpc, path: str) -> None:
    assert Rpc(f"{rpc.url}/{path}")("specVersion") == "0.10.2"


def test_keys_are_matched_by_position(rpc: Rpc) -> None:
    wanted = {"address": TOKEN, "chunk_size": 100}
    every = rpc("getEvents", wanted)["events"]
    to_us = rpc("getEvents", {**wanted, "keys": [[], [], ["0x77", "0x78"]]})["events"]
    assert to_us == [e for e in every if e["keys"][2] == "0x77"]
    assert len(to_us) == 9
    assert rpc("getEvents", {**wanted, "keys": [[]] * 3 + [["0x1"]]})["events"] == []


def test_a_token_survives_the_sealing_of_its_block() -> None:
    with starknet() as rpc:
        for amount in (1, 2, 3):
            rpc.act("transfer", 0x77, amount, 0, to=ETH)
        wanted = {"address": TOKEN, "keys": [[], [], ["0x77"]], "chunk_size": 2}
        first = rpc("getEvents", wanted)
        rpc.mine()
        token = {"continuation_token": first["continuation_token"]}
        second = rpc("getEvents", {**wanted, **token})
        amounts = [e["data"][0] for e in first["events"] + second["events"]]
        assert amounts == ["0x1", "0x2", "0x3"]
        assert "continuation_token" not in second
