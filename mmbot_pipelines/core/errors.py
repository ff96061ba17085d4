"""What can go wrong, and what each kind asks for.

    TryAgain   at the next tick: the fault is expected to be gone by then
    Waits      healthy, for as long as it takes: prices and an empty wallet are no faults
    Halts      so too, but when it is met again all is halted: the cause is one, for all orders
    TryLater   after a backoff: something outside must change first
    Stop       never by itself: a person decides
    CounterpartyFault   so too, by what a stranger did with his own order: no run is red for it

The class name is stored with the error, so it is part of what an operator reads.
"""

from enum import StrEnum
from typing import ClassVar


class RetryPolicy(StrEnum):
    NOW = "now"
    WAIT = "wait"
    LATER = "later"
    NEVER = "never"


class Failure(Exception):
    """An error whose class carries its retry policy."""

    retry_policy: ClassVar[RetryPolicy]


class TryAgain(Failure):
    retry_policy = RetryPolicy.NOW


class Waits(Failure):
    """What becomes right when the market or the wallet does: it is no fault of the order.

    The message has the numbers of the moment, for the run's log.
    """

    retry_policy = RetryPolicy.WAIT
    reason: ClassVar[str]  # stored with the order: the same while the cause is the same


class Halts(Waits):
    """What is wrong with the set-up, not with an order: a person must look before any is sent.

    An order that meets it for the first time only waits: it may be one answer of a moment.
    """

    halts_origin_only: ClassVar[bool] = False  # only the order's origin is halted, not everything


class TryLater(Failure):
    retry_policy = RetryPolicy.LATER


class Stop(Failure):
    retry_policy = RetryPolicy.NEVER


class CounterpartyFault(Stop):
    """What a stranger did with his own order, as foreseen: parked, and no fault of the bot."""


class IllegalTransition(Exception):
    """A step that the state table does not have: a bug or a lost race, never a network fault."""


class ConcurrentUpdate(Exception):
    """Somebody else changed the row since it was read: read again, nothing was written."""


class InvalidSettings(Exception):
    """Settings that cannot work, one line per fault, before anything is sent."""


class RpcUnavailable(TryAgain):
    """No node answered: unreachable, timed out or overloaded."""


class NonceTooHigh(TryAgain):
    """A node counts transactions of our wallet that neither we nor the chain know."""


class PoolIsTaken(TryAgain):
    """A node keeps one transaction of a delegated account, and has another one (EIP-7702)."""


class RpcRefused(TryLater):
    """A node answered with an error that asking again at once will not change."""


class WrongChain(Stop):
    """A node serves another chain than the settings name."""


class StoreUnavailable(TryAgain):
    """The database cannot be reached: nothing is paid while the truth is away."""


class RunDied(TryAgain):
    """The run ended before it could keep what becomes of its orders."""


class NotServed(Waits):
    """The order's origin is not among those that the settings serve."""

    reason = "waiting: MMBOT_ORIGINS does not name its origin"


class InsufficientFunds(Waits):
    """The wallet cannot pay for this and for what is already in flight."""

    reason = "waiting: the wallet has too little ETH"


class Reverted(TryLater):
    """A mined transaction failed on chain: its gas is spent, its value is not."""


class RecipientRefused(CounterpartyFault):
    """A mined transfer failed in its recipient's own code: its gas is spent, its value is not."""


class NonceTaken(TryLater):
    """Another transaction took this one's nonce: it can never be mined."""


class Reorged(TryAgain):
    """A chain reorged out a block that held an order or a transaction of ours."""


class PaymentNotVisible(TryAgain):
    """L1 does not show what was mined there: a node is behind, or a reorg is on its way."""


class OrderOrphaned(CounterpartyFault):
    """An order that is being paid stands in no block any more: its transfer is cancelled."""


class ReorgAfterPayment(Stop):
    """The order's block was reorged out when its recipient was paid: nobody owes us for it."""


class Undelivered(TryLater):
    """A claim can never arrive: it was used up on its way, and the escrow has not paid."""


class SimulationReverted(CounterpartyFault):
    """The simulation reverts, so nothing was sent and no gas was spent."""


class RegistryAbiMismatch(Halts):
    """The registry's answers do not match the ABI set in MMBOT_L1_REGISTRY_ABI."""

    reason = "waiting: the registry's answers do not match MMBOT_L1_REGISTRY_ABI"


class Malformed(Stop):
    """Data from outside that cannot be what it claims to be."""


class OrdersFailed(Exception):
    """Some orders of a run failed; the message names each with its cause.

    is_own_fault: False where strangers alone made each of them fail.
    """

    def __init__(self, text: str, *, is_own_fault: bool = True) -> None:
        super().__init__(text)
        self.is_own_fault = is_own_fault
