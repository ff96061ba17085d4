"""mmbot migrate: bring the database up to this version."""

import typer

from mmbot_pipelines import settings
from mmbot_pipelines.adapters.db.migrate import upgrade
from mmbot_pipelines.adapters.db.versions import pending
from mmbot_pipelines.wiring import shared


def migrate() -> None:
    """Bring the database's tables up to this version."""
    url = shared.database_url(settings.load_database())
    if pending(url):
        upgrade(url)
        typer.echo("the database is migrated to this version")
    else:
        typer.echo("the database is of this version already")
