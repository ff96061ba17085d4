"""What every `bridge.ports.Origin` does with claims of several orders."""

from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.bridge.registry_abi import V2
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import SimulationReverted
from mmbot_pipelines.core.money import TxHash, Wei
from mmbot_pipelines.core.outbox import Call
from tests.ports.port_harness import AnvilPorts, MemoryPorts, PortHarness, claim, pay, send


def claim_together(ports: PortHarness, orders: list[Order], *, gas: int = 900_000) -> TxHash:
    """Claim orders in one transaction and mine."""
    (call,) = ports.origin.claim_batches([orders], ports.chain.fees())
    assert isinstance(call, Call)
    (tx,) = send(ports, [call], gas=gas)
    ports.mine()
    return tx


def has_batches(ports: PortHarness) -> bool:
    """Let the harness in memory have them; return whether this one has."""
    if isinstance(ports, MemoryPorts):
        ports.origin.max_batch = 96
    return ports.origin.max_batch > 1


def test_only_a_registry_of_v2_claims_several_orders_at_once(ports: PortHarness) -> None:
    abi = getattr(ports.registry, "abi", V2)
    assert has_batches(ports) is (abi is V2)
    if abi is V2:
        assert ports.origin.max_batch >= 50


@pytest.mark.parametrize("count", [2, 20])
def test_one_claim_brings_the_money_of_several_orders(ports: PortHarness, count: int) -> None:
    if not has_batches(ports):
        return
    orders = ports.set_orders(count)
    pay(ports, orders)
    tx = claim_together(ports, orders)
    (receipt,) = ports.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded
    claimed = [replace(o, status=Status.PROVED, claim_tx=tx) for o in orders]
    assert all(seen.lost is None for seen in ports.origin.progress(claimed))
    ports.deliver()
    paid = ports.origin.settled(orders)
    assert all(isinstance(seen, Settlement) for seen in paid)
    assert len({seen.tx for seen in paid if isinstance(seen, Settlement)}) == 1
    ports.mine_l2(ports.accepted_depth)
    (ends,) = ports.origin.message_ends([tx])
    assert not any(end.failed for end in ends or ())


def test_a_batch_with_an_unpaid_order_is_foreseen_to_revert(ports: PortHarness) -> None:
    if not has_batches(ports):
        return
    orders = ports.set_orders(3)
    pay(ports, orders[:2])
    fees = ports.chain.fees()
    good, bad = ports.origin.claim_batches([orders[:2], orders], fees)
    assert isinstance(good, Call)
    assert isinstance(bad, Call)
    possible, revert = ports.chain.simulate([good, bad], fees)
    assert isinstance(possible, int)
    assert isinstance(revert, SimulationReverted)
    assert "Transfer not found." in str(revert)


def test_a_batch_with_a_claimed_order_fails_on_the_l2_as_a_whole(ports: PortHarness) -> None:
    if not has_batches(ports):
        return
    orders = ports.set_orders(3)
    pay(ports, orders)
    claim(ports, orders[:1])
    calls = ports.origin.claim_batches([orders], ports.chain.fees())
    if not isinstance(calls[0], Call):
        return  # the L2 has refused to price it
    (tx,) = send(ports, [calls[0]], gas=900_000)
    ports.mine()
    ports.deliver(failed=1)
    ports.mine_l2(ports.accepted_depth)
    first, *others = ports.origin.settled(orders)
    assert isinstance(first, Settlement)
    assert others == [None, None]
    claimed = [replace(o, status=Status.PROVED, claim_tx=tx) for o in orders[1:]]
    (ends,) = ports.origin.message_ends([tx])
    known = any(end.failed for end in ends or ())
    named = [
        replace(o, claim_ref=seen.ref)
        for o, seen in zip(claimed, ports.origin.progress(claimed), strict=True)
    ]
    # The local zkSync executes a message under a hash of its own, so that nobody finds its end.
    assert known or isinstance(ports, AnvilPorts) or all(o.claim_ref is not None for o in named)


def test_the_price_of_a_batch_is_below_that_of_its_orders_alone(ports: PortHarness) -> None:
    if not has_batches(ports):
        return
    orders = ports.set_orders(5)
    pay(ports, orders)
    fees = ports.chain.fees()
    alone = sum(ports.origin.message_fee(orders, fees))
    (together,) = ports.origin.claim_batches([orders], fees)
    assert isinstance(together, Call)
    assert 0 < together.value < alone


def test_the_events_of_a_claim_show_whom_it_has_claimed(ports: PortHarness) -> None:
    first, second = ports.set_orders(2)
    paid = pay(ports, [first, second])
    claimed = claim(ports, [first])
    by_payment, by_claim = ports.chain.receipts([paid[0], claimed[0]])
    assert by_payment is not None
    assert by_claim is not None
    others = [replace(first, amount=Wei(first.amount + 1)), replace(first, number=7)]
    asked = [first, second, *others]
    assert ports.origin.claimed_in(by_claim.events, asked) == [True, False, False, False]
    assert not any(ports.origin.claimed_in(by_payment.events, asked))
