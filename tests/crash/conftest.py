"""What the tests of kills share."""

from tests.crash.kill_harness import chains, chains_v2, kill_harness

__all__ = ["chains", "chains_v2", "kill_harness"]
