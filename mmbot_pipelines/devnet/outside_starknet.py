"""The Starknet origin as it is seen past the bot: by JSON-RPC alone."""

from typing import Any

import requests

from mmbot_pipelines.devnet.outside import Terms
from mmbot_pipelines.devnet.starknet_deploy import Starknet
from mmbot_pipelines.devnet.starknet_execution import selector_of
from mmbot_pipelines.devnet.starknet_felt import felt, joined
from mmbot_pipelines.devnet.starknet_token import ETH

_CHUNK = 1000


class StarknetSide:
    """The Starknet origin seen from outside."""

    name = "starknet"
    code = 0  # the registry's enum

    def __init__(self, deployed: Starknet) -> None:
        self._deployed = deployed

    def orders(self) -> dict[str, Terms]:
        """Return every order that the escrow logs now, by the order's key."""
        found = {}
        for event in self._events():
            low, high, recipient, *rest = (int(word, 16) for word in event["data"])
            amount_low, amount_high, fee_low, fee_high = rest
            found[f"{self.name}:{joined(low, high)}"] = Terms(
                recipient=recipient,
                amount=joined(amount_low, amount_high),
                fee=joined(fee_low, fee_high),
            )
        return found

    def balance(self) -> int:
        """Return what our wallet has there, in wei."""
        call = {
            "contract_address": felt(ETH),
            "entry_point_selector": felt(selector_of("balance_of")),
            "calldata": [self._deployed.wallet],
        }
        low, high = self._ask("starknet_call", call, "pre_confirmed")
        return joined(int(low, 16), int(high, 16))

    def _events(self) -> list[Any]:
        wanted = {
            "from_block": {"block_number": self._deployed.start_block},
            "to_block": "pre_confirmed",
            "address": self._deployed.escrow,
            "keys": [[felt(selector_of("SetOrder"))]],
            "chunk_size": _CHUNK,
        }
        events: list[Any] = []
        while True:
            page = self._ask("starknet_getEvents", wanted)
            events += page["events"]
            if "continuation_token" not in page:
                return events
            wanted["continuation_token"] = page["continuation_token"]

    def _ask(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = requests.post(self._deployed.rpc_url, json=body, timeout=30).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]
