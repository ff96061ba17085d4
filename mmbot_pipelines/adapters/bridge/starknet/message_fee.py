"""What a claim's message to Starknet costs, as the quorum prices it. Reads chain.

What a message is overpaid is not refunded on L1, and Starknet executes none that is underpaid.
So an estimate is checked, its unit and its sum, and a quorum of nodes must give about the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.decoding import FeeEstimate, reason
from mmbot_pipelines.adapters.starknet.node import StarknetNode
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import RpcRefused, Waits
from mmbot_pipelines.core.money import Address, Gas, Wei, format_ether
from mmbot_pipelines.core.outbox import Fees
from mmbot_pipelines.core.text import cleaned

MAX_FEE = Wei(5 * 10**15)
MAX_RATIO = 3

_STARKNET_MAX_FEE = Wei(10**18)  # Starknet's core contract, getMaxL1MsgFee
_ALIKE = 2  # times the lowest estimate: prices change by an eighth in a block
_ROUNDING = 100  # a sum may be off by one part of these, for nodes that round


class MessageFeeOutOfRange(Waits):
    """A claim's message would cost nothing, or more than Starknet's core contract takes."""

    reason = "waiting: Starknet takes no message at the price of now"


class MessageFeeTooHigh(Waits):
    """A claim's message costs more than the operator allows: prices must fall first."""

    reason = "waiting: a claim's message costs more than MMBOT_STARKNET_MAX_MESSAGE_FEE_WEI"


class ClaimCostGrew(Waits):
    """A claim costs far more than when its order was decided: prices must fall first."""

    reason = "waiting: its claim costs MMBOT_STARKNET_MAX_CLAIM_COST_RATIO times what was decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFees:
    """Prices messages of one registry to one escrow. Threads may share it."""

    rpc: StarknetRpc
    registry: Address  # on L1
    escrow: Address
    margin_percent: int  # paid above the estimate, for prices that rise until the delivery
    max_fee: Wei  # above it a message waits
    max_ratio: int  # of what a claim costs now to what it was decided at

    def price(self, orders: Sequence[Order]) -> Wei:
        """Return what a claim's message costs, in wei: one is estimated, all cost the same.

        Raises:
            RpcRefused: no order's claim can be estimated.
            RpcDisagrees: nodes differ more than their newest blocks' prices can.
            MessageFeeOutOfRange: not more than 0 and at most 1 ETH.
            MessageFeeTooHigh: above `max_fee`.
        """
        return self._fee(lambda node: self._estimate_any(node, orders), self.max_fee)

    def price_batch(self, orders: Sequence[Order]) -> Wei:
        """Return what the one message costs that claims all these orders, in wei.

        Raises:
            RpcRefused: it cannot be estimated.
            RpcDisagrees, MessageFeeOutOfRange, MessageFeeTooHigh: see `price`; too high is more
                than `max_fee` an order.
        """
        payload = abi.batch_payload(orders)

        def estimate(node: StarknetNode) -> int:
            try:
                return self._estimate(node, abi.CLAIM_BATCH, payload)
            except RpcError as e:
                raise RpcRefused(f"the claims' message cannot be priced, {reason(e)}") from None

        return self._fee(estimate, Wei(self.max_fee * len(orders)))

    def _fee(self, estimate_at: Callable[[StarknetNode], int], max_fee: Wei) -> Wei:
        estimate = self.rpc.agreed(estimate_at, _agreed)
        fee = Wei(-(-estimate * (100 + self.margin_percent) // 100))
        if not 0 < fee <= _STARKNET_MAX_FEE:
            raise MessageFeeOutOfRange(
                f"a claim's message would cost {format_ether(fee)} with its margin, but Starknet "
                f"takes more than 0 and at most {format_ether(_STARKNET_MAX_FEE)}"
            )
        if fee > max_fee:
            raise MessageFeeTooHigh(
                f"a claim's message costs {format_ether(fee)}, more than "
                f"MMBOT_STARKNET_MAX_MESSAGE_FEE_WEI, {format_ether(max_fee)}"
            )
        return fee

    def cost_grew(self, order: Order, fee: Wei, gas: Gas, fees: Fees) -> ClaimCostGrew | None:
        """Return that a claim costs too much for what it was decided at, or None.

        gas: of the claim on L1.
        """
        cost = fee + gas * fees.expected
        if order.claim_cost is None or cost <= self.max_ratio * order.claim_cost:
            return None
        return ClaimCostGrew(
            f"message and gas cost {format_ether(Wei(cost))} now, more than {self.max_ratio} times "
            f"the {format_ether(order.claim_cost)} that the order was decided at"
        )

    def _estimate_any(self, node: StarknetNode, orders: Sequence[Order]) -> int:
        """Ask for the fee of the first claim that can be estimated, in wei."""
        refusal = ""
        for order in orders:
            try:
                return self._estimate(node, abi.CLAIM, abi.claim_payload(order))
            except RpcError as e:
                refusal = refusal or f"{order.key}: {reason(e)}"
        raise RpcRefused(f"a claim's message cannot be priced, {refusal}")

    def _estimate(self, node: StarknetNode, selector: int, payload: Sequence[int]) -> int:
        reported = node.call(
            "estimateMessageFee",
            message={
                "from_address": self.registry,
                "to_address": hex(int(self.escrow, 16)),
                "entry_point_selector": hex(selector),
                "payload": [hex(felt) for felt in payload],
            },
            block_id="pre_confirmed",
        )
        return _consistent(FeeEstimate.read(reported))


def _consistent(estimate: FeeEstimate) -> int:
    """Return an estimate's fee in wei.

    Source: Starknet JSON-RPC specification, MESSAGE_FEE_ESTIMATE: the unit can only be WEI,
    and the fee is the sum of each gas times its price.

    Raises:
        NodeFault: it is in another unit, or is not the sum of its parts.
    """
    if estimate.unit != "WEI":
        raise NodeFault(f"answered a message's fee in {cleaned(estimate.unit, 20)}, not in WEI")
    parts = sum(consumed * price for consumed, price in estimate.gas.values())
    if abs(estimate.total - parts) * _ROUNDING > parts:
        raise NodeFault(
            f"answered {estimate.total} wei as a message's fee, but its gas and prices make {parts}"
        )
    return estimate.total


def _agreed(estimates: Sequence[int], quorum: int) -> int:
    """Return the price that as many nodes give, about alike, as the quorum asks for.

    The dearest of those that are alike: what is underpaid is never carried.

    Raises:
        RpcDisagrees: there are not as many.
    """
    ordered = sorted(estimates)
    for lowest, highest in zip(ordered, ordered[quorum - 1 :], strict=False):
        if highest <= _ALIKE * lowest:
            return highest
    raise RpcDisagrees(
        f"nodes of starknet price a claim's message from {format_ether(Wei(ordered[0]))} to "
        f"{format_ether(Wei(ordered[-1]))}: it is priced when {quorum} of them agree"
    )
