"""The only reader of the environment: typed, frozen, checked as a whole before use.

    load()            everything, for processes that move money
    load_apps()       only which applications run
    load_database()   only the database, for commands that read it
    load_dry_run()    only whether nothing is signed or sent
    load_log_format() only how a process logs
    load_broker()     only who hands runs to warm workers
    load_ui()         only what Dagster's webserver needs

An error is one line that names the variable and its fix. All errors are raised together.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr

from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.failpoints import Point
from mmbot_pipelines.settings.bridge import (
    Execution,
    OrderLimits,
    OriginNode,
    Safety,
    Served,
    sections,
)
from mmbot_pipelines.settings.renamed import with_new_names
from mmbot_pipelines.settings.section import Section, read_section
from mmbot_pipelines.settings.shared import L1, Broker, ChainSection, Database, General, Key, Ui
from mmbot_pipelines.settings.urls import place
from mmbot_pipelines.settings.values import TierSetting
from mmbot_pipelines.settings.wallets import (
    MoreWallets,
    Wallet,
    is_wallets,
    is_wallets_key,
    read_wallets,
)

__all__ = [
    "KEYS",
    "L1",
    "ORIGINS",
    "SECTIONS",
    "VARIABLES",
    "Broker",
    "ChainSection",
    "Database",
    "Execution",
    "Key",
    "OrderLimits",
    "OriginNode",
    "Safety",
    "Settings",
    "TierSetting",
    "Ui",
    "Wallet",
    "is_wallets",
    "load",
    "load_apps",
    "load_broker",
    "load_database",
    "load_dry_run",
    "load_log_format",
    "load_ui",
    "place",
    "without_keys",
]

_ORIGINS = sections()
SECTIONS: tuple[type[Section], ...] = (
    General,
    Database,
    Broker,
    L1,
    Key,
    MoreWallets,
    Ui,
    Served,
    OrderLimits,
    Safety,
    Execution,
    *_ORIGINS.values(),
)
VARIABLES: tuple[str, ...] = tuple(dict.fromkeys(name for s in SECTIONS for name in s.variables()))
# What moves money: only the code server and its runs may hold these.
KEYS: frozenset[str] = frozenset(Key.variables()).union(*(s.KEYS for s in _ORIGINS.values())) | {
    # AWS credentials allow signing with the key in KMS. Read by botocore, not by us.
    "AWS_ACCESS_KEY_ID",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
}
_CLOSE = 0.87  # of difflib's ratio: one or two characters off, not another word
_S = TypeVar("_S", bound=Section)


class Settings(BaseModel):
    """All settings of the environment. Its repr shows no secret."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    origins: tuple[str, ...]
    explorers: tuple[tuple[str, str], ...]  # by scope, the URL of a chain's block explorer
    database: Database
    broker: Broker
    l1: L1
    key: Key | None  # of the first wallet; None in a process that only looks
    more_wallets: tuple[Wallet, ...]
    origin_sections: tuple[OriginNode, ...]  # of `origins`, in their order
    limits: OrderLimits
    safety: Safety
    execution: Execution
    rpc_quorum: int | None  # as it was asked for; see `quorum`
    dry_run: bool  # decide, but neither sign nor send
    alert_urls: tuple[SecretStr, ...]
    failpoints: tuple[tuple[Point, Path], ...]

    def origin(self, name: str) -> OriginNode:
        """Return the section of an origin that is served."""
        return self.origin_sections[self.origins.index(name)]

    def quorum(self, chain: ChainSection) -> int:
        """Return how many nodes of a chain must agree before money is paid."""
        return self.rpc_quorum or min(2, len(set(chain.urls)))


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a process that moves no money: webserver, daemon, metrics."""
    return {n: v for n, v in environ.items() if n not in KEYS and not is_wallets_key(n)}


def load(environ: Mapping[str, str] = os.environ, *, keys: bool = True) -> Settings:
    """Read and check all settings.

    keys: False for a process that only looks: what it is given of them is not read.

    Raises:
        InvalidSettings: one line per fault, all faults together, no value in them.
    """
    given = _present(environ)
    faults = _misspelt(given)
    if not keys:
        given = without_keys(given)
        for name in (name for section in _ORIGINS.values() for name in section.NEED_KEYS):
            given.pop(name, None)
    general = read_section(General, given, faults)
    served = read_section(Served, given, faults)
    database = read_section(Database, given, faults)
    broker = read_section(Broker, given, faults)
    l1 = read_section(L1, given, faults)
    key = read_section(Key, given, faults) if keys else None
    more_wallets = read_wallets(given, l1.wallet_address if l1 else None, faults, keys=keys)
    names = served.origins if served else ()
    origins = {name: read_section(_ORIGINS[name], given, faults) for name in names}
    limits = read_section(OrderLimits, given, faults)
    safety = read_section(Safety, given, faults)
    execution = read_section(Execution, given, faults)
    read_section(Ui, given, faults)  # its faults belong to the others'
    if limits and l1:
        faults += [x for s in origins.values() if s for x in s.lacks(limits, l1.registry_abi)]
    if execution and l1:
        faults += execution.lacks(l1.registry_abi)
    if general and general.rpc_quorum:
        faults += _lacking_nodes(general.rpc_quorum, {"l1": l1, **origins})
    if faults or not (general and database and broker and l1 and limits and safety and execution):
        raise InvalidSettings("\n".join(dict.fromkeys(faults)))  # two sections have DAGSTER_HOME
    return Settings(
        origins=tuple(origins),
        explorers=served.explorers if served else (),
        database=database,
        broker=broker,
        l1=l1,
        key=key,
        more_wallets=more_wallets,
        origin_sections=tuple(s for s in origins.values() if s),
        limits=limits,
        safety=safety,
        execution=execution,
        rpc_quorum=general.rpc_quorum,
        dry_run=general.dry_run,
        alert_urls=general.alert_urls,
        failpoints=general.failpoints,
    )


def load_apps(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Read only which applications run: what the others need is not asked for.

    Raises:
        InvalidSettings: MMBOT_APPS names one that there is not.
    """
    faults: list[str] = []
    names = General.variables()
    given = {k: v for k, v in _present(environ).items() if k not in names or k == "MMBOT_APPS"}
    general = read_section(General, given, faults)
    if general is None:
        raise InvalidSettings("\n".join(faults))
    return general.apps


