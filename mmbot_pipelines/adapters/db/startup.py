"""The one database, named or embedded, with its schemas as this version needs them."""

import threading
from pathlib import Path

from pydantic import SecretStr

from mmbot_pipelines.adapters.db.pooling import require_own_sessions
from mmbot_pipelines.adapters.db.versions import migrated, pending
from mmbot_pipelines.core.errors import InvalidSettings

_one_at_a_time = threading.Lock()
_ready: dict[tuple[SecretStr | None, Path], str] = {}


def ready_url(url: SecretStr | None, *, folder: Path, auto_migrate: bool) -> str:
    """Return the database's URL once it can be used; looked at once per process.

    url: None starts or joins the embedded server, whose data is in `folder`.

    Raises:
        InvalidSettings: migrations are pending and shall not be applied by themselves, or a pooler
            does not keep sessions apart.
        StoreUnavailable: the database cannot be reached.
    """
    with _one_at_a_time:
        if (url, folder) not in _ready:
            found = database_url(url, folder=folder)
            if url is not None:
                require_own_sessions(found)
            if pending(found):
                if not auto_migrate:
                    raise InvalidSettings(
                        "the database is not of this version: run `mmbot migrate`"
                    )
                # Alembic takes a fifth of a second to import.
                from mmbot_pipelines.adapters.db.migrate import upgrade  # noqa: PLC0415

                upgrade(found)
            _ready[url, folder] = found
        return _ready[url, folder]


def require_existing(url: SecretStr | None, *, folder: Path) -> None:
    """Check that the database is one that the bot has used; nothing is created or started.

    Raises:
        InvalidSettings: no database is named and none runs, or the named one is not the bot's.
        StoreUnavailable: the database cannot be reached.
    """
    if url is None and not _is_running(folder):
        raise InvalidSettings(
            f"MMBOT_DATABASE_URL is not set and no embedded database runs in {folder}: nothing "
            "was done; load the bot's settings into this shell first (set -a; . ./.env; set +a), "
            "and start the bot where it uses the embedded one"
        )
    if url is not None and not migrated(url.get_secret_value()):
        raise InvalidSettings(
            "MMBOT_DATABASE_URL names a database without the bot's tables: nothing was done; set "
            "it to the one that the bot uses, or make the tables with `mmbot migrate`"
        )


def database_url(url: SecretStr | None, *, folder: Path) -> str:
    """Return the database's URL; None starts or joins the embedded server in `folder`.

    Raises:
        StoreUnavailable: the embedded server does not start.
    """
    if url is not None:
        return url.get_secret_value()
    # With a database that is named, a process needs none of the libraries that start one.
    from mmbot_pipelines.adapters.db.embedded import embedded_url  # noqa: PLC0415

    return embedded_url(folder)


def _is_running(folder: Path) -> bool:
    from mmbot_pipelines.adapters.db.embedded import is_running  # noqa: PLC0415

    return is_running(folder)
