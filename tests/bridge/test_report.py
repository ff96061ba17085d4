"""The table of the report: exact amounts, totals, percentiles."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mmbot_pipelines.bridge.ports.reports import DayOfOrigin, Figures, OrderTime
from mmbot_pipelines.bridge.report import TOTAL, daily, write_files
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


def test_the_margin_is_cut_to_a_hundredth_of_a_basis_point() -> None:
    days = [
        a_day(FRIDAY, "zksync", earned=1, repaid=3),
        a_day(SATURDAY, "zksync", gas_paid=1, repaid=3),
    ]
    table = daily([*days, a_day(SATURDAY, "starknet", gas_paid=1)], [])
    margins = list(table["margin_bps"])
    assert margins[:2] == [Decimal("3333.33"), Decimal("-3333.33")]
    assert margins[2:] == [None, Decimal("-1666.66")]


def test_parquet_has_every_wei_and_can_be_summed_up(tmp_path: Path) -> None:
    most = 10**27 + 1  # more than all ETH
    table = daily([a_day(FRIDAY, "zksync", earned=most)], [took(FRIDAY, 2)])
    parquet, csv = write_files(table, tmp_path / "reports", "2026-11-20")
    read = pq.read_table(parquet)
    assert read.schema.field("profit").type == pa.decimal128(38, 0)
    assert read["profit"].to_pylist() == [Decimal(most)] * 2
    assert read["transfer_p50"].to_pylist() == [2.0, 2.0]
    assert read["repayment_p50"].to_pylist() == read["margin_bps"].to_pylist() == [None, None]
    assert csv.read_text().count(str(most)) == 4
    assert {file.name for file in csv.parent.iterdir()} == {"2026-11-20.parquet", "2026-11-20.csv"}
