"""What `mmbot doctor` checks of the zkSync origin: nodes, escrow, diamond."""

from collections.abc import Iterator
from functools import partial

from eth_utils.address import to_checksum_address

from mmbot_pipelines.adapters.ethereum import blocks
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.adapters.ethereum.views import Function
from mmbot_pipelines.cli.findings import Finding, fault, look, ok
from mmbot_pipelines.cli.node_checks import nodes, single
from mmbot_pipelines.cli.questions import has_code, viewed
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, in_words
from mmbot_pipelines.settings import L1, ZkSync, place

_ITS_REGISTRY = Function("ethereum_payment_registry", (), ("address",))
_PAYS_TO = Function("mm_zksync_wallet", (), ("address",))
_BASE_COST = Function("l2TransactionBaseCost", ("uint256",) * 3, ("uint256",))
_GAS_PER_PUBDATA = 800
_GAS_PRICE = 10**9  # wei per gas, only to see that the diamond prices at all


def origin(zksync: ZkSync, l1: L1, on_l1: Rpc, wallet: Address | None) -> Iterator[Finding]:
    """Check the origin; `wallet` is the L1 wallet, unless its key cannot be read."""
    yield from nodes("zksync", zksync.chain_id, zksync.urls)
    for url in zksync.urls:
        yield from look(f"zksync node {place(url)}", partial(_accepted, zksync, url))
    rpc = Rpc(zksync.urls, chain="zksync", chain_id=zksync.chain_id)
    payee = zksync.wallet_address or wallet
    yield from look("escrow", partial(_escrow, rpc, zksync, l1.registry_address, payee))
    yield from look("diamond", partial(_diamond, on_l1, zksync))


def _accepted(zksync: ZkSync, url: str) -> Iterator[Finding]:
    node = single("zksync", zksync.chain_id, url)
    newest = blocks.header(node, "latest").block.number
    if isinstance(zksync.accepted, int):
        accepted, how = max(0, newest - zksync.accepted), f"{zksync.accepted} behind the newest"
    else:
        try:
            accepted = blocks.header(node, zksync.accepted).block.number
        except blocks.NodeBehind:
            accepted = 0
        except Failure as e:
            yield fault("accepted blocks", f"{e}: set MMBOT_ZKSYNC_ACCEPTED to another tag")
            return
        how = f'tag "{zksync.accepted}"'
    yield ok("accepted blocks", f"up to block {accepted} at {place(url)}, {how}")


def _escrow(
    rpc: Rpc, zksync: ZkSync, registry: Address, payee: Address | None
) -> Iterator[Finding]:
    escrow = zksync.escrow_address
    if not has_code(rpc, escrow):
        yield fault(
            "escrow", f"no contract is at {escrow} on zkSync: mend MMBOT_ZKSYNC_ESCROW_ADDRESS"
        )
        return
    try:
        claimer, pays_to = viewed(rpc, escrow, _ITS_REGISTRY), viewed(rpc, escrow, _PAYS_TO)
    except Failure as e:
        yield fault("escrow", f"{escrow} is no Escrow ({e}): mend MMBOT_ZKSYNC_ESCROW_ADDRESS")
        return
    if claimer == aliased(registry):
        yield ok("escrow", f"{escrow} takes claims from our registry, as {claimer}")
    else:
        yield fault(
            "escrow",
            f"{escrow} takes claims from {claimer}, not from our registry {registry} "
            f"({aliased(registry)} there): the two addresses do not belong together",
        )
    if payee is None:
        return
    if pays_to == payee:
        yield ok("escrow", f"{escrow} pays us, at {payee}")
    else:
        yield fault(
            "escrow",
            f"{escrow} pays {pays_to}, not {payee}: is that our wallet? Then set "
            "MMBOT_ZKSYNC_WALLET_ADDRESS to it",
        )


def _diamond(on_l1: Rpc, zksync: ZkSync) -> Iterator[Finding]:
    diamond = zksync.diamond_address
    remedy = "mend MMBOT_ZKSYNC_DIAMOND_ADDRESS"
    if not has_code(on_l1, diamond):
        yield fault("diamond", f"no contract is at {diamond} on L1: {remedy}")
        return
    try:
        cost = viewed(
            on_l1, diamond, _BASE_COST, _GAS_PRICE, zksync.claim_gas_limit, _GAS_PER_PUBDATA
        )
    except Failure as e:
        yield fault("diamond", f"{diamond} does not price messages ({e}): {remedy}")
        return
    yield ok("diamond", f"{diamond} prices a claim's message, {in_words(cost)} at 1 gwei")


def aliased(address: Address) -> Address:
    """Return the address under which zkSync shows a contract of L1.

    Source: chain_facts, L1 address + 0x1111000000000000000000000000000000001111.
    """
    shown = (int(address, 16) + 0x1111000000000000000000000000000000001111) % 2**160
    return Address(to_checksum_address(f"0x{shown:040x}"))
