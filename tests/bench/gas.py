"""How much L1 gas an order takes, transfer and claim, by the way its claim goes.

    python -m tests.bench.gas [--json FILE]

Measured on the contracts of the local chains: own code behind proxies, with the storage writes of
the deployed diamond, but not the deployed contracts themselves.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from eth_typing import ChecksumAddress

from mmbot_pipelines.adapters.bridge.registry_abi import V1, V2
from mmbot_pipelines.adapters.evm.batch_executor import batch, batch_gas
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.sending.batches import MAX_BATCH_GAS
from mmbot_pipelines.core.delegation import BatchedCall
from mmbot_pipelines.core.money import Gas
from mmbot_pipelines.core.outbox import Call
from mmbot_pipelines.devnet.starknet.deployment import deploy_messaging
from tests.devnet.bridge import Devnet, running
from tests.devnet.delegated import delegate
from tests.ports.port_harness import PortHarness, on_anvil, send
from tests.ports.starknet_ports import on_starknet

SIZES = (1, 10, 50)
_BATCHED = "7702"  # transfers in one transaction of a delegated account, claims in the next
_PAIRED = "7702, claims with transfers"
_WAYS: dict[str, dict[str, tuple[int, ...]]] = {
    V1.name: {"alone": SIZES, _BATCHED: SIZES[1:], _PAIRED: SIZES},
    V2.name: {"alone": SIZES[:1], "together": SIZES},
}
_V1_ALONE = f"{V1.name}, alone"
_TRANSFER_LIMIT = 200_000
_CLAIM_LIMIT = 250_000
_LIMIT_PER_ORDER = 40_000  # of a claim of several
_PAIRED_CLAIM_LIMIT = 355_000  # of a claim that cannot be simulated yet, see `claims_behind`


@dataclass(frozen=True, slots=True, kw_only=True)
class GasPerOrder:
    """What one order takes on L1, in units of gas; one transaction of many is shared evenly."""

    origin: str
    way: str
    orders: int
    transfer: int  # with its claim, where both are in one transaction
    claim: int

    @property
    def total(self) -> int:
        return self.transfer + self.claim


def measured() -> Iterator[GasPerOrder]:
    """Yield what each way takes, on fresh chains."""
    for abi in (V1.name, V2.name):
        with running(abi) as devnet:
            messaging = deploy_messaging(devnet.deployment.l1)
            for way, sizes in _WAYS[abi].items():
                if way == _BATCHED:  # from here on
                    delegate(devnet.deployment)
                for origin, size in product(("zksync", "starknet"), sizes):
                    with _ports(origin, devnet, messaging) as ports:
                        yield _measure(ports, abi, way, size)


@contextmanager
def _ports(origin: str, devnet: Devnet, messaging: ChecksumAddress) -> Iterator[PortHarness]:
    if origin == "zksync":
        with on_anvil(devnet) as ports:
            yield ports
    else:
        with on_starknet(devnet, messaging) as on_l2:
            yield on_l2


def _measure(ports: PortHarness, abi: str, way: str, size: int) -> GasPerOrder:
    # The first ones find an empty queue and an account that has never sent anything.
    first, *orders = ports.set_orders(1 + size)
    _sent(ports, [ports.registry.transfer(first)], _TRANSFER_LIMIT)
    _sent(ports, _alone(ports, [first]), _CLAIM_LIMIT)
    payments = [ports.registry.transfer(o) for o in orders]
    if way == _PAIRED:
        pairs = [*zip(payments, _alone(ports, orders), strict=True)]
        transfers, claims = _sent_in_batches(ports, pairs), 0
    elif way == _BATCHED:
        transfers = _sent_in_batches(ports, [(payment,) for payment in payments])
        claims = _sent_in_batches(ports, [(claim,) for claim in _alone(ports, orders)])
    else:
        transfers = _sent(ports, payments, _TRANSFER_LIMIT)
        claims = _claimed(ports, orders, together=way == "together")
    return GasPerOrder(
        origin=ports.origin.name,
        way=f"{abi}, {way}",
        orders=size,
        transfer=transfers // size,
        claim=claims // size,
    )


def _claimed(ports: PortHarness, orders: Sequence[Order], *, together: bool) -> int:
    if together:
        (call,) = ports.origin.claim_batches([orders], ports.chain.fees())
        assert isinstance(call, Call)
        return _sent(ports, [call], _CLAIM_LIMIT + len(orders) * _LIMIT_PER_ORDER)
    return _sent(ports, _alone(ports, orders), _CLAIM_LIMIT)


def _sent_in_batches(ports: PortHarness, requests: Sequence[Sequence[Call]]) -> int:
    """Mine calls in batches as large as the bot makes them; return the gas that they used."""
    limits = _TRANSFER_LIMIT, _PAIRED_CLAIM_LIMIT
    used, batches = 0, [list[BatchedCall]()]
    for request in requests:
        calls = [
            BatchedCall(call=call, gas=Gas(limit), may_fail=False)
            for call, limit in zip(request, limits, strict=False)
        ]
        if batches[-1] and batch_gas([*batches[-1], *calls]) > MAX_BATCH_GAS:
            batches.append([])
        batches[-1] += calls
    for calls in batches:
        used += _sent(ports, [batch(ports.chain.wallet, calls)], batch_gas(calls))
    return used


def _alone(ports: PortHarness, orders: Sequence[Order]) -> list[Call]:
    claims = ports.origin.claims(orders, ports.chain.fees())
    return [claim for claim in claims if isinstance(claim, Call)]


def _sent(ports: PortHarness, calls: Sequence[Call], limit: int) -> int:
    """Mine calls, and return the gas that they used together."""
    hashes = send(ports, calls, gas=limit)
    ports.mine()
    receipts = [receipt for receipt in ports.chain.receipts(hashes) if receipt is not None]
    assert len(receipts) == len(calls)
    assert all(receipt.succeeded for receipt in receipts)
    return sum(receipt.gas_used for receipt in receipts)


def compared(rows: Sequence[GasPerOrder]) -> tuple[GasPerOrder, GasPerOrder]:
    """Return an origin's v1 one by one, and its best way, both of the largest number of orders."""
    most = [row for row in rows if row.orders == SIZES[-1]]
    of_v1 = next(row for row in most if row.way == _V1_ALONE)
    return of_v1, min(most, key=lambda row: row.total)


def table(rows: Sequence[GasPerOrder]) -> str:
    """Write the rows as a table of Markdown, each beside its origin's v1 alone."""
    v1 = {row.origin: row.total for row in rows if row.way == _V1_ALONE and row.orders == SIZES[-1]}
    lines = [
        "| origin | way | orders | transfer | claim | both | below v1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row.origin, reverse=True):
        saved = 100 * (v1[row.origin] - row.total) / v1[row.origin]
        figures = f"{row.orders} | {row.transfer:,} | {row.claim:,} | {row.total:,} | {saved:.0f} %"
        lines.append(f"| {row.origin} | {row.way} | {figures} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it as JSON where a file is named."""
    parser = argparse.ArgumentParser(description="Measure the L1 gas of an order.")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    rows = list(measured())
    print(table(rows))
    if given.json is not None:
        found = [asdict(row) | {"total": row.total} for row in rows]
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
