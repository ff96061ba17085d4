"""What was measured, what it has to reach, and how both are shown."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from matplotlib.figure import Figure as Drawing

from tests.bench.observer import SeenOrder


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure, and what it has to reach."""

    name: str
    value: float
    unit: str
    at_most: float | None = None
    at_least: float | None = None

    @property
    def missed(self) -> bool:
        too_high = self.at_most is not None and self.value > self.at_most
        return too_high or (self.at_least is not None and self.value < self.at_least)

    def line(self) -> str:
        floor = f"at most {self.at_most:g}" if self.at_most is not None else ""
        floor = f"at least {self.at_least:g}" if self.at_least is not None else floor
        verdict = "MISSED" if self.missed else "met" if floor else ""
        return f"{self.name:62} {self.value:9.2f} {self.unit:6}  {floor:13} {verdict}".rstrip()


Seconds = Mapping[str, Sequence[float]]  # of single orders, to "transfer" and "claim"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one part measured, at one commit."""

    label: str
    figures: Sequence[Figure]
    singles: Mapping[str, Seconds]
    machine: str
    commit: str

    @classmethod
    def of(
        cls, label: str, figures: Sequence[Figure], singles: Mapping[str, Sequence[SeenOrder]]
    ) -> Self:
        """Return what was measured just now.

        singles: single orders by who served them.
        """
        seconds = {
            who: {
                "transfer": [order.transfer_at - order.set_at for order in orders],
                "claim": [order.claim_at - order.set_at for order in orders],
            }
            for who, orders in singles.items()
        }
        return cls(
            label=label, figures=figures, singles=seconds, machine=machine(), commit=_commit()
        )

    @classmethod
    def read(cls, folder: Path, label: str) -> Self | None:
        """Return what this commit measured before, or None."""
        path = _path(folder, label)
        kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        commit = _commit()
        if kept.get("commit") != commit or commit.endswith("-dirty"):
            return None
        return cls(**kept | {"figures": [Figure(**figure) for figure in kept["figures"]]})

    def keep(self, folder: Path) -> None:
        """Write it where `read` finds it."""
        path = _path(folder, self.label)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def _path(folder: Path, label: str) -> Path:
    return folder / "parts" / (label.replace(", ", "-").replace(" ", "") + ".json")


def _commit() -> str:
    """Return the commit, and whether files were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def median_to_broadcast(orders: Sequence[SeenOrder]) -> float:
    """Return the median from an order's block to when a node had its transfer, in seconds."""
    return statistics.median(order.broadcast_at - order.set_at for order in orders)


def median_to_transfer(orders: Sequence[SeenOrder]) -> float:
    """Return the median from an order's block to its transfer's, in seconds."""
    return statistics.median(order.transfer_at - order.set_at for order in orders)


def median_to_claim(orders: Sequence[SeenOrder]) -> float:
    """Return the median from an order's block to its claim's, in seconds."""
    return statistics.median(order.claim_at - order.set_at for order in orders)


def write(folder: Path, measured: Sequence[Measured]) -> None:
    """Write all parts into one JSON file, and how long single orders took as a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    everything = [asdict(each) for each in measured]
    (folder / "bench.json").write_text(json.dumps(everything, indent=2) + "\n")
    seconds = {who: taken for each in measured for who, taken in each.singles.items()}
    if seconds:
        _draw(folder / "bench.svg", seconds)


def machine() -> str:
    """Return one line that says what this was measured on."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _draw(path: Path, seconds: Mapping[str, Seconds]) -> None:
    """Draw how long each order took: a box a bot, one picture to the transfer, one to the claim."""
    drawing = Drawing(figsize=(9, 1 + 0.4 * len(seconds)), layout="constrained")
    pictures = drawing.subplots(1, 2, sharey=True)
    for axes, what in zip(pictures, ("transfer", "claim"), strict=True):
        axes.boxplot(
            [taken[what] for taken in seconds.values()],
            orientation="horizontal",
            tick_labels=list(seconds),
        )
        axes.set_xlim(left=0)
        axes.set_xlabel(f"seconds from order to {what}")
    pictures[0].invert_yaxis()  # both share it
    drawing.savefig(path)
