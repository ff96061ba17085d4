"""The bridge on two local chains, as the tests of contracts and devnet use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractLogicError
from web3.types import TxReceipt

from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.artifacts import contract, send
from mmbot_pipelines.devnet.chain import ask, connect, mined
from mmbot_pipelines.devnet.deploy import REGISTRIES, Deployment, deploy_all
from mmbot_pipelines.devnet.orders import OrderSpec

STARKNET, ZKSYNC = 0, 1  # chain ids inside the registry
ETHER = 10**18
UINT256_MAX = 2**256 - 1
STRANGER = account(5).address
L2_GAS_LIMIT = 1_000_000
GAS_PER_PUBDATA = 800


@dataclass(frozen=True, kw_only=True)
class Devnet:
    deployment: Deployment
    l1: Web3
    l2: Web3
    registry: Contract
    diamond: Contract
    escrow: Contract

    def transfer(self, order_id: int, dest: int, chain: int = ZKSYNC) -> ContractFunction:
        return self.registry.functions.transfer(order_id, dest, chain)

    def claim_call(self, order_id: int, dest: int, amount: int) -> ContractFunction:
        return self.registry.functions.claimPaymentZKSync(
            order_id, dest, amount, L2_GAS_LIMIT, GAS_PER_PUBDATA
        )

    def base_cost(self, gas_price: int) -> int:
        """Return what the diamond asks for a claim, in wei."""
        functions = self.diamond.functions
        call = functions.l2TransactionBaseCost(gas_price, L2_GAS_LIMIT, GAS_PER_PUBDATA)
        return int(call.call())

    def pay(self, order_id: int, order: OrderSpec) -> TxReceipt:
        call = self.transfer(order_id, int(order.recipient, 16))
        return send(call, sender=self.deployment.market_maker, value=order.amount)

    def claim(self, order_id: int, order: OrderSpec) -> TxReceipt:
        call = self.claim_call(order_id, int(order.recipient, 16), order.amount)
        price = self.base_cost(10 * self.l1.eth.gas_price)  # more than any block will ask
        return send(call, sender=self.deployment.market_maker, value=price)

    def is_pending(self, order_id: int) -> bool:
        return bool(self.escrow.functions.is_order_pending(order_id).call())


@contextmanager
def running(registry_abi: str = "v1") -> Iterator[Devnet]:
    """Start two chains that mine every transaction at once, and deploy the bridge."""
    with Anvil(chain_id=31337) as l1, Anvil(chain_id=270) as l2:
        deployment = deploy_all(l1.url, l2.url, registry_abi=registry_abi)
        on_l1, on_l2 = connect(l1.url), connect(l2.url)
        yield Devnet(
            deployment=deployment,
            l1=on_l1,
            l2=on_l2,
            registry=contract(on_l1, REGISTRIES[registry_abi], deployment.l1.registry),
            diamond=contract(on_l1, "ZkSyncDiamond", deployment.zksync.diamond),
            escrow=contract(on_l2, "Escrow", deployment.zksync.escrow),
        )


@contextmanager
def rolled_back(devnet: Devnet) -> Iterator[Devnet]:
    """Lend the chains, and take back whatever was done on them."""
    chains = (devnet.l1, devnet.l2)
    snapshots = [ask(w3, "evm_snapshot") for w3 in chains]
    try:
        yield devnet
    finally:
        for w3, snapshot in zip(chains, snapshots, strict=True):
            assert ask(w3, "evm_revert", snapshot)


def refusal(call: ContractFunction, *, sender: str, value: int = 0, **more: Any) -> str:
    """Return the reason for which the chain refuses a call."""
    with pytest.raises(ContractLogicError) as refused:
        call.call({"from": sender, "value": value, **more})
    return str(refused.value.message).removeprefix("execution reverted: ")


def force(call: ContractFunction, *, sender: str, value: int = 0) -> TxReceipt:
    """Send a call that the chain would refuse to estimate."""
    return mined(call.w3, call.transact({"from": sender, "value": value, "gas": 500_000}))
