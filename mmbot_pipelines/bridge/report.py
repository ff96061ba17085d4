"""The report of an operator: what each origin earned and cost on each day, and how fast it was.

Amounts stay Python's integers in the table (dtype object): a float or an int64 holds no uint256.
"""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from mmbot_pipelines.bridge.ports.reports import DayOfOrigin, OrderTime, total

INDEX = ["day", "origin"]
TOTAL = "total"


def daily(days: Sequence[DayOfOrigin], times: Sequence[OrderTime]) -> pd.DataFrame:
    """Return a row a day and origin, and one of totals: counts, wei, seconds.

    Columns: the fields of `Figures`, `profit`, then `transfer_p50`, `transfer_p95`,
    `repayment_p50` and `repayment_p95`; missing where no order ended that part on the day.
    """
    rows = [
        {
            "day": d.day.isoformat(),
            "origin": d.origin,
            **asdict(d.figures),
            "profit": d.figures.profit,
        }
        for d in days
    ]
    sums = total(d.figures for d in days)
    rows.append({"day": TOTAL, "origin": "", **asdict(sums), "profit": sums.profit})
    table = pd.DataFrame(rows, dtype=object).set_index(INDEX)
    return table.join(_percentiles(times))


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
