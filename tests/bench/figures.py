"""What was measured, what it has to reach, and how both are shown."""

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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


def median_to_transfer(orders: Sequence[SeenOrder]) -> float:
    """Return the median from an order's block to its transfer's, in seconds."""
    return statistics.median(order.transfer_at - order.set_at for order in orders)


def median_to_claim(orders: Sequence[SeenOrder]) -> float:
    """Return the median from an order's block to its claim's, in seconds."""
    return statistics.median(order.claim_at - order.set_at for order in orders)


def write(folder: Path, figures: Sequence[Figure], singles: Mapping[str, list[SeenOrder]]) -> None:
    """Write the figures as JSON, and how long each single order took as JSON and a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = {
        label: {
            "transfer": [order.transfer_at - order.set_at for order in orders],
            "claim": [order.claim_at - order.set_at for order in orders],
        }
        for label, orders in singles.items()
    }
    rows = [asdict(figure) for figure in figures]
    everything = {"machine": machine(), "figures": rows, "single orders, seconds": seconds}
    (folder / "bench.json").write_text(json.dumps(everything, indent=2) + "\n")
    if seconds:
        _draw(folder / "bench.svg", seconds)


def machine() -> str:
    """Return one line that says what this was measured on."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )


def _draw(path: Path, seconds: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
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
