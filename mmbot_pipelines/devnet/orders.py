"""Orders for the local chains: a random plan of them, and users who place them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import cycle

from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.types import Wei

from mmbot_pipelines.devnet import accounts
from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.chain import connect, mined, one_block
from mmbot_pipelines.devnet.deploy import Deployment, ZkSyncDeployment

MILLI = 10**15  # wei in a thousandth of an ETH
GOOD_FEE = 5 * MILLI
LOW_FEE = 1
CAP = 100 * MILLI  # the product's default MMBOT_MAX_TRANSFER_WEI
SET_ORDER_GAS = 200_000  # measured: 137 k for the first order, 120 k after it


class OrderKind(StrEnum):
    GOOD = "good"
    LOW_FEE = "low_fee"  # the fee covers no cost
    ABOVE_CAP = "above_cap"  # the amount is more than the product pays
    REJECTING = "rejecting"  # the recipient is a contract that takes no money


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSpec:
    """One order that a user will place."""

    kind: OrderKind
    origin: str
    user: ChecksumAddress  # who locks the money on the L2
    recipient: ChecksumAddress  # who gets it on L1
    amount: int  # wei
    fee: int  # wei
    delay: float = 0.0  # seconds after the order before it


def order_spec(
    kind: OrderKind, deployment: Deployment, rng: random.Random, *, origin: str = "zksync"
) -> OrderSpec:
    """Make up one order of a kind, with amounts in whole thousandths of an ETH."""
    user = accounts.account(rng.choice(accounts.USERS)).address
    # An account that does not exist yet costs more gas than one that does.
    newcomer = Web3.to_checksum_address(rng.randbytes(20))
    recipient = rng.choice([user, newcomer])
    amount = rng.randint(10, 50) * MILLI
    if kind is OrderKind.ABOVE_CAP:
        amount = CAP + rng.randint(1, 100) * MILLI
    if kind is OrderKind.REJECTING:
        recipient = deployment.l1.rejecting_recipient
    return OrderSpec(
        kind=kind,
        origin=origin,
        user=user,
        recipient=recipient,
        amount=amount,
        fee=LOW_FEE if kind is OrderKind.LOW_FEE else GOOD_FEE,
    )


def burst(deployment: Deployment, count: int, *, seed: int = 0) -> list[OrderSpec]:
    """Make up good orders only."""
    rng = random.Random(seed)  # noqa: S311  chance that can be repeated, no secret
    return [order_spec(OrderKind.GOOD, deployment, rng) for _ in range(count)]


def plan(
    deployment: Deployment,
    count: int,
    *,
    seed: int,
    origins: Sequence[str] = ("zksync",),
    mean_delay: float = 1.0,
) -> list[OrderSpec]:
    """Make up the demo's orders: one of each bad kind among good ones, in random order.

    origins: each gets its share of the bad kinds and of all orders.
    mean_delay: seconds between two orders on average, exponentially distributed.

    Raises:
        ValueError: fewer than one order of every kind.
    """
    if count < len(OrderKind):
        raise ValueError(f"a plan needs {len(OrderKind)} orders or more, one of every kind")
    rng = random.Random(seed)  # noqa: S311  chance that can be repeated, no secret
    kinds: list[OrderKind] = [kind for kind in OrderKind if kind is not OrderKind.GOOD]
    kinds += [OrderKind.GOOD] * (count - len(kinds))
    dealt = list(zip(kinds, cycle(rng.sample(origins, len(origins))), strict=False))
    rng.shuffle(dealt)
    return [
        replace(
            order_spec(kind, deployment, rng, origin=origin),
            delay=rng.expovariate(1 / mean_delay) if mean_delay else 0.0,
        )
        for kind, origin in dealt
    ]


def submit(w3: Web3, zksync: ZkSyncDeployment, order: OrderSpec) -> HexBytes:
    """Send the user's set_order without awaiting its block, and return its hash."""
    call = contract(w3, "Escrow", zksync.escrow).functions.set_order(order.recipient, order.fee)
    return call.transact(
        {
            "from": order.user,
            "value": Wei(order.amount + order.fee),
            "gas": SET_ORDER_GAS,
            "nonce": w3.eth.get_transaction_count(order.user, "pending"),
        }
    )


def place(zksync: ZkSyncDeployment, order: OrderSpec) -> int:
    """Lock one order in the escrow and return its id, once its block is there.

    Raises:
        RuntimeError: the escrow refused it.
    """
    w3 = connect(zksync.rpc_url)
    return order_id(w3, zksync, submit(w3, zksync, order))


def place_many(zksync: ZkSyncDeployment, orders: Sequence[OrderSpec]) -> list[int]:
    """Lock all orders in one block and return their ids, in the order of `orders`.

    Raises:
        RuntimeError: the escrow refused one; the others stand.
    """
    w3 = connect(zksync.rpc_url)
    with one_block(w3):
        sent = [submit(w3, zksync, order) for order in orders]
    return [order_id(w3, zksync, tx_hash) for tx_hash in sent]


def order_id(w3: Web3, zksync: ZkSyncDeployment, tx_hash: HexBytes) -> int:
    """Return the id that the escrow gave the order of a transaction.

    Raises:
        RuntimeError: the escrow refused it.
    """
    receipt = mined(w3, tx_hash)
    if receipt["status"] != 1:
        raise RuntimeError(f"the escrow refused the order of {tx_hash.to_0x_hex()}")
    events = contract(w3, "Escrow", zksync.escrow).events.SetOrder().process_receipt(receipt)
    return int(events[0]["args"]["order_id"])
