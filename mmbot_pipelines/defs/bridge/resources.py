"""Dagster resources of the bridge: they read the environment when first used.

They take no configuration: a value `{"env": NAME}` in it would make Dagster read any variable of
the process that launches a run, the wallet's key included.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial

import dagster as dg

from mmbot_pipelines.bridge.alerting.notify import AlertService
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.auditor.findings import Auditor
from mmbot_pipelines.bridge.overview import Overview
from mmbot_pipelines.defs.bridge.reports import DailyReports
from mmbot_pipelines.defs.shared.operator_errors import operator_errors
from mmbot_pipelines.defs.storage import require_ours
from mmbot_pipelines.settings import Settings, load
from mmbot_pipelines.settings.home import require_home
from mmbot_pipelines.wiring import bridge as wiring
from mmbot_pipelines.wiring import shared
from mmbot_pipelines.wiring.overview import overview


@cache
def settings() -> Settings:
    """Read and check the settings once per process.

    Raises:
        InvalidSettings: see `load`.
    """
    return load()


class BridgeResource(dg.ConfigurableResource[Bridge]):
    """The bridge, wired from the environment once per process."""

    def create_resource(self, context: dg.InitResourceContext) -> Bridge:
        """Return the bridge."""
        with operator_errors():
            require_ours(context.instance)
            return wiring.bridge(settings())


class AlertServiceResource(dg.ConfigurableResource[AlertService]):
    """The bridge's alert service, wired from the environment once per process."""

    def create_resource(self, context: dg.InitResourceContext) -> AlertService:
        """Return the alert service."""
        with operator_errors():
            require_ours(context.instance)
            return wiring.alert_service(settings())


class DailyReportsResource(dg.ConfigurableResource[DailyReports]):
    """The figures of days, and the folder of their files in DAGSTER_HOME."""

    def create_resource(self, context: dg.InitResourceContext) -> DailyReports:
        """Return where reports come from and go to."""
        with operator_errors():
            require_ours(context.instance)
            database = settings().database
            home = require_home(database.dagster_home)
            return DailyReports(reports=wiring.reports(settings()), folder=home / "reports")


class AuditorResource(dg.ConfigurableResource[Auditor]):
    """The audit of the bridge, wired from the environment once per process."""

    def create_resource(self, context: dg.InitResourceContext) -> Auditor:
        """Return the audit."""
        with operator_errors():
            require_ours(context.instance)
            return wiring.auditor(settings())


class OverviewResource(dg.ConfigurableResource[Callable[[datetime], Overview]]):
    """What reads how the bridge stands, from its database alone."""

    def create_resource(self, context: dg.InitResourceContext) -> Callable[[datetime], Overview]:
        """Return the reader."""
        with operator_errors():
            require_ours(context.instance)
            read = settings()
            return partial(overview, shared.engine(read.database), explorers=dict(read.explorers))
