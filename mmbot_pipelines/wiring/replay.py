"""Plug together what `mmbot replay` reads: chains alone, without a key or the database."""

from collections.abc import Iterator
from functools import cache
from typing import cast

from mmbot_pipelines.adapters.bridge.registry import PaymentRegistry
from mmbot_pipelines.adapters.bridge.registry_abi import ABIS
from mmbot_pipelines.adapters.evm import history
from mmbot_pipelines.adapters.evm.fees import fees_of, market_fees
from mmbot_pipelines.adapters.starknet.invokes import Invokes
from mmbot_pipelines.bridge.replay import Replayed, replay
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Fees
from mmbot_pipelines.settings import Settings
from mmbot_pipelines.wiring import origins as origin_wiring
from mmbot_pipelines.wiring.bridge import limits
from mmbot_pipelines.wiring.wallets import l1_rpc


def replayed(settings: Settings, name: str, *, first: int, last: int) -> Iterator[Replayed]:
    """Yield what would have been decided about an origin's orders; see `bridge.replay`.

    Raises:
        InvalidSettings: the origin's repayment needs keys that are not there.
        Failure: a chain cannot be read.
    """
    l1, rpc = settings.l1, l1_rpc(settings)
    ours = [l1.wallet_address] if l1.wallet_address else []
    ours += [wallet.address for wallet in settings.more_wallets]
    shared = origin_wiring.Shared(
        settings=settings,
        l1=rpc,
        registry=PaymentRegistry(
            rpc, l1.registry_address, start_block=l1.start_block, abi=ABIS[l1.registry_abi]
        ),
        # only whether it is paid depends on it
        wallets=(l1.wallet_address or l1.registry_address,),
        invokes=cast(Invokes, None),  # nothing is asked of our own transactions
    )
    module, section = origin_wiring.module(name), settings.origin(name)
    priority = market_fees(rpc).priority

    @cache  # orders come in crowds
    def fees_then(block: int) -> tuple[Fees, Wei]:
        base = history.base_fee_at(rpc, module.block_time(section, block))
        return fees_of(base, priority), base

    origin = module.origin(section, shared)
    yield from replay(origin, limits(settings, *ours), fees_then, first=first, last=last)
