"""What the wallet makes of a node's estimates: gas, reverts and missing funds."""

from typing import Any

import pytest

from mmbot_pipelines.adapters.evm.chain import EthereumChain
from mmbot_pipelines.core.errors import (
    Failure,
    InsufficientFunds,
    RpcRefused,
    RpcUnavailable,
    SimulationReverted,
)
from tests.adapters.evm.wallet_answers import CALL, FEES, TO, header
from tests.adapters.rpc.fake_node import FakeNode, refuse


@pytest.mark.parametrize(
    ("estimate", "gas"),
    [
        (100_000, 125_000),
        (100_001, 125_002),  # rounded up
        (21_080, 26_350),  # the floor price of two bytes (EIP-7623)
        (15_000_000, 2**24),  # a quarter more than a transaction can have (EIP-7825)
        (2**24, 2**24),
    ],
)
def test_estimate_gets_headroom(
    node: FakeNode, chain: EthereumChain, estimate: int, gas: int
) -> None:
    node.methods["eth_estimateGas"] = lambda *_: hex(estimate)
    assert chain.simulate([CALL], FEES) == [gas]


def test_headroom_ends_at_the_blocks_gas_limit(node: FakeNode, chain: EthereumChain) -> None:
    node.methods |= {
        "eth_getBlockByNumber": header(gasLimit=hex(110_000)),
        "eth_estimateGas": lambda *_: hex(100_000),
    }
    assert chain.simulate([CALL], FEES) == [110_000]


def test_estimate_is_of_the_call_from_the_wallet(node: FakeNode, chain: EthereumChain) -> None:
    seen = []
    node.methods["eth_estimateGas"] = lambda *asked: seen.append(asked) or "0x5300"
    chain.simulate([CALL], FEES)
    call = {"from": chain.wallet, "to": TO, "data": "0x0102", "value": "0x3"}
    call |= {"gas": hex(2**24)}  # so that no honest node finds more
    call |= {"maxFeePerGas": hex(FEES.ceiling), "maxPriorityFeePerGas": hex(FEES.priority)}
    assert seen == [(call, "latest")]  # what waits in the pool must not count


@pytest.mark.parametrize(
    ("error", "kind", "logged"),
    [
        ((3, "execution reverted: no"), SimulationReverted, "the call would revert: no"),
        ((-32000, "gas required exceeds allowance (30000000)"), SimulationReverted, "exceeds"),
        ((-32000, "insufficient funds for transfer"), InsufficientFunds, "send ETH"),
        ((-32003, "Insufficient funds for gas * price + value"), InsufficientFunds, "send ETH"),
        ((-32010, "insufficient sender balance"), InsufficientFunds, "send ETH"),
        ((-32004, "Upfront cost exceeds account balance"), InsufficientFunds, "send ETH"),
        ((-32000, "header not found"), RpcRefused, "header not found"),
        ((0, ""), RpcRefused, "eth_estimateGas"),
    ],
)
def test_simulation_separates_the_calls_error_from_the_nodes(
    node: FakeNode, chain: EthereumChain, error: Any, kind: type[Failure], logged: str
) -> None:
    node.methods["eth_estimateGas"] = refuse(*error)
    (failure,) = chain.simulate([CALL], FEES)
    assert type(failure) is kind
    assert logged in str(failure)


def test_rate_limit_is_an_outage_and_no_orders_fault(node: FakeNode, chain: EthereumChain) -> None:
    node.methods["eth_estimateGas"] = refuse(-32005, "too many requests")
    with pytest.raises(RpcUnavailable, match="limits our rate"):
        chain.simulate([CALL], FEES)


def test_revert_reason_that_speaks_of_funds_is_still_a_revert(
    node: FakeNode, chain: EthereumChain
) -> None:
    node.methods["eth_estimateGas"] = refuse(3, "execution reverted: insufficient funds")
    assert isinstance(chain.simulate([CALL], FEES)[0], SimulationReverted)


def test_value_above_the_balance_is_seen_where_the_node_does_not(
    node: FakeNode, chain: EthereumChain
) -> None:
    node.methods |= {"eth_estimateGas": lambda *_: "0x5300", "eth_getBalance": lambda *_: "0x2"}
    (failure,) = chain.simulate([CALL], FEES)
    assert isinstance(failure, InsufficientFunds)
    assert "the wallet has 0.000000000000000002 ETH (2 wei)" in str(failure)
