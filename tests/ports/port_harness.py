"""The harnesses of the port suites: in memory, or on two anvils with the real adapters.

Both have the three ports and the same methods to change the chains around them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import ABIS
from mmbot_pipelines.adapters.bridge.zksync.escrow import SET_ORDER
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSyncOrigin
from mmbot_pipelines.adapters.evm.chain import EthereumChain, LocalSigner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Origin, Registry
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Chain, Fees
from mmbot_pipelines.devnet.accounts import USERS, account
from mmbot_pipelines.devnet.artifacts import send as send_call
from mmbot_pipelines.devnet.chain import ask, mined
from mmbot_pipelines.devnet.messenger import Messenger
from mmbot_pipelines.devnet.orders import OrderKind, OrderSpec, place_many
from tests.devnet.bridge import Devnet, rolled_back
from tests.ports.chain_memory import ChainMemory
from tests.ports.origin_memory import RECIPIENT, OriginMemory
from tests.ports.registry_memory import RegistryMemory

ACCEPTED_DEPTH = 3


class PortHarness(Protocol):
    """The ports, and what a test can do to the chains behind them."""

    @property
    def chain(self) -> Chain: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def origin(self) -> Origin: ...

    @property
    def accepted_depth(self) -> int:
        """Return how far the accepted blocks are behind the newest."""

    @property
    def rejecting(self) -> Address:
        """Return a recipient that takes no money."""

    def mine(self) -> None:
        """Put the L1's pool into a block."""

    def reorg_l1(self, depth: int) -> None:
        """Replace the newest L1 blocks by empty ones."""

    def drop(self, tx: TxHash) -> None:
        """Make the L1's pool forget a transaction."""

    def set_orders(
        self, count: int, *, amount: int = ..., fee: int = ..., recipient: Address = ...
    ) -> list[Order]:
        """Lock orders on the L2, in one new block, and read them."""

    def garble(self) -> None:
        """Log an event on the L2 that cannot be an order."""

    def mine_l2(self, blocks: int) -> None:
        """Append empty L2 blocks."""

    def reorg_l2(self, depth: int) -> None:
        """Replace the newest L2 blocks by empty ones."""

    def pause(self) -> None:
        """Pause the escrow."""

    def pay_elsewhere(self) -> None:
        """Make the escrow pay another wallet than ours."""

    def dearer(self, fees: Fees) -> Fees:
        """Make messages to the L2 dearer; return the fees to price them with."""

    def deliver(self, *, failed: int = 0) -> None:
        """Execute on the L2 what L1 has asked for.

        failed: of these messages; a harness that cannot see it takes any.
        """


class MemoryPorts:
    """All in memory."""

    accepted_depth = ACCEPTED_DEPTH

    def __init__(self) -> None:
        self.chain = ChainMemory()
        self.registry = RegistryMemory(self.chain)
        self.origin = OriginMemory(self.registry)
        self.origin.accepted_depth = ACCEPTED_DEPTH
        self.rejecting = Address("0x000000000000000000000000000000000000dEaD")
        self.registry.rejecting.add(self.rejecting)

    def mine(self) -> None:
        self.chain.mine()

    def reorg_l1(self, depth: int) -> None:
        self.chain.reorg(depth, keep=False)

    def drop(self, tx: TxHash) -> None:
        self.chain.drop(tx)

    def set_orders(
        self, count: int, *, amount: int = 10**16, fee: int = 10**15, recipient: Address = RECIPIENT
    ) -> list[Order]:
        return self.origin.set_orders(count, amount=amount, fee=fee, recipient=recipient)

    def garble(self) -> None:
        self.origin.garble()

    def mine_l2(self, blocks: int) -> None:
        self.origin.mine(blocks)

    def reorg_l2(self, depth: int) -> None:
        self.origin.reorg(depth)

    def pause(self) -> None:
        self.origin.paused = True

    def pay_elsewhere(self) -> None:
        self.origin.pays_us = False

    def dearer(self, fees: Fees) -> Fees:
        return replace(fees, ceiling=Wei(100 * fees.ceiling))

    def deliver(self, *, failed: int = 0) -> None:
        self.origin.deliver()


