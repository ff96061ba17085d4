"""Run by Alembic within the connection and the transaction that `migrate` has opened."""

from alembic import context

from mmbot_pipelines.adapters.db.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
)
context.run_migrations()
