"""The Starknet adapter against the local node and anvil, where the port's suite does not reach."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from eth_typing import ChecksumAddress

from mmbot_pipelines.adapters.origins import starknet, starknet_age, starknet_events
from mmbot_pipelines.adapters.origins import starknet_escrow as abi
from mmbot_pipelines.adapters.origins.starknet_messages import ByMessage, MessageFeeOutOfRange
from mmbot_pipelines.bridge.escrow_faults import (
    EscrowDisagrees,
    EscrowPaused,
    OrderAbsent,
)
from mmbot_pipelines.bridge.order import Order, Status
from mmbot_pipelines.bridge.ports import Cursor, Progress
from mmbot_pipelines.core.errors import RpcUnavailable, Undelivered, Verdict
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.starknet_delivery import L1Link
from mmbot_pipelines.devnet.starknet_deploy import deploy_messaging
from mmbot_pipelines.devnet.starknet_felt import felt, felts
from tests.adapters.ethereum.fake_node import NOBODY
from tests.devnet.bridge import Devnet, running
from tests.ports.stages import claim, pay
from tests.ports.starknet_stage import StarknetStage, on_starknet


@pytest.fixture(scope="module")
def fresh() -> Iterator[tuple[Devnet, ChecksumAddress]]:
    with running() as devnet:
        yield devnet, deploy_messaging(devnet.deployment.l1)


@pytest.fixture
def stage(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetStage]:
    with on_starknet(*fresh) as stage:
        yield stage


@pytest.fixture
def linked(fresh: tuple[Devnet, ChecksumAddress]) -> Iterator[StarknetStage]:
    """Lend a Starknet that carries messages from L1 by itself."""
    devnet, messaging = fresh
    link = L1Link(rpc_url=devnet.deployment.l1.rpc_url, messaging=messaging, poll=0.02)
    with on_starknet(devnet, messaging, link) as stage:
        yield stage


def proved(stage: StarknetStage, orders: list[Order]) -> list[Order]:
    """Pay and claim orders, as the steps would leave them."""
    pay(stage, orders)
    hashes = claim(stage, orders)
    return [
        replace(order, status=Status.PROVED, claim_tx=tx)
        for order, tx in zip(orders, hashes, strict=True)
    ]


def named(stage: StarknetStage, orders: list[Order]) -> list[Order]:
    """Give orders what their claims go by."""
    seen = stage.origin.progress(orders)
    return [replace(o, claim_ref=p.ref) for o, p in zip(orders, seen, strict=True)]


def until(condition: Callable[[], Any], each: Callable[[], object] = lambda: None) -> None:
    """Await what the node does in its own time."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        each()
        time.sleep(0.02)


def held(stage: StarknetStage, ref: str | None) -> int:
    """Return fee + 1 while L1 keeps the message, 0 when it is consumed."""
    messaging = contract(stage.devnet.l1, "StarknetMessaging", stage.deployed.messaging)
    message = bytes.fromhex(str(ref).removeprefix("message 0x"))
    return int(messaging.functions.l1ToL2Messages(message).call())


# reading


def test_an_order_is_seen_before_its_block_is_sealed(stage: StarknetStage) -> None:
    head = stage.origin.head(Cursor.LATEST)
    (number,) = stage.show(1, amount=7, fee=3)
    (order,) = stage.origin.unsealed(head).orders
    assert (order.number, order.amount, order.fee) == (number, 7, 3)
    assert order.block == Block(head.number + 1, "pre_confirmed")
    assert stage.origin.scan(0, head.number).orders == []
    assert stage.origin.check([order]) == [None]
    stage.mine_l2(1)
    (sealed,) = stage.origin.scan(head.number + 1, head.number + 1).orders
    assert sealed.block == stage.origin.head(Cursor.LATEST)
    assert (sealed.key, sealed.set_order_tx) == (order.key, order.set_order_tx)
    assert stage.origin.unsealed(sealed.block).orders == []


def test_an_order_whose_unsealed_block_is_dropped_is_absent(stage: StarknetStage) -> None:
    head = stage.origin.head(Cursor.LATEST)
    stage.show(1)
    (order,) = stage.origin.unsealed(head).orders
    stage.node.devnet("reorg", depth=0)
    (failure,) = stage.origin.check([order])
    assert isinstance(failure, OrderAbsent)
    assert OrderAbsent.verdict is Verdict.LATER


