"""What all tables of schema `mmbot` are made of: names of constraints, kinds of columns.

On-chain quantities are all uint256, even where a sane node answers less: a lying one must
not break a write.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Integer,
    MetaData,
)

from mmbot_pipelines.adapters.db.columns import Uint256
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.bridge.ports.orders import Cursor
from mmbot_pipelines.core.money import UINT256_MAX
from mmbot_pipelines.core.outbox import TxState

SCHEMA = "mmbot"

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)


def uint256(name: str, *, nullable: bool = False) -> Column[int]:
    fits = CheckConstraint(f"{name} BETWEEN 0 AND {UINT256_MAX}", name=name)
    return Column(name, Uint256, fits, nullable=nullable)


def at_least(name: str, minimum: int, **kwargs: object) -> Column[int]:
    fits = CheckConstraint(f"{name} >= {minimum}", name=name)
    return Column(name, Integer, fits, nullable=False, **kwargs)  # type: ignore[arg-type]


def one_of(column: str, values: type[Status | TxState | Cursor] | list[str]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)
