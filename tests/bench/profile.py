"""make bench-profile: where the CPU of a single order goes, by process and by what it does there.

    python -m tests.bench.profile 20       # orders

CPU seconds are the processes' own; the parts of a process are py-spy's samples of threads that hold
the interpreter's lock, so that what waits does not count. Postgres is not divided.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from mmbot_pipelines.devnet.stack import Stack
from tests.bench.cpu import cpu_seconds
from tests.bench.figures import machine
from tests.bench.parts import place_singles
from tests.bench.stacks import product

_SAMPLES_A_SECOND = "100"
_IDLE_SECONDS = 30.0
_WAIT_SECONDS = 300.0
_REST = "the rest"

# What a sample is counted as: the first of these that one of its frames contains.
_PARTS: Mapping[str, Sequence[tuple[str, str]]] = {
    "code": (
        ("questions to nodes", "Node.ask ("),
        ("statements to Postgres", "Connection.execute (sqlalchemy"),
        ("opening Dagster's instance and resources", "SensorEvaluationContext.resources"),
        ("our sensors beside these", "(mmbot_pipelines/defs/bridge/"),
        ("announcements of nodes", "Subscription._run"),
        ("Dagster and gRPC", "grpc"),
    ),
    "daemon": (
        ("creating and launching runs", "_submit_run_request"),
        ("storing ticks and sensors' states", "SchedulingMethods."),
        ("asking the code server", "DagsterGrpcClient."),
        ("the rest of a tick", "_process_tick_generator"),
        ("looking for what is due", "run_daemon_loop"),
    ),
    "workers": (
        ("storing Dagster's events", "EventMethods.handle_new_event"),
        ("questions to nodes", "Node.ask ("),
        ("our statements and steps beside these", "(mmbot_pipelines/bridge/"),
        ("the rest of Dagster's run", "execute_run ("),
        ("Celery", "(celery/worker/"),
    ),
}


def main(count: int) -> None:
    """Print CPU an order by process, and what each does with it."""
    with product(2) as (observer, stack):
        observer.await_claims(observer.place(2), _WAIT_SECONDS)
        before, begun = _cpu(stack), time.monotonic()
        time.sleep(_IDLE_SECONDS)
        elapsed = time.monotonic() - begun
        idle = {name: (of - before[name]) / elapsed for name, of in _cpu(stack).items()}
        before, begun = _cpu(stack), time.monotonic()
        place_singles(observer, 2, "alone", count)
        each = (time.monotonic() - begun) / count
        used = {name: (of - before[name]) / count for name, of in _cpu(stack).items()}
        with _spied(stack) as samples:
            place_singles(observer, 2, "with py-spy", count)
    print(f"| process | CPU an order | while idle for as long ({each:.1f} s) | its Python |")
    print("|---|---|---|---|")
    for name, of in sorted(used.items(), key=lambda item: -item[1]):
        parts = samples.get(name, Counter())
        shares = ", ".join(
            f"{part} {100 * of_part / parts.total():.0f} %" for part, of_part in parts.most_common()
        )
        print(f"| {name} | {of:.3f} s | {idle[name] * each:.3f} s | {shares} |")
    print(f"| all | {sum(used.values()):.2f} s | {each * sum(idle.values()):.2f} s | |")
    print(machine())


def _cpu(stack: Stack) -> dict[str, float]:
    """Return the CPU seconds of each service."""
    assert stack.postmaster is not None
    roots = {s.name: s.pid for s in stack.services.services if s.name != "messenger"}
    roots["Postgres"] = stack.postmaster
    return {name: cpu_seconds([pid]) for name, pid in roots.items()}


@contextmanager
def _spied(stack: Stack) -> Iterator[dict[str, Counter[str]]]:
    """Let py-spy watch each process; yield samples by service and part, filled at the end."""
    samples: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        spies = []
        for name in _PARTS:
            root = psutil.Process(stack.services[name].pid)
            for process in [root, *root.children(recursive=True)]:
                path = Path(folder) / f"{name}.{process.pid}"
                spies.append((name, path, _spy(process.pid, path)))
        yield samples
        for name, path, spy in spies:
            spy.send_signal(signal.SIGINT)  # it writes what it has then
            spy.wait()
            samples.setdefault(name, Counter()).update(_parts(name, path))


def _spy(pid: int, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(str(Path(sys.executable).parent / "py-spy"), "record", "--gil", "--nonblocking"),
            *("--rate", _SAMPLES_A_SECOND, "--duration", "86400", "--format", "raw"),
            *("--output", str(path), "--pid", str(pid)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _parts(name: str, path: Path) -> Counter[str]:
    """Count the samples of a process by part."""
    counted: Counter[str] = Counter()
    for line in path.read_text().splitlines() if path.exists() else ():
        stack, _, count = line.rpartition(" ")
        part = next((part for part, frame in _PARTS[name] if frame in stack), _REST)
        counted[part] += int(count)
    return counted


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 20)
