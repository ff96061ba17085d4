"""Repayment by storage proof: a prover that reads L1, and orders on their way to it."""

from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin
from mmbot_pipelines.adapters.bridge.starknet.proofs import ByProof, entrypoint
from mmbot_pipelines.adapters.bridge.starknet.prover import Prover
from mmbot_pipelines.adapters.starknet.lane import StarknetLane
from mmbot_pipelines.adapters.starknet.wallet import StarknetWallet
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Progress, Task
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.starknet.contracts import development_keys
from tests.adapters.bridge.starknet.fake_prover import API_KEY, FakeProver
from tests.ports.invokes import StoredInvokes
from tests.ports.port_harness import pay
from tests.ports.starknet_ports import StarknetPorts

MAKER = development_keys(1)  # whom the local escrow pays
TRANSFERS_SLOT = 1  # of the local registry, behind the slot of `Upgradeable`


def prove(ports: StarknetPorts, query: Any) -> None:
    for blocks in query["data"].values():
        for block, asked in blocks.items():
            number = int(block.removeprefix("block:"))
            for registry, wanted in asked["accounts"].items():
                for slot in wanted["slots"]:
                    value = ask(ports.devnet.l1, "eth_getStorageAt", registry, slot, hex(number))
                    keys = (int(registry, 16), number, int(slot, 16))
                    ports.node.store("proven", *keys, value=int(value, 16))


def by_proof(ports: StarknetPorts, service: FakeProver, **changes: Any) -> ByProof:
    key = SecretStr(changes.pop("private_key", hex(MAKER.private_key)))
    chain_id = int(ports.deployed.chain_id, 16)
    api_key = SecretStr(changes.pop("api_key", API_KEY))
    prover = Prover(service.url, api_key, destination="SN_DEVNET")
    given: dict[str, Any] = {
        "escrow": Address(ports.deployed.escrow),
        "registry": ports.registry.address,
        "transfers_slot": TRANSFERS_SLOT,
        "entrypoint": entrypoint("withdraw"),
        "cost": Wei(5),
        "finality_blocks": 0,
        "poll_seconds": 0,
        "unknown_seconds": 0,
    } | changes
    invokes = given.pop("invokes", None) or StoredInvokes()
    l2 = given.pop("l2", ports.l2)
    clock: dict[str, Any] = {"now": given.pop("now")} if "now" in given else {}
    wallet = StarknetWallet(Address(ports.deployed.wallet), key, chain_id=chain_id)
    return ByProof(l2, ports.l1, prover, StarknetLane(l2, wallet, invokes, **clock), **given)


def paid(ports: StarknetPorts, count: int = 1) -> list[Order]:
    orders = ports.set_orders(count)
    hashes = pay(ports, orders)
    return [
        replace(order, status=Status.FULFILLED, transfer_tx=tx)
        for order, tx in zip(orders, hashes, strict=True)
    ]


def begun(ports: StarknetPorts, origin: StarknetOrigin, orders: list[Order]) -> list[Order]:
    """Claim orders and leave them as the steps would."""
    tasks = origin.claims(orders, ports.chain.fees())
    assert all(isinstance(task, Task) for task in tasks)
    return [
        replace(order, status=Status.PROVING, claim_ref=task.ref)
        for order, task in zip(orders, tasks, strict=True)
    ]


def task_of(order: Order) -> str:
    return str(order.claim_ref).split()[1]


def reported(orders: list[Order], seen: list[Progress]) -> list[Order]:
    return [
        replace(order, status=Status.PROVED, claim_tx=p.proven_in)
        for order, p in zip(orders, seen, strict=True)
    ]
