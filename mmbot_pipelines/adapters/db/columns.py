"""Column types that keep Python's values exact: whole numbers, UTC instants, any text."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Numeric, Text
from sqlalchemy.types import TypeDecorator

from mmbot_pipelines.core.money import UINT256_MAX


class Uint256(TypeDecorator[int]):
    """Store a whole number of 0 to 2**256 - 1 as numeric(78, 0); an int goes in and comes out."""

    impl = Numeric(78, 0)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if type(value) is not int or not 0 <= value <= UINT256_MAX:
            raise ValueError(f"not a uint256: {value!r}")
        return value

    def process_result_value(self, value: object, dialect: Dialect) -> int | None:
        return None if value is None else int(value)  # type: ignore[call-overload]


class Instant(TypeDecorator[datetime]):
    """Store a point in time as timestamptz; it comes out in UTC whatever the session's zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time without its zone: {value}")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


class SafeText(TypeDecorator[str]):
    """Store text from anywhere, also what Postgres cannot hold as it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """Replace what a Postgres text cannot hold: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
