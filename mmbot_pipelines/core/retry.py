"""When to try again."""

_MAX_LENGTH = 3600  # seconds: an operator who repairs something sees the effect within the hour


def backoff(failures: int, base: float, draw: float) -> float:
    """Return the seconds to wait after the `failures`-th failure in a row.

    Doubles from `base` up to an hour; `draw` in [0, 1) spreads the wait over its upper
    half, so that what failed together is not tried again together.
    """
    return float(min(base * 2 ** min(failures - 1, 20), _MAX_LENGTH) * (0.5 + draw / 2))