class AnvilPorts:
    """The real adapters on two local chains; the L1 mines only on demand."""

    accepted_depth = ACCEPTED_DEPTH

    def __init__(self, devnet: Devnet) -> None:
        deployment = devnet.deployment
        zksync = deployment.zksync
        self.devnet = devnet
        self.l1 = Rpc([deployment.l1.rpc_url], chain="L1", chain_id=deployment.l1.chain_id)
        self.l2 = Rpc([zksync.rpc_url], chain="zksync", chain_id=zksync.chain_id)
        self.chain = EthereumChain(self.l1, LocalSigner(deployment.private_key))
        registry = PaymentRegistry(
            self.l1,
            Address(deployment.l1.registry),
            start_block=deployment.l1.start_block,
            abi=ABIS[deployment.l1.registry_abi],
        )
        self.registry = registry
        self.origin = ZkSyncOrigin(
            self.l2,
            self.l1,
            registry.address,
            escrow=Address(zksync.escrow),
            diamond=Address(zksync.diamond),
            abi=registry.abi,
            wallet=Address(zksync.wallet),
            start=zksync.start_block,
            accepted=ACCEPTED_DEPTH,
        )
        self.rejecting = Address(deployment.l1.rejecting_recipient)
        self._messenger = Messenger(l1=devnet.l1, l2=devnet.l2, diamond=zksync.diamond)

    def mine(self) -> None:
        ask(self.devnet.l1, "evm_mine")

    def reorg_l1(self, depth: int) -> None:
        ask(self.devnet.l1, "anvil_reorg", depth, [])

    def drop(self, tx: TxHash) -> None:
        ask(self.devnet.l1, "anvil_dropTransaction", tx)

    def set_orders(
        self, count: int, *, amount: int = 10**16, fee: int = 10**15, recipient: Address = RECIPIENT
    ) -> list[Order]:
        user = account(USERS[0]).address
        order_specs = [
            OrderSpec(
                kind=OrderKind.GOOD,
                origin="zksync",
                user=user,
                recipient=recipient,
                amount=amount,
                fee=fee,
            )
            for _ in range(count)
        ]
        numbers = place_many(self.devnet.deployment.zksync, order_specs)
        head = self.origin.head(Cursor.LATEST).number
        found = {o.number: o for o in self.origin.scan(self.origin.start, head).orders}
        return [found[number] for number in numbers]

    def garble(self) -> None:
        escrow = self.devnet.escrow.address
        code = self.devnet.l2.eth.get_code(escrow).to_0x_hex()
        # PUSH32 topic, PUSH1 96, PUSH1 0, LOG1, STOP: an event of 96 bytes.
        forged = "0x7f" + SET_ORDER.hex() + "60606000a100"
        ask(self.devnet.l2, "anvil_setCode", escrow, forged)
        l2 = self.devnet.l2
        mined(l2, l2.eth.send_transaction({"from": account(5).address, "to": escrow}))
        ask(self.devnet.l2, "anvil_setCode", escrow, code)

    def mine_l2(self, blocks: int) -> None:
        ask(self.devnet.l2, "anvil_mine", hex(blocks))

    def reorg_l2(self, depth: int) -> None:
        ask(self.devnet.l2, "anvil_reorg", depth, [])

    def pause(self) -> None:
        owner = self.devnet.deployment.zksync.owner
        send_call(self.devnet.escrow.functions.pause(), sender=owner)

    def pay_elsewhere(self) -> None:
        owner, other = self.devnet.deployment.zksync.owner, account(5).address
        send_call(self.devnet.escrow.functions.set_mm_zksync_wallet(other), sender=owner)

    def dearer(self, fees: Fees) -> Fees:
        return replace(fees, ceiling=Wei(100 * fees.ceiling))

    def deliver(self, *, failed: int = 0) -> None:
        assert sum(not delivery.success for delivery in self._messenger.deliver()) == failed


@contextmanager
def on_anvil(devnet: Devnet) -> Iterator[AnvilPorts]:
    """Yield the harness for one test, and roll the chains back after it."""
    with rolled_back(devnet):
        ask(devnet.l1, "evm_setAutomine", False)
        try:
            yield AnvilPorts(devnet)
        finally:
            ask(devnet.l1, "anvil_dropAllTransactions")
            ask(devnet.l1, "evm_setAutomine", True)


def send(ports: PortHarness, calls: Sequence[Call], *, gas: int = 300_000) -> list[TxHash]:
    """Sign calls at the wallet's next nonces and broadcast them."""
    nonce = ports.chain.nonce(pending=True)
    fees = ports.chain.fees()
    signed = [
        ports.chain.sign(call, nonce=nonce + i, gas=Gas(gas), fees=fees)
        for i, call in enumerate(calls)
    ]
    assert ports.chain.broadcast([s.raw for s in signed]) == [None] * len(calls)
    return [s.hash for s in signed]


def pay(ports: PortHarness, orders: Sequence[Order]) -> list[TxHash]:
    """Transfer to the recipients of orders and mine."""
    hashes = send(ports, [ports.registry.transfer(order) for order in orders])
    ports.mine()
    return hashes


def claim(ports: PortHarness, orders: Sequence[Order], fees: Fees | None = None) -> list[TxHash]:
    """Claim orders and mine."""
    claims = ports.origin.claims(orders, fees or ports.chain.fees())
    hashes = send(ports, [claim for claim in claims if isinstance(claim, Call)])
    ports.mine()
    return hashes
