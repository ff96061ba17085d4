"""What `mmbot doctor` checks on L1: the wallet and the registry.

Each check stands for a way in which nothing would be paid, or paid money not come back.
"""

from collections.abc import Iterator
from functools import partial
from importlib import import_module

from mmbot_pipelines.adapters.bridge.registry import MARKET_MAKER, OWNER, abi_of, disagreement
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.cli.doctor.findings import CheckResult, fault, note, ok, run_check
from mmbot_pipelines.cli.doctor.nodes import agreement, nodes
from mmbot_pipelines.cli.doctor.queries import call_view, has_code, query
from mmbot_pipelines.core.errors import Failure, InvalidSettings
from mmbot_pipelines.core.money import Address, format_ether
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.wiring import shared


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
    l1 = settings.l1
    yield from nodes("L1", l1.chain_id, l1.urls)
    rpc = Rpc(l1.urls, chain="L1", chain_id=l1.chain_id, quorum=settings.quorum(l1))
    yield from agreement(rpc)
    if wallet is not None:
        yield from run_check("wallet", partial(_funds, rpc, wallet, settings.limits.max_transfer))
        yield from run_check("registry", partial(_registry, rpc, l1.registry_address, wallet))
    for name in settings.origins:
        section = settings.origin(name)
        # Some libraries take seconds to import, which only those pay who serve their origin.
        checks = import_module(f"{__package__}.{name}")
        yield from checks.origin(section, l1, rpc, wallet, quorum=settings.quorum(section))


def _funds(rpc: Rpc, wallet: Address, largest: int) -> Iterator[CheckResult]:
    balance = decoding.quantity(query(rpc, "eth_getBalance", wallet, "latest"))
    holds = f"{wallet} holds {format_ether(balance)}"
    if balance == 0:
        yield fault("wallet", f"{holds}: send ETH to it on L1")
    elif balance < largest:
        yield note("wallet", f"{holds}, less than the largest order, {format_ether(largest)}")
    else:
        yield ok("wallet", holds)


def _registry(rpc: Rpc, registry: Address, wallet: Address) -> Iterator[CheckResult]:
    if not has_code(rpc, registry):
        yield fault(
            "registry", f"no contract is at {registry} on L1: fix MMBOT_L1_REGISTRY_ADDRESS"
        )
        return
    try:
        maker, owner = call_view(rpc, registry, MARKET_MAKER), call_view(rpc, registry, OWNER)
    except Failure as e:
        yield fault(
            "registry", f"{registry} is no PaymentRegistry ({e}): fix MMBOT_L1_REGISTRY_ADDRESS"
        )
        return
    yield _abi(rpc, registry)
    if wallet in (maker, owner):
        part = "market maker" if wallet == maker else "owner"
        yield ok("registry", f"{registry} has our wallet as its {part}")
    else:
        yield fault(
            "registry",
            f"{registry} takes transfers from its market maker {maker} and its owner {owner} "
            f"alone: use their key, or have the owner call setMMAddress({wallet})",
        )


def _abi(rpc: Rpc, registry: Address) -> CheckResult:
    found = abi_of(rpc, registry)
    if found == "v1":
        return ok("registry", f"{registry} answers as ABI v1")
    return fault("registry", disagreement(registry, found))
