"""The tables of schema `mmbot`: what is true about every order and every transaction.

Who imports one of them has all of them in `metadata`.
"""

from mmbot_pipelines.adapters.db.tables import monitoring, orders, outbox
from mmbot_pipelines.adapters.db.tables.schema import SCHEMA, metadata

__all__ = ["SCHEMA", "metadata", "monitoring", "orders", "outbox"]
