"""The report of an operator: what each origin earned and cost on each day, and how fast it was.

Amounts stay Python's integers in the table (dtype object): a float or an int64 holds no uint256.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields
from decimal import Decimal
from pathlib import Path

import pandas as pd

from mmbot_pipelines.bridge.ports.reports import DayOfOrigin, Figures, OrderTime, total

INDEX = ["day", "origin"]
TOTAL = "total"
COUNTS = ("found", "transferred", "completed", "dropped", "errors", "undecided")
# In wei, but for fri; exact, and more digits than a float or an int64 holds.
AMOUNTS = (*(f.name for f in fields(Figures) if f.name not in COUNTS), "profit")
MARGIN = "margin_bps"
SECONDS = ("transfer_p50", "transfer_p95", "repayment_p50", "repayment_p95")
_DIGITS = 38  # of a decimal128, which every reader of Parquet knows; all ETH has 27 in wei


def daily(days: Sequence[DayOfOrigin], times: Sequence[OrderTime]) -> pd.DataFrame:
    """Return a row a day and origin, and one of totals: counts, wei, seconds.

    Columns: `COUNTS`, `AMOUNTS`, `MARGIN` and `SECONDS`; missing where there is none, as of a part
    of the way that no order ended on the day.
    """
    rows = [_row(d.day.isoformat(), d.origin, d.figures) for d in days]
    rows.append(_row(TOTAL, "", total(d.figures for d in days)))
    table = pd.DataFrame(rows, dtype=object).set_index(INDEX)
    return table.join(_percentiles(times))


def _row(day: str, origin: str, figures: Figures) -> dict[str, object]:
    all_fields = asdict(figures) | {"profit": figures.profit, MARGIN: figures.margin_bps}
    return {"day": day, "origin": origin, **{n: all_fields[n] for n in (*COUNTS, *AMOUNTS, MARGIN)}}


def write_files(table: pd.DataFrame, folder: Path, name: str) -> list[Path]:
    """Write a table of `daily` as Parquet and CSV; return both files.

    A reader finds the old file or the new one, never a part of one. Amounts are decimal128 in
    Parquet, whole numbers in CSV.

    Raises:
        OSError: the folder cannot be written.
        pyarrow.ArrowInvalid: an amount has more than 38 digits.
    """
    import pyarrow as pa  # noqa: PLC0415 - large, and the command prints without it
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {
        **dict.fromkeys(INDEX, pa.string()),
        **dict.fromkeys(COUNTS, pa.int64()),
        **dict.fromkeys(AMOUNTS, pa.decimal128(_DIGITS, 0)),
        MARGIN: pa.decimal128(_DIGITS, 2),
        **dict.fromkeys(SECONDS, pa.float64()),
    }
    plain = table.reset_index()
    columns = {name: plain[name].astype(object).where(plain[name].notna(), None) for name in types}
    for amount in AMOUNTS:
        columns[amount] = columns[amount].map(Decimal)
    arrow = pa.table({n: pa.array(c.tolist(), type=types[n]) for n, c in columns.items()})
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix in ("parquet", "csv"):
        file, part = folder / f"{name}.{suffix}", folder / f".{name}.{suffix}.part"
        if suffix == "parquet":
            pq.write_table(arrow, part)
        else:
            table.to_csv(part)
        part.replace(file)
        written.append(file)
    return written


def _percentiles(times: Sequence[OrderTime]) -> pd.DataFrame:
    ended = pd.DataFrame(
        [(t.day.isoformat(), t.origin, t.part, t.seconds) for t in times],
        columns=[*INDEX, "part", "seconds"],
    ).astype({"seconds": float})
    ended = pd.concat([ended, ended.assign(day=TOTAL, origin="")])
    columns = {}
    for part in ("transfer", "repayment"):
        seconds = ended[ended["part"] == part].groupby(INDEX)["seconds"]
        for percent in (50, 95):
            columns[f"{part}_p{percent}"] = seconds.quantile(percent / 100)
    return pd.DataFrame(columns)
