"""Users of the local Starknet: they approve and set orders by signed transactions."""

from collections.abc import Sequence
from dataclasses import dataclass

from starknet_py.net.account.account import Account
from starknet_py.net.client_models import Call, ResourceBounds, ResourceBoundsMapping
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.signer.key_pair import KeyPair

from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS, Keys
from mmbot_pipelines.devnet.starknet.felt import halves, joined, selector_of
from mmbot_pipelines.devnet.starknet.gas import PRICES, in_fri
from mmbot_pipelines.devnet.starknet.sequencer import CHAIN_ID
from mmbot_pipelines.devnet.starknet.token import ETH


@dataclass(frozen=True, slots=True, kw_only=True)
class StarknetOrder:
    """What a user locks for whom."""

    recipient: int  # on L1
    amount: int  # wei
    fee: int  # wei


def account(rpc_url: str, keys: Keys) -> Account:
    """Return starknet-py's account of a development key."""
    return Account(
        address=keys.address,
        client=FullNodeClient(node_url=rpc_url),
        key_pair=KeyPair(keys.private_key, keys.public_key),
        chain=CHAIN_ID,
    )


def order_calls(orders: Sequence[StarknetOrder]) -> list[Call]:
    """Return the calls that lock orders: one approval of everything, then each order."""
    total = sum(order.amount + order.fee for order in orders)
    approve = Call(ETH, selector_of("approve"), [ESCROW_ADDRESS, *halves(total)])
    return [
        approve,
        *(
            Call(
                ESCROW_ADDRESS,
                selector_of("set_order"),
                [order.recipient, *halves(order.amount), *halves(order.fee)],
            )
            for order in orders
        ),
    ]


async def place_orders(user: Account, orders: Sequence[StarknetOrder]) -> list[int]:
    """Lock orders in one transaction and return their ids, as the block being built has them.

    Raises:
        RuntimeError: the escrow refused one, so all.
    """
    # Fixed bounds: an estimate would cost a second signature, 0.1 s each here.
    prices = in_fri(PRICES).items()
    bounds = ResourceBoundsMapping(**{gas: ResourceBounds(10**8, 2 * each) for gas, each in prices})
    sent = await user.execute_v3(order_calls(orders), resource_bounds=bounds)
    receipt = await user.client.get_transaction_receipt(sent.transaction_hash)
    if receipt.revert_reason is not None:
        raise RuntimeError(f"the escrow refused: {receipt.revert_reason}")
    set_order = selector_of("SetOrder")
    return [
        joined(*event.data[:2])
        for event in receipt.events
        if event.from_address == ESCROW_ADDRESS and event.keys == [set_order]
    ]
