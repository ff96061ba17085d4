"""What every `bridge.ports.Origin` does."""

from dataclasses import replace

from mmbot_pipelines.bridge.chain_ports import Settlement
from mmbot_pipelines.bridge.escrow_faults import (
    AlreadyClaimed,
    EscrowDisagrees,
    EscrowNotOurs,
    EscrowPaused,
    OrderAbsent,
    PaidElsewhere,
)
from mmbot_pipelines.bridge.lifecycle import Status
from mmbot_pipelines.bridge.ports import Cursor
from mmbot_pipelines.core.errors import RevertForeseen, Verdict
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call
from tests.ports.origin_memory import RECIPIENT
from tests.ports.stages import Stage, claim, pay


def whole(stage: Stage) -> tuple[int, int]:
    return stage.origin.start, stage.origin.head(Cursor.LATEST).number


def test_scan_finds_orders_as_they_were_set(stage: Stage) -> None:
    stage.set_orders(2, amount=7, fee=3)
    head = stage.origin.head(Cursor.LATEST)
    scan = stage.origin.scan(*whole(stage))
    assert scan.last == head
    assert scan.faults == []
    assert [o.number for o in scan.orders] == [0, 1]
    for order in scan.orders:
        assert (order.amount, order.fee, order.recipient) == (7, 3, RECIPIENT)
        assert (order.block, order.status, order.attempt) == (head, Status.PENDING, 1)
        assert order.key == f"{stage.origin.name}:{order.number}"
    assert len({o.set_order_tx for o in scan.orders}) == 2


def test_nothing_is_behind_the_newest_block_when_it_is_sealed(stage: Stage) -> None:
    stage.set_orders(1)
    head = stage.origin.head(Cursor.LATEST)
    scan = stage.origin.unsealed(head)
    assert (scan.last, scan.orders, scan.faults) == (head, [], [])


def test_scan_keeps_to_its_range(stage: Stage) -> None:
    (first,) = stage.set_orders(1)
    (second,) = stage.set_orders(1)
    only = stage.origin.scan(first.block.number, first.block.number)
    assert [o.number for o in only.orders] == [first.number]
    assert only.last == first.block
    rest = stage.origin.scan(first.block.number + 1, second.block.number)
    assert [o.number for o in rest.orders] == [second.number]


def test_malformed_event_is_a_fault_and_stops_no_order(stage: Stage) -> None:
    stage.set_orders(1)
    stage.garble()
    stage.set_orders(1)
    scan = stage.origin.scan(*whole(stage))
    assert [o.number for o in scan.orders] == [0, 1]
    (fault,) = scan.faults
    assert (fault.step, fault.kind) == ("scan", "Malformed")
    assert fault.subject.startswith(f"{stage.origin.name}:0x")
    assert "of data instead of" in fault.message


def test_accepted_blocks_are_behind_the_newest(stage: Stage) -> None:
    stage.mine_l2(stage.accepted_depth + 1)
    newest, accepted = stage.origin.head(Cursor.LATEST), stage.origin.head(Cursor.ACCEPTED)
    assert newest.number - accepted.number == stage.accepted_depth
    assert stage.origin.scan(accepted.number, accepted.number).last == accepted


def test_final_blocks_are_in_the_chain_and_behind_the_newest(stage: Stage) -> None:
    stage.mine_l2(70)
    newest, final = stage.origin.head(Cursor.LATEST), stage.origin.final()
    assert stage.origin.start < final.number < newest.number
    assert stage.origin.blocks([final.number]) == [final]
    stage.mine_l2(3)
    assert stage.origin.final().number == final.number + 3


