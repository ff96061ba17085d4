"""Messages to zkSync that claim one order or several: how much L2 gas, at what price. Reads L1.

The escrow pays each order of a batch as it pays one alone, so that each gets the L2 gas that one
alone has beside what any message needs. Sources: era-contracts, TransactionValidator.sol and
Config.sol, whose numbers were measured on the deployed diamond.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmbot_pipelines.adapters.bridge.zksync import escrow as abi
from mmbot_pipelines.adapters.bridge.zksync.diamond import BASE_COST, GAS_PER_PUBDATA
from mmbot_pipelines.adapters.bridge.zksync.registry import BATCH_SELECTOR, claim_batch
from mmbot_pipelines.adapters.evm import quorum
from mmbot_pipelines.adapters.evm.contracts import call_trusted_views, refused
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.bridge.orders.escrow_errors import ClaimsGoElsewhere
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees

_MESSAGE_GAS = 254_000  # of the shortest message, beside its execution
# An order's 96 bytes of calldata: 1,656 for each 544 bytes to hash, and 10 a byte of memory.
_GAS_PER_ORDER = 96 * 1_656 // 544 + 96 * 10
_MAX_GAS = 72_010_000  # of one message; above, the diamond refuses with "ui"

# A batch takes some 12 k of L1 gas an order, and one transaction at most 2^24 (EIP-7825).
_MAX_ORDERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMessages:
    """The messages of one registry's claims. Threads may share it."""

    l1: Rpc
    registry: Address
    diamond: Address
    claim_gas_limit: Gas  # L2 gas of a message that claims one order

    @property
    def max_orders(self) -> int:
        """Return how many orders fit in one message."""
        return min(_MAX_ORDERS, (_MAX_GAS - _MESSAGE_GAS) // (self._execution + _GAS_PER_ORDER))

    def gas_limit(self, orders: int) -> Gas:
        """Return the L2 gas of a message that claims so many orders."""
        return Gas(_MESSAGE_GAS + orders * (self._execution + _GAS_PER_ORDER))

    def calls(self, batches: Sequence[Sequence[Order]], fees: Fees) -> list[Call | Failure]:
        """Build the call of each batch, priced at the highest gas price it may be mined at.

        Raises:
            Failure: the diamond or the registry cannot be read.
        """
        limits = [self.gas_limit(len(batch)) for batch in batches]
        asked = [(self.registry, BATCH_SELECTOR.encode())]
        (selector,) = call_trusted_views(self.l1, asked, quorum.now(self.l1))
        if (elsewhere := self._elsewhere(selector)) is not None:
            return [elsewhere] * len(batches)
        values = self.prices(limits, fees)
        return [
            claim_batch(
                self.registry,
                batch,
                gas_limit=limit,
                gas_per_pubdata=GAS_PER_PUBDATA,
                value=value,
            )
            for batch, limit, value in zip(batches, limits, values, strict=True)
        ]

    def prices(self, limits: Sequence[Gas], fees: Fees) -> list[Wei]:
        """Price messages that buy so much L2 gas, in wei.

        The diamond prices by the gas price that the claim is mined at, at most the ceiling.

        Raises:
            Failure: the diamond cannot be read.
        """
        calls = [
            (self.diamond, BASE_COST.encode(fees.ceiling, limit, GAS_PER_PUBDATA))
            for limit in limits
        ]
        # What a claim's message is overpaid is not refunded on L1.
        answers = call_trusted_views(self.l1, calls, quorum.now(self.l1))
        return [self._price(answer) for answer in answers]

    @property
    def _execution(self) -> int:
        return max(0, self.claim_gas_limit - _MESSAGE_GAS)

    def _price(self, answer: bytes | RpcError) -> Wei:
        if isinstance(answer, RpcError):
            raise refused(answer, f"{BASE_COST.name} of zkSync's diamond {self.diamond}")
        (cost,) = BASE_COST.decode(answer)
        return Wei(cost)

    def _elsewhere(self, answer: bytes | RpcError) -> ClaimsGoElsewhere | None:
        name = f"{BATCH_SELECTOR.name}() of the registry {self.registry}"
        if isinstance(answer, RpcError):
            raise refused(answer, name)
        (found,) = BATCH_SELECTOR.decode(answer)
        if found == abi.CLAIM_BATCH.selector:
            return None
        return ClaimsGoElsewhere(
            f"{name} is 0x{found.hex()}, not 0x{abi.CLAIM_BATCH.selector.hex()}: a claim of "
            "several orders would reach no function of the escrow; set MMBOT_CLAIM=after_transfer"
        )