def test_another_order_under_a_dropped_ones_id_is_not_taken_for_it(stage: StarknetStage) -> None:
    head = stage.origin.head(Cursor.LATEST)
    stage.show(1, amount=7)
    (order,) = stage.origin.unsealed(head).orders
    stage.node.devnet("reorg", depth=0)
    stage.show(1, amount=8)
    (failure,) = stage.origin.check([order])
    assert isinstance(failure, EscrowDisagrees)


def test_pages_and_the_reading_behind_the_head_lose_nothing(
    stage: StarknetStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starknet_events, "_PAGE", 4)
    for _ in range(3):
        stage.set_orders(6)
    head = stage.origin.head(Cursor.LATEST)
    assert [o.number for o in stage.origin.scan(0, head.number).orders] == list(range(18))
    stage.show(9)
    assert [o.number for o in stage.origin.unsealed(head).orders] == list(range(18, 27))


def test_malformed_events_of_any_shape_are_faults(stage: StarknetStage) -> None:
    key = felt(abi.SET_ORDER)
    good = [0, 0, 5, 1, 0, 1, 0]
    for keys, data in [([key, "0x1"], good), ([key], []), ([key], [*good[:2], 2**160, *good[3:]])]:
        stage.node.devnet("emitEvent", keys=keys, data=felts(data))
    stage.node.devnet("emitEvent", keys=["0x1"], data=[])  # another event altogether
    stage.set_orders(1)
    scan = stage.origin.scan(0, stage.origin.head(Cursor.LATEST).number)
    assert len(scan.orders) == 1
    assert [fault.kind for fault in scan.faults] == ["Malformed"] * 3
    assert len({fault.subject for fault in scan.faults}) == 3


def test_the_next_url_serves_when_the_first_does_not(stage: StarknetStage) -> None:
    orders = stage.set_orders(2)
    rpc = stage.client(NOBODY, stage.node.url)
    assert stage.starknet(rpc, stage.by_message).check(orders) == [None, None]
    with pytest.raises(RpcUnavailable, match=r"127\.0\.0\.1:1 unreachable"):
        stage.starknet(stage.client(NOBODY), stage.by_message).check(orders)


def test_blocks_and_heights(stage: StarknetStage) -> None:
    stage.mine_l2(15)
    head = stage.origin.head(Cursor.LATEST)
    assert stage.origin.final().number == head.number - 10
    before = stage.origin.blocks([head.number, head.number + 1, 3])
    assert before[0] == head
    assert before[1] is None
    stage.reorg_l2(2)
    after = stage.origin.blocks([head.number, head.number + 1, 3])
    assert after[0] != head
    assert after[2] == before[2]


def test_the_newest_blocks_time_is_told(stage: StarknetStage) -> None:
    stage.mine_l2(1)
    age = datetime.now(UTC) - starknet_age.newest_block(stage.l2)
    assert timedelta(seconds=-2) < age < timedelta(minutes=1)


# checks


def test_a_wallet_or_registry_of_others_names_both_and_the_setting(stage: StarknetStage) -> None:
    (order,) = stage.set_orders(1)
    other = stage.starknet(stage.l2, stage.by_message, wallet=Address("0x5"))
    (failure,) = other.check([order])
    assert str(failure).endswith("but MMBOT_STARKNET_WALLET_ADDRESS is 0x5")
    stranger = Address(account(5).address)
    stage.node.devnet("setRegistry", address=stranger)
    (failure,) = stage.origin.check([order])
    assert str(failure) == (
        f"the escrow {stage.deployed.escrow} obeys {stranger}, "
        f"but MMBOT_L1_REGISTRY_ADDRESS is {stage.registry.address}"
    )


# the message's fee


def estimated(stage: StarknetStage, order: Order) -> int:
    message = {
        "from_address": stage.registry.address,
        "to_address": felt(int(stage.deployed.escrow, 16)),
        "entry_point_selector": felt(abi.CLAIM),
        "payload": felts(abi.claim_payload(order)),
    }
    return int(stage.node("estimateMessageFee", message, "pre_confirmed")["overall_fee"], 16)


