"""What `mmbot doctor` checks of the zkSync origin: nodes, escrow, diamond."""

from collections.abc import Iterator
from functools import partial

from mmbot_pipelines.adapters.bridge.escrow import EscrowTerms
from mmbot_pipelines.adapters.bridge.zksync.diamond import ABI, BASE_COST, GAS_PER_PUBDATA
from mmbot_pipelines.adapters.bridge.zksync.escrow import CLAIM, aliased
from mmbot_pipelines.adapters.bridge.zksync.views import terms
from mmbot_pipelines.adapters.evm import blocks
from mmbot_pipelines.adapters.evm.quorum import newest
from mmbot_pipelines.adapters.rpc import reverts
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.cli.doctor.findings import (
    CheckResult,
    fault,
    not_checked,
    note,
    ok,
    passed,
    run_check,
)
from mmbot_pipelines.cli.doctor.nodes import agreement, nodes, single
from mmbot_pipelines.cli.doctor.queries import call_view, has_code
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Wei, format_ether
from mmbot_pipelines.settings import L1, place
from mmbot_pipelines.settings.bridge.zksync import ZkSync

_FUNDS = 10**18  # wei, for gas
_TOO_LITTLE = "too little L2 gas, raise MMBOT_ZKSYNC_CLAIM_GAS_LIMIT"
_TOO_MUCH = "too much L2 gas, lower MMBOT_ZKSYNC_CLAIM_GAS_LIMIT"
_REFUSALS = {
    "up": _TOO_LITTLE,
    "my": _TOO_LITTLE,
    "ui": _TOO_MUCH,
    "uk": _TOO_MUCH,
    "mv": "the value is below the message's base cost, which the diamond has just named",
    "qp": f"it takes another price of pubdata than {GAS_PER_PUBDATA}; this version sends no other",
}
_GAS_PRICE = 10**9  # wei per gas, only to see that the diamond prices at all


def origin(
    zksync: ZkSync, l1: L1, on_l1: Rpc | None, wallet: Address | None, *, quorum: int = 1
) -> Iterator[CheckResult]:
    """Check the origin.

    on_l1: None where no node of L1 can be asked.
    wallet: the L1 wallet; None where its key cannot be read.
    """
    payee = zksync.wallet_address or wallet
    if (yield from passed(nodes("zksync", zksync.chain_id, zksync.urls))):
        for url in zksync.urls:
            yield from run_check("accepted blocks", partial(_accepted, zksync, url))
        rpc = Rpc(zksync.urls, chain="zksync", chain_id=zksync.chain_id, quorum=quorum)
        yield from agreement(rpc)
        yield from run_check("escrow", partial(_escrow, rpc, zksync, l1, payee))
    else:
        yield not_checked("accepted blocks and escrow", "no zkSync node can be asked")
    if on_l1 is None:
        yield not_checked("diamond", "no L1 node can be asked")
    else:
        yield from run_check("diamond", partial(_diamond, on_l1, zksync, l1.registry_address))


def _accepted(zksync: ZkSync, url: str) -> Iterator[CheckResult]:
    node = single("zksync", zksync.chain_id, url)
    head = newest(node).number
    if isinstance(zksync.accepted, int):
        accepted, how = max(0, head - zksync.accepted), f"{zksync.accepted} behind the newest"
    else:
        try:
            accepted = blocks.header(node, zksync.accepted).block.number
        except Failure as e:
            yield fault("accepted blocks", f"{e}: set MMBOT_ZKSYNC_ACCEPTED to another tag")
            return
        how = f'tag "{zksync.accepted}"'
    yield ok("accepted blocks", f"up to block {accepted} at {place(url)}, {how}")


def _escrow(rpc: Rpc, zksync: ZkSync, l1: L1, payee: Address | None) -> Iterator[CheckResult]:
    escrow = zksync.escrow_address
    fix = "fix MMBOT_ZKSYNC_ESCROW_ADDRESS"
    if not has_code(rpc, escrow):
        yield fault("escrow", f"no contract is at {escrow} on zkSync: {fix}")
        return
    try:
        found = terms(rpc, escrow, newest(rpc))
    except Failure as e:
        yield fault("escrow", f"{escrow} is no Escrow ({e}): {fix}")
        return
    yield _obeys(found, escrow, l1.registry_address)
    if payee is not None:
        yield _pays(found, escrow, payee)
    if found.paused:
        yield fault("escrow", f"{escrow} is paused: nothing can be claimed until its owner resumes")


def _obeys(found: EscrowTerms, escrow: Address, registry: Address) -> CheckResult:
    if found.registry == aliased(registry):
        return ok("escrow", f"{escrow} takes claims from our registry, there {found.registry}")
    return fault(
        "escrow",
        f"{escrow} takes claims from {found.registry}, but our registry {registry} is "
        f"{aliased(registry)} there: fix MMBOT_L1_REGISTRY_ADDRESS or MMBOT_ZKSYNC_ESCROW_ADDRESS",
    )


def _pays(found: EscrowTerms, escrow: Address, payee: Address) -> CheckResult:
    if found.wallet == payee:
        return ok("escrow", f"{escrow} pays us, at {payee}")
    return fault(
        "escrow",
        f"{escrow} pays {found.wallet}, not {payee}: if that wallet is ours too, "
        "set MMBOT_ZKSYNC_WALLET_ADDRESS to it",
    )


def _diamond(on_l1: Rpc, zksync: ZkSync, registry: Address) -> Iterator[CheckResult]:
    diamond = zksync.diamond_address
    fix = "fix MMBOT_ZKSYNC_DIAMOND_ADDRESS"
    if not has_code(on_l1, diamond):
        yield fault("diamond", f"no contract is at {diamond} on L1: {fix}")
        return
    try:
        gas = zksync.claim_gas_limit
        cost = call_view(on_l1, diamond, BASE_COST, _GAS_PRICE, gas, GAS_PER_PUBDATA)
    except Failure as e:
        yield fault("diamond", f"{diamond} does not price messages ({e}): {fix}")
        return
    yield ok("diamond", f"{diamond} prices a claim's message: {format_ether(cost)} at 1 gwei")
    yield _takes(on_l1, zksync, registry, cost)


def _takes(on_l1: Rpc, zksync: ZkSync, registry: Address, cost: int) -> CheckResult:
    """Check that the diamond would accept a claim's message from the registry."""
    from mmbot_pipelines.adapters.evm.web3_contracts import call, contract  # noqa: PLC0415

    request = contract(on_l1, zksync.diamond_address, ABI).functions.requestL2Transaction(
        zksync.escrow_address,
        0,
        CLAIM.encode(0, registry, 1),
        zksync.claim_gas_limit,
        GAS_PER_PUBDATA,
        [],
        registry,
    )
    # The registry holds nothing of its own: what is claimed with comes with the claim.
    try:
        call(request, sender=registry, value=Wei(cost), balance=Wei(cost + _FUNDS))
    except RpcError as e:
        why = reverts.reason(e)
        if why is None:
            return note("diamond", f"whether it takes a claim's message is not known: {e}")
        words = _REFUSALS.get(why, "see zkSync's diamond for this word")
        return fault("diamond", f'it refuses a claim\'s message with "{why}": {words}')
    return ok("diamond", f"it takes a claim's message of {zksync.claim_gas_limit} L2 gas")
