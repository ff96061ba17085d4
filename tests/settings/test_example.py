"""The example of an environment names every setting and explains it."""

from pathlib import Path

import pytest
from dotenv import dotenv_values

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from tests.settings.environments import GOOD
from tests.settings.reference import REFERENCE, reference

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def test_the_example_names_exactly_the_settings() -> None:
    assert sorted(dotenv_values(EXAMPLE)) == sorted(settings.VARIABLES)


def test_the_example_loads_once_its_gaps_are_filled() -> None:
    example = {name: value or "" for name, value in dotenv_values(EXAMPLE).items()}
    with pytest.raises(InvalidSettings) as caught:
        settings.load(example)
    lines = str(caught.value).splitlines()
    assert all(" is missing: " in line for line in lines)
    gaps = {name: GOOD[name] for name in (line.split()[0] for line in lines)}
    assert settings.load(example | gaps).limits == settings.load(GOOD).limits
    assert settings.load(example | gaps).execution == settings.load(GOOD).execution


def test_every_setting_of_the_example_is_explained() -> None:
    before = ""
    for line in EXAMPLE.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            assert before.startswith(("#", "MMBOT_MIN_TRANSFER_WEI")), line
        before = line


def test_the_reference_is_up_to_date() -> None:
    assert REFERENCE.read_text() == reference(), "run `make settings`"


def test_the_reference_names_every_setting_in_a_row_of_its_own() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(settings.VARIABLES)
    assert [row for row in rows if not row.split(" | ")[2].strip(" |")] == []
