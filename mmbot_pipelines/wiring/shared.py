"""What every application is plugged together with: the database, who signs, who is alerted.

Imports no chain, so that `mmbot halt` begins at once.
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import Engine

from mmbot_pipelines.adapters.broker.embedded import embedded_url
from mmbot_pipelines.adapters.db import pooling, startup
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.unit_of_work import PgStore
from mmbot_pipelines.core.alerts import Channel
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.unit_of_work import Store
from mmbot_pipelines.settings import Broker, Database, Key, Wallet

if TYPE_CHECKING:
    from mmbot_pipelines.adapters.broker.workers import BrokerWorkers
    from mmbot_pipelines.adapters.evm.signing import DeclaredSigner, Signer


def existing(database: Database) -> Database:
    """Return the database as it is, once it is known to be the bot's.

    Raises:
        InvalidSettings: there is none, or it has none of the bot's tables; nothing was created.
        StoreUnavailable: the database cannot be reached.
    """
    startup.require_existing(database.url, folder=database.folder)
    return database


def store(database: Database) -> Store:
    """Open the store, of whatever version the tables are: a halt waits for no migration.

    Raises:
        StoreUnavailable: the embedded server does not start.
    """
    return PgStore(connect(startup.database_url(database.url, folder=database.folder)))


def engine(database: Database) -> Engine:
    """Open the database, with its tables as this version needs them.

    Raises:
        InvalidSettings: migrations are pending and MMBOT_AUTO_MIGRATE is off.
        StoreUnavailable: the database cannot be reached.
    """
    url = startup.ready_url(
        database.url, folder=database.folder, auto_migrate=database.auto_migrate
    )
    return connect(url)


def database_url(database: Database) -> str:
    """Return the database's URL, whatever state its tables are in.

    Raises:
        StoreUnavailable: the embedded server does not start.
    """
    return startup.database_url(database.url, folder=database.folder)


def require_own_sessions(database: Database) -> None:
    """Check that no pooler stands before the database that shares sessions.

    Raises:
        InvalidSettings: one does.
    """
    if database.url is not None:
        pooling.require_own_sessions(database.url.get_secret_value())


def signer(key: Key | None) -> "Signer":
    """Return who signs for the wallet.

    Raises:
        InvalidSettings: the key cannot be read or is none.
    """
    # Commands that read the database alone need no cryptography.
    from mmbot_pipelines.adapters.evm import signers  # noqa: PLC0415

    if key is None:
        raise InvalidSettings("this process was started to look, without the wallet's key")
    return signers.signer(
        given=key.private_key,
        file=key.private_key_file,
        keystore=key.keystore_file,
        password_file=key.keystore_password_file,
        kms_key_id=key.kms_key_id,
    )


def declared_signer(wallet: Wallet) -> "DeclaredSigner":
    """Return who signs for a further wallet, whose address the settings name.

    Raises:
        InvalidSettings: the key cannot be read, is none, or is of another address.
    """
    from mmbot_pipelines.adapters.evm.signing import DeclaredSigner  # noqa: PLC0415

    try:
        found = DeclaredSigner(wallet.address, signer(wallet.key))
        if wallet.key is not None and wallet.key.kms_key_id is None:
            found.check()  # of one in KMS at its first signature: it may be away now
    except InvalidSettings as e:
        raise InvalidSettings(wallet.named(str(e))) from None
    return found


@cache
def workers(broker: Broker) -> "BrokerWorkers | None":
    """Return the warm workers, one object per process; None where no broker is named."""
    if broker.url is None:
        return None
    # A process without a broker needs no client for one.
    from mmbot_pipelines.adapters.broker.workers import BrokerWorkers  # noqa: PLC0415

    return BrokerWorkers(broker_url(broker), broker.description)


def broker_url(broker: Broker) -> SecretStr:
    """Return the URL of a broker that is named or embedded."""
    assert broker.url is not None  # noqa: S101  who asks has looked
    return SecretStr(embedded_url(broker.folder)) if broker.is_embedded else broker.url


def channels(alert_urls: Sequence[SecretStr]) -> list[Channel]:
    """Return one channel for each entry of MMBOT_ALERT_URLS.

    Raises:
        InvalidSettings: Apprise does not understand an entry.
    """
    if not alert_urls:
        return []
    # Most processes send no alert, and Apprise takes a second to import.
    from mmbot_pipelines.adapters.alerts.apprise import AppriseChannel  # noqa: PLC0415

    urls = [url.get_secret_value() for url in alert_urls]
    return [AppriseChannel(url, number=number) for number, url in enumerate(urls, 1)]