@pytest.mark.parametrize("margin", [0, 20, 33])
def test_the_fee_is_the_estimate_and_its_margin_to_the_wei(
    stage: StarknetStage, margin: int
) -> None:
    stage.node.devnet("setGasPrice", gas="l2_gas", wei=200_003)
    (order,) = stage.set_orders(1)
    priced = ByMessage(
        stage.l2,
        stage.l1,
        stage.registry,
        escrow=Address(stage.deployed.escrow),
        messaging=Address(stage.deployed.messaging),
        margin_percent=margin,
    )
    exact = estimated(stage, order) * (100 + margin)
    assert priced.message_fee([order], stage.chain.fees()) == [exact // 100 + (exact % 100 > 0)]


@pytest.mark.parametrize(("l1_gas", "others"), [(10**15, 10**5), (0, 0)])
def test_a_fee_that_starknet_does_not_take_is_a_clear_failure(
    stage: StarknetStage, l1_gas: int, others: int
) -> None:
    (order,) = stage.set_orders(1)
    for gas, price in (("l1_gas", l1_gas), ("l1_data_gas", others), ("l2_gas", others)):
        stage.node.devnet("setGasPrice", gas=gas, wei=price)
    for ask in (stage.origin.message_fee, stage.origin.claims):
        with pytest.raises(
            MessageFeeOutOfRange, match=r"at most 1 ETH \(1000000000000000000 wei\)"
        ):
            ask([order], stage.chain.fees())


def test_an_order_that_is_gone_spoils_no_neighbours_price(stage: StarknetStage) -> None:
    good = stage.set_orders(2)
    gone = replace(good[0], number=99)
    priced = stage.origin.message_fee([gone, *good], stage.chain.fees())
    assert priced == [priced[0]] * 3


def test_claims_that_cannot_be_priced_say_why(stage: StarknetStage) -> None:
    (order,) = stage.set_orders(1)
    gone = replace(order, number=99)
    with pytest.raises(OrderAbsent):
        stage.origin.message_fee([gone], stage.chain.fees())
    with pytest.raises(OrderAbsent):  # the milder of two
        stage.origin.message_fee(
            [replace(order, amount=order.amount + 1), gone], stage.chain.fees()
        )
    stage.pause()
    with pytest.raises(EscrowPaused):
        stage.origin.message_fee([order], stage.chain.fees())


# messages on their way


def test_a_claims_message_is_named_by_the_hash_that_l1_keeps_it_under(
    stage: StarknetStage,
) -> None:
    orders = proved(stage, stage.set_orders(3))
    refs = [p.ref for p in stage.origin.progress(orders)]
    assert len(set(refs)) == 3
    messaging = contract(stage.devnet.l1, "StarknetMessaging", stage.deployed.messaging)
    last = messaging.functions.l1ToL2MessageNonce().call() - 1
    expected = messaging.functions.messageHash(
        stage.registry.address,
        int(stage.deployed.escrow, 16),
        last,
        abi.CLAIM,
        abi.claim_payload(orders[-1]),
    ).call()
    assert refs[-1] == f"message 0x{expected.hex()}"
    assert all(held(stage, ref) > 1 for ref in refs)


def test_a_claim_that_is_not_mined_has_no_message_yet(stage: StarknetStage) -> None:
    (order,) = proved(stage, stage.set_orders(1))
    stage.reorg_l1(1)
    assert stage.origin.progress([order]) == [Progress()]
    other = replace(order, claim_tx=TxHash("0x" + "ab" * 32))
    assert stage.origin.progress([other]) == [Progress()]


def test_a_message_that_a_reorg_of_l1_numbered_anew_is_not_lost(stage: StarknetStage) -> None:
    (order,) = named(stage, proved(stage, stage.set_orders(1)))
    before = replace(order, claim_ref=f"message 0x{'ab' * 32}")  # which L1 does not keep
    (seen,) = stage.origin.progress([before])
    assert (seen.ref, seen.lost) == (order.claim_ref, None)
    assert stage.origin.progress([order]) == [Progress()]


def test_a_message_of_another_order_is_not_taken_for_it(stage: StarknetStage) -> None:
    first, second = proved(stage, stage.set_orders(2))
    swapped = replace(first, claim_tx=second.claim_tx)
    assert stage.origin.progress([swapped]) == [Progress()]


def test_a_message_on_its_way_is_not_lost(linked: StarknetStage) -> None:
    linked.node.devnet("setDelivery", mode="withhold")
    orders = named(linked, proved(linked, linked.set_orders(2)))
    assert linked.origin.progress(orders) == [Progress(), Progress()]


def test_a_delivered_message_settles_only_when_its_block_is_sealed(
    linked: StarknetStage,
) -> None:
    (order,) = named(linked, proved(linked, linked.set_orders(1)))
    until(lambda: held(linked, order.claim_ref) == 0, linked.mine)
    assert linked.origin.settled([order]) == [None]
    assert linked.origin.progress([order]) == [Progress()]
    linked.mine_l2(1)
    assert linked.origin.settled([order]) != [None]


def test_a_message_that_failed_on_starknet_is_proven_lost(linked: StarknetStage) -> None:
    good, bad = linked.set_orders(2)
    (good,) = named(linked, proved(linked, [good]))
    until(lambda: held(linked, good.claim_ref) == 0, linked.mine)
    linked.mine_l2(1)
    linked.node.devnet("setDelivery", mode="fail")
    (bad,) = named(linked, proved(linked, [bad]))
    until(lambda: held(linked, bad.claim_ref) == 0, linked.mine)
    linked.mine_l2(1)
    of_good, of_bad = linked.origin.progress([good, bad])
    assert of_good.lost is None
    assert isinstance(of_bad.lost, Undelivered)
    assert f"the claim's {bad.claim_ref} is consumed on L1" in str(of_bad.lost)
    linked.node.devnet("setDelivery", mode="deliver")
    (again,) = named(linked, proved_again(linked, bad))
    assert again.claim_ref != bad.claim_ref
    until(lambda: held(linked, again.claim_ref) == 0, linked.mine)
    linked.mine_l2(1)
    assert linked.origin.settled([again]) != [None]


def proved_again(stage: StarknetStage, order: Order) -> list[Order]:
    (tx,) = claim(stage, [order])
    return [replace(order, claim_tx=tx, claim_ref=None)]


def test_a_message_is_not_asked_after_at_every_look(stage: StarknetStage) -> None:
    now = [0.0]
    patient = ByMessage(
        stage.l2,
        stage.l1,
        stage.registry,
        escrow=Address(stage.deployed.escrow),
        messaging=Address(stage.deployed.messaging),
        margin_percent=0,
        look_seconds=10,
        clock=lambda: now[0],
    )
    orders = named(stage, proved(stage, stage.set_orders(2)))
    with counted(stage) as asked:
        for now[0] in (0.0, 3.0, 9.0):
            patient.progress(orders)
        assert sum(asked) == 4  # a receipt and a view for each
        now[0] = 10.0
        patient.progress(orders)
        assert sum(asked) == 8


@contextmanager
def counted(stage: StarknetStage) -> Iterator[list[int]]:
    """Count what L1 is asked."""
    asked: list[int] = []
    batch = stage.l1.batch
    stage.l1.batch = lambda questions: asked.append(len(questions)) or batch(questions)  # type: ignore[method-assign, func-returns-value]
    yield asked


# settlement


def test_payments_long_ago_are_found_too(
    stage: StarknetStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starknet, "_NEAR", 3)
    old = stage.set_orders(2)
    pay(stage, old[:1])
    claim(stage, old[:1])
    stage.deliver()
    stage.mine_l2(30)
    new = stage.set_orders(1)
    pay(stage, new)
    claim(stage, new)
    stage.deliver()
    first, none, last = stage.origin.settled([*old, *new])
    assert first is not None
    assert none is None
    assert last is not None
    assert first != last


def test_a_burst_of_orders_is_read_checked_and_settled(stage: StarknetStage) -> None:
    orders = stage.set_orders(30)
    assert stage.origin.check(orders) == [None] * 30
    pay(stage, orders)
    claim(stage, orders)
    stage.deliver()
    assert len({tx for tx in stage.origin.settled(orders) if tx}) == 30
