"""Any process may be killed at any time: every order goes on."""

from pathlib import Path

from mmbot_pipelines.core.failpoints import Point
from mmbot_pipelines.devnet.orders import burst
from tests.e2e.product import Product


def test_the_daemon_is_killed_with_orders_under_way(product: Product) -> None:
    keys = product.place(burst(product.stack.deployment, 2, seed=3))
    product.await_all(keys, lambda _: True)  # all are stored
    product.stack.services["daemon"].kill()
    more = product.place(burst(product.stack.deployment, 1, seed=4))
    product.await_completed([*keys, *more])
    product.check_invariants()


def test_processes_die_between_two_effects(product: Product, tmp_path: Path) -> None:
    points = [
        Point.CURSOR_STORED,
        Point.DECIDED,
        Point.TRANSFER_STORED,
        Point.TRANSFER_BROADCAST,
        Point.REPAY_STORED,
    ]
    tokens = [tmp_path / point for point in points]
    for token in tokens:
        token.touch()
    armed = ",".join(f"{p}={t}" for p, t in zip(points, tokens, strict=True))
    services = product.stack.services
    for name in ("code", "workers"):  # what ticks, and what executes runs
        services.restart(name, product.stack.environ | {"MMBOT_FAILPOINTS": armed})
    keys = product.place(burst(product.stack.deployment, 4, seed=5))  # a run for each
    product.await_completed(keys, seconds=400)
    assert not [t for t in tokens if t.exists()]
    noted = {e.fault.kind for key in keys for e in product.store.errors.of(key)}
    assert "RunDied" in noted
    for name in ("code", "workers"):
        services.restart(name, product.stack.environ)
    product.check_invariants()
