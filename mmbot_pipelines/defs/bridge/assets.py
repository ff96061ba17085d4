"""What the bridge has as assets: the way of an origin's orders, and the wallet.

    escrow_orders/ORIGIN -> transfers/ORIGIN -> claims/ORIGIN -> settlements/ORIGIN

Nothing materializes them by hand: the sensor `overview` and the audit report what they hold.
"""

from collections.abc import Sequence

import dagster as dg

WALLET = dg.AssetKey("wallet")
ORDERS, TRANSFERS, CLAIMS, SETTLEMENTS = PARTS = (
    "escrow_orders",
    "transfers",
    "claims",
    "settlements",
)
OWNERS = ("team:operators",)

_DESCRIPTIONS = {
    ORDERS: "Orders that the escrow of {} holds for us, as they are stored.",
    TRANSFERS: "Payments of orders of {} to their recipients on Ethereum, by the wallet.",
    CLAIMS: "Claims of what was paid for orders of {}: messages from L1, or proofs.",
    SETTLEMENTS: "Orders of {} whose escrow has paid us: amount and fee are back.",
}
_KINDS = {
    ORDERS: {"l2", "postgres"},
    TRANSFERS: {"ethereum", "postgres"},
    CLAIMS: {"ethereum", "postgres"},
    SETTLEMENTS: {"l2", "postgres"},
}


def asset_of(part: str, origin: str) -> dg.AssetKey:
    """Return the asset of one part of the way of an origin's orders."""
    return dg.AssetKey([part, origin])


def specs(origins: Sequence[str]) -> list[dg.AssetSpec]:
    """Return the assets of these origins, and the wallet's."""
    found = [
        dg.AssetSpec(
            WALLET,
            description="Our wallet on Ethereum, which pays recipients and claims.",
            group_name="wallet",
            kinds={"ethereum"},
            owners=OWNERS,
        )
    ]
    for origin in origins:
        upstream: list[dg.AssetKey] = []
        for part in PARTS:
            found.append(
                dg.AssetSpec(
                    asset_of(part, origin),
                    deps=[*upstream, *([WALLET] if part in (TRANSFERS, CLAIMS) else [])],
                    description=_DESCRIPTIONS[part].format(origin),
                    group_name=origin,
                    kinds=_KINDS[part],
                    owners=OWNERS,
                )
            )
            upstream = [asset_of(part, origin)]
    return found


def definitions(origins: Sequence[str]) -> dg.Definitions:
    """Return the assets of these origins."""
    return dg.Definitions(assets=specs(origins))
