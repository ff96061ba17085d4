"""make bench-commands: CPU and seconds of the commands that a person waits for.

python -m tests.bench.commands 9       # times each, one after the other

Beside what they cannot do without: Python with SQLAlchemy and Postgres' driver. Ratios are judged;
seconds are this machine's.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mmbot_pipelines.adapters.db import embedded, migrate
from tests.bench.figures import machine

_ALONE = "sqlalchemy and psycopg"
_MMBOT = str(Path(sys.executable).with_name("mmbot"))
_IMPORT = "import sqlalchemy.dialects.postgresql.psycopg, psycopg"
_COMMANDS = {
    _ALONE: [sys.executable, "-c", _IMPORT],
    "mmbot --help": [_MMBOT, "--help"],
    "mmbot orders": [_MMBOT, "orders"],
    "mmbot status": [_MMBOT, "status"],
    "mmbot safety": [_MMBOT, "safety"],
    "mmbot halt": [_MMBOT, "halt", "--by", "bench", "--reason", "measured"],
    "mmbot retry, nothing to do": [_MMBOT, "retry", "zksync:7"],
}
_MAX_RATIO = 1.8


def main(times: int) -> None:
    """Print the medians of each; exit with 1 where one takes too much CPU."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in _COMMANDS}
    with tempfile.TemporaryDirectory(prefix="mmbot-bench-") as folder:
        url = embedded.embedded_url(Path(folder) / "data")
        try:
            migrate.upgrade(url)
            for _ in range(times):
                for name, command in _COMMANDS.items():
                    taken[name].append(_cost(command, url))
        finally:
            embedded.stop(Path(folder) / "data")
    cpu = {name: statistics.median(cpu for cpu, _ in each) for name, each in taken.items()}
    for name, each in taken.items():
        seconds = statistics.median(seconds for _, seconds in each)
        ratio = cpu[name] / cpu[_ALONE]
        print(f"{name:28} {cpu[name]:5.2f} s CPU {seconds:5.2f} s  {ratio:5.2f} x")
    print(machine())
    sys.exit(max(cpu.values()) > _MAX_RATIO * cpu[_ALONE])


def _cost(command: list[str], url: str) -> tuple[float, float]:
    """Return the CPU and the seconds of one command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    environ = os.environ | {"MMBOT_DATABASE_URL": url}
    subprocess.run(command, env=environ, capture_output=True, check=False)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, seconds


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 9)
