"""What the Starknet origin makes of nodes that refuse or lie."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mmbot_pipelines.adapters.ethereum.quorum import RpcDisagrees
from mmbot_pipelines.adapters.origins import starknet_escrow as abi
from mmbot_pipelines.adapters.origins import starknet_events
from mmbot_pipelines.adapters.origins.starknet import Starknet
from mmbot_pipelines.adapters.origins.starknet_events import UNSEALED, TornByReorg
from mmbot_pipelines.adapters.origins.starknet_node import word
from mmbot_pipelines.bridge.escrow_faults import EscrowDisagrees, EscrowPaused
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.ports import Cursor, Progress
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused, RpcUnavailable
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Block, Fees
from tests.adapters.ethereum.fake_node import Refusal
from tests.adapters.origins.starknet_fakes import (
    ESCROW,
    NOBODY,
    NOW,
    ORDER,
    REGISTRY,
    WALLET,
    StarknetFake,
    client,
    data_of,
    emitted,
    starknet_fake,
)

NO_ENTRYPOINT = int.from_bytes(b"ENTRYPOINT_NOT_FOUND")
FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))


class NoRepayment:
    """Prices nothing, because no claim can be estimated."""

    claim_gas = Gas(1)

    def message_fee(self, orders: list[Order], fees: Fees) -> list[Wei]:
        raise RpcRefused("a claim's message cannot be priced")

    def claims(self, orders: list[Order], fees: Fees) -> list[Failure]:
        return [RpcRefused("no") for _ in orders]

    def progress(self, orders: list[Order]) -> list[Progress]:
        return [Progress()] * len(orders)


@pytest.fixture
def node() -> Iterator[StarknetFake]:
    with starknet_fake() as fake:
        yield fake


@pytest.fixture
def spare() -> Iterator[StarknetFake]:
    with starknet_fake() as fake:
        yield fake


def origin(*nodes: StarknetFake | str, quorum: int = 1, **changes: Any) -> Starknet:
    given = {"escrow": ESCROW, "wallet": WALLET, "registry": REGISTRY, "start": 0} | changes
    rpc = given.pop("rpc", None) or client(*nodes, quorum=quorum)
    return Starknet(rpc, NoRepayment(), clock=lambda: NOW, **given)  # type: ignore[arg-type]


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
    monkeypatch.setattr(starknet_events, "_MOST_BLOCKS", 10)
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
    monkeypatch.setattr(starknet_events, "_MOST_PAGES", 5)
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
    node.place = lambda n: place(n) | {"block_hash": next(hashes)}  # type: ignore[method-assign]
    assert origin(node).scan(40, 100).last == Block(100, word(0xB))


def test_blocks_that_never_rest_are_read_later(node: StarknetFake) -> None:
    hashes = iter(range(1, 1000))
    place = node.place
    node.place = lambda n: place(n) | {"block_hash": hex(next(hashes))}  # type: ignore[method-assign]
    with pytest.raises(TornByReorg, match="starknet replaced block 100"):
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
    def refuse(**_: Any) -> None:
        raise Refusal(24, "Block not found")

    node.node.methods["starknet_getEvents"] = refuse
    assert origin(node).unsealed(Block(100, word(100))).orders == []


def test_an_older_event_is_not_behind_the_head(node: StarknetFake) -> None:
    node.pages = [[emitted(data_of(ORDER), block=100)]]
    with pytest.raises(RpcUnavailable, match="blocks that were not asked for"):
        origin(node).unsealed(Block(100, word(100)))


def test_blocks_are_told_as_they_are_now(node: StarknetFake) -> None:
    told = origin(node).blocks([5, 100, 101, 5])
    assert told == [Block(5, word(5)), Block(100, word(100)), None, Block(5, word(5))]
    assert origin(node).blocks([]) == []


def test_heads(node: StarknetFake) -> None:
    assert origin(node).head(Cursor.LATEST) == origin(node).head(Cursor.ACCEPTED)
    assert origin(node).final() == Block(100, word(100))


def test_a_good_order_passes(node: StarknetFake) -> None:
    assert origin(node).check([ORDER]) == [None]


@pytest.mark.parametrize(
    "no_such_view",
    [
        Refusal(21, "Requested entrypoint does not exist in the contract"),
        Refusal(40, "Contract error", {"revert_error": "ENTRYPOINT_NOT_FOUND"}),
        Refusal(40, "Contract error", {"revert_error": {"error": f"0x{NO_ENTRYPOINT:x}"}}),
    ],
)
def test_an_escrow_without_a_pause_counts_as_not_paused(
    node: StarknetFake, no_such_view: Refusal
) -> None:
    node.views[abi.PAUSED] = no_such_view
    assert origin(node).check([ORDER]) == [None]


def test_a_pause_that_cannot_be_read_passes_nothing(node: StarknetFake) -> None:
    node.views[abi.PAUSED] = Refusal(40, "Contract error", {"revert_error": "out of gas"})
    (failure,) = origin(node).check([ORDER])
    assert isinstance(failure, RpcRefused)
    assert "is_paused of the escrow" in str(failure)
    assert "out of gas" in str(failure)


@pytest.mark.parametrize(
    ("view", "answer", "kind"),
    [
        (abi.WALLET, [], Malformed),
        (abi.WALLET, Refusal(20, "Contract not found"), RpcRefused),
        (abi.REGISTRY, [2**160], Malformed),
        (abi.PAUSED, [2], Malformed),
        (abi.GET_ORDER, [1, 2, 3], Malformed),
        (abi.GET_ORDER, [1, 2**128, 0, 0, 0], Malformed),
        (abi.GET_ORDER_PENDING, [7], Malformed),
        (abi.GET_ORDER_PENDING, Refusal(40, "Contract error", {"revert_error": "x"}), RpcRefused),
    ],
)
def test_a_view_that_answers_nonsense_passes_nothing(
    node: StarknetFake, view: int, answer: Any, kind: type[Failure]
) -> None:
    node.views[view] = answer
    (failure,) = origin(node).check([ORDER])
    assert isinstance(failure, kind)
    assert "\n" not in str(failure)


def test_what_cannot_be_priced_is_explained_by_the_escrow(node: StarknetFake) -> None:
    node.views[abi.PAUSED] = [1]
    with pytest.raises(EscrowPaused):
        origin(node).message_fee([ORDER], FEES)
    node.views[abi.PAUSED] = [0]
    with pytest.raises(RpcRefused, match="cannot be priced"):
        origin(node).message_fee([ORDER], FEES)


def payment(number: int, wallet: int, amount: int, block: int = 60) -> dict[str, Any]:
    data = [*abi.halves(number), wallet, *abi.halves(amount)]
    return emitted(data, block=block, keys=[hex(abi.CLAIM_PAYMENT)], transaction_hash="0x99")


@pytest.mark.parametrize("amount", [1000, 1010])
def test_a_payment_to_us_settles_with_or_without_the_fee(node: StarknetFake, amount: int) -> None:
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[payment(7, int(WALLET, 16), amount)]]
    assert origin(node).settled([ORDER]) == [word(0x99)]


@pytest.mark.parametrize(
    "event",
    [payment(7, 0xBAD, 1000), payment(8, 0xA11, 1000), payment(7, 0xA11, 1001)],
)
def test_another_payment_settles_nothing(node: StarknetFake, event: dict[str, Any]) -> None:
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[event, emitted([1], block=60, keys=[hex(abi.CLAIM_PAYMENT)])]]
    assert origin(node).settled([ORDER]) == [None]


def test_an_order_that_is_pending_is_not_settled_whatever_is_logged(node: StarknetFake) -> None:
    node.pages = [[payment(7, 0xA11, 1000)]]
    assert origin(node).settled([ORDER]) == [None]


def test_payments_are_read_in_one_request_and_not_before_the_orders(node: StarknetFake) -> None:
    orders = [replace(ORDER, number=n, block=Block(60 + n, word(n))) for n in range(50)]
    assert origin(node).settled(orders) == [None] * 50
    assert [f["from_block"] for f in node.filters] == [{"block_number": 40}]
    assert "starknet_call" not in node.node.asked


def test_an_order_that_waits_for_long_costs_no_long_search(node: StarknetFake) -> None:
    node.head = 10_000
    assert origin(node).settled([ORDER]) == [None]
    assert node.filters == []
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[payment(7, 0xA11, 1000)]]
    assert origin(node).settled([ORDER]) == [word(0x99)]


def test_an_escrow_that_cannot_be_read_settles_nothing(node: StarknetFake) -> None:
    node.pages = [[payment(7, 0xA11, 1000)]]
    node.views[abi.GET_ORDER] = Refusal(24, "Block not found")
    with pytest.raises(RpcRefused, match="get_order of the escrow"):
        origin(node).settled([ORDER])


def test_an_address_is_compared_as_a_number(node: StarknetFake) -> None:
    short = Address("0xa11")
    assert origin(node, wallet=short).check([ORDER]) == [None]


def test_every_witness_must_hold_the_order(node: StarknetFake, spare: StarknetFake) -> None:
    assert origin(node, spare, quorum=2).check([ORDER]) == [None]
    spare.views[abi.GET_ORDER] = data_of(replace(ORDER, amount=Wei(1)))[2:]
    assert origin(node, spare).check([ORDER]) == [None]
    (failure,) = origin(node, spare, quorum=2).check([ORDER])
    assert isinstance(failure, RpcDisagrees)  # one of them lies, or is behind: no one is parked
    assert "different things against starknet:7: nothing; EscrowDisagrees: the" in str(failure)
    node.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER]
    (failure,) = origin(node, spare, quorum=2).check([ORDER])
    assert isinstance(failure, EscrowDisagrees)


def test_a_witness_alone_neither_parks_nor_fails_an_order(
    node: StarknetFake, spare: StarknetFake
) -> None:
    node.views[abi.GET_ORDER_PENDING] = spare.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = spare.pages = [[payment(7, 0xA11, 1000)]]
    truth, spare.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER], [2**160, 0, 0, 0, 0]
    with pytest.raises(RpcDisagrees, match="1 answered, others say get_order"):
        origin(node, spare, quorum=2).settled([ORDER])
    node.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER]
    with pytest.raises(Malformed):
        origin(node, spare, quorum=2).settled([ORDER])
    node.views[abi.GET_ORDER] = spare.views[abi.GET_ORDER] = truth
    assert origin(node, spare, quorum=2).settled([ORDER]) == [word(0x99)]


def test_a_witness_that_is_away_is_replaced_or_missed(
    node: StarknetFake, spare: StarknetFake
) -> None:
    assert origin(node, NOBODY, spare, quorum=2).check([ORDER]) == [None]
    with pytest.raises(RpcUnavailable, match="1 of the 2 nodes of starknet that MMBOT_RPC_QUORUM"):
        origin(node, NOBODY, quorum=2).check([ORDER])
    with pytest.raises(RpcUnavailable, match="1 of the 2 nodes"):
        origin(node, node, quorum=2).check([ORDER])  # one node is one witness


def test_every_witness_must_have_seen_the_payment(node: StarknetFake, spare: StarknetFake) -> None:
    node.views[abi.GET_ORDER_PENDING] = [0]
    node.pages = [[payment(7, 0xA11, 1000)]]
    assert origin(node, spare).settled([ORDER]) == [word(0x99)]
    assert origin(node, spare, quorum=2).settled([ORDER]) == [None]
    spare.views[abi.GET_ORDER_PENDING] = [0]
    spare.pages = [[payment(7, 0xA11, 1000) | {"transaction_hash": "0x98"}]]
    assert origin(node, spare, quorum=2).settled([ORDER]) == [None]
    spare.pages = node.pages
    assert origin(node, spare, quorum=2).settled([ORDER]) == [word(0x99)]
