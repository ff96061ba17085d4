"""Delegate the market maker's account on a local chain, past the bot (EIP-7702)."""

from mmbot_pipelines.adapters.evm.batch_executor import contract_address, deployment
from mmbot_pipelines.adapters.evm.delegation import designator
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.devnet.artifacts import contract, send
from mmbot_pipelines.devnet.chain import ask, connect, mined
from mmbot_pipelines.devnet.deploy import Deployment
from tests.devnet.bridge import STRANGER


def delegate(deployed: Deployment) -> None:
    """Give the account the code of the batch contract, and let zkSync's diamond spare it."""
    l1, call = connect(deployed.l1.rpc_url), deployment()
    tx = {"from": STRANGER, "to": call.to, "data": call.data}
    assert mined(l1, l1.eth.send_transaction(tx))["status"] == 1
    diamond = contract(l1, "ZkSyncDiamond", deployed.zksync.diamond)
    send(diamond.functions.setSparesDelegated(True), sender=STRANGER)
    set_target(deployed, contract_address())


def set_target(deployed: Deployment, target: Address | None) -> None:
    """Delegate the account to a contract; None: to nobody."""
    code = "0x" + designator(target).hex() if target else "0x"
    ask(connect(deployed.l1.rpc_url), "anvil_setCode", deployed.market_maker, code)
