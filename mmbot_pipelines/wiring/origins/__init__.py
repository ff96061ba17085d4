"""Which adapter serves which origin network: a module for each of `bridge.origins.ORIGINS`.

Each is imported and plugged together when it is first asked for: a run that pays one origin's
orders has no use for another's libraries, which may take longer to import than all the rest.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from importlib import import_module
from typing import Any, Protocol, cast

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import ABIS, V1
from mmbot_pipelines.adapters.evm.contracts import call_views, refused
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcCall, RpcError
from mmbot_pipelines.adapters.rpc.nodes import Nodes
from mmbot_pipelines.adapters.rpc.subscription import Subscription
from mmbot_pipelines.adapters.starknet.invokes import Invokes
from mmbot_pipelines.bridge.ports.chains import Origin
from mmbot_pipelines.core.errors import NotServed
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.notifications import Notifications
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.settings import L1, ChainSection, Settings

_ADAPTERS = "mmbot_pipelines.adapters.bridge"

POLL_SECONDS = 5.0  # for the age of a chain's newest block
NEW_HEADS: RpcCall = ("eth_subscribe", ["newHeads"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What every origin is plugged together with."""

    settings: Settings
    l1: Rpc
    registry: PaymentRegistry
    wallets: tuple[Address, ...]  # ours on L1; escrows of the EVM pay the first
    invokes: Invokes  # keeps the transactions of our accounts on L2s


class OriginModule(Protocol):
    """What the module of an origin has; `section` is its section of the settings."""

    def origin(self, section: Any, shared: Shared) -> Origin:
        """Plug the origin together."""

    def watched_nodes(self, section: Any, *, quorum: int) -> Nodes:
        """Return its nodes over connections of their own, for who watches them."""

    def block_time(self, section: Any, number: int) -> int:
        """Return when a block was made, in seconds since 1970."""

    def stranded_refunds(self, section: Any, rpc: Rpc, l1: L1) -> str | None:
        """Return why messages of an account with code on L1 would be refunded to nobody.

        Raises:
            Failure: it cannot be read.
        """

    def subscriptions(self, section: Any) -> Sequence[RpcCall]:
        """Return how its nodes are asked to announce new blocks, and what the escrow logs."""


def module(name: str) -> OriginModule:
    """Return the module that plugs an origin together."""
    return cast(OriginModule, import_module(f"{__name__}.{name}"))


class Origins(Mapping[str, Origin]):
    """The origin networks by name, in the order of the settings. Threads may share them."""

    def __init__(self, makers: Mapping[str, Callable[[], Origin]]) -> None:
        self._makers = makers
        self._made: dict[str, Origin] = {}
        self._making = threading.Lock()

    def __getitem__(self, name: str) -> Origin:
        """Return an origin, made when it is first asked for.

        Raises:
            NotServed: the settings do not name it; stored orders may still be of it.
        """
        if name not in self._makers:
            raise NotServed(f"MMBOT_ORIGINS does not name {name}: add it, or its orders wait")
        if name not in self._made:
            with self._making:
                if name not in self._made:
                    self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def origins(shared: Shared) -> Origins:
    """Name the origins that the settings serve."""
    return Origins({name: partial(_origin, name, shared) for name in shared.settings.origins})


def _origin(name: str, shared: Shared) -> Origin:
    return module(name).origin(shared.settings.origin(name), shared)


def other_chain_ids(rpc: Rpc, l1: L1, names: Sequence[str]) -> list[str]:
    """Return a line for each origin that the registry has under another number than we pay by.

    Under another number a transfer would pay the recipient and could not be claimed. ABI v1 has
    its numbers in its code.

    Raises:
        RpcRefused, RpcUnavailable: no node answered, or not as a registry of ABI v2.
    """
    if l1.registry_abi == V1.name or not names:
        return []
    getters = [import_module(f"{_ADAPTERS}.{name}.registry").CHAIN_ID for name in names]
    calls = [(l1.registry_address, getter.encode()) for getter in getters]
    faults = []
    for name, getter, answer in zip(names, getters, call_views(rpc, calls, "latest"), strict=True):
        if isinstance(answer, RpcError):
            raise refused(answer, f"{getter.name} of the registry {l1.registry_address}")
        (found,), ours = getter.decode(answer), ABIS[l1.registry_abi].chain(name)
        if found != ours:
            faults.append(
                f"the registry {l1.registry_address} has {name} as chain {found}, the bot pays as "
                f"chain {ours}: it is the registry of another network, set "
                "MMBOT_L1_REGISTRY_ADDRESS to the one that the escrows obey"
            )
    return faults


def stranded_refunds(rpc: Rpc, settings: Settings) -> list[str]:
    """Return a line for each origin that would give back to nobody what a delegated account paid.

    Raises:
        Failure: it cannot be read.
    """
    lines = (
        module(name).stranded_refunds(settings.origin(name), rpc, settings.l1)
        for name in settings.origins
    )
    return [line for line in lines if line is not None]


@cache
def watched_nodes(settings: Settings, scope: str) -> Nodes:
    """Return a chain's nodes over connections of their own, for who watches them."""
    if scope == GLOBAL:
        l1 = settings.l1
        return watched_on_evm("L1", l1, l1.chain_id, settings.quorum(l1))
    section = settings.origin(scope)
    return module(scope).watched_nodes(section, quorum=settings.quorum(section))


def newest(settings: Settings) -> dict[str, Callable[[], datetime]]:
    """Return what asks each chain by scope for its newest block's time."""
    return {scope: partial(_newest, settings, scope) for scope in (GLOBAL, *settings.origins)}


def _newest(settings: Settings, scope: str) -> datetime:
    return watched_nodes(settings, scope).newest_block()


def notifications(settings: Settings) -> dict[str, Notifications]:
    """Return what is announced of each chain by scope, where the settings have a URL for it."""
    urls = {scope: chain(settings, scope).announcing_urls for scope in (GLOBAL, *settings.origins)}
    return {scope: subscription(settings, scope, given) for scope, given in urls.items() if given}


def subscription(settings: Settings, scope: str, urls: Sequence[str]) -> Subscription:
    """Subscribe to new blocks of L1, where transactions of ours are mined, or to an escrow's logs.

    urls: WebSockets of the chain's nodes.
    """
    if scope == GLOBAL:
        return Subscription(urls, [NEW_HEADS], chain="L1")
    return Subscription(urls, module(scope).subscriptions(settings.origin(scope)), chain=scope)


def chain(settings: Settings, scope: str) -> ChainSection:
    """Return the section of a chain by its scope."""
    return settings.l1 if scope == GLOBAL else settings.origin(scope)


def watched_on_evm(chain: str, node: ChainSection, chain_id: int, quorum: int) -> Nodes:
    """Return the nodes of a chain of the EVM for who watches them."""
    return Rpc(node.urls, chain=chain, chain_id=chain_id, quorum=quorum, read_seconds=POLL_SECONDS)
