"""`make chaos`: one chaos run as the environment describes it; exit code 1 on a violation."""

import os
import signal
import sys
from pathlib import Path
from random import Random

from mmbot_pipelines.settings.bridge import CLAIMS, NO_BATCH
from tests.chaos.faulty_stack import SETTINGS, FaultyStack
from tests.chaos.invariants import table
from tests.chaos.run import ChaosRun


def main() -> int:
    orders = int(os.environ.get("CHAOS_ORDERS", "200"))
    kills = int(os.environ.get("CHAOS_KILLS", "100"))
    seed = int(os.environ.get("CHAOS_SEED", "0")) or Random().randrange(1, 10**6)
    claim = os.environ.get("CHAOS_CLAIM") or Random(seed).choice(CLAIMS)
    batch = os.environ.get("CHAOS_BATCH") or NO_BATCH
    home = Path(os.environ.get("CHAOS_HOME", ".mmbot/chaos"))

    def log(text: str) -> None:
        print(text, flush=True)

    plan = f"CHAOS_SEED={seed} CHAOS_ORDERS={orders} CHAOS_KILLS={kills} CHAOS_CLAIM={claim}"
    log(f"{plan} CHAOS_BATCH={batch} repeats this plan")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        settings = SETTINGS | {"MMBOT_CLAIM": claim, "MMBOT_BATCH": batch}
        with FaultyStack(home, seed=seed, settings=settings) as stack:
            log(f"Dagster UI: {stack.ui}   logs: {stack.home / 'logs'}")
            results = ChaosRun(stack, orders=orders, kills=kills, seed=seed, log=log).run()
    except KeyboardInterrupt:
        log(f"CHAOS_SEED={seed}: stopped by hand, nothing was checked")
        return 1
    log(table(results))
    violations = sum(len(result.violations) for result in results)
    log(f"CHAOS_SEED={seed}: {violations or 'no'} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
