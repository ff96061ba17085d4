"""What the local Starknet begins with: two tokens, the escrow, and funded accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmbot_pipelines.devnet.starknet_account import ACCOUNT, Keys, development_keys
from mmbot_pipelines.devnet.starknet_escrow import ESCROW, ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet_execution import Frame, World, selector_of
from mmbot_pipelines.devnet.starknet_facts import FACTS, FACTS_ADDRESS
from mmbot_pipelines.devnet.starknet_felt import halves, pseudo_hash
from mmbot_pipelines.devnet.starknet_history import History, Slot
from mmbot_pipelines.devnet.starknet_token import ETH, STRK, TOKEN

CLASSES = {c.class_hash: c for c in (TOKEN, ESCROW, ACCOUNT, FACTS)}
SEQUENCER_ADDRESS = pseudo_hash("contract", "Sequencer")
ALLOWANCE = 10**6 * 10**18  # wei and fri that every account begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class StarknetSettings:
    """What a local Starknet is told at its start."""

    chain_id: str = "SN_DEVNET"
    users: int = 3  # funded accounts beside the owner and the market maker
    registry: int = 0  # PaymentRegistry on L1, settable later
    market_maker: int | None = None  # wallet that the escrow pays; absent: a funded account
    block_time: float | None = None  # seconds; absent: blocks are sealed by hand only
    l1_depth: int = 10  # blocks on top of one that L1 has accepted
    max_chunk_size: int = 1024
    max_keys: int = 16


@lru_cache(maxsize=8)
def accounts(users: int) -> tuple[Keys, ...]:
    """Return the owner, the market maker and `users` users, the same on every start."""
    return tuple(development_keys(number) for number in range(users + 2))


def begin(history: History, settings: StarknetSettings, keys: Sequence[Keys]) -> None:
    """Write the state of block 0."""
    owner, market_maker = keys[0].address, keys[1].address
    world = World(history, 0, CLASSES)
    contracts = ((ETH, TOKEN), (STRK, TOKEN), (ESCROW_ADDRESS, ESCROW), (FACTS_ADDRESS, FACTS))
    for address, kind in contracts:
        world.write(Slot("class", address), kind.class_hash)
    Frame(world, FACTS_ADDRESS, owner).write("Ownable_owner", value=owner)
    escrow = Frame(world, ESCROW_ADDRESS, owner)
    escrow.write("Ownable_owner", value=owner)
    escrow.write("native_token_eth_starknet", value=ETH)
    escrow.write("eth_transfer_contract", value=settings.registry)
    escrow.write("herodotus_facts_registry", value=FACTS_ADDRESS)
    escrow.write("mm_starknet_wallet", value=settings.market_maker or market_maker)
    for token in (ETH, STRK):
        Frame(world, token, owner).write("permitted_minter", value=owner)
    for key in keys:
        world.write(Slot("class", key.address), ACCOUNT.class_hash)
        Frame(world, key.address, 0).write("Account_public_key", value=key.public_key)
        for token in (ETH, STRK):
            mint = selector_of("permissioned_mint")
            world.call(owner, token, mint, [key.address, *halves(ALLOWANCE)])
    world.commit()
