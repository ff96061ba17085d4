"""Searches the payments of zkSync's escrow, as the quorum shows them. Reads the L2."""

from collections.abc import Mapping, Sequence

from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.adapters.evm.log_range import Log, LogFilter
from mmbot_pipelines.adapters.evm.logs import LogScanner
from mmbot_pipelines.bridge.orders.escrow_errors import PaidElsewhere
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import Malformed
from mmbot_pipelines.core.money import Address, format_ether

# Blocks that are searched again for a payment, in case the chain has replaced them.
_SEARCHED_AGAIN = 100


class Payments:
    """The payments of one escrow. Threads may share it."""

    def __init__(self, logs: LogScanner, *, escrow: Address, wallet: Address) -> None:
        """Name the escrow, and the wallet that it must pay; nothing is asked yet."""
        self.logs = logs
        self._escrow = escrow
        self._wallet = wallet
        self._wanted = LogFilter(address=escrow, topics=(abi.CLAIM_PAYMENT,))
        # Up to which block an order's payment was searched for in vain, while we live.
        self._searched: dict[tuple[int, str], int] = {}

    def find(
        self, claimed: Mapping[int, Order], block: int
    ) -> dict[int, Settlement | PaidElsewhere]:
        """Find the payments of these orders, to us if there is one, newest blocks first.

        Raises:
            RpcDisagrees: too few nodes show the same payments.
            RpcRefused, RpcUnavailable: they cannot be read.
        """
        paid: dict[int, Settlement | PaidElsewhere] = {}
        first = min(map(self._search_from, claimed.values()), default=block + 1)
        for logs in self.logs.backwards(self._wanted, first, block):
            for log in logs:
                payment = self._payment(log, claimed)
                if payment is None:
                    continue
                if payment.claimer == self._wallet:
                    paid[payment.number] = Settlement(log.tx, log.block)
                elif not isinstance(paid.get(payment.number), Settlement):
                    paid[payment.number] = self._paid_elsewhere(
                        claimed[payment.number], payment, log
                    )
            if len(paid) == len(claimed):
                break
        self._searched |= {_named(o): block for n, o in claimed.items() if n not in paid}
        return paid

    def numbers(self, logs: Sequence[Log]) -> list[int]:
        """Return the orders that the escrow has paid in a transaction with these logs."""
        ours = (log for log in logs if log.address == self._escrow)
        found = []
        for log in ours:
            if log.topics[:1] == (abi.CLAIM_PAYMENT,):
                try:
                    found.append(abi.payment(log).number)
                except Malformed:
                    continue
        return found

    def _search_from(self, order: Order) -> int:
        """Return the first block that may hold the order's payment and was not searched yet."""
        searched = self._searched.get(_named(order), -1)
        return max(order.block.number, searched + 1 - _SEARCHED_AGAIN)

    def _payment(self, log: Log, claimed: Mapping[int, Order]) -> abi.Payment | None:
        """Return the payment that the event logs, if it is of one of these orders."""
        try:
            payment = abi.payment(log)
        except Malformed:
            return None
        order = claimed.get(payment.number)
        if order is None:
            return None
        # Escrows differ in whether the event's amount includes the fee.
        return payment if payment.amount - order.amount in (0, order.fee) else None

    def _paid_elsewhere(self, order: Order, payment: abi.Payment, log: Log) -> PaidElsewhere:
        return PaidElsewhere(
            f"the escrow {self._escrow} paid {format_ether(payment.amount)} of "
            f"{order.key} to {payment.claimer} in {log.tx}, but our wallet is "
            f"{self._wallet}: ask the escrow's owner; no claim brings it back"
        )


def _named(order: Order) -> tuple[int, str]:
    # One that moved to another block is searched for again.
    return order.number, order.block.hash
