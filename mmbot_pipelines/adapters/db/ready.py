"""The one database, named or embedded, with its schemas as this version needs them."""

import threading
from pathlib import Path

from pydantic import SecretStr

from mmbot_pipelines.adapters.db.embedded import embedded_url
from mmbot_pipelines.adapters.db.migrate import pending, upgrade
from mmbot_pipelines.core.errors import BadSettings

_one_at_a_time = threading.Lock()
_ready: dict[tuple[SecretStr | None, Path], str] = {}


def ready_url(url: SecretStr | None, *, folder: Path, auto_migrate: bool) -> str:
    """Return the database's URL once it can be used; looked at once per process.

    url: None starts or joins the embedded server, whose data is in `folder`.

    Raises:
        BadSettings: migrations are pending and shall not be applied by themselves.
        StoreUnavailable: the database cannot be reached.
    """
    with _one_at_a_time:
        if (url, folder) not in _ready:
            found = database_url(url, folder=folder)
            if pending(found):
                if not auto_migrate:
                    raise BadSettings("the database is not of this version: run `mmbot migrate`")
                upgrade(found)
            _ready[url, folder] = found
        return _ready[url, folder]


def database_url(url: SecretStr | None, *, folder: Path) -> str:
    """Return the database's URL; None starts or joins the embedded server in `folder`.

    Raises:
        StoreUnavailable: the embedded server does not start.
    """
    return url.get_secret_value() if url is not None else embedded_url(folder)
