"""How the Starknet origin reads events and blocks, also from nodes that lie."""

from dataclasses import replace
from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet import events
from mmbot_pipelines.adapters.bridge.starknet.events import UNSEALED
from mmbot_pipelines.adapters.rpc.nodes import ReorgDuringRead
from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.outbox import Block
from tests.adapters.bridge.starknet.starknet_origin import origin
from tests.adapters.rpc.fake_node import refuse
from tests.adapters.starknet.starknet_fakes import ORDER, StarknetFake, data_of, emitted


def numbers(orders: list[Order]) -> list[int]:
    return [order.number for order in orders]


def test_events_are_read_by_address_and_key_over_all_pages(node: StarknetFake) -> None:
    node.pages = [
        [emitted(data_of(replace(ORDER, number=n)), block=50 + n, event_index=n)] for n in range(4)
    ]
    node.pages.insert(2, [])  # nodes that search a part of the range answer empty pages
    scan = origin(node).scan(40, 90)
    assert numbers(scan.orders) == [0, 1, 2, 3]
    assert scan.last == Block(90, word(90))
    first = node.filters[0]
    assert (first["address"], first["keys"]) == (hex(0xE5C), [[hex(abi.SET_ORDER)]])
    assert (first["from_block"], first["to_block"]) == ({"block_number": 40}, {"block_number": 90})
    assert [f.get("continuation_token") for f in node.filters] == [None, "1", "2", "3", "4"]


def test_a_range_is_bounded(node: StarknetFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MAX_BLOCKS", 10)
    assert origin(node).scan(40, 100).last == Block(49, word(49))


def test_pages_without_end_are_a_fault(node: StarknetFake, monkeypatch: pytest.MonkeyPatch) -> None:
    node.pages = [[], []]
    node.node.methods["starknet_getEvents"] = lambda **_: {"events": [], "continuation_token": "x"}
    with pytest.raises(RpcUnavailable, match="pages of events without end"):
        origin(node).scan(40, 90)
    tokens = iter(range(10**6))
    node.node.methods["starknet_getEvents"] = lambda **_: {
        "events": [],
        "continuation_token": str(next(tokens)),
    }
    monkeypatch.setattr(events, "_MAX_PAGES", 5)
    with pytest.raises(RpcUnavailable, match="pages of events without end"):
        origin(node).scan(40, 90)


@pytest.mark.parametrize(
    "lie",
    [
        {"from_address": "0x1"},
        {"keys": ["0x1"]},
        {"keys": []},
        {"block_number": 39},
        {"block_number": 91},
        {"block_number": 90, "block_hash": "0x1"},
        {"block_number": None},
        {"block_hash": None},
    ],
)
def test_an_event_that_was_not_asked_for_is_never_an_order(
    node: StarknetFake, spare: StarknetFake, lie: dict[str, Any]
) -> None:
    event = emitted(data_of(ORDER)) | lie
    node.pages = [[{key: value for key, value in event.items() if value is not None}]]
    with pytest.raises(RpcUnavailable):
        origin(node).scan(40, 90)
    assert origin(node, spare).scan(40, 90).orders == []


def test_a_node_that_is_behind_is_passed_over(node: StarknetFake, spare: StarknetFake) -> None:
    node.head = 80
    spare.pages = [[emitted(data_of(ORDER))]]
    assert numbers(origin(node, spare).scan(40, 90).orders) == [7]
    with pytest.raises(RpcUnavailable, match="is at block 80, behind 90"):
        origin(node).scan(40, 90)


def test_a_block_that_is_replaced_while_it_is_read_is_read_again(node: StarknetFake) -> None:
    hashes = iter(["0xa", "0xb", "0xb", "0xb"])
    place = node.place
    node.place = lambda n: place(n) | {"block_hash": next(hashes)}
    assert origin(node).scan(40, 100).last == Block(100, word(0xB))


def test_blocks_that_keep_changing_are_read_later(node: StarknetFake) -> None:
    hashes = iter(range(1, 1000))
    place = node.place
    node.place = lambda n: place(n) | {"block_hash": hex(next(hashes))}
    with pytest.raises(ReorgDuringRead, match="starknet replaced block 100"):
        origin(node).scan(40, 100)


def test_an_unsealed_order_has_a_number_but_no_hash(node: StarknetFake) -> None:
    head = Block(100, word(100))
    node.pages = [
        [
            emitted(data_of(ORDER), block=101),  # sealed since the head was read
            emitted(data_of(replace(ORDER, number=8)), block=None, block_number=102),
            emitted(data_of(replace(ORDER, number=9)), block=None),
        ]
    ]
    scan = origin(node).unsealed(head)
    assert scan.last == head
    assert [(o.number, o.block) for o in scan.orders] == [
        (7, Block(101, word(101))),
        (8, Block(102, UNSEALED)),
        (9, Block(101, UNSEALED)),
    ]
    (asked,) = node.filters
    assert (asked["from_block"], asked["to_block"]) == ({"block_number": 101}, "pre_confirmed")


def test_a_node_without_an_unsealed_block_shows_no_orders(node: StarknetFake) -> None:
    node.node.methods["starknet_getEvents"] = refuse(24, "Block not found")
    assert origin(node).unsealed(Block(100, word(100))).orders == []


def test_an_older_event_is_not_behind_the_head(node: StarknetFake) -> None:
    node.pages = [[emitted(data_of(ORDER), block=100)]]
    with pytest.raises(RpcUnavailable, match="blocks that were not asked for"):
        origin(node).unsealed(Block(100, word(100)))


def test_blocks_are_returned_as_they_are_now(node: StarknetFake) -> None:
    reported = origin(node).blocks([5, 100, 101, 5])
    assert reported == [Block(5, word(5)), Block(100, word(100)), None, Block(5, word(5))]
    assert origin(node).blocks([]) == []


def test_heads(node: StarknetFake) -> None:
    assert origin(node).head(Cursor.LATEST) == origin(node).head(Cursor.ACCEPTED)
    assert origin(node).final() == Block(100, word(100))
