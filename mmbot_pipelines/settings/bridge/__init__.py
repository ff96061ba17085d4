"""Settings that only the bridge has: which origins it serves, its limits, and each origin's own.

An origin's section is the `SECTION` of the module that has its name here.
"""

from importlib import import_module
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, model_validator

from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.settings import values
from mmbot_pipelines.settings.section import Section
from mmbot_pipelines.settings.section import variable as _variable
from mmbot_pipelines.settings.shared import ChainSection
from mmbot_pipelines.settings.urls import is_http

_CHAINS = {"L1": GLOBAL} | {name: name for name in ORIGINS}


def _origins(text: str) -> list[str]:
    names = values.entries(text)
    if not names or set(names) - set(ORIGINS) or len(set(names)) < len(names):
        raise ValueError(f"must name each origin once, separated by commas: {', '.join(ORIGINS)}")
    return names


def _explorers(text: str) -> list[tuple[str, str]]:
    named = [tuple(part.strip() for part in entry.partition("=")) for entry in values.entries(text)]
    for number, (chain, _, url) in enumerate(named, 1):
        if chain not in _CHAINS or not is_http(url):
            raise ValueError(
                f"has no CHAIN=URL as its entry {number}: write L1=https://etherscan.io; the "
                f"chains are {', '.join(_CHAINS)}"
            )
    return [(_CHAINS[chain], url.rstrip("/")) for chain, _, url in named]


def _claim(text: str) -> str:
    if text not in CLAIMS:
        raise ValueError(f"must be one of {', '.join(CLAIMS)}")
    return text


def _batch(text: str) -> str:
    if text not in BATCHES:
        raise ValueError(f"must be {' or '.join(BATCHES)}")
    return text


AFTER_TRANSFER, WITH_TRANSFER, BATCHED = CLAIMS = ("after_transfer", "with_transfer", "batched")
Claim = Annotated[str, BeforeValidator(_claim)]
NO_BATCH, EIP7702 = BATCHES = ("off", "eip7702")
Batch = Annotated[str, BeforeValidator(_batch)]
# More orders would want more L2 gas than one message may have, at the default for each.
BatchOrders = Annotated[
    int, BeforeValidator(lambda text: values.whole(text, "orders", minimum=2, maximum=100))
]
Explorers = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_explorers)]
Origins = Annotated[tuple[str, ...], BeforeValidator(_origins)]


class Served(Section):
    """Which orders the bridge serves, and where a person looks their transactions up."""

    origins: Origins = _variable("MMBOT_ORIGINS", tuple(ORIGINS)[:1])
    explorers: Explorers = _variable("MMBOT_EXPLORER_URLS", ())


class OrderLimits(Section):
    """Which orders to fill, and how much money may be out at once."""

    # A claim's gas and message at 100 gwei, see .env.example.
    min_transfer: values.WeiAmount = _variable("MMBOT_MIN_TRANSFER_WEI", Wei(2 * 10**16))
    max_transfer: values.WeiAmount = _variable("MMBOT_MAX_TRANSFER_WEI", Wei(10**17))
    min_margin_bps: values.BasisPoints = _variable("MMBOT_MIN_MARGIN_BPS", 0)  # of the amount
    confirmations: values.Tiers = _variable("MMBOT_CONFIRMATIONS", ())
    max_exposure: values.WeiLimit = _variable("MMBOT_MAX_EXPOSURE_WEI", None)
    max_per_recipient: values.WeiLimit = _variable("MMBOT_MAX_PER_RECIPIENT_WEI", None)
    max_per_hour: values.WeiLimit = _variable("MMBOT_MAX_PER_HOUR_WEI", None)
    max_per_day: values.WeiLimit = _variable("MMBOT_MAX_PER_DAY_WEI", None)
    wait_for_price_seconds: values.Seconds = _variable("MMBOT_WAIT_FOR_PRICE_SECONDS", 86_400.0)
    min_balance: values.WeiAmount = _variable("MMBOT_MIN_BALANCE_WEI", Wei(0))  # 0: no floor

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.min_transfer > self.max_transfer:
            raise ValueError(
                "MMBOT_MIN_TRANSFER_WEI is above MMBOT_MAX_TRANSFER_WEI, so every order would "
                "be refused: lower the one or raise the other"
            )
        return self

    @property
    def unbounded(self) -> list[str]:
        """Name the limits on money that is out that are not set, or set to `none`."""
        limits = {
            "MMBOT_MAX_EXPOSURE_WEI": self.max_exposure,
            "MMBOT_MAX_PER_HOUR_WEI": self.max_per_hour,
            "MMBOT_MAX_PER_DAY_WEI": self.max_per_day,
            "MMBOT_MAX_PER_RECIPIENT_WEI": self.max_per_recipient,
            "MMBOT_MIN_BALANCE_WEI": self.min_balance or None,
        }
        return [name for name, limit in limits.items() if limit is None]


