"""A short run of `make chaos`: kills and broken nodes under load, and nothing is wrong."""

from pathlib import Path

import pytest

from tests.chaos.faulty_stack import FaultyStack
from tests.chaos.invariants import table
from tests.chaos.run import ChaosRun

SEED = 5


@pytest.mark.timeout(1500)
def test_a_short_chaos_leaves_nothing_wrong(tmp_path: Path) -> None:
    logged: list[str] = []
    with FaultyStack(tmp_path / "chaos", seed=SEED) as stack:
        chaos = ChaosRun(stack, orders=16, kills=8, seed=SEED, log=logged.append, kill_every=3.0)
        results = chaos.run()
    assert chaos.faults.killed >= 8
    assert not any(result.violations for result in results), "\n".join([*logged, table(results)])
    checked = {result.name: result.checked for result in results}
    assert checked["every locked order is stored as it is"] >= 16
    assert all(checked.values()), table(results)
