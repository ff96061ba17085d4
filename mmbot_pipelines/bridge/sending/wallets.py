"""Which wallet takes a slice of orders, where there are several. Reads the chain and the store.

An order belongs to no wallet until its transaction is stored. From then on it stays in that
wallet's lane until the nonce is decided: `submit` signs nothing for an order of which any wallet
has a transaction undecided.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.core import concurrency
from mmbot_pipelines.core.errors import RpcRefused
from mmbot_pipelines.core.fee_bump import blocking
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Fees, Transaction, by_nonce, by_wallet, max_total_cost

# About what a transfer and its claim take, at a price that doubles: only to compare wallets.
_GAS = Gas(300_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wallet:
    lane: Bridge
    poor: bool  # pays not even the least of the orders
    stuck: bool
    short: bool  # does not pay all of them
    waiting: int  # nonces in flight
    free: int  # wei

    @property
    def turn(self) -> tuple[object, ...]:
        """Return what wallets are sorted by: the one that can pay soonest comes first."""
        waiting = 0 if self.short else self.waiting
        return self.poor, self.stuck, self.short, waiting, -self.free


def ready_lanes(
    bridge: Bridge, amounts: Sequence[Wei], fees: Fees, *, floor: Wei | None = None
) -> list[Bridge]:
    """Return the bridge with each wallet that the registry takes, the soonest to pay first.

    With a single wallet nothing is asked. Where the registry takes none all are returned, for
    what is simulated says so.
    amounts: what the orders need beside gas, each.
    floor: what is to stay in each wallet.

    Raises:
        RpcUnavailable: the chain could not be asked.
    """
    lanes = bridge.lanes
    if len(lanes) == 1:
        return lanes
    with concurrency.questions() as ask:
        accepted = ask.submit(_accepted, bridge, lanes)
        balances = [ask.submit(lane.chain.balance) for lane in lanes]
        in_flight = by_wallet(bridge.store.outbox.in_flight())
    wallets = [
        _wallet(lane, balance.result() - (floor or 0), in_flight, amounts, fees)
        for lane, balance, takes in zip(lanes, balances, accepted.result(), strict=True)
        if takes
    ]
    return [wallet.lane for wallet in sorted(wallets, key=lambda w: w.turn)]


def _accepted(bridge: Bridge, lanes: Sequence[Bridge]) -> list[bool]:
    try:
        accepted = bridge.registry.accepts([lane.chain.wallet for lane in lanes])
    except RpcRefused:
        return [True] * len(lanes)
    return accepted if any(accepted) else [True] * len(lanes)


def _wallet(
    lane: Bridge,
    balance: int,
    in_flight: dict[Address, list[Transaction]],
    amounts: Sequence[Wei],
    fees: Fees,
) -> _Wallet:
    rows = in_flight.get(lane.chain.wallet, [])
    free, gas = balance - max_total_cost(rows), _GAS * fees.ceiling
    after = lane.rules.stuck_after_seconds
    return _Wallet(
        lane=lane,
        poor=free < min(amounts) + gas,
        stuck=bool(blocking(rows, fees, at=lane.clock(), after_seconds=after)),
        short=free < sum(amounts) + len(amounts) * gas,
        waiting=len(by_nonce(rows)),
        free=free,
    )
