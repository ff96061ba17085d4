"""What ops and sensors are given: the wired bridge and watch. Reads the environment when used.

The resources take no configuration: Dagster would read it from the environment of whoever
launches a run, where the wallet's key is.
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
    """The bridge's readings and alert channels, wired from the environment once per process."""

    def create_resource(self, context: dg.InitResourceContext) -> AlertService:
        """Return the watch."""
        with operator_errors():
            require_ours(context.instance)
            return wiring.alert_service(settings())
