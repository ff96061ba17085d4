"""A short run of `make chaos`: kills and broken nodes under load, and nothing is wrong."""

from pathlib import Path

import pytest

from mmbot_pipelines.devnet.chaos import Chaos
from mmbot_pipelines.devnet.faulty_stack import FaultyStack
from mmbot_pipelines.devnet.invariants import table

SEED = 5


@pytest.mark.timeout(1500)
def test_a_short_chaos_leaves_nothing_wrong(tmp_path: Path) -> None:
    said: list[str] = []
    with FaultyStack(tmp_path / "chaos", seed=SEED) as stack:
        chaos = Chaos(stack, orders=16, kills=8, seed=SEED, say=said.append, kill_every=3.0)
        results = chaos.run()
    assert chaos.monkey.killed >= 8
    assert not any(result.broken for result in results), "\n".join([*said, table(results)])
    checked = {result.name: result.checked for result in results}
    assert checked["every locked order is known as it is"] >= 16
    assert all(checked.values()), table(results)