class Safety(Section):
    """When to send less, and when to send nothing until a person has looked."""

    halt_after_failures: values.Count = _variable("MMBOT_HALT_AFTER_FAILURES", 10)
    throttle_failure_percent: values.Percent = _variable("MMBOT_THROTTLE_FAILURE_PERCENT", 50)
    throttled_transfers: values.Count = _variable("MMBOT_THROTTLED_TRANSFERS", 1)  # of one run
    max_gas_lost: values.WeiAmount = _variable("MMBOT_MAX_GAS_LOST_PER_HOUR_WEI", Wei(10**16))
    # age of a chain's newest block; None: not looked at
    max_rpc_lag_seconds: values.Seconds | None = _variable("MMBOT_MAX_RPC_LAG_SECONDS", None)
    # final ones, of each chain, that the hourly audit reads again
    audit_blocks: values.Count = _variable("MMBOT_AUDIT_BLOCKS", 2000)


class Execution(Section):
    """How often to try, and how many runs to ask for at once."""

    max_attempts: values.Count = _variable("MMBOT_MAX_ATTEMPTS", 5)
    retry_backoff_seconds: values.Seconds = _variable("MMBOT_RETRY_BACKOFF_SECONDS", 30.0)
    max_runs_per_tick: values.Count = _variable("MMBOT_MAX_RUNS_PER_TICK", 4)
    stuck_after_seconds: values.Seconds = _variable("MMBOT_STUCK_AFTER_SECONDS", 60.0)
    claim: Claim = _variable("MMBOT_CLAIM", AFTER_TRANSFER)
    batch: Batch = _variable("MMBOT_BATCH", NO_BATCH)
    # of one claim, where claims go in batches; the first of the three sends it
    batch_orders: BatchOrders = _variable("MMBOT_CLAIM_BATCH_ORDERS", 20)
    batch_age_seconds: values.Seconds = _variable("MMBOT_CLAIM_BATCH_AGE_SECONDS", 60.0)
    batch_exposure: values.WeiLimit = _variable("MMBOT_CLAIM_BATCH_EXPOSURE_WEI", Wei(10**18))
    undelivered_after_seconds: values.Seconds = _variable("MMBOT_UNDELIVERED_AFTER_SECONDS", 3600.0)

    def lacks(self, registry_abi: str) -> list[str]:
        """Return, a line each, what it asks for beside its own settings."""
        if self.claim != BATCHED or registry_abi == "v2":
            return []
        return [
            f"MMBOT_CLAIM={BATCHED} needs MMBOT_L1_REGISTRY_ABI=v2, whose claims may be of several "
            f"orders: set it, if the registry is of v2, or MMBOT_CLAIM={AFTER_TRANSFER}"
        ]


class OriginNode(ChainSection):
    """A chain that orders come from; each origin has its own kind."""

    KEYS: ClassVar[tuple[str, ...]] = ()  # variables that move money
    NEED_KEYS: ClassVar[tuple[str, ...]] = ()  # that only a process with keys reads

    chain_id: int
    escrow_address: Address

    def lacks(self, limits: OrderLimits, registry_abi: str) -> list[str]:
        """Return, a line each, what the origin asks for beside its own settings."""
        return []


def sections() -> dict[str, type[OriginNode]]:
    """Return each origin's section by the origin's name."""
    return {name: import_module(f"{__name__}.{name}").SECTION for name in ORIGINS}
