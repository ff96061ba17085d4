"""One node reports a wrong class for our Starknet account."""

from typing import Any

import pytest
from pydantic import SecretStr
from starknet_py.net.client_models import Call

from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.lane import StarknetLane
from mmbot_pipelines.adapters.starknet.wallet import StarknetWallet
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.starknet.felt import selector_of
from mmbot_pipelines.devnet.starknet.token import ETH
from tests.attacks.liar import Liar
from tests.chain.starknet.conftest import fresh, ports
from tests.chain.starknet.proving import MAKER
from tests.ports.invokes import StoredInvokes
from tests.ports.starknet_ports import StarknetPorts

__all__ = ["fresh", "ports"]  # fixtures


def deprecated(params: Any, result: Any) -> Any:
    """Answer a class of Cairo 0, whose calls are encoded in another way."""
    entry_points: dict[str, Any] = {"CONSTRUCTOR": [], "EXTERNAL": [], "L1_HANDLER": []}
    return {"program": "", "entry_points_by_type": entry_points, "abi": []}


def test_nothing_is_signed_for_an_account_that_nodes_show_differently(
    ports: StarknetPorts,
) -> None:
    chain_id = int(ports.deployed.chain_id, 16)
    key = SecretStr(hex(MAKER.private_key))
    approve = Call(ETH, selector_of("approve"), [1, 1, 0])
    with Liar(ports.node.url, starknet_getClassAt=deprecated) as liar:
        for urls in ([liar.url, ports.node.url], [ports.node.url, liar.url]):
            rpc = StarknetRpc(urls, chain_id=chain_id, quorum=2)
            wallet = StarknetWallet(Address(ports.deployed.wallet), key, chain_id=chain_id)
            invokes = StoredInvokes()
            with pytest.raises(RpcDisagrees, match="differ on the class of our account"):
                StarknetLane(rpc, wallet, invokes).send([approve], ["starknet:1"])
            assert invokes.undecided(chain_id, wallet.address) == []
    honest = StarknetRpc([ports.node.url, f"{ports.node.url}/2"], chain_id=chain_id, quorum=2)
    wallet = StarknetWallet(Address(ports.deployed.wallet), key, chain_id=chain_id)
    sent = StarknetLane(honest, wallet, invokes).send([approve], ["starknet:1"])
    assert sent is not None
    assert sent.refused is None
