"""Which adapter serves which origin network: one place to add another.

Each is plugged together when it is first asked for: a run that pays zkSync's orders has no
use for Starknet's libraries, which take longer to import than all the rest.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mmbot_pipelines.adapters.bridge.registry import RegistryV1
from mmbot_pipelines.adapters.bridge.zksync.origin import ZkSync
from mmbot_pipelines.adapters.evm import keys
from mmbot_pipelines.adapters.evm.block_time import newest_block_time
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.starknet.invokes import Invokes
from mmbot_pipelines.bridge.ports.chains import Origin, Repayment
from mmbot_pipelines.core.errors import InvalidSettings, NotServed
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.settings import Starknet as StarknetSection
from mmbot_pipelines.settings.bridge.starknet_values import stark_key
from mmbot_pipelines.settings.chains import Node

if TYPE_CHECKING:
    from mmbot_pipelines.adapters.starknet.client import StarknetRpc

_POLL_SECONDS = 5.0  # for the age of a chain's newest block


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


def origins(
    settings: Settings, l1: Rpc, registry: RegistryV1, wallet: Address, invokes: Invokes
) -> Origins:
    """Name the origins that the settings serve.

    wallet: ours on L1; on zkSync it is paid unless the settings name another.
    invokes: keeps the transactions of our account on Starknet.
    """
    return Origins(
        {
            name: partial(_origin, name, settings, l1, registry, wallet, invokes)
            for name in settings.origins
        }
    )


def _origin(
    name: str,
    settings: Settings,
    l1: Rpc,
    registry: RegistryV1,
    wallet: Address,
    invokes: Invokes,
) -> Origin:
    if name == "zksync" and (section := settings.zksync):
        return ZkSync(
            Rpc(
                section.urls,
                chain=name,
                chain_id=section.chain_id,
                quorum=settings.quorum(section),
            ),
            l1,
            registry,
            escrow=section.escrow_address,
            diamond=section.diamond_address,
            wallet=section.wallet_address or wallet,
            refunds_to=wallet,
            start=section.start_block,
            accepted=section.accepted,
            claim_gas_limit=section.claim_gas_limit,
        )
    if name == "starknet" and settings.starknet:
        return _starknet(settings, settings.starknet, l1, registry, invokes)
    raise InvalidSettings(f"MMBOT_ORIGINS names {name}, which this version cannot serve")


def _starknet(
    settings: Settings, section: StarknetSection, l1: Rpc, registry: RegistryV1, invokes: Invokes
) -> Origin:
    from mmbot_pipelines.adapters.bridge.starknet.messages import ByMessage  # noqa: PLC0415
    from mmbot_pipelines.adapters.bridge.starknet.origin import Starknet  # noqa: PLC0415
    from mmbot_pipelines.adapters.starknet.client import StarknetRpc  # noqa: PLC0415

    rpc = StarknetRpc(section.urls, chain_id=section.chain_id, quorum=settings.quorum(section))
    repayment: Repayment
    by_message: ByMessage | None = None
    if section.repay == "message":
        repayment = by_message = ByMessage(
            rpc,
            l1,
            registry,
            escrow=section.escrow_address,
            messaging=section.messaging_address,
            margin_percent=section.fee_margin_percent,
            max_fee=section.max_message_fee,
            max_ratio=section.max_claim_cost_ratio,
        )
    else:
        repayment = _proofs(
            section, rpc, l1, registry, invokes, finality_blocks=settings.l1.finality_blocks
        )
    return Starknet(
        rpc,
        repayment,
        escrow=section.escrow_address,
        wallet=section.wallet_address,
        registry=registry.address,
        start=section.start_block,
        elsewhere=by_message.elsewhere if by_message else lambda: None,
    )


def _proofs(
    section: StarknetSection,
    rpc: "StarknetRpc",
    l1: Rpc,
    registry: RegistryV1,
    invokes: Invokes,
    *,
    finality_blocks: int,
) -> Repayment:
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
        l1,
        prover,
        StarknetLane(rpc, wallet, invokes),
        escrow=section.escrow_address,
        registry=registry.address,
        transfers_slot=section.transfers_slot,
        entrypoint=proofs.entrypoint(section.proof_entrypoint),
        cost=section.prover_cost,
        finality_blocks=finality_blocks,
    )


def prover_key(section: StarknetSection) -> SecretStr:
    """Return the API key of the prover.

    Raises:
        InvalidSettings: it cannot be read.
    """
    name = "MMBOT_STARKNET_PROVER_API_KEY"
    return keys.secret(section.prover_api_key, section.prover_api_key_file, name)


def account_key(section: StarknetSection) -> SecretStr:
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


def newest(settings: Settings) -> dict[str, Callable[[], datetime]]:
    """Tell each chain's newest block's time, asked over connections of their own."""
    chains: dict[str, tuple[str, Node, int]] = {GLOBAL: ("L1", settings.l1, settings.l1.chain_id)}
    if settings.zksync:
        chains["zksync"] = ("zksync", settings.zksync, settings.zksync.chain_id)
    asked: dict[str, Callable[[], datetime]] = {
        scope: partial(
            newest_block_time,
            Rpc(
                node.urls,
                chain=chain,
                chain_id=chain_id,
                quorum=settings.quorum(node),
                read_seconds=_POLL_SECONDS,
            ),
        )
        for scope, (chain, node, chain_id) in chains.items()
    }
    if section := settings.starknet:
        asked["starknet"] = partial(_newest_on_starknet, cache(partial(_looking, section)))
    return asked


def _looking(section: StarknetSection) -> "StarknetRpc":
    from mmbot_pipelines.adapters.starknet.client import StarknetRpc  # noqa: PLC0415

    return StarknetRpc(section.urls, chain_id=section.chain_id, read_seconds=_POLL_SECONDS)


def _newest_on_starknet(client: "Callable[[], StarknetRpc]") -> datetime:
    from mmbot_pipelines.adapters.starknet import block_time  # noqa: PLC0415

    return block_time.newest_block_time(client())