def load_dry_run(environ: Mapping[str, str] = os.environ) -> bool:
    """Read only whether nothing is signed or sent.

    Raises:
        InvalidSettings: MMBOT_DRY_RUN is neither true nor false.
    """
    return _of_general("MMBOT_DRY_RUN", environ).dry_run


def load_log_format(environ: Mapping[str, str] = os.environ) -> str:
    """Read only how this process logs: "text" or "json".

    Raises:
        InvalidSettings: MMBOT_LOG_FORMAT is neither.
    """
    return _of_general("MMBOT_LOG_FORMAT", environ).log_format


def load_database(environ: Mapping[str, str] = os.environ) -> Database:
    """Read only what leads to the database, so that looking at orders needs no key.

    Raises:
        InvalidSettings: one line per fault.
    """
    return _alone(Database, environ)


def load_broker(environ: Mapping[str, str] = os.environ) -> Broker:
    """Read only what leads to the broker and the workers.

    Raises:
        InvalidSettings: one line per fault.
    """
    return _alone(Broker, environ)


def load_ui(environ: Mapping[str, str] = os.environ) -> Ui:
    """Read only what the process of Dagster's UI needs, which holds no key.

    Raises:
        InvalidSettings: one line per fault.
    """
    return _alone(Ui, environ)


def _of_general(name: str, environ: Mapping[str, str]) -> General:
    """Read one variable of `General`, whose others may be at fault."""
    return _alone(General, {k: v for k, v in environ.items() if k == name})


def _alone(section: type[_S], environ: Mapping[str, str]) -> _S:
    faults: list[str] = []
    read = read_section(section, _present(environ), faults)
    if read is None:
        raise InvalidSettings("\n".join(faults))
    return read


def _present(environ: Mapping[str, str]) -> dict[str, str]:
    present = {name: value.strip() for name, value in environ.items() if value.strip()}
    return with_new_names(present)


def _lacking_nodes(quorum: int, chains: Mapping[str, ChainSection | None]) -> list[str]:
    return [
        f"MMBOT_RPC_QUORUM asks for {quorum} nodes, but MMBOT_{name.upper()}_RPC_URLS names "
        f"{len(set(chain.urls))}: name more or ask for fewer"
        for name, chain in chains.items()
        if chain is not None and quorum > len(set(chain.urls))
    ]


def _misspelt(given: Mapping[str, str]) -> list[str]:
    faults = []
    for name in sorted(given):
        if not name.upper().startswith("MMBOT_") or name in VARIABLES or is_wallets(name):
            continue
        near = difflib.get_close_matches(name.upper(), VARIABLES, n=1, cutoff=_CLOSE)
        if near:
            faults.append(f"{name} is not a setting: did you mean {near[0]}?")
    return faults
