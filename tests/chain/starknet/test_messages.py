"""What becomes of a claim's message between L1 and Starknet."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage
from mmbot_pipelines.bridge.orders.escrow_errors import MessageMissing
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Progress
from mmbot_pipelines.core.errors import Undelivered
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.devnet.artifacts import contract
from tests.chain.starknet.claims import consumed, held, named, proved
from tests.polling import until
from tests.ports.port_harness import claim
from tests.ports.starknet_ports import StarknetPorts


def test_a_claims_message_is_named_by_the_hash_that_l1_keeps_it_under(
    ports: StarknetPorts,
) -> None:
    orders = proved(ports, ports.set_orders(3))
    refs = [p.ref for p in ports.origin.progress(orders)]
    assert len(set(refs)) == 3
    messaging = contract(ports.devnet.l1, "StarknetMessaging", ports.deployed.messaging)
    last = messaging.functions.l1ToL2MessageNonce().call() - 1
    expected = messaging.functions.messageHash(
        ports.registry.address,
        int(ports.deployed.escrow, 16),
        last,
        abi.CLAIM,
        abi.claim_payload(orders[-1]),
    ).call()
    assert refs[-1] == f"message 0x{expected.hex()}"
    assert all(held(ports, ref) > 1 for ref in refs)


def test_a_claim_that_is_not_mined_has_no_message_yet(ports: StarknetPorts) -> None:
    (order,) = proved(ports, ports.set_orders(1))
    ports.reorg_l1(1)
    assert ports.origin.progress([order]) == [Progress()]
    other = replace(order, claim_tx=TxHash("0x" + "ab" * 32))
    assert ports.origin.progress([other]) == [Progress()]


def test_a_message_that_a_reorg_of_l1_renumbered_is_not_lost(ports: StarknetPorts) -> None:
    (order,) = named(ports, proved(ports, ports.set_orders(1)))
    before = replace(order, claim_ref=f"message 0x{'ab' * 32}")  # which L1 does not keep
    (seen,) = ports.origin.progress([before])
    assert (seen.ref, seen.lost) == (order.claim_ref, None)
    assert ports.origin.progress([order]) == [Progress()]


def test_a_message_of_another_order_is_not_taken_for_it(ports: StarknetPorts) -> None:
    first, second = proved(ports, ports.set_orders(2))
    swapped = replace(first, claim_tx=second.claim_tx)
    (seen,) = ports.origin.progress([swapped])
    assert isinstance(seen.lost, MessageMissing)


def test_a_message_on_its_way_is_not_lost(linked: StarknetPorts) -> None:
    linked.node.inbox.mode = "withhold"
    orders = named(linked, proved(linked, linked.set_orders(2)))
    assert linked.origin.progress(orders) == [Progress(), Progress()]


def test_a_delivered_message_settles_only_when_its_block_is_sealed(
    linked: StarknetPorts,
) -> None:
    (order,) = named(linked, proved(linked, linked.set_orders(1)))
    until(lambda: held(linked, order.claim_ref) == 0, linked.mine)
    assert linked.origin.settled([order]) == [None]
    assert linked.origin.progress([order]) == [Progress()]
    linked.mine_l2(1)
    assert linked.origin.settled([order]) != [None]


def test_a_message_that_failed_on_starknet_is_proven_lost(linked: StarknetPorts) -> None:
    good, bad = linked.set_orders(2)
    (good,) = named(linked, proved(linked, [good]))
    consumed(linked, good.claim_ref)
    linked.mine_l2(1)
    linked.node.inbox.mode = "fail"
    (bad,) = named(linked, proved(linked, [bad]))
    consumed(linked, bad.claim_ref)
    linked.mine_l2(1)
    of_good, of_bad = linked.origin.progress([good, bad])
    assert of_good.lost is None
    assert isinstance(of_bad.lost, Undelivered)
    assert f"the claim's {bad.claim_ref} is consumed on L1" in str(of_bad.lost)
    linked.node.inbox.mode = "deliver"
    (again,) = named(linked, proved_again(linked, bad))
    assert again.claim_ref != bad.claim_ref
    until(lambda: held(linked, again.claim_ref) == 0, linked.mine)
    linked.mine_l2(1)
    assert linked.origin.settled([again]) != [None]


def proved_again(ports: StarknetPorts, order: Order) -> list[Order]:
    (tx,) = claim(ports, [order])
    return [replace(order, claim_tx=tx, claim_ref=None)]


def test_a_message_is_not_asked_after_at_every_look(ports: StarknetPorts) -> None:
    now = [0.0]
    patient = ByMessage(
        ports.l2,
        ports.l1,
        ports.registry.address,
        escrow=Address(ports.deployed.escrow),
        messaging=Address(ports.deployed.messaging),
        margin_percent=0,
        poll_seconds=10,
        clock=lambda: now[0],
    )
    orders = named(ports, proved(ports, ports.set_orders(2)))
    with counted(ports) as asked:
        for now[0] in (0.0, 3.0, 9.0):
            patient.progress(orders)
        first = sum(asked)
        assert 0 < first <= 6  # a receipt and a view for each, and which block is final
        now[0] = 10.0
        patient.progress(orders)
        assert sum(asked) == 2 * first


@contextmanager
def counted(ports: StarknetPorts) -> Iterator[list[int]]:
    """Count what L1 is asked."""
    asked: list[int] = []
    poll = ports.l1.poll
    ports.l1.poll = lambda questions, **how: asked.append(len(questions)) or poll(questions, **how)
    yield asked
