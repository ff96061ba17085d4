"""The table of the report: exact amounts, totals, percentiles."""

from datetime import date

import pandas as pd

from mmbot_pipelines.bridge.ports.reports import DayOfOrigin, Figures, OrderTime
from mmbot_pipelines.bridge.report import TOTAL, daily
from mmbot_pipelines.core.money import UINT256_MAX, Wei

FRIDAY, SATURDAY = date(2026, 11, 20), date(2026, 11, 21)


def a_day(day: date, origin: str, **figures: int) -> DayOfOrigin:
    return DayOfOrigin(
        day=day, origin=origin, figures=Figures(**{n: Wei(v) for n, v in figures.items()})
    )


def took(day: date, seconds: float, part: str = "transfer") -> OrderTime:
    return OrderTime(day=day, origin="zksync", part=part, seconds=seconds)


def test_amounts_beyond_any_machine_word_stay_exact() -> None:
    table = daily([a_day(FRIDAY, "zksync", earned=UINT256_MAX, gas_paid=1)], [])
    assert table.loc[("2026-11-20", "zksync"), "profit"] == UINT256_MAX - 1
    assert type(table.loc[("2026-11-20", "zksync"), "earned"]) is int


def test_the_last_row_is_the_total_of_all() -> None:
    days = [
        a_day(FRIDAY, "starknet", found=1, earned=5, gas_paid=9),
        a_day(FRIDAY, "zksync", found=2, earned=7),
        a_day(SATURDAY, "zksync", refunded=1, messages_paid=2),
    ]
    table = daily(days, [])
    assert list(table["profit"]) == [-4, 7, -1, 2]
    assert table.index[-1] == (TOTAL, "")
    assert table.loc[(TOTAL, ""), "found"] == 3


def test_percentiles_are_of_the_day_and_of_all() -> None:
    days = [a_day(FRIDAY, "zksync", transferred=3), a_day(SATURDAY, "zksync", transferred=1)]
    times = [*(took(FRIDAY, s) for s in (1, 2, 9)), took(SATURDAY, 5)]
    table = daily(days, [*times, took(SATURDAY, 60, "repayment")])
    assert list(table["transfer_p50"]) == [2, 5, 3.5]
    assert pd.isna(table.loc[("2026-11-20", "zksync"), "repayment_p95"])
    assert table.loc[(TOTAL, ""), "repayment_p95"] == 60


def test_an_empty_report_is_its_total() -> None:
    table = daily([], [])
    assert list(table.index) == [(TOTAL, "")]
    assert table["profit"].tolist() == [0]
