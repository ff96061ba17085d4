"""What `mmbot doctor` checks where MMBOT_STARKNET_REPAY is storage_proof. Reads only."""

import itertools
import secrets
from collections.abc import Iterator
from functools import partial

from starknet_py.constants import STRK_FEE_CONTRACT_ADDRESS
from starknet_py.hash.selector import get_selector_from_name

from mmbot_pipelines.adapters.bridge.registry_abi import V1
from mmbot_pipelines.adapters.bridge.starknet.proofs import entrypoint, transfer_slot
from mmbot_pipelines.adapters.bridge.starknet.prover import Prover, ProverRefused, TaskUnknown
from mmbot_pipelines.adapters.bridge.starknet.views import lacks_function
from mmbot_pipelines.adapters.evm import blocks
from mmbot_pipelines.adapters.evm.log_range import Log, LogFilter
from mmbot_pipelines.adapters.evm.logs import LogScanner
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.adapters.starknet.wallet import StarknetWallet
from mmbot_pipelines.cli.doctor.findings import CheckResult, fault, note, ok, run_check
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.settings import L1
from mmbot_pipelines.settings.bridge.starknet import Starknet
from mmbot_pipelines.wiring.origins.starknet import account_key, prover_key

# An id as provers give them, of a task that nobody ordered.
_NO_TASK = "01JZZZZZZZZZZZZZZZZZZZZZZZ"
_VALID = (int.from_bytes(b"VALID"), 1)  # SNIP-6, and accounts from before it
_HASHES = 2**250
_CONTRACT_NOT_FOUND = 20  # Starknet JSON-RPC specification, errors
_RANGES = 20  # of L1 blocks that are looked through for a transfer
_SLOTS = 256  # places in the storage layout that are tried
_MEMBERS = 3  # slots of a transfer: recipient, amount, and one that ends with isUsed


def proofs(rpc: StarknetRpc, starknet: Starknet, l1: L1, on_l1: Rpc) -> Iterator[CheckResult]:
    """Check the prover, the slot, the escrow's function, and the account that calls it."""
    yield from run_check("prover", partial(_prover, starknet))
    yield from run_check("slot", partial(_slot, on_l1, starknet, l1))
    yield from run_check("escrow", partial(_function, rpc, starknet))
    yield from run_check("starknet wallet", partial(_key, rpc, starknet))
    yield from run_check("starknet wallet", partial(_funds, rpc, starknet))


def _prover(starknet: Starknet) -> Iterator[CheckResult]:
    """Check the prover by a task id that cannot exist: only a prover answers that it is unknown."""
    if starknet.prover_url is None:
        return  # reported by the settings already
    prover = Prover(
        starknet.prover_url.get_secret_value(),
        prover_key(starknet),
        destination=starknet.chain_name,
    )
    try:
        state, _ = prover.state(_NO_TASK)
    except TaskUnknown:
        yield ok("prover", f"{prover.host} takes our API key")
    except ProverRefused as e:
        yield fault("prover", str(e))
    else:
        fix = "fix MMBOT_STARKNET_PROVER_URL"
        yield fault("prover", f"{prover.host} calls a task {state} that cannot be: {fix}")


def _slot(on_l1: Rpc, starknet: Starknet, l1: L1) -> Iterator[CheckResult]:
    """Compare the slot that is proven with a transfer that the registry has logged."""
    registry, mapping = l1.registry_address, starknet.transfers_slot
    wanted = LogFilter(address=registry, topics=(V1.transferred,))
    head = blocks.header(on_l1, "latest").block.number
    ranges = LogScanner(on_l1).backwards(wanted, l1.start_block, head)
    log = next(itertools.chain.from_iterable(itertools.islice(ranges, _RANGES)), None)
    if log is None:
        yield note("slot", f"{registry} has no transfer yet to compare with")
        return
    found = _place(on_l1, registry, log, mapping)
    if found == mapping:
        yield ok("slot", f"MMBOT_STARKNET_TRANSFERS_SLOT {mapping} reads the transfer in {log.tx}")
    else:
        fix = "its storage layout" if found is None else f"{found}"
        yield fault(
            "slot",
            f"at MMBOT_STARKNET_TRANSFERS_SLOT {mapping} of {registry} the transfer in {log.tx} "
            f"is not found: set it to {fix}",
        )


