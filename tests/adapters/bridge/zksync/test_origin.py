"""What the zkSync origin makes of nodes that refuse or lie."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from eth_abi import encode

from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.evm.contracts import Function
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowNotOurs, EscrowPaused, PaidElsewhere
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import Malformed, RpcRefused, RpcUnavailable
from mmbot_pipelines.core.money import UINT256_MAX, Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block, Fees
from tests.adapters.evm.log_node import LogNode
from tests.adapters.rpc.fake_node import FakeNode, Refusal, fake_node, word

REGISTRY = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
RECIPIENT = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
WALLET = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
ESCROW = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))
ORDER = Order(
    origin="zksync",
    number=7,
    recipient=RECIPIENT,
    amount=Wei(1000),
    fee=Wei(10),
    block=Block(50, word(50)),
    set_order_tx=TxHash(word(50)),
    changed_at=NOW,
)


class EscrowNode(LogNode):
    """An L2 with an escrow that holds ORDER, and logs `events`, by block."""

    def __init__(self, node: FakeNode) -> None:
        super().__init__(node, head=100)
        self.node = node
        self.events: dict[int, bytes] = {}
        self.views: dict[bytes, Any] = {
            abi.WALLET.selector: encode(["address"], [WALLET]),
            abi.REGISTRY.selector: encode(["address"], [abi.aliased(REGISTRY)]),
            abi.PAUSED.selector: encode(["bool"], [False]),
            abi.GET_ORDER.selector: encode(abi.GET_ORDER.gives, [RECIPIENT, 1000, 10]),
            abi.IS_ORDER_PENDING.selector: encode(["bool"], [True]),
        }
        self.asked_at: list[str] = []
        node.methods["eth_call"] = self.call

    def call(self, fields: dict[str, str], block: str) -> str:
        self.asked_at.append(block)
        data = bytes.fromhex(fields["data"][2:])
        answer = self.views[data[:4]]
        if callable(answer):
            answer = answer(int.from_bytes(data[4:36], "big"))
        if isinstance(answer, Refusal):
            raise answer
        return "0x" + answer.hex()

    def logs(self, wanted: dict[str, Any]) -> Any:
        topic = {"topics": wanted["topics"]}
        return [
            log | topic | {"data": "0x" + self.events[number].hex()}
            for log in super().logs(wanted)
            if (number := int(log["blockNumber"], 16)) in self.events
        ]


@pytest.fixture
def l2() -> Iterator[EscrowNode]:
    with fake_node() as node:
        yield EscrowNode(node)


@pytest.fixture
def l1() -> Iterator[FakeNode]:
    with fake_node() as node:
        yield node


@pytest.fixture
def origin(l1: FakeNode, l2: EscrowNode) -> ZkSyncOrigin:
    on_l1 = Rpc([l1.url], chain="L1", chain_id=1)
    return ZkSyncOrigin(
        Rpc([l2.node.url], chain="zksync", chain_id=1),
        on_l1,
        REGISTRY,
        escrow=ESCROW,
        diamond=REGISTRY,
        wallet=WALLET,
        start=0,
        accepted=3,
        clock=lambda: NOW,
    )


def set_order(number: int, amount: int = 1000) -> bytes:
    types = ["uint256", "address", "uint256", "uint256"]
    return encode(types, [number, RECIPIENT, amount, 10])


def paid(amount: int, number: int = 7, wallet: Address = WALLET) -> bytes:
    return encode(["uint256", "address", "uint256"], [number, wallet, amount])


# --- scan


def test_scan_stamps_orders_with_the_clock(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    l2.events = {5: set_order(0), 6: b"\1", 7: set_order(UINT256_MAX)}
    scan = origin.scan(0, 100)
    assert [(o.number, o.block.number) for o in scan.orders] == [(0, 5), (UINT256_MAX, 7)]
    assert {o.changed_at for o in scan.orders} == {NOW}
    assert [f.subject for f in scan.faults] == [f"zksync:{word(6)}:0"]
    assert scan.last == Block(100, word(100))


def test_outage_is_no_empty_scan(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    l2.node.status = 502
    with pytest.raises(RpcUnavailable, match="no RPC node of zksync answered"):
        origin.scan(0, 100)
    with pytest.raises(RpcUnavailable):
        origin.head(Cursor.LATEST)


# --- check


def test_check_asks_everything_at_one_block(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    assert origin.check([ORDER] * 40) == [None] * 40
    assert set(l2.asked_at) == {hex(100)}
    assert len(l2.node.requests) == 5  # chain id, head, terms, and 80 views in two


def test_refusal_of_one_order_stands_in_its_place(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    good = l2.views[abi.GET_ORDER.selector]
    refusal = Refusal(-32000, "timeout")
    l2.views[abi.GET_ORDER.selector] = lambda number: refusal if number == 8 else good
    first, second, third = origin.check([ORDER, replace(ORDER, number=8), replace(ORDER, number=9)])
    assert (first, third) == (None, None)
    assert isinstance(second, RpcRefused)
    assert "get_order of the escrow" in str(second)


@pytest.mark.parametrize("view", [abi.GET_ORDER, abi.IS_ORDER_PENDING, abi.WALLET, abi.REGISTRY])
@pytest.mark.parametrize("answer", [b"", b"\xff" * 32, b"\0" * 31, b"\xff" * 96])
def test_answer_that_cannot_be_passes_nothing(
    l2: EscrowNode, origin: ZkSyncOrigin, view: Function, answer: bytes
) -> None:
    l2.views[view.selector] = answer
    (failure,) = origin.check([ORDER])
    of_one = view in (abi.GET_ORDER, abi.IS_ORDER_PENDING)
    assert isinstance(failure, Malformed if of_one else EscrowNotOurs)
    assert view.name in str(failure)


def test_refused_terms_pass_nothing(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    l2.views[abi.WALLET.selector] = Refusal(-32000, "timeout")
    assert [type(f) for f in origin.check([ORDER] * 2)] == [RpcRefused] * 2


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (encode(["bool"], [True]), EscrowPaused),
        (encode(["uint256"], [2]), EscrowNotOurs),
        (Refusal(-32602, "no such argument"), RpcRefused),  # not the absence of a pause
        (Refusal(3, "execution reverted", "0x"), None),
        (Refusal(-32000, "execution reverted"), None),
        (b"", None),
    ],
)
def test_only_a_contract_without_a_pause_is_never_paused(
    l2: EscrowNode, origin: ZkSyncOrigin, answer: Any, failure: type[Exception] | None
) -> None:
    l2.views[abi.PAUSED.selector] = answer
    (found,) = origin.check([ORDER])
    assert failure is None if found is None else type(found) is failure


# --- claims


def test_message_is_priced_once_for_all_orders(l1: FakeNode, origin: ZkSyncOrigin) -> None:
    seen = []
    l1.methods["eth_call"] = lambda call, _: seen.append(call["data"]) or word(1234)
    assert origin.message_fee([ORDER] * 9, FEES) == [1234] * 9
    assert seen == ["0xb473318e" + "".join(word(n)[2:] for n in (21, 1_000_000, 800))]


def test_price_that_the_diamond_refuses_is_one_line(l1: FakeNode, origin: ZkSyncOrigin) -> None:
    def call(*_: Any) -> None:
        raise Refusal(3, "execution reverted: too cheap")

    l1.methods["eth_call"] = call
    with pytest.raises(RpcRefused, match="cannot be read: too cheap"):
        origin.claims([ORDER], FEES)


@pytest.mark.parametrize(
    ("view", "answer", "failure"),
    [
        (abi.PAUSED, encode(["bool"], [True]), EscrowPaused),
        (abi.WALLET, encode(["address"], [REGISTRY]), EscrowNotOurs),
    ],
)
def test_no_claim_is_built_for_an_escrow_that_would_not_pay_us_now(
    l2: EscrowNode,
    origin: ZkSyncOrigin,
    view: Function,
    answer: bytes,
    failure: type[Exception],
) -> None:
    l2.views[view.selector] = answer
    assert [type(claim) for claim in origin.claims([ORDER] * 2, FEES)] == [failure] * 2


# --- settlement


def paid_in(block: int) -> Settlement:
    return Settlement(TxHash(word(block)), Block(block, word(block)))


@pytest.fixture
def claimed(l2: EscrowNode) -> EscrowNode:
    l2.views[abi.IS_ORDER_PENDING.selector] = encode(["bool"], [False])
    return l2


@pytest.mark.parametrize("amount", [1000, 1010])  # with and without the fee
def test_payment_settles_whatever_amount_the_escrow_logs(
    claimed: EscrowNode, origin: ZkSyncOrigin, amount: int
) -> None:
    claimed.events = {70: paid(amount)}
    assert origin.settled([ORDER]) == [paid_in(70)]


def test_payment_to_another_wallet_is_named(claimed: EscrowNode, origin: ZkSyncOrigin) -> None:
    claimed.events = {70: paid(1000, wallet=RECIPIENT)}
    (seen,) = origin.settled([ORDER])
    assert isinstance(seen, PaidElsewhere)
    assert RECIPIENT in str(seen)


@pytest.mark.parametrize("event", [paid(999), paid(1005), paid(1000, number=8), b"\1" * 95])
def test_event_of_something_else_settles_nothing(
    claimed: EscrowNode, origin: ZkSyncOrigin, event: bytes
) -> None:
    claimed.events = {70: event}
    assert origin.settled([ORDER]) == [None]


def test_event_alone_settles_nothing(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    l2.events = {70: paid(1000)}  # while the escrow still shows the order as pending
    assert origin.settled([ORDER]) == [None]


def test_payment_before_the_order_was_set_is_of_another_life(
    claimed: EscrowNode, origin: ZkSyncOrigin
) -> None:
    claimed.events = {49: paid(1000)}
    assert origin.settled([ORDER]) == [None]
    claimed.events = {50: paid(1000)}
    assert origin.settled([ORDER]) == [paid_in(50)]


def test_pending_orders_cost_no_reading_of_logs(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    assert origin.settled([ORDER] * 3) == [None] * 3
    assert l2.ranges == []


def test_refusal_is_not_taken_for_unsettled(l2: EscrowNode, origin: ZkSyncOrigin) -> None:
    l2.views[abi.IS_ORDER_PENDING.selector] = Refusal(-32000, "timeout")
    with pytest.raises(RpcRefused, match="timeout"):
        origin.settled([ORDER])
