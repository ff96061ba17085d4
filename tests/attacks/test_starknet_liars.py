"""One node of Starknet lies: about orders, about payments, about our account's nonce."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from pydantic import SecretStr
from starknet_py.net.client_models import Call

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.decoding import word
from mmbot_pipelines.adapters.starknet.lane import StarknetLane
from mmbot_pipelines.adapters.starknet.wallet import StarknetWallet
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.devnet.starknet.felt import selector_of
from mmbot_pipelines.devnet.starknet.token import ETH
from tests.adapters.bridge.starknet.starknet_origin import origin, payment
from tests.adapters.starknet.starknet_fakes import ORDER, StarknetFake, data_of, starknet_fake
from tests.attacks.liar import Liar
from tests.chain.starknet.conftest import fresh, ports
from tests.chain.starknet.proving import MAKER
from tests.ports.invokes import StoredInvokes
from tests.ports.starknet_ports import StarknetPorts

__all__ = ["fresh", "ports"]  # fixtures

OTHER = data_of(replace(ORDER, amount=Wei(1)))[2:]
PAID = Settlement(TxHash(word(0x99)), Block(60, word(60)))


@pytest.fixture
def nodes() -> Iterator[list[StarknetFake]]:
    with ExitStack() as stack:
        yield [stack.enter_context(starknet_fake()) for _ in range(4)]


def pays(*nodes: StarknetFake) -> None:
    for node in nodes:
        node.views[abi.GET_ORDER_PENDING] = [0]
        node.pages = [[payment(7, 0xA11, 1000)]]


def test_one_liar_of_three_keeps_no_order_from_being_paid(nodes: list[StarknetFake]) -> None:
    liar = nodes[0]
    for lie in (OTHER, [2**160, 0, 0, 0, 0], []):  # another order; answers that cannot be
        liar.views[abi.GET_ORDER] = lie
        for three in permutations(nodes[:3]):
            assert origin(*three, quorum=2).check([ORDER]) == [None]


def test_one_liar_of_three_keeps_no_order_from_being_completed(nodes: list[StarknetFake]) -> None:
    pays(*nodes[1:3])
    for three in permutations(nodes[:3]):
        assert origin(*three, quorum=2).settled([ORDER]) == [PAID]


def test_two_nodes_that_are_behind_take_no_payment_back(nodes: list[StarknetFake]) -> None:
    pays(nodes[0])
    for three in permutations(nodes[:3]):
        (seen,) = origin(*three, quorum=2).settled([ORDER])
        assert seen is None or isinstance(seen, RpcDisagrees)
        if nodes[0] in three[:2]:
            assert isinstance(seen, RpcDisagrees)


def test_two_against_two_prove_nothing(nodes: list[StarknetFake]) -> None:
    for node in nodes[2:]:
        node.views[abi.GET_ORDER] = OTHER
    first, second, third, fourth = nodes
    (failure,) = origin(first, third, second, fourth, quorum=2).check([ORDER])
    assert isinstance(failure, RpcDisagrees)


@pytest.mark.parametrize("lies", [lambda at: True, lambda at: at == "pre_confirmed"])
def test_one_wrong_nonce_is_never_signed(ports: StarknetPorts, lies: Any) -> None:
    """It can never be executed, and no other nonce goes out before it is decided."""

    def far(params: Any, result: Any) -> Any:
        given = params.values() if isinstance(params, dict) else params
        return hex(1_000_000) if any(map(lies, given)) else result

    chain_id = int(ports.deployed.chain_id, 16)
    wallet = StarknetWallet(
        Address(ports.deployed.wallet), SecretStr(hex(MAKER.private_key)), chain_id=chain_id
    )
    approve = Call(ETH, selector_of("approve"), [1, 1, 0])
    invokes = StoredInvokes()
    honest = [ports.node.url, f"{ports.node.url}/2"]
    with Liar(ports.node.url, starknet_getNonce=far) as liar:
        for urls, quorum in (([liar.url, honest[0]], 2), ([honest[0], liar.url], 2)):
            rpc = StarknetRpc(urls, chain_id=chain_id, quorum=quorum)
            with pytest.raises(RpcUnavailable):
                StarknetLane(rpc, wallet, invokes).send([approve], ["starknet:1"])
            assert invokes.rows == []
        rpc = StarknetRpc([liar.url, *honest], chain_id=chain_id, quorum=2)
        assert StarknetLane(rpc, wallet, invokes).send([approve], ["starknet:1"]) is not None
        assert [row.nonce for row in invokes.rows] == [0]