def _place(on_l1: Rpc, registry: Address, log: Log, mapping: int) -> int | None:
    """Return the place in the layout where the registry keeps a transfer, `mapping` first."""
    logged = V1.logged(log)
    for places in ([mapping], range(_SLOTS)):
        first = [transfer_slot(V1.key_of(logged), place) for place in places]
        rpc_calls = [
            ("eth_getStorageAt", (registry, f"0x{(slot + member) % 2**256:064x}", "latest"))
            for slot in first
            for member in range(_MEMBERS)
        ]
        words = [
            0 if isinstance(answer, RpcError) else int(decoding.hash32(answer), 16)
            for answer in on_l1.batch(rpc_calls)
        ]
        kept = zip(*(words[member::_MEMBERS] for member in range(_MEMBERS)), strict=True)
        for place, (to, of, flags) in zip(places, kept, strict=True):
            if (to, of, flags % 2**8) == (logged.recipient, logged.amount, 1):
                return place
    return None


def _function(rpc: StarknetRpc, starknet: Starknet) -> Iterator[CheckResult]:
    name, escrow = starknet.proof_entrypoint, starknet.escrow_address

    def lacks(node: StarknetNode) -> bool:
        try:
            node.view(int(escrow, 16), entrypoint(name), [0] * 6, "latest")
        except RpcError as e:
            return lacks_function(e)
        return False

    if rpc.ask(lacks):
        fix = "fix MMBOT_STARKNET_PROOF_ENTRYPOINT"
        yield fault("escrow", f"{escrow} has no function {name} to take proofs with: {fix}")
    else:
        yield ok("escrow", f"{escrow} takes proofs with its function {name}")


def _key(rpc: StarknetRpc, starknet: Starknet) -> Iterator[CheckResult]:
    """Check that the account accepts a signature of our key (is_valid_signature)."""
    address = starknet.wallet_address
    wallet = StarknetWallet(address, account_key(starknet), chain_id=starknet.chain_id)
    message = secrets.randbelow(_HASHES)
    signature = wallet.signature(message)
    selector = get_selector_from_name("is_valid_signature")

    def answer(node: StarknetNode) -> list[int] | RpcError:
        try:
            arguments = [message, len(signature), *signature]
            return node.view(int(address, 16), selector, arguments, "latest")
        except RpcError as e:
            return e

    text = rpc.ask(answer)
    if isinstance(text, RpcError) and text.code == _CONTRACT_NOT_FOUND:
        fix = "fix MMBOT_STARKNET_WALLET_ADDRESS"
        yield fault("starknet wallet", f"no account is at {address}: {fix}")
    elif isinstance(text, RpcError) and lacks_function(text):
        yield note(
            "starknet wallet", f"{address} cannot confirm our key: it has no is_valid_signature"
        )
    elif isinstance(text, RpcError) or len(text) != 1 or text[0] not in _VALID:
        fix = "fix MMBOT_STARKNET_PRIVATE_KEY or MMBOT_STARKNET_WALLET_ADDRESS"
        yield fault("starknet wallet", f"{address} does not take our signature: {fix}")
    else:
        yield ok("starknet wallet", f"{address} takes our signature")


def _funds(rpc: StarknetRpc, starknet: Starknet) -> Iterator[CheckResult]:
    wallet = starknet.wallet_address
    selector = get_selector_from_name("balanceOf")

    def balance(node: StarknetNode) -> int:
        token = int(STRK_FEE_CONTRACT_ADDRESS, 16)
        low, high = node.view(token, selector, [int(wallet, 16)], "latest")
        return (high << 128) + low

    held = rpc.ask(balance)
    holds = f"{wallet} holds {held // 10**18} STRK for the fees of its transactions"
    yield ok("starknet wallet", holds) if held else fault("starknet wallet", f"{holds}: send some")
