"""Starknet's settings become its adapters, with starknet-py imported when they are first used."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mmbot_pipelines.adapters.evm import keys
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcCall
from mmbot_pipelines.adapters.rpc.nodes import Nodes
from mmbot_pipelines.bridge.ports.chains import Origin, Repayment
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.settings import L1
from mmbot_pipelines.settings.bridge.starknet import Starknet as Section
from mmbot_pipelines.settings.bridge.starknet import stark_key
from mmbot_pipelines.wiring.origins import POLL_SECONDS, Shared

if TYPE_CHECKING:
    from mmbot_pipelines.adapters.starknet.client import StarknetRpc


def origin(section: Section, shared: Shared) -> Origin:
    """Plug the origin together, with claims by messages or by proofs."""
    from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage  # noqa: PLC0415
    from mmbot_pipelines.adapters.bridge.starknet.origin import StarknetOrigin  # noqa: PLC0415
    from mmbot_pipelines.adapters.starknet.client import StarknetRpc  # noqa: PLC0415

    quorum = shared.settings.quorum(section)
    rpc = StarknetRpc(section.urls, chain_id=section.chain_id, quorum=quorum)
    repayment: Repayment
    by_message: ByMessage | None = None
    if section.repay == "message":
        repayment = by_message = ByMessage(
            rpc,
            shared.l1,
            shared.registry.address,
            escrow=section.escrow_address,
            messaging=section.messaging_address,
            abi=shared.registry.abi,
            margin_percent=section.fee_margin_percent,
            max_fee=section.max_message_fee,
            max_ratio=section.max_claim_cost_ratio,
        )
    else:
        repayment = _proofs(section, rpc, shared)
    return StarknetOrigin(
        rpc,
        repayment,
        escrow=section.escrow_address,
        wallet=section.wallet_address,
        registry=shared.registry.address,
        start=section.start_block,
        elsewhere=by_message.elsewhere if by_message else lambda: None,
    )


def _proofs(section: Section, rpc: "StarknetRpc", shared: Shared) -> Repayment:
    from mmbot_pipelines.adapters.bridge.starknet import proofs  # noqa: PLC0415
    from mmbot_pipelines.adapters.bridge.starknet.prover import Prover  # noqa: PLC0415
    from mmbot_pipelines.adapters.starknet.lane import StarknetLane  # noqa: PLC0415
    from mmbot_pipelines.adapters.starknet.wallet import StarknetWallet  # noqa: PLC0415

    if section.prover_url is None:
        raise InvalidSettings("MMBOT_STARKNET_REPAY=storage_proof needs a prover")
    prover = Prover(
        section.prover_url.get_secret_value(),
        prover_key(section),
        destination=section.chain_name,
    )
    wallet = StarknetWallet(section.wallet_address, account_key(section), chain_id=section.chain_id)
    return proofs.ByProof(
        rpc,
        shared.l1,
        prover,
        StarknetLane(rpc, wallet, shared.invokes),
        escrow=section.escrow_address,
        registry=shared.registry.address,
        transfers_slot=section.transfers_slot,
        entrypoint=proofs.entrypoint(section.proof_entrypoint),
        cost=section.prover_cost,
        finality_blocks=shared.settings.l1.finality_blocks,
    )


def prover_key(section: Section) -> SecretStr:
    """Return the API key of the prover.

    Raises:
        InvalidSettings: it cannot be read.
    """
    name = "MMBOT_STARKNET_PROVER_API_KEY"
    return keys.secret(section.prover_api_key, section.prover_api_key_file, name)


def account_key(section: Section) -> SecretStr:
    """Return the private key of our Starknet account.

    Raises:
        InvalidSettings: it cannot be read, or is none.
    """
    name = "MMBOT_STARKNET_PRIVATE_KEY"
    try:
        return stark_key(
            keys.secret(section.private_key, section.private_key_file, name).get_secret_value()
        )
    except ValueError as e:
        raise InvalidSettings(f"{name}_FILE holds what {e}") from None


def watched_nodes(section: Section, *, quorum: int) -> Nodes:
    """Return its nodes for who watches them."""
    from mmbot_pipelines.adapters.starknet.client import StarknetRpc  # noqa: PLC0415

    return StarknetRpc(
        section.urls, chain_id=section.chain_id, quorum=quorum, read_seconds=POLL_SECONDS
    )


def block_time(section: Section, number: int) -> int:
    """Return when a block was made, in seconds since 1970."""
    from mmbot_pipelines.adapters.starknet.client import StarknetRpc  # noqa: PLC0415

    rpc = StarknetRpc(section.urls, chain_id=section.chain_id, quorum=1)
    return rpc.ask(lambda node: node.made_at(number))


def subscriptions(section: Section) -> Sequence[RpcCall]:
    """Return how its nodes are asked to announce new blocks, and what the escrow logs."""
    escrow = hex(int(section.escrow_address, 16))  # the specification takes no leading zeros
    events = {"from_address": escrow, "finality_status": "PRE_CONFIRMED"}
    return [("starknet_subscribeNewHeads", []), ("starknet_subscribeEvents", events)]


def stranded_refunds(section: Section, rpc: Rpc, l1: L1) -> str | None:
    """Return None: a message to Starknet names nobody to refund, its whole fee is spent."""
    return None
