"""make bench-imports: CPU that imports take, beside `import dagster` alone.

python -m tests.bench.imports 9        # times each, one after the other
"""

import resource
import statistics
import subprocess
import sys

from tests.bench.figures import machine

_ALONE = "dagster"
_MODULES = (_ALONE, "mmbot_pipelines.definitions", "mmbot_pipelines.worker")
_MAX_RATIO = 2.1  # of the code location: 1.5 s where Dagster alone takes 0.7 s


def main(times: int) -> None:
    """Print the median of each and its ratio; exit with 1 where the code location's is too high."""
    taken: dict[str, list[float]] = {module: [] for module in _MODULES}
    for _ in range(times):
        for module, seconds in taken.items():
            seconds.append(_cpu(module))
    ratios = {
        module: statistics.median(seconds) / statistics.median(taken[_ALONE])
        for module, seconds in taken.items()
    }
    for module, ratio in ratios.items():
        print(f"{module:30} {statistics.median(taken[module]):6.2f} s CPU  {ratio:5.2f} x")
    print(machine())
    sys.exit(ratios["mmbot_pipelines.definitions"] > _MAX_RATIO)


def _cpu(module: str) -> float:
    """Return the CPU seconds of a process that imports a module and ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 9)
