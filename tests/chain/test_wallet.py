"""The wallet against anvil, where the port's suite does not reach."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.core.errors import SimulationReverted, WrongChain
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Block, Call, Fees
from mmbot_pipelines.devnet.chain import ask
from tests.devnet.bridge import Devnet, running
from tests.ports.origin_memory import RECIPIENT
from tests.ports.port_harness import AnvilPorts, claim, on_anvil, pay, send
from tests.ports.test_chain import row


@pytest.fixture
def alone() -> Iterator[AnvilPorts]:
    """Chains for one test: anvil does not take a changed base fee back."""
    with running() as devnet, on_anvil(devnet) as ports:
        yield ports


def test_two_hundred_transactions_go_out_in_one_breath_and_one_block(ports: AnvilPorts) -> None:
    calls = [Call(to=RECIPIENT, data=b"", value=Wei(1))] * 200
    hashes = send(ports, calls, gas=21_000)
    assert ports.chain.known_by_node(hashes) == [True] * 200
    ports.mine()
    receipts = ports.chain.receipts(hashes)
    assert {r.block for r in receipts if r} == {ports.chain.head()}
    assert all(r and r.succeeded for r in receipts)


def test_recipient_that_burns_all_gas_is_foreseen(ports: AnvilPorts) -> None:
    burner = Address(ports.devnet.deployment.l1.gas_burning_recipient)
    (order,) = ports.set_orders(1, recipient=burner)
    (failure,) = ports.chain.simulate([ports.registry.transfer(order)], ports.chain.fees())
    assert isinstance(failure, SimulationReverted)
    assert "Transfer failed." in str(failure)


def test_running_out_of_gas_is_reported(ports: AnvilPorts) -> None:
    (order,) = ports.set_orders(1)
    call = ports.registry.transfer(order)
    (tx,) = send(ports, [call], gas=60_000)
    ports.mine()
    (receipt,) = ports.chain.receipts([tx])
    assert receipt is not None
    assert not receipt.succeeded
    reason = ports.chain.revert_reason(replace(row(ports, call, tx), gas=Gas(60_000)))
    assert reason == (
        f"reverted without a reason; it used {receipt.gas_used} of its 60000 gas: "
        "behind a proxy that is running out of gas"
    )


def test_claim_below_the_base_cost_gives_the_reason_it_reverted(alone: AnvilPorts) -> None:
    (order,) = alone.set_orders(1)
    pay(alone, [order])
    fees = alone.chain.fees()
    far_too_low = Fees(base=Wei(1), priority=Wei(1), ceiling=Wei(1))
    (call,) = alone.origin.claims([order], far_too_low)
    (costly,) = alone.origin.claims([order], fees)
    assert call.value < costly.value
    ask(alone.devnet.l1, "anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
    alone.mine()
    (tx,) = send(alone, [call])
    alone.mine()
    (receipt,) = alone.chain.receipts([tx])
    assert receipt is not None
    assert not receipt.succeeded
    reason = alone.chain.revert_reason(row(alone, call, tx))
    assert reason == "mv"


def test_claim_priced_at_the_ceiling_passes_at_any_price_below(alone: AnvilPorts) -> None:
    (order,) = alone.set_orders(1)
    pay(alone, [order])
    fees = alone.chain.fees()
    highest = fees.ceiling - fees.priority
    ask(alone.devnet.l1, "anvil_setNextBlockBaseFeePerGas", hex(highest))
    (tx,) = claim(alone, [order], fees)
    (receipt,) = alone.chain.receipts([tx])
    assert receipt is not None
    assert receipt.succeeded


def test_base_foreseen_is_what_a_block_after_a_full_one_asks(alone: AnvilPorts) -> None:
    gas_limit = alone.devnet.l1.eth.get_block("latest")["gasLimit"]
    send(alone, [Call(to=RECIPIENT, data=b"", value=Wei(1))] * (gas_limit // 21_000), gas=21_000)
    alone.mine()
    foreseen = alone.chain.fees().base
    alone.mine()
    asked = alone.devnet.l1.eth.get_block("latest")["baseFeePerGas"]
    assert foreseen * 999 // 1000 < asked <= foreseen


def test_wrong_chain_id_stops_before_anything_is_asked(fresh: Devnet) -> None:
    deployment = fresh.deployment
    rpc = Rpc([deployment.l1.rpc_url], chain="L1", chain_id=1)
    wallet = EthereumChain(rpc, LocalSigner(deployment.private_key))
    with pytest.raises(WrongChain, match="serves chain 31337, but MMBOT_L1_CHAIN_ID is 1"):
        wallet.fees()


def test_wallet_is_the_keys_and_head_the_nodes(ports: AnvilPorts) -> None:
    latest = ports.devnet.l1.eth.get_block("latest")
    assert ports.chain.wallet == ports.devnet.deployment.market_maker
    assert ports.chain.head() == Block(latest["number"], latest["hash"].to_0x_hex())
    assert ports.chain.chain_id == ports.devnet.l1.eth.chain_id


def test_gas_of_a_simulation_is_the_nodes_estimate_and_a_quarter(ports: AnvilPorts) -> None:
    call = Call(to=RECIPIENT, data=b"", value=Wei(1))
    assert ports.chain.simulate([call], ports.chain.fees()) == [Gas(26_250)]
