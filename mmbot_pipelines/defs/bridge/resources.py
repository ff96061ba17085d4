"""Dagster resources of the bridge: they read the environment when first used.

They take no configuration: a value `{"env": NAME}` in it would make Dagster read any variable of
the process that launches a run, the wallet's key included.
"""

from functools import cache

import dagster as dg

from mmbot_pipelines.bridge.alerting.notify import AlertService
from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.defs.shared.operator_errors import operator_errors
from mmbot_pipelines.defs.storage import require_ours
from mmbot_pipelines.settings import Settings, load
from mmbot_pipelines.wiring import bridge as wiring


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
