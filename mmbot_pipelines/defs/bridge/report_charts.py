"""The charts of a day as PNG images in Markdown, which the UI shows. Pure.

Floats are good enough for a picture; the table beside it is exact.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import datetime

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmbot_pipelines.bridge.ports.reports import DayOfOrigin, HourOfExposure

_WEI_PER_ETH = 10**18
_INCHES, _DPI = (7.0, 2.6), 80


def money_chart(days: Sequence[DayOfOrigin]) -> str:
    """Draw what each origin earned, cost and left on each day, in ETH."""
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    places = range(len(days))
    bars: Mapping[str, list[int]] = {
        "fees": [d.figures.earned for d in days],
        "gas": [-d.figures.gas_paid for d in days],
        "messages": [d.figures.refunded - d.figures.messages_paid for d in days],
        "profit": [d.figures.profit for d in days],
    }
    width = 0.8 / len(bars)
    for number, (name, amounts) in enumerate(bars.items()):
        axes.bar(
            [place + (number - 1.5) * width for place in places],
            [amount / _WEI_PER_ETH for amount in amounts],
            width,
            label=name,
        )
    names = [f"{d.day:%d %b}\n{d.origin or 'shared'}" for d in days]
    axes.set_xticks(list(places), names)
    axes.axhline(0, color="black", linewidth=0.6)
    _label(axes, "ETH")
    return _markdown(figure, "fees, gas, messages and profit by origin, in ETH")


def exposure_chart(hours: Sequence[HourOfExposure]) -> str:
    """Draw the highest exposure of each hour by origin, in ETH."""
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    by_origin: dict[str, list[tuple[datetime, float]]] = {}
    for hour in hours:
        points = by_origin.setdefault(hour.origin, [])
        points.append((hour.at, hour.peak / _WEI_PER_ETH))
    for origin, points in by_origin.items():
        at, out = zip(*points, strict=True)
        axes.step(at, out, where="post", label=origin)
    axes.set_ylim(bottom=0)
    _label(axes, "ETH out")
    return _markdown(figure, "highest exposure of each hour by origin, in ETH")


def _label(axes: Axes, what: str) -> None:
    axes.set_ylabel(what)
    axes.grid(visible=True, axis="y", linewidth=0.3)
    axes.tick_params(labelsize=7)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=7)


def _markdown(figure: Figure, text: str) -> str:
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return f"![{text}](data:image/png;base64,{base64.b64encode(image.getvalue()).decode()})"
