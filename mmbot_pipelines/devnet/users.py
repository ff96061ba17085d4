"""The users of all local origins: they lock orders, each on its own network."""

import asyncio
from collections.abc import Sequence

from mmbot_pipelines.devnet.deploy import ZkSyncDeployment
from mmbot_pipelines.devnet.orders import OrderSpec, place, place_many
from mmbot_pipelines.devnet.starknet.deployment import StarknetDeployment
from mmbot_pipelines.devnet.starknet.sequencer import USERS
from mmbot_pipelines.devnet.starknet.users import StarknetOrder, account, place_orders


class Users:
    """Everybody who wants money on L1."""

    def __init__(self, zksync: ZkSyncDeployment, starknet: StarknetDeployment | None) -> None:
        self._zksync = zksync
        self._starknet = starknet

    def place(self, order_spec: OrderSpec) -> str:
        """Lock one order on its origin and return its key, e.g. "starknet:3"."""
        if order_spec.origin == "zksync":
            return f"zksync:{place(self._zksync, order_spec)}"
        return self.place_many([order_spec])[0]

    def place_many(self, order_specs: Sequence[OrderSpec]) -> list[str]:
        """Lock orders, those of one origin in one block; return their keys.

        Raises:
            RuntimeError: an escrow refused one.
        """
        zksync = [w for w in order_specs if w.origin == "zksync"]
        starknet = [w for w in order_specs if w.origin == "starknet"]
        numbers = {
            "zksync": iter(place_many(self._zksync, zksync) if zksync else []),
            "starknet": iter(self._lock_on_starknet(starknet) if starknet else []),
        }
        return [f"{w.origin}:{next(numbers[w.origin])}" for w in order_specs]

    def _lock_on_starknet(self, order_specs: Sequence[OrderSpec]) -> list[int]:
        if self._starknet is None:
            raise RuntimeError("this stack has no Starknet: name it among its origins")
        user = account(self._starknet.rpc_url, USERS[0])
        orders = [
            StarknetOrder(recipient=int(w.recipient, 16), amount=w.amount, fee=w.fee)
            for w in order_specs
        ]
        return asyncio.run(place_orders(user, orders))
