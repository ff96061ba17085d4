"""What every `bridge.ports.Origin` does."""

from dataclasses import replace

from mmbot_pipelines.bridge.orders.escrow_errors import (
    AlreadyClaimed,
    EscrowMismatch,
    EscrowNotOurs,
    EscrowPaused,
    OrderAbsent,
    PaidElsewhere,
)
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import RetryPolicy, SimulationReverted
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call
from tests.ports.origin_memory import RECIPIENT
from tests.ports.port_harness import PortHarness, claim, pay


def whole(ports: PortHarness) -> tuple[int, int]:
    return ports.origin.start, ports.origin.head(Cursor.LATEST).number


def test_scan_finds_orders_as_they_were_set(ports: PortHarness) -> None:
    ports.set_orders(2, amount=7, fee=3)
    head = ports.origin.head(Cursor.LATEST)
    scan = ports.origin.scan(*whole(ports))
    assert scan.last == head
    assert scan.faults == []
    assert [o.number for o in scan.orders] == [0, 1]
    for order in scan.orders:
        assert (order.amount, order.fee, order.recipient) == (7, 3, RECIPIENT)
        assert (order.block, order.status, order.attempt) == (head, Status.PENDING, 1)
        assert order.key == f"{ports.origin.name}:{order.number}"
    assert len({o.set_order_tx for o in scan.orders}) == 2


def test_nothing_is_behind_the_newest_block_when_it_is_sealed(ports: PortHarness) -> None:
    ports.set_orders(1)
    head = ports.origin.head(Cursor.LATEST)
    scan = ports.origin.unsealed(head)
    assert (scan.last, scan.orders, scan.faults) == (head, [], [])


def test_scan_keeps_to_its_range(ports: PortHarness) -> None:
    (first,) = ports.set_orders(1)
    (second,) = ports.set_orders(1)
    only = ports.origin.scan(first.block.number, first.block.number)
    assert [o.number for o in only.orders] == [first.number]
    assert only.last == first.block
    rest = ports.origin.scan(first.block.number + 1, second.block.number)
    assert [o.number for o in rest.orders] == [second.number]


def test_malformed_event_is_a_fault_and_stops_no_order(ports: PortHarness) -> None:
    ports.set_orders(1)
    ports.garble()
    ports.set_orders(1)
    scan = ports.origin.scan(*whole(ports))
    assert [o.number for o in scan.orders] == [0, 1]
    (fault,) = scan.faults
    assert (fault.step, fault.kind) == ("scan", "Malformed")
    assert fault.subject.startswith(f"{ports.origin.name}:0x")
    assert "of data instead of" in fault.message


def test_accepted_blocks_are_behind_the_newest(ports: PortHarness) -> None:
    ports.mine_l2(ports.accepted_depth + 1)
    newest, accepted = ports.origin.head(Cursor.LATEST), ports.origin.head(Cursor.ACCEPTED)
    assert newest.number - accepted.number == ports.accepted_depth
    assert ports.origin.scan(accepted.number, accepted.number).last == accepted


def test_final_blocks_are_in_the_chain_and_behind_the_newest(ports: PortHarness) -> None:
    ports.mine_l2(70)
    newest, final = ports.origin.head(Cursor.LATEST), ports.origin.final()
    assert ports.origin.start < final.number < newest.number
    assert ports.origin.blocks([final.number]) == [final]
    ports.mine_l2(3)
    assert ports.origin.final().number == final.number + 3


