"""The running product alerts an operator."""

import time

from mmbot_pipelines.adapters.db.bridge.figures import PgFigures
from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.alerting.notify import JOURNAL
from mmbot_pipelines.core import safety
from tests.adapters.alerts.sink import Sink
from tests.bridge.orders import NOON
from tests.e2e.product import Product

HALTED = "[CRITICAL] everything is halted"


def test_a_halt_reaches_the_operator(product: Product) -> None:
    services, engine = product.stack.services, connect(product.stack.database_url)
    store, figures = PgBridgeStore(engine), PgFigures(lambda: engine, [JOURNAL])
    with Sink() as sink:
        with store.begin() as uow:
            safety.halt(uow.safety, safety.GLOBAL, by="Ann", reason="a test", at=NOON)
        try:
            services.restart("code", product.stack.environ | {"MMBOT_ALERT_URLS": sink.url})
            end = time.monotonic() + 300
            while HALTED not in [notice["title"] for notice in sink.received]:
                assert time.monotonic() < end, sink.received
                time.sleep(0.2)
            assert figures.read().alerts_open[("CRITICAL",)] == 1
        finally:
            with store.begin() as uow:
                safety.resume(uow.safety, safety.GLOBAL, by="Ann", reason="it is over", at=NOON)
            services.restart("code", product.stack.environ)
            engine.dispose()
