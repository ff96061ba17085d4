"""Claims by message, as the steps would leave them, and what L1 keeps of them."""

from dataclasses import replace

from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.chain import ask
from tests.polling import until
from tests.ports.port_harness import claim, pay
from tests.ports.starknet_ports import StarknetPorts


def proved(ports: StarknetPorts, orders: list[Order]) -> list[Order]:
    """Pay and claim orders, as the steps would leave them."""
    pay(ports, orders)
    hashes = claim(ports, orders)
    return [
        replace(order, status=Status.PROVED, claim_tx=tx)
        for order, tx in zip(orders, hashes, strict=True)
    ]


def named(ports: StarknetPorts, orders: list[Order]) -> list[Order]:
    """Give orders what their claims go by."""
    seen = ports.origin.progress(orders)
    return [replace(o, claim_ref=p.ref) for o, p in zip(orders, seen, strict=True)]


def held(ports: StarknetPorts, ref: str | None) -> int:
    """Return fee + 1 while L1 keeps the message, 0 when it is consumed."""
    messaging = contract(ports.devnet.l1, "StarknetMessaging", ports.deployed.messaging)
    message = bytes.fromhex(str(ref).removeprefix("message 0x"))
    return int(messaging.functions.l1ToL2Messages(message).call())


def consumed(ports: StarknetPorts, ref: str | None) -> None:
    """Await that L1 has consumed the message in a block that is final."""
    until(lambda: held(ports, ref) == 0, ports.mine)
    ask(ports.devnet.l1, "anvil_mine", hex(66))
