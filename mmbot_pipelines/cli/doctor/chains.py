"""What `mmbot doctor` checks on L1: the wallet and the registry.

Each check stands for a way in which nothing would be paid, or paid money not come back.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module

from mmbot_pipelines.adapters.bridge.registry import MARKET_MAKER, OWNER, abi_of, disagreement
from mmbot_pipelines.adapters.evm.delegation import read_delegation
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.cli.doctor.findings import (
    CheckResult,
    fault,
    not_checked,
    note,
    ok,
    passed,
    run_check,
)
from mmbot_pipelines.cli.doctor.nodes import agreement, announced, nodes
from mmbot_pipelines.cli.doctor.queries import call_view, has_code, query
from mmbot_pipelines.core.delegation import AccountCode
from mmbot_pipelines.core.errors import Failure, InvalidSettings
from mmbot_pipelines.core.money import Address, format_ether
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.settings import L1, Settings, Wallet
from mmbot_pipelines.settings.bridge import EIP7702
from mmbot_pipelines.wiring import origins as origin_wiring
from mmbot_pipelines.wiring import shared
from mmbot_pipelines.wiring.origins import other_chain_ids, stranded_refunds


def chains(settings: Settings) -> Iterator[CheckResult]:
    """Check the wallet's key, every node, every contract."""
    wallet: Address | None = None
    try:
        wallet = shared.signer(settings.key).address
        yield ok("wallet", f"its key can be used, its address is {wallet}")
        if settings.l1.wallet_address not in (None, wallet):
            yield fault("wallet", f"MMBOT_L1_WALLET_ADDRESS is another one: set it to {wallet}")
    except (InvalidSettings, Failure) as e:
        yield fault("wallet", str(e))
    for more in settings.more_wallets:
        yield _key(more, wallet)
    l1 = settings.l1
    rpc: Rpc | None = None
    if (yield from passed(nodes("L1", l1.chain_id, l1.urls))):
        rpc = Rpc(l1.urls, chain="L1", chain_id=l1.chain_id, quorum=settings.quorum(l1))
        yield from agreement(rpc)
    wallets = [w for w in (wallet, *(more.address for more in settings.more_wallets)) if w]
    if rpc is None:
        yield not_checked("wallet, account and registry", "no L1 node can be asked")
    else:
        yield from _on_l1(rpc, settings, wallets)
    for name in settings.origins:
        section = settings.origin(name)
        # Some libraries take seconds to import, which only those pay who serve their origin.
        checks = import_module(f"{__package__}.{name}")
        yield from checks.origin(section, l1, rpc, wallet, quorum=settings.quorum(section))
    for scope in (GLOBAL, *settings.origins):
        for url in origin_wiring.chain(settings, scope).announcing_urls:
            subscription = origin_wiring.subscription(settings, scope, [url])
            yield announced(subscription, "L1" if scope == GLOBAL else scope, url)


def _on_l1(rpc: Rpc, settings: Settings, wallets: Sequence[Address]) -> Iterator[CheckResult]:
    for each in wallets:
        yield from run_check("wallet", partial(_funds, rpc, each, settings.limits.max_transfer))
        yield from run_check("account", partial(_account, rpc, settings, each))
    if wallets:
        yield from run_check("registry", partial(_registry, rpc, settings, wallets))
    else:
        yield not_checked("account and registry", "no wallet is known, its key is at fault")


def _key(wallet: Wallet, first: Address | None) -> CheckResult:
    """Check that a further wallet's key is there, and is of its address."""
    subject = f"wallet {wallet.name}"
    if wallet.address == first:
        address = wallet.named("MMBOT_L1_WALLET_ADDRESS")
        return fault(subject, f"{address} is the first wallet's: give it one of its own")
    try:
        shared.declared_signer(wallet).check()
    except (InvalidSettings, Failure) as e:
        return fault(subject, wallet.named(str(e)))
    return ok(subject, f"its key can be used, its address is {wallet.address}")


def _funds(rpc: Rpc, wallet: Address, largest: int) -> Iterator[CheckResult]:
    balance = decoding.quantity(query(rpc, "eth_getBalance", wallet, "latest"))
    holds = f"{wallet} holds {format_ether(balance)}"
    if balance == 0:
        yield fault("wallet", f"{holds}: send ETH to it on L1")
    elif balance < largest:
        yield note("wallet", f"{holds}, less than the largest order, {format_ether(largest)}")
    else:
        yield ok("wallet", holds)


def _account(rpc: Rpc, settings: Settings, wallet: Address) -> Iterator[CheckResult]:
    """Check what code our account runs (EIP-7702)."""
    found, wanted = read_delegation(rpc, wallet), settings.execution.batch == EIP7702
    if found.code is AccountCode.FOREIGN:
        yield fault(
            "account",
            f"{found.summary}, which can move its money: run `mmbot halt` and `mmbot delegation "
            "remove`; who set it has the key, so use a new one if it was not you",
        )
    elif found.code is AccountCode.MISSING:
        yield fault("account", f"{found.summary}: run `mmbot delegation set`, or `... remove`")
    elif wanted and found.code is AccountCode.NONE:
        yield fault(
            "account", f"{found.summary}, but MMBOT_BATCH is eip7702: run `mmbot delegation set`"
        )
    elif found.code is AccountCode.OURS and not wanted:
        yield note(
            "account",
            f"{found.summary}, but MMBOT_BATCH is off: nodes take one transaction at a time of "
            "it; run `mmbot delegation remove`",
        )
    else:
        yield ok("account", found.summary)
    if wanted or found.code is not AccountCode.NONE:
        yield from (fault("account", line) for line in stranded_refunds(rpc, settings))


def _registry(rpc: Rpc, settings: Settings, wallets: Sequence[Address]) -> Iterator[CheckResult]:
    l1, registry = settings.l1, settings.l1.registry_address
    if not has_code(rpc, registry):
        yield fault(
            "registry", f"no contract is at {registry} on L1: fix MMBOT_L1_REGISTRY_ADDRESS"
        )
        yield not_checked("registry", "its ABI, and whether it takes our transfers")
        return
    try:
        maker, owner = call_view(rpc, registry, MARKET_MAKER), call_view(rpc, registry, OWNER)
    except Failure as e:
        yield fault(
            "registry", f"{registry} is no PaymentRegistry ({e}): fix MMBOT_L1_REGISTRY_ADDRESS"
        )
        return
    yield from _abi(rpc, l1, settings.origins)
    for wallet in wallets:
        our = "our wallet" if len(wallets) == 1 else wallet
        if wallet in (maker, owner):
            part = "market maker" if wallet == maker else "owner"
            yield ok("registry", f"{registry} has {our} as its {part}")
        elif wallet == wallets[0]:
            yield fault(
                "registry",
                f"{registry} takes transfers from its market maker {maker} and its owner {owner} "
                f"alone: use their key, or have the owner call setMMAddress({wallet})",
            )
        else:
            yield fault(
                "registry",
                f"{registry} takes transfers from its market maker {maker} and its owner {owner} "
                f"alone, not from {wallet}: take it out of MMBOT_L1_MORE_WALLETS, or have the "
                "owner make it one of them",
            )


def _abi(rpc: Rpc, l1: L1, origins: Sequence[str]) -> Iterator[CheckResult]:
    registry, wanted = l1.registry_address, l1.registry_abi
    found = abi_of(rpc, registry)
    if found != wanted:
        yield fault("registry", disagreement(registry, found, wanted))
        return
    yield ok("registry", f"{registry} answers as ABI {wanted}")
    yield from (fault("registry", line) for line in other_chain_ids(rpc, l1, origins))
