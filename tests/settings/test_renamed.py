"""Settings keep working under the names they had before."""

import logging

import pytest

from mmbot_pipelines import settings
from mmbot_pipelines.settings import renamed
from tests.settings.environments import GOOD


@pytest.fixture(autouse=True)
def _forget_warnings() -> None:
    renamed._warned.clear()


def test_an_old_name_is_accepted_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            read = settings.load(GOOD | {"MMBOT_KEEP_RUNS_DAYS": "7"})
    assert read.database.run_retention_days == 7
    assert [record.getMessage() for record in caplog.records] == [
        "MMBOT_KEEP_RUNS_DAYS is now called MMBOT_RUN_RETENTION_DAYS: rename it in your environment"
    ]


def test_the_new_name_wins() -> None:
    both = {"MMBOT_KEEP_RUNS_DAYS": "7", "MMBOT_RUN_RETENTION_DAYS": "9"}
    assert settings.load(GOOD | both).database.run_retention_days == 9


def test_every_new_name_is_a_setting_and_no_old_one_is() -> None:
    assert set(renamed.RENAMED.values()) <= set(settings.VARIABLES)
    assert not set(renamed.RENAMED) & set(settings.VARIABLES)
