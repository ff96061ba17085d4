"""Where the port suites play on Starknet: the local node and an anvil, real adapters."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eth_typing import ChecksumAddress

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import ABIS
from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage
from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import Node
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Repayment
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Fees
from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.starknet.delivery import L1Link, message_of
from mmbot_pipelines.devnet.starknet.deployment import StarknetDeployment as Deployed
from mmbot_pipelines.devnet.starknet.felt import selector_of
from mmbot_pipelines.devnet.starknet.sequencer import USERS
from tests.devnet.bridge import Devnet, rolled_back
from tests.devnet.starknet_rpc import LocalStarknet, specification
from tests.devnet.starknet_rpc import starknet as node_in_thread
from tests.ports.origin_memory import RECIPIENT

MARGIN_PERCENT = 20


class StarknetPorts:
    """The real adapters on a local Starknet; the L1 mines only on demand."""

    accepted_depth = 0  # Starknet seals only what it accepts

    def __init__(self, devnet: Devnet, messaging: ChecksumAddress, node: LocalStarknet) -> None:
        deployment = devnet.deployment
        self.devnet = devnet
        self.node = node
        self.deployed: Deployed = Deployed(rpc_url=node.url, messaging=messaging)
        self.l1 = Rpc([deployment.l1.rpc_url], chain="L1", chain_id=deployment.l1.chain_id)
        self.l2 = self.client(node.url)
        self.chain = EthereumChain(self.l1, LocalSigner(deployment.private_key))
        self.registry = PaymentRegistry(
            self.l1,
            Address(deployment.l1.registry),
            start_block=deployment.l1.start_block,
            abi=ABIS[deployment.l1.registry_abi],
        )
        self.by_message = ByMessage(
            self.l2,
            self.l1,
            self.registry.address,
            escrow=Address(self.deployed.escrow),
            messaging=Address(messaging),
            abi=self.registry.abi,
            margin_percent=MARGIN_PERCENT,
            poll_seconds=0,
        )
        self.origin = self.starknet(self.l2, self.by_message)
        self.rejecting = Address(deployment.l1.rejecting_recipient)
        self._delivered: set[int] = set()

    def client(self, *urls: str) -> StarknetRpc:
        """Return a client of nodes of this chain."""
        return StarknetRpc(urls, chain_id=int(self.deployed.chain_id, 16))

    def starknet(self, rpc: StarknetRpc, repayment: Repayment, **changes: Any) -> StarknetOrigin:
        """Return the origin as other clients or settings make it."""
        given = {
            "escrow": Address(self.deployed.escrow),
            "wallet": Address(self.deployed.wallet),
            "registry": self.registry.address,
            "start": 0,
        } | changes
        if isinstance(repayment, ByMessage):
            given.setdefault("elsewhere", repayment.elsewhere)
        return StarknetOrigin(rpc, repayment, **given)

    def mine(self) -> None:
        ask(self.devnet.l1, "evm_mine")

    def reorg_l1(self, depth: int) -> None:
        ask(self.devnet.l1, "anvil_reorg", depth, [])

    def drop(self, tx: TxHash) -> None:
        ask(self.devnet.l1, "anvil_dropTransaction", tx)

    def show(
        self, count: int, *, amount: int = 10**16, fee: int = 10**15, recipient: Address = RECIPIENT
    ) -> list[int]:
        """Lock orders in the block that is being built; return their ids."""
        return [self.node.set_order(int(recipient, 16), amount, fee) for _ in range(count)]

    def set_orders(
        self, count: int, *, amount: int = 10**16, fee: int = 10**15, recipient: Address = RECIPIENT
    ) -> list[Order]:
        numbers = self.show(count, amount=amount, fee=fee, recipient=recipient)
        self.node.mine()
        head = self.origin.head(Cursor.LATEST).number
        found = {o.number: o for o in self.origin.scan(self.origin.start, head).orders}
        return [found[number] for number in numbers]

    def garble(self) -> None:
        self.node.emit([selector_of("SetOrder")], [1, 2])
        self.node.mine()

    def mine_l2(self, blocks: int) -> None:
        self.node.mine(blocks)

    def reorg_l2(self, depth: int) -> None:
        self.node.reorg(depth)
        self.node.mine(depth)

    def pause(self) -> None:
        self.node.store("paused", value=1)

    def pay_elsewhere(self) -> None:
        self.node.store("wallet", value=USERS[1].address)

    def dearer(self, fees: Fees) -> Fees:
        self.node.sequencer.prices["l1_gas"] = 10**11
        return fees

    def deliver(self, *, failed: int = 0) -> None:
        messaging = contract(self.devnet.l1, "StarknetMessaging", self.deployed.messaging)
        for log in messaging.events.LogMessageToL2().get_logs(from_block=0):
            sent = message_of(log)
            if sent.nonce not in self._delivered:
                self._delivered.add(sent.nonce)
                self.node.do(self.node.sequencer.deliver, sent)
        self.node.mine()


@contextmanager
def held_against_the_specification() -> Iterator[None]:
    """Check every request of the adapters and its answer, as far as the documents are here."""
    spec = specification()
    if spec is None:
        yield
        return
    sent = Node._read

    def checked(self: Node, body: bytes) -> bytes:
        asked = json.loads(body)
        answer = sent(self, body)
        answered = json.loads(answer)
        if not isinstance(asked, list):
            asked, answered = [asked], [answered]
        by_id = {one["id"]: one for one in answered}
        for question in asked:
            if question["method"].startswith("starknet_"):
                spec.check_request(question)
                spec.check_answer(question, by_id[question["id"]])
        return answer

    Node._read = checked
    try:
        yield
    finally:
        Node._read = sent


@contextmanager
def on_starknet(
    devnet: Devnet, messaging: ChecksumAddress, link: L1Link | None = None, **settings: Any
) -> Iterator[StarknetPorts]:
    """Yield the harness for one test, on a new Starknet and an L1 that is rolled back after it."""
    with rolled_back(devnet):
        ask(devnet.l1, "evm_setAutomine", False)
        try:
            given = {"registry": int(devnet.deployment.l1.registry, 16)} | settings
            with held_against_the_specification(), node_in_thread(link, **given) as node:
                yield StarknetPorts(devnet, messaging, node)
        finally:
            ask(devnet.l1, "anvil_dropAllTransactions")
            ask(devnet.l1, "evm_setAutomine", True)
