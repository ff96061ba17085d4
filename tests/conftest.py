"""Mark tests by what they need of the machine, and group those that run in one process.

`make test` and `make test-fast` select by the marks.
"""

import gc
import os
import signal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

pytest_plugins = ["tests.broker", "tests.postgres"]

# How long one example takes says how busy the machine is.
settings.register_profile(
    "no_deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("no_deadline")  # 100 examples
settings.register_profile("fast", settings.default, max_examples=20)
settings.register_profile("long", settings.default, max_examples=2_000)

_HERE = Path(__file__).parent

# These start the whole product, which mostly waits for its ticks: one process has the product that
# many tests share, and a second one those that start their own.
_SHARED_PRODUCT = ("e2e",)
_OWN_PRODUCTS = ("chaos/test_run.py", "solo")
_PRODUCT = (*_SHARED_PRODUCT, *_OWN_PRODUCTS)
_YIELDING = 5  # how much nicer all other processes are: no product starves beside them

# What takes longest begins first, or one process works at the end while the others are done.
_LONGEST = (_SHARED_PRODUCT, _OWN_PRODUCTS, ("crash", "bridge/test_state_machine.py", "chain"))

# These start a chain or Dagster; what is left in the folders of `make test-fast` does not.
_SERVER_FIXTURES = {
    "anvil_bridge",
    "broker",
    "chain_harness",
    "chains",
    "dagster_server",
    "devnet",
    "nodes",
    "port_devnet",
}
_SERVER_PARAMETERS = {"anvil"}
_OWN_SERVERS = ("adapters/db/test_embedded.py", "bridge/test_database_outage.py")


def pytest_configure() -> None:
    # What a shell starts in the background ignores Ctrl-C, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # collecting makes a million objects, and all of them stay


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        path = item.path.relative_to(_HERE)
        if _is_in(path, _PRODUCT):
            item.add_marker(pytest.mark.product)
        elif _is_in(path, _OWN_SERVERS) or _has_server(item) or _is_slow_attack(path, item):
            item.add_marker(pytest.mark.server)
    items.sort(key=lambda item: _rank(item.path.relative_to(_HERE)))


def _rank(path: Path) -> int:
    ranks = (rank for rank, places in enumerate(_LONGEST) if _is_in(path, places))
    return next(ranks, len(_LONGEST))


@cache
def _yield_to_products() -> None:
    os.nice(_YIELDING)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ and item.get_closest_marker("product") is None:
        _yield_to_products()


class Groups(LoadScopeScheduling):
    """Give a process all tests that share what was started for them: mostly one file's."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        path = Path(file).relative_to(_HERE.name)
        for places in (_SHARED_PRODUCT, _OWN_PRODUCTS):
            if _is_in(path, places):
                return " ".join(places)
        if _is_in(path, ("crash",)):
            claims = test.partition("[")[2].rstrip("]").partition("-")[0]
            return f"{path} {claims}"
        return str(path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Groups:
    # The marks of pytest-xdist 3.8 (loadgroup) are lost in pytest 9.2.
    return Groups(config, log)


def _is_in(path: Path, places: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(place) for place in places)


def _is_slow_attack(path: Path, item: pytest.Item) -> bool:
    """Return whether a test attacks more than the bridge on in-memory chains."""
    return _is_in(path, ("attacks",)) and "harness" not in getattr(item, "fixturenames", ())


def _has_server(item: pytest.Item) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if parameters.get("ports", "memory") != "memory":
        return True
    on_server = {value for value in parameters.values() if isinstance(value, str)}
    fixtures = set(getattr(item, "fixturenames", ()))
    return bool(on_server & _SERVER_PARAMETERS or fixtures & _SERVER_FIXTURES)
