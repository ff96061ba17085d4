"""The baseline: a bot that does one thing after the other, as the best known one does.

Every 5 seconds it asks the escrow for new orders. It pays them one by one, waiting for each
receipt, then claims them one by one in the same way. It keeps nothing and survives nothing.
"""

import threading
import time
from typing import Self

from web3.contract.contract import ContractFunction
from web3.types import EventData, Wei

from mmbot_pipelines.devnet.artifacts import contract
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import Deployment

_POLL_SECONDS = 5.0
_RECEIPT_SECONDS = 0.1  # between two looks for a receipt: web3's default
_CHAIN, _L2_GAS, _GAS_PER_PUBDATA = 1, 1_000_000, 800


class SerialBot:
    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._l1, self._l2 = connect(deployment.l1.rpc_url), connect(deployment.zksync.rpc_url)
        self._registry = contract(self._l1, "PaymentRegistry", deployment.l1.registry)
        self._diamond = contract(self._l1, "ZkSyncDiamond", deployment.zksync.diamond)
        self._escrow = contract(self._l2, "Escrow", deployment.zksync.escrow)
        self._next = self._l2.eth.block_number + 1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + _POLL_SECONDS
            orders = self._new_orders()
            for order in orders:
                self._pay(order)
            for order in orders:
                self._claim(order)

    def _new_orders(self) -> list[EventData]:
        head = self._l2.eth.block_number
        if head < self._next:
            return []
        found = self._escrow.events.SetOrder().get_logs(from_block=self._next, to_block=head)
        self._next = head + 1
        return list(found)

    def _pay(self, order: EventData) -> None:
        args = order["args"]
        recipient = int(args["recipient_address"], 16)
        self._send(
            self._registry.functions.transfer(args["order_id"], recipient, _CHAIN), args["amount"]
        )

    def _claim(self, order: EventData) -> None:
        args = order["args"]
        price = 2 * self._l1.eth.gas_price
        cost = self._diamond.functions.l2TransactionBaseCost(price, _L2_GAS, _GAS_PER_PUBDATA)
        claim = self._registry.functions.claimPaymentZKSync(
            args["order_id"],
            int(args["recipient_address"], 16),
            args["amount"],
            _L2_GAS,
            _GAS_PER_PUBDATA,
        )
        self._send(claim, cost.call())

    def _send(self, call: ContractFunction, value: int) -> None:
        """Send a call, its value in wei, and wait for its block."""
        sent = call.transact({"from": self._deployment.market_maker, "value": Wei(value)})
        self._l1.eth.wait_for_transaction_receipt(sent, 120, poll_latency=_RECEIPT_SECONDS)
