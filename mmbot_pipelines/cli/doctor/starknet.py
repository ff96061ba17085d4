"""What `mmbot doctor` checks of the Starknet origin: nodes, escrow, messages or proofs."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from mmbot_pipelines.adapters.bridge.escrow import EscrowTerms
from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.bridge.starknet import registry as registry_abi
from mmbot_pipelines.adapters.bridge.starknet.message_status import L1_TO_L2_MESSAGES
from mmbot_pipelines.adapters.bridge.starknet.views import terms
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.cli.doctor import starknet_proofs as proof_checks
from mmbot_pipelines.cli.doctor.findings import (
    CheckResult,
    fault,
    not_checked,
    ok,
    passed,
    run_check,
)
from mmbot_pipelines.cli.doctor.nodes import compared
from mmbot_pipelines.cli.doctor.queries import call_view, has_code
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.settings import L1
from mmbot_pipelines.settings.bridge.starknet import Starknet

_MAX_LAG = 10  # blocks behind the best node
_READ_SECONDS = 5.0
_CONTRACT_NOT_FOUND = 20  # Starknet JSON-RPC specification, errors


def origin(
    starknet: Starknet,
    l1: L1,
    on_l1: Rpc | None,
    wallet: Address | None = None,
    *,
    quorum: int = 1,
) -> Iterator[CheckResult]:
    """Check the origin.

    on_l1: None where no node of L1 can be asked.
    """
    is_up = yield from passed(nodes(starknet.chain_id, starknet.chain_name, starknet.urls))
    rpc = StarknetRpc(starknet.urls, chain_id=starknet.chain_id)
    if is_up:
        yield from run_check("escrow", partial(_escrow, rpc, starknet, l1))
    else:
        yield not_checked("escrow", "no Starknet node can be asked")
    if on_l1 is None:
        yield not_checked("messages and proofs", "no L1 node can be asked")
    elif starknet.repay == "message":
        yield from run_check("messaging", partial(_messaging, on_l1, starknet))
        yield from run_check("registry", partial(_sends, on_l1, l1.registry_address, starknet))
    elif is_up:
        yield from proof_checks.proofs(rpc, starknet, l1, on_l1)
    else:
        yield not_checked("proofs", "no Starknet node can be asked")


def nodes(
    chain_id: int, name: str, urls: Sequence[str], clock: Callable[[], float] = time.time
) -> Iterator[CheckResult]:
    """Check that each node answers, speaks our version, and is not behind the others."""

    def single(url: str) -> StarknetRpc:
        return StarknetRpc([url], chain_id=chain_id, read_seconds=_READ_SECONDS)

    return compared(name, urls, single, max_lag=_MAX_LAG, clock=clock)


def deployed(rpc: StarknetRpc, address: Address) -> bool:
    """Return whether the address holds a contract."""

    def query(node: StarknetNode) -> bool:
        try:
            node.call("getClassHashAt", block_id="latest", contract_address=hex(int(address, 16)))
        except RpcError as e:
            if e.code == _CONTRACT_NOT_FOUND:
                return False
            raise
        return True

    return rpc.ask(query)


def _escrow(rpc: StarknetRpc, starknet: Starknet, l1: L1) -> Iterator[CheckResult]:
    escrow = starknet.escrow_address
    fix = "fix MMBOT_STARKNET_ESCROW_ADDRESS"
    if not deployed(rpc, escrow):
        yield fault("escrow", f"no contract is at {escrow} on Starknet: {fix}")
        return
    try:
        found = rpc.ask(lambda node: terms(node, escrow, "latest"))
    except Failure as e:
        yield fault("escrow", f"{escrow} is no Escrow ({e}): {fix}")
        return
    yield _obeys(found, escrow, l1.registry_address)
    yield _pays(found, escrow, starknet.wallet_address)
    if found.paused:
        yield fault("escrow", f"{escrow} is paused: nothing can be claimed until its owner resumes")


def _obeys(found: EscrowTerms, escrow: Address, registry: Address) -> CheckResult:
    if found.registry == registry:
        return ok("escrow", f"{escrow} takes claims from our registry {registry}")
    return fault(
        "escrow",
        f"{escrow} takes claims from {found.registry}, but our registry is {registry}: "
        "fix MMBOT_L1_REGISTRY_ADDRESS or MMBOT_STARKNET_ESCROW_ADDRESS",
    )


def _pays(found: EscrowTerms, escrow: Address, wallet: Address) -> CheckResult:
    if int(found.wallet, 16) == int(wallet, 16):
        return ok("escrow", f"{escrow} pays us, at {wallet}")
    return fault(
        "escrow",
        f"{escrow} pays {found.wallet}, not {wallet}: if that wallet is ours, "
        "set MMBOT_STARKNET_WALLET_ADDRESS to it",
    )


def _messaging(on_l1: Rpc, starknet: Starknet) -> Iterator[CheckResult]:
    messaging = starknet.messaging_address
    fix = "fix MMBOT_STARKNET_MESSAGING_ADDRESS"
    if not has_code(on_l1, messaging):
        yield fault("messaging", f"no contract is at {messaging} on L1: {fix}")
        return
    try:
        call_view(on_l1, messaging, L1_TO_L2_MESSAGES, bytes(32))
    except Failure as e:
        yield fault("messaging", f"{messaging} keeps no messages to Starknet ({e}): {fix}")
        return
    yield ok("messaging", f"{messaging} keeps messages to Starknet")


def _sends(on_l1: Rpc, registry: Address, starknet: Starknet) -> Iterator[CheckResult]:
    """Compare the escrow and function that the registry sends claims to with ours."""
    if not has_code(on_l1, registry):
        yield not_checked("registry", f"where it sends claims: no contract is at {registry}")
        return
    expected = {
        registry_abi.ESCROW: int(starknet.escrow_address, 16),
        registry_abi.SELECTOR: abi.CLAIM,
    }
    for function, ours in expected.items():
        try:
            found = call_view(on_l1, registry, function)
        except Failure as e:
            yield fault("registry", f"{registry} names no {function.name} ({e}): set another one")
            return
        if found != ours:
            yield fault(
                "registry",
                f"{function.name} of {registry} is {found:#x}, not {ours:#x}: no claim would "
                "arrive; set MMBOT_STARKNET_ESCROW_ADDRESS, or ask the registry's owner",
            )
            return
    yield ok("registry", f"{registry} sends claims to {starknet.escrow_address}")
