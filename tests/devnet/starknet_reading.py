"""What any Starknet node must answer: run against the local one and against real ones."""

from itertools import pairwise
from typing import Any

import pytest

from mmbot_pipelines.devnet.starknet.felt import felt, selector_of
from mmbot_pipelines.devnet.starknet.token import ETH
from tests.devnet.starknet_rpc import Rpc, run, validated_client

TOKEN = felt(ETH)  # at the same address on every Starknet
TRANSFER = felt(selector_of("Transfer"))
BALANCE_OF = felt(selector_of("balanceOf"))
NOBODY = "0x1234567"
TAGS = ("l1_accepted", "latest", "pre_confirmed")


def call(selector: str, *calldata: str, to: str = TOKEN) -> dict[str, Any]:
    return {"contract_address": to, "entry_point_selector": selector, "calldata": list(calldata)}


class ReadingSuite:
    """Needs a fixture `rpc` of a node with five or more sealed blocks and some transfers."""

    def window(self, rpc: Rpc) -> dict[str, Any]:
        tip = rpc("blockNumber")
        return {
            "from_block": {"block_number": max(0, tip - 5)},
            "to_block": {"block_number": tip},
            "address": TOKEN,
            "keys": [[TRANSFER]],
        }

    def test_it_speaks_the_version_that_starknet_py_speaks(self, rpc: Rpc) -> None:
        assert rpc("specVersion") == "0.10.2"

    def test_chain_id_is_a_short_string(self, rpc: Rpc) -> None:
        assert bytes.fromhex(rpc("chainId")[2:]).startswith(b"SN_")

    def test_blocks_hang_together(self, rpc: Rpc) -> None:
        tip = rpc("blockNumber")
        blocks = [rpc("getBlockWithTxHashes", {"block_number": n}) for n in range(tip - 4, tip + 1)]
        for parent, child in pairwise(blocks):
            assert child["parent_hash"] == parent["block_hash"]
            assert child["timestamp"] >= parent["timestamp"]
        assert len({block["block_hash"] for block in blocks}) == 5

    def test_a_block_is_the_same_by_number_and_by_hash(self, rpc: Rpc) -> None:
        by_number = rpc("getBlockWithTxHashes", {"block_number": rpc("blockNumber") - 3})
        by_hash = rpc("getBlockWithTxHashes", {"block_hash": by_number["block_hash"]})
        assert by_hash == by_number

    def test_tags_follow_one_another(self, rpc: Rpc) -> None:
        on_l1, latest, building = (rpc("getBlockWithTxHashes", tag) for tag in TAGS)
        assert on_l1["status"] == "ACCEPTED_ON_L1"
        assert latest["status"] in ("ACCEPTED_ON_L2", "ACCEPTED_ON_L1")
        assert "block_hash" not in building
        assert on_l1["block_number"] <= latest["block_number"] < building["block_number"]

    def test_a_page_ends_where_the_next_begins(self, rpc: Rpc) -> None:
        window = self.window(rpc)
        whole = rpc("getEvents", {**window, "chunk_size": 1000})
        size = max(1, len(whole["events"]) // 3)
        pages, token = [], {}
        while True:
            page = rpc("getEvents", {**window, "chunk_size": size, **token})
            pages.append(page["events"])
            if "continuation_token" not in page:
                break
            token = {"continuation_token": page["continuation_token"]}
        paged = [event for page in pages for event in page]
        assert len(pages) > 1
        assert paged[: len(whole["events"])] == whole["events"]

    def test_events_are_those_of_the_receipts(self, rpc: Rpc) -> None:
        event = rpc("getEvents", {**self.window(rpc), "chunk_size": 1})["events"][0]
        receipt = rpc("getTransactionReceipt", event["transaction_hash"])
        content = {key: event[key] for key in ("from_address", "keys", "data")}
        assert receipt["events"][event["event_index"]] == content
        assert receipt["block_hash"] == event["block_hash"]
        block = rpc("getBlockWithTxHashes", {"block_hash": event["block_hash"]})
        at_index = block["transactions"][event["transaction_index"]]
        assert at_index == event["transaction_hash"]

    def test_status_and_receipt_agree(self, rpc: Rpc) -> None:
        event = rpc("getEvents", {**self.window(rpc), "chunk_size": 1})["events"][0]
        status = rpc("getTransactionStatus", transaction_hash=event["transaction_hash"])
        receipt = rpc("getTransactionReceipt", event["transaction_hash"])
        assert status["execution_status"] == receipt["execution_status"] == "SUCCEEDED"
        assert status["finality_status"] == receipt["finality_status"]

    def test_a_filter_lets_nothing_else_through(self, rpc: Rpc) -> None:
        window = self.window(rpc)
        events = rpc("getEvents", {**window, "chunk_size": 100})["events"]
        assert events
        assert {(e["from_address"], e["keys"][0]) for e in events} == {(TOKEN, TRANSFER)}
        none = {**window, "address": NOBODY, "chunk_size": 100}
        assert rpc("getEvents", none) == {"events": []}

    def test_views_are_called_at_any_tag(self, rpc: Rpc) -> None:
        for tag in TAGS:
            low, high = rpc("call", call(BALANCE_OF, NOBODY), tag)
            assert int(low, 16) < 2**128
            assert int(high, 16) == 0

    def test_starknet_py_reads_the_same(self, rpc: Rpc) -> None:
        async def read() -> tuple[int, int, int]:
            client = validated_client(rpc.url)
            block = await client.get_block_with_tx_hashes(block_number="latest")
            chunk = await client.get_events(
                address=TOKEN,
                keys=[[TRANSFER]],
                from_block_number=max(0, block.block_number - 2),
                to_block_number=block.block_number,
                chunk_size=100,
            )
            number = await client.get_block_number()
            return number, block.block_number, len(chunk.events)

        number, latest, _ = run(read())
        assert number >= latest

    def test_an_unknown_block_is_not_found(self, rpc: Rpc) -> None:
        assert rpc.refused("getBlockWithTxHashes", {"block_hash": "0xdead"}).code == 24
        assert rpc.refused("getBlockWithTxHashes", {"block_number": 10**9}).code == 24

    @pytest.mark.parametrize("method", ["getTransactionReceipt", "getTransactionStatus"])
    def test_an_unknown_transaction_is_not_found(self, rpc: Rpc, method: str) -> None:
        assert rpc.refused(method, transaction_hash="0xdead").code == 29

    def test_an_unknown_contract_is_not_found(self, rpc: Rpc) -> None:
        assert rpc.refused("call", call(BALANCE_OF, NOBODY, to=NOBODY), "latest").code == 20
        assert rpc.refused("getNonce", "latest", NOBODY).code == 20
        assert rpc.refused("getClassHashAt", "latest", NOBODY).code == 20

    def test_an_unknown_entry_point_does_not_exist(self, rpc: Rpc) -> None:
        missing = felt(selector_of("no_such_function"))
        assert rpc.refused("call", call(missing), "latest").code == 21

    def test_a_batch_is_answered_in_full(self, rpc: Rpc) -> None:
        batch = [rpc.request(f"starknet_{m}", []) for m in ("chainId", "nothing", "blockNumber")]
        answers = {answer["id"]: answer for answer in rpc.post(batch)}
        first, second, third = (answers[request["id"]] for request in batch)
        assert first["result"] == rpc("chainId")
        assert second["error"]["code"] == -32601
        assert isinstance(third["result"], int)
