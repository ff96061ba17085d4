"""make bench-idle: what the product costs while nothing happens.

    python -m tests.bench.idle 120         # seconds

CPU seconds of the code server, daemon, webserver and Postgres, without the local chains; and
JSON-RPC calls by chain, each question of a batch counted. The local Starknet has no WebSocket.
"""

import sys
import time
from collections.abc import Sequence

from tests.bench.cpu import cpu_seconds
from tests.bench.figures import machine
from tests.bench.quiet_product import QuietStack, quiet_stack

_WARM_UP_SECONDS = 40.0
_OURS = ("code", "daemon", "webserver")


def main(seconds: float) -> None:
    for origins in (("zksync",), ("zksync", "starknet")):
        used, calls = idle(origins, seconds)
        cpu = ", ".join(f"{name} {of:.1f}" for name, of in used.items())
        print(f"{' and '.join(origins)}: CPU seconds a minute {sum(used.values()):.1f} ({cpu})")
        print("RPC calls a minute: " + ", ".join(f"{name} {of:.0f}" for name, of in calls.items()))
    print(machine())


def idle(origins: Sequence[str], seconds: float) -> tuple[dict[str, float], dict[str, float]]:
    """Return CPU seconds a minute by process, and JSON-RPC calls a minute by chain."""
    with quiet_stack(origins, {}) as stack:
        time.sleep(_WARM_UP_SECONDS)
        before, called = _cpu(stack), _calls(stack)
        begun = time.monotonic()
        time.sleep(seconds)
        minutes = (time.monotonic() - begun) / 60
        used = {name: (s - before[name]) / minutes for name, s in _cpu(stack).items()}
        calls = {name: (n - called[name]) / minutes for name, n in _calls(stack).items()}
    return used, calls


def _cpu(stack: QuietStack) -> dict[str, float]:
    assert stack.postmaster is not None
    pids = {name: stack.services[name].pid for name in _OURS} | {"Postgres": stack.postmaster}
    return {name: cpu_seconds([pid]) for name, pid in pids.items()}


def _calls(stack: QuietStack) -> dict[str, int]:
    return {name: sum(node.asked.total() for node in nodes) for name, nodes in stack.nodes.items()}


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 120.0)
