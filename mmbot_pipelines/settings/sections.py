"""The settings, section by section; each field's alias is its environment variable.

The description of a field ends the line that says the field is missing.
"""

from pathlib import Path
from typing import Self

from pydantic import model_validator

from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.settings import urls, values
from mmbot_pipelines.settings.chains import L1, Key, Starknet, ZkSync
from mmbot_pipelines.settings.section import Section
from mmbot_pipelines.settings.section import variable as _variable


class Database(Section):
    """Where the truth is kept, and what Dagster knows beside it."""

    url: urls.DatabaseUrl | None = _variable("MMBOT_DATABASE_URL", None)  # None: embedded
    auto_migrate: values.Switch = _variable("MMBOT_AUTO_MIGRATE", True)
    dagster_home: values.AbsolutePath | None = _variable("DAGSTER_HOME", None)
    run_retention_days: values.Days = _variable("MMBOT_RUN_RETENTION_DAYS", 30)  # in Dagster

    @property
    def folder(self) -> Path:
        """Return where the embedded database's data is."""
        return (self.dagster_home or Path(".mmbot").resolve()) / "postgres"

    @property
    def description(self) -> str:
        """Say which database it is, with no secret of its URL."""
        if self.url is None:
            return f"the embedded one in {self.folder}"
        return f"{urls.database(self.url.get_secret_value())} (MMBOT_DATABASE_URL)"


class Limits(Section):
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

    def unguarded(self) -> list[str]:
        """Return, a line each, what lets all that Starknet takes back be lost unawares."""
        faults = []
        if "confirmations" not in self.model_fields_set:
            faults.append(
                "MMBOT_CONFIRMATIONS is missing: Starknet has taken back more than an hour of "
                "blocks, so set tiers of wei:blocks, e.g. 0:1, or `none` to pay at once"
            )
        elif self.confirmations and not any(t.blocks != 0 for t in self.confirmations):
            faults.append(
                "MMBOT_CONFIRMATIONS asks for no block on top of any order, while Starknet is "
                "served: ask for 1 or more, e.g. 0:1, or set `none`"
            )
        if not {"max_exposure", "max_per_hour", "max_per_day"} & self.model_fields_set:
            faults.append(
                "MMBOT_MAX_EXPOSURE_WEI is missing: it is the most that Starknet can make you "
                "lose by taking blocks back, so set it, MMBOT_MAX_PER_HOUR_WEI or "
                "MMBOT_MAX_PER_DAY_WEI, or `none` for no limit"
            )
        return faults


class Safety(Section):
    """When to send less, and when to send nothing until a person has looked."""

    halt_after_failures: values.Count = _variable("MMBOT_HALT_AFTER_FAILURES", 10)
    throttle_failure_percent: values.Percent = _variable("MMBOT_THROTTLE_FAILURE_PERCENT", 50)
    throttled_transfers: values.Count = _variable("MMBOT_THROTTLED_TRANSFERS", 1)  # of one run
    max_gas_lost: values.WeiAmount = _variable("MMBOT_MAX_GAS_LOST_PER_HOUR_WEI", Wei(10**16))
    # age of a chain's newest block; None: not looked at
    max_rpc_lag_seconds: values.Seconds | None = _variable("MMBOT_MAX_RPC_LAG_SECONDS", None)


class Execution(Section):
    """How often to try, and how many runs to ask for at once."""

    max_attempts: values.Count = _variable("MMBOT_MAX_ATTEMPTS", 5)
    retry_backoff_seconds: values.Seconds = _variable("MMBOT_RETRY_BACKOFF_SECONDS", 30.0)
    max_runs_per_tick: values.Count = _variable("MMBOT_MAX_RUNS_PER_TICK", 4)
    stuck_after_seconds: values.Seconds = _variable("MMBOT_STUCK_AFTER_SECONDS", 60.0)
    undelivered_after_seconds: values.Seconds = _variable("MMBOT_UNDELIVERED_AFTER_SECONDS", 3600.0)


class General(Section):
    """What belongs to no part: whom to serve, whom to tell, whether to send at all."""

    origins: values.Origins = _variable("MMBOT_ORIGINS", ("zksync",))
    # None: 1 where a chain has one node, 2 where it has more
    rpc_quorum: values.Count | None = _variable("MMBOT_RPC_QUORUM", None)
    dry_run: values.Switch = _variable("MMBOT_DRY_RUN", False)
    alert_urls: urls.AlertUrls = _variable("MMBOT_ALERT_URLS", ())
    failpoints: values.Failpoints = _variable("MMBOT_FAILPOINTS", ())  # for tests


class Ui(Section):
    """Under which names Dagster's UI is served."""

    hosts: values.HostNames = _variable("MMBOT_UI_HOSTS", ())  # beside the loopback's


SECTIONS: tuple[type[Section], ...] = (
    General,
    Database,
    L1,
    Key,
    ZkSync,
    Starknet,
    Limits,
    Safety,
    Execution,
    Ui,
)