def test_reorg_takes_orders_back(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    stage.reorg_l2(1)
    scan = stage.origin.scan(*whole(stage))
    assert scan.orders == []
    assert (scan.last.number, scan.last.hash != order.block.hash) == (order.block.number, True)
    assert isinstance(stage.origin.check([order])[0], OrderAbsent)


def test_blocks_are_as_the_chain_has_them_now(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    number = order.block.number
    assert stage.origin.blocks([number, number + 1, number]) == [order.block, None, order.block]
    stage.reorg_l2(1)
    (now,) = stage.origin.blocks([number])
    assert now is not None
    assert now.number == number
    assert now != order.block
    assert stage.origin.blocks([]) == []


def test_fresh_orders_pass_the_check(stage: Stage) -> None:
    assert stage.origin.check(stage.set_orders(3)) == [None] * 3
    assert stage.origin.check([]) == []


def test_check_finds_the_one_that_differs(stage: Stage) -> None:
    order, other = stage.set_orders(2)
    changed = [
        replace(order, amount=Wei(order.amount + 1)),
        replace(order, fee=Wei(order.fee - 1)),
        replace(order, recipient=stage.chain.wallet),
    ]
    *wrong, right = stage.origin.check([*changed, other])
    assert [type(failure) for failure in wrong] == [EscrowDisagrees] * 3
    assert right is None
    assert {f.verdict for f in wrong if f} == {Verdict.NEVER}


def test_order_that_was_never_set_is_absent(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    (failure,) = stage.origin.check([replace(order, number=2**256 - 1)])
    assert isinstance(failure, OrderAbsent)


def test_paused_escrow_is_waited_for(stage: Stage) -> None:
    orders = stage.set_orders(2)
    stage.pause()
    failures = stage.origin.check(orders)
    assert [type(f) for f in failures] == [EscrowPaused] * 2
    assert EscrowPaused.verdict is Verdict.WAIT


def test_escrow_that_pays_another_wallet_stops_everything(stage: Stage) -> None:
    orders = stage.set_orders(2)
    stage.pay_elsewhere()
    assert [type(f) for f in stage.origin.check(orders)] == [EscrowNotOurs] * 2


def test_message_costs_more_at_a_higher_gas_price(stage: Stage) -> None:
    orders, fees = stage.set_orders(2), stage.chain.fees()
    cheap = stage.origin.message_fee(orders, fees)
    dear = stage.origin.message_fee(orders, stage.dearer(fees))
    assert len(cheap) == len(dear) == 2
    assert 0 < cheap[0] < dear[0]
    assert stage.origin.message_fee([], fees) == []


def test_claim_carries_the_message_fee(stage: Stage) -> None:
    orders, fees = stage.set_orders(2), stage.chain.fees()
    values = [call.value for call in stage.origin.claims(orders, fees) if isinstance(call, Call)]
    assert values == stage.origin.message_fee(orders, fees)
    assert stage.origin.claims([], fees) == []


def test_claim_reverts_until_the_transfer_is_mined(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    (call,) = stage.origin.claims([order], stage.chain.fees())
    assert isinstance(call, Call)
    (failure,) = stage.chain.simulate([call], stage.chain.fees())
    assert isinstance(failure, RevertForeseen)
    assert "Transfer not found." in str(failure)
    pay(stage, [order])
    (gas,) = stage.chain.simulate([call], stage.chain.fees())
    assert isinstance(gas, int)


def test_claim_gas_is_about_what_a_claim_uses(stage: Stage) -> None:
    (order, _) = stage.set_orders(2)
    pay(stage, [order])
    (tx,) = claim(stage, [order])
    (receipt,) = stage.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded
    assert stage.origin.claim_gas * 3 // 4 < receipt.gas_used < stage.origin.claim_gas * 4 // 3


def test_nothing_is_known_of_a_claim_that_was_just_sent(stage: Stage) -> None:
    orders = stage.set_orders(2)
    assert [seen.lost for seen in stage.origin.progress(orders)] == [None] * 2
    assert stage.origin.progress([]) == []


def test_order_is_settled_when_the_escrow_has_paid(stage: Stage) -> None:
    orders = stage.set_orders(3)
    pay(stage, orders[:2])
    assert stage.origin.settled(orders) == [None] * 3
    claim(stage, orders[:2])
    assert stage.origin.settled(orders) == [None] * 3
    stage.deliver()
    first, second, unpaid = stage.origin.settled(orders)
    assert isinstance(first, Settlement)
    assert isinstance(second, Settlement)
    assert first.tx != second.tx
    assert stage.origin.blocks([first.block.number]) == [first.block]
    assert unpaid is None
    assert [type(f) for f in stage.origin.check(orders)] == [AlreadyClaimed] * 2 + [type(None)]
    assert stage.origin.settled([]) == []


def test_settled_speaks_of_the_very_order(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    pay(stage, [order])
    claim(stage, [order])
    stage.deliver()
    other = replace(order, amount=Wei(order.amount + 1))
    assert stage.origin.settled([other]) == [None]


def test_payment_to_another_wallet_settles_nothing(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    pay(stage, [order])
    claim(stage, [order])
    stage.pay_elsewhere()
    stage.deliver()
    assert isinstance(stage.origin.settled([order])[0], PaidElsewhere | None)


def test_reorg_of_the_l2_unsettles(stage: Stage) -> None:
    (order,) = stage.set_orders(1)
    pay(stage, [order])
    claim(stage, [order])
    stage.deliver()
    stage.reorg_l2(1)
    assert stage.origin.settled([order]) == [None]
    assert stage.origin.check([order]) == [None]
