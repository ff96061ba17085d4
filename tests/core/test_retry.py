"""How long a failure waits for its next attempt."""

from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.retry import backoff


def test_the_wait_doubles() -> None:
    assert [backoff(n, 30, 1.0) for n in (1, 2, 3, 4)] == [30, 60, 120, 240]


@given(st.integers(1, 10_000), st.floats(0.1, 600), st.floats(0, 1, exclude_max=True))
def test_the_wait_is_jittered_over_its_upper_half(failures: int, base: float, draw: float) -> None:
    longest = backoff(failures, base, 1.0)
    assert longest <= 3600
    assert longest / 2 <= backoff(failures, base, draw) <= longest
    assert backoff(failures + 1, base, draw) >= backoff(failures, base, draw)
