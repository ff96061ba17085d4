"""The zkSync adapter against the deployed contracts, where the port's suite does not reach."""

from dataclasses import replace
from typing import Any

import pytest
from web3 import Web3

from mmbot_pipelines.adapters.bridge.zksync.diamond import BASE_COST
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.evm.logs import LogScanner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowNotOurs, EscrowPaused
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.errors import Malformed, RpcRefused, WrongChain
from mmbot_pipelines.core.money import Address, Gas
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.chain import ask
from tests.ports.port_harness import AnvilPorts, claim, pay

IMPLEMENTATION = 0x360894A13BA1A3210667C828492DB98DCA3E2076CC3735A920A3CA505D382BBC  # ERC-1967


def zksync(ports: AnvilPorts, **changes: Any) -> ZkSyncOrigin:
    deployed = ports.devnet.deployment.zksync
    given = {
        "escrow": Address(deployed.escrow),
        "diamond": Address(deployed.diamond),
        "wallet": Address(deployed.wallet),
        "start": 0,
        "accepted": "safe",
    } | changes
    return ZkSyncOrigin(ports.l2, ports.l1, given.pop("registry", ports.registry.address), **given)


def test_burst_of_orders_in_one_block_is_read_checked_and_settled(ports: AnvilPorts) -> None:
    orders = ports.set_orders(30)
    assert {o.block.number for o in orders} == {orders[0].block.number}
    assert ports.origin.check(orders) == [None] * 30
    pay(ports, orders)
    claim(ports, orders)
    ports.deliver()
    assert len({tx for tx in ports.origin.settled(orders) if tx}) == 30


def test_message_fee_is_what_the_diamond_asks(ports: AnvilPorts) -> None:
    orders, fees = ports.set_orders(2), ports.chain.fees()
    asked = ports.devnet.diamond.functions.l2TransactionBaseCost(fees.ceiling, 777_000, 800).call()
    origin = zksync(ports, claim_gas_limit=Gas(777_000))
    assert origin.message_fee(orders, fees) == [asked, asked]


def test_claim_asks_for_the_gas_limit_given(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1)
    (call,) = zksync(ports, claim_gas_limit=Gas(777_000)).claims([order], ports.chain.fees())
    _, args = ports.devnet.registry.decode_function_input(call.data)
    assert args == {
        "orderId": order.number,
        "destAddress": int(order.recipient, 16),
        "amount": order.amount,
        "gasLimit": 777_000,
        "gasPerPubdataByteLimit": 800,
    }


def test_address_without_a_diamond_cannot_price(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1)
    origin = zksync(ports, diamond=account(5).address)
    with pytest.raises(Malformed, match="l2TransactionBaseCost: 0 bytes"):
        origin.message_fee([order], ports.chain.fees())
    origin = zksync(ports, diamond=ports.devnet.registry.address)
    with pytest.raises(RpcRefused, match="l2TransactionBaseCost of zkSync's diamond"):
        origin.message_fee([order], ports.chain.fees())


def test_escrow_that_obeys_another_registry_is_one_line_naming_both(ports: AnvilPorts) -> None:
    orders = ports.set_orders(2)
    deployed = ports.devnet.deployment
    set_registry = ports.devnet.escrow.functions.set_ethereum_payment_registry
    send(set_registry(account(5).address), sender=deployed.zksync.owner)
    failures = ports.origin.check(orders)
    line = (
        f"the escrow {deployed.zksync.escrow} obeys {account(5).address}, but the registry "
        f"{deployed.l1.registry} is {deployed.zksync.aliased_registry} on zkSync"
    )
    assert [(type(f), str(f)) for f in failures] == [(EscrowNotOurs, line)] * 2


def test_wallet_of_another_is_one_line_naming_both_and_the_setting(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1)
    other = Address(account(5).address)
    (failure,) = zksync(ports, wallet=other).check([order])
    deployed = ports.devnet.deployment.zksync
    assert str(failure) == (
        f"the escrow {deployed.escrow} pays {deployed.wallet}, "
        f"but MMBOT_ZKSYNC_WALLET_ADDRESS is {other}"
    )


def test_other_order_under_the_id_names_both(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1, amount=10**16, fee=10**15)
    (failure,) = ports.origin.check([replace(order, fee=order.fee + 1)])
    assert "0.01 ETH (10000000000000000 wei)" in str(failure)
    assert "fee 0.001 ETH (1000000000000000 wei) as order 0" in str(failure)
    assert "fee 0.001000000000000001 ETH (1000000000000001 wei) was stored" in str(failure)


def test_address_without_an_escrow_passes_nothing(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1)
    (failure,) = zksync(ports, escrow=account(5).address).check([order])
    assert isinstance(failure, EscrowNotOurs)


def test_escrow_without_a_pause_counts_as_not_paused(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1)
    ports.pause()
    assert isinstance(ports.origin.check([order])[0], EscrowPaused)
    slot = ports.devnet.l2.eth.get_storage_at(ports.devnet.escrow.address, IMPLEMENTATION)
    escrow = Web3.to_checksum_address(slot[-20:])
    code = ports.devnet.l2.eth.get_code(escrow).to_0x_hex()
    paused = "635c975abb14"  # PUSH4 selector, EQ: where the dispatcher finds it
    assert code.count(paused) == 1
    ask(ports.devnet.l2, "anvil_setCode", escrow, code.replace(paused, "635c975abc14"))
    assert ports.origin.check([order]) == [None]


def test_payments_are_found_across_many_ranges(ports: AnvilPorts) -> None:
    ports.origin._payments.logs = LogScanner(ports.l2, max_blocks=7)
    early, late = *ports.set_orders(1), *ports.set_orders(1)
    pay(ports, [early])
    claim(ports, [early])
    ports.deliver()
    ports.mine_l2(30)
    pay(ports, [late])
    claim(ports, [late])
    ports.deliver()
    ports.mine_l2(30)
    first, second = ports.origin.settled([early, late])
    assert first is not None
    assert second is not None
    assert first != second


@pytest.mark.parametrize(("accepted", "depth"), [("safe", 32), ("finalized", 64), (5, 5), (0, 0)])
def test_accepted_head_is_a_tag_or_a_depth(
    ports: AnvilPorts, accepted: str | int, depth: int
) -> None:
    ports.mine_l2(70)
    origin = zksync(ports, accepted=accepted)
    newest = origin.head(Cursor.LATEST)
    assert newest.number - origin.head(Cursor.ACCEPTED).number == depth


def test_depth_beyond_the_first_block_is_the_first_block(ports: AnvilPorts) -> None:
    assert zksync(ports, accepted=10_000).head(Cursor.ACCEPTED).number == 0


def test_tag_that_the_node_does_not_know_is_one_line(ports: AnvilPorts) -> None:
    with pytest.raises(RpcRefused, match="a node of zksync refuses block committed"):
        zksync(ports, accepted="committed").head(Cursor.ACCEPTED)


def test_wrong_chain_stops_before_anything_is_read(ports: AnvilPorts) -> None:
    rpc = Rpc([ports.devnet.deployment.zksync.rpc_url], chain="zksync", chain_id=324)
    ports.l2 = rpc
    with pytest.raises(WrongChain, match="MMBOT_ZKSYNC_CHAIN_ID is 324"):
        zksync(ports).scan(0, 1)


def test_base_cost_function_is_the_diamonds() -> None:
    assert BASE_COST.selector.hex() == "b473318e"
