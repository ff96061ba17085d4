"""Text from outside, as one line that does nothing."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.text import cleaned


def test_plain_text_stays_as_it_is() -> None:
    assert cleaned("Transfer failed. 100 % — naïve 支付") == "Transfer failed. 100 % — naïve 支付"


def test_what_moves_a_terminal_or_a_line_goes() -> None:
    assert cleaned("a\x1b[2Jb\r\nc\td\x00e\x7f\x85\u2028f\u202eg\ufeff") == "a[2Jbcdefg"


def test_long_text_is_cut() -> None:
    assert cleaned("x" * 201) == "x" * 199 + "…"
    assert cleaned("x" * 200) == "x" * 200


@given(st.text(max_size=3000))
def test_any_text_becomes_one_short_line(text: str) -> None:
    line = cleaned(text)
    assert len(line) <= 200
    assert all(c == " " or unicodedata.category(c)[0] not in "CZ" for c in line)