def test_reorg_takes_orders_back(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    ports.reorg_l2(1)
    scan = ports.origin.scan(*whole(ports))
    assert scan.orders == []
    assert (scan.last.number, scan.last.hash != order.block.hash) == (order.block.number, True)
    assert isinstance(ports.origin.check([order])[0], OrderAbsent)


def test_blocks_are_as_the_chain_has_them_now(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    number = order.block.number
    assert ports.origin.blocks([number, number + 1, number]) == [order.block, None, order.block]
    ports.reorg_l2(1)
    (now,) = ports.origin.blocks([number])
    assert now is not None
    assert now.number == number
    assert now != order.block
    assert ports.origin.blocks([]) == []


def test_fresh_orders_pass_the_check(ports: PortHarness) -> None:
    assert ports.origin.check(ports.set_orders(3)) == [None] * 3
    assert ports.origin.check([]) == []


def test_check_finds_the_one_that_differs(ports: PortHarness) -> None:
    order, other = ports.set_orders(2)
    changed = [
        replace(order, amount=Wei(order.amount + 1)),
        replace(order, fee=Wei(order.fee - 1)),
        replace(order, recipient=ports.chain.wallet),
    ]
    *wrong, right = ports.origin.check([*changed, other])
    assert [type(failure) for failure in wrong] == [EscrowMismatch] * 3
    assert right is None
    assert {f.retry_policy for f in wrong if f} == {RetryPolicy.NEVER}


def test_order_that_was_never_set_is_absent(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    (failure,) = ports.origin.check([replace(order, number=2**256 - 1)])
    assert isinstance(failure, OrderAbsent)


def test_paused_escrow_is_waited_for(ports: PortHarness) -> None:
    orders = ports.set_orders(2)
    ports.pause()
    failures = ports.origin.check(orders)
    assert [type(f) for f in failures] == [EscrowPaused] * 2
    assert EscrowPaused.retry_policy is RetryPolicy.WAIT


def test_escrow_that_pays_another_wallet_stops_everything(ports: PortHarness) -> None:
    orders = ports.set_orders(2)
    ports.pay_elsewhere()
    assert [type(f) for f in ports.origin.check(orders)] == [EscrowNotOurs] * 2


def test_message_costs_more_at_a_higher_gas_price(ports: PortHarness) -> None:
    orders, fees = ports.set_orders(2), ports.chain.fees()
    cheap = ports.origin.message_fee(orders, fees)
    costly = ports.origin.message_fee(orders, ports.dearer(fees))
    assert len(cheap) == len(costly) == 2
    assert 0 < cheap[0] < costly[0]
    assert ports.origin.message_fee([], fees) == []


def test_claim_carries_the_message_fee(ports: PortHarness) -> None:
    orders, fees = ports.set_orders(2), ports.chain.fees()
    values = [call.value for call in ports.origin.claims(orders, fees) if isinstance(call, Call)]
    assert values == ports.origin.message_fee(orders, fees)
    assert ports.origin.claims([], fees) == []


def test_claim_reverts_until_the_transfer_is_mined(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    (call,) = ports.origin.claims([order], ports.chain.fees())
    assert isinstance(call, Call)
    (failure,) = ports.chain.simulate([call], ports.chain.fees())
    assert isinstance(failure, SimulationReverted)
    assert "Transfer not found." in str(failure)
    pay(ports, [order])
    (gas,) = ports.chain.simulate([call], ports.chain.fees())
    assert isinstance(gas, int)


def test_claim_gas_is_about_what_a_claim_uses(ports: PortHarness) -> None:
    (order, _) = ports.set_orders(2)
    pay(ports, [order])
    (tx,) = claim(ports, [order])
    (receipt,) = ports.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded
    assert ports.origin.claim_gas * 3 // 4 < receipt.gas_used < ports.origin.claim_gas * 4 // 3


def test_nothing_is_known_of_a_claim_that_was_just_sent(ports: PortHarness) -> None:
    orders = ports.set_orders(2)
    assert [seen.lost for seen in ports.origin.progress(orders)] == [None] * 2
    assert ports.origin.progress([]) == []


def test_order_is_settled_when_the_escrow_has_paid(ports: PortHarness) -> None:
    orders = ports.set_orders(3)
    pay(ports, orders[:2])
    assert ports.origin.settled(orders) == [None] * 3
    claim(ports, orders[:2])
    assert ports.origin.settled(orders) == [None] * 3
    ports.deliver()
    first, second, unpaid = ports.origin.settled(orders)
    assert isinstance(first, Settlement)
    assert isinstance(second, Settlement)
    assert first.tx != second.tx
    assert ports.origin.blocks([first.block.number]) == [first.block]
    assert unpaid is None
    assert [type(f) for f in ports.origin.check(orders)] == [AlreadyClaimed] * 2 + [type(None)]
    assert ports.origin.settled([]) == []


def test_settled_speaks_of_the_very_order(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    pay(ports, [order])
    claim(ports, [order])
    ports.deliver()
    other = replace(order, amount=Wei(order.amount + 1))
    assert ports.origin.settled([other]) == [None]


def test_payment_to_another_wallet_settles_nothing(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    pay(ports, [order])
    claim(ports, [order])
    ports.pay_elsewhere()
    ports.deliver()
    assert isinstance(ports.origin.settled([order])[0], PaidElsewhere | None)


def test_reorg_of_the_l2_unsettles(ports: PortHarness) -> None:
    (order,) = ports.set_orders(1)
    pay(ports, [order])
    claim(ports, [order])
    ports.deliver()
    ports.reorg_l2(1)
    assert ports.origin.settled([order]) == [None]
    assert ports.origin.check([order]) == [None]
