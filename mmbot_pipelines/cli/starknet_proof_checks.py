"""What `mmbot doctor` checks where MMBOT_STARKNET_REPAY is storage_proof."""

from collections.abc import Iterator
from functools import partial

from starknet_py.constants import STRK_FEE_CONTRACT_ADDRESS
from starknet_py.hash.selector import get_selector_from_name

from mmbot_pipelines.adapters.ethereum.node import RpcError
from mmbot_pipelines.adapters.origins.starknet_node import StarknetNode
from mmbot_pipelines.adapters.origins.starknet_proofs import entrypoint
from mmbot_pipelines.adapters.origins.starknet_prover import Prover, ProverRefused, TaskUnknown
from mmbot_pipelines.adapters.origins.starknet_rpc import StarknetRpc
from mmbot_pipelines.adapters.origins.starknet_views import lacks_function
from mmbot_pipelines.cli.findings import Finding, fault, look, note, ok
from mmbot_pipelines.settings import Starknet

_NO_TASK = "mmbot-doctor"  # asked after to see whether our key is taken


def proofs(rpc: StarknetRpc, starknet: Starknet) -> Iterator[Finding]:
    """Check the prover, the escrow's function, and the account that calls it."""
    yield from look("prover", partial(_prover, starknet))
    yield from look("escrow", partial(_function, rpc, starknet))
    yield from look("starknet wallet", partial(_funds, rpc, starknet))


def _prover(starknet: Starknet) -> Iterator[Finding]:
    if starknet.prover_url is None or starknet.prover_api_key is None:
        return  # the settings have said so already
    prover = Prover(
        starknet.prover_url.get_secret_value(),
        starknet.prover_api_key,
        destination=starknet.chain_name,
    )
    try:
        prover.state(_NO_TASK)
    except TaskUnknown:
        pass
    except ProverRefused as e:
        yield fault("prover", str(e))
        return
    yield ok("prover", f"{prover.host} takes our API key")


def _function(rpc: StarknetRpc, starknet: Starknet) -> Iterator[Finding]:
    name, escrow = starknet.proof_entrypoint, starknet.escrow_address

    async def lacks(node: StarknetNode) -> bool:
        try:
            await node.view(int(escrow, 16), entrypoint(name), [0] * 6, "latest")
        except RpcError as e:
            return lacks_function(e)
        return False

    if rpc.ask(lacks):
        remedy = "mend MMBOT_STARKNET_PROOF_ENTRYPOINT"
        yield fault("escrow", f"{escrow} has no function {name} to take proofs with: {remedy}")
    else:
        yield ok("escrow", f"{escrow} takes proofs with its function {name}")


def _funds(rpc: StarknetRpc, starknet: Starknet) -> Iterator[Finding]:
    wallet = starknet.wallet_address
    selector = get_selector_from_name("balanceOf")

    async def balance(node: StarknetNode) -> int:
        token = int(STRK_FEE_CONTRACT_ADDRESS, 16)
        low, high = await node.view(token, selector, [int(wallet, 16)], "latest")
        return (high << 128) + low

    held = rpc.ask(balance)
    holds = f"{wallet} holds {held // 10**18} STRK for the fees of its transactions"
    yield ok("starknet wallet", holds) if held else note("starknet wallet", f"{holds}: send some")
