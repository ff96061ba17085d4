"""The life of one bridge order, written as a table.

    PENDING -accepted-> PROCESSING -sent-> TRANSFERRING -mined-> FULFILLED   the user is paid
    FULFILLED -sent-> PROVING -mined-> PROVED -settled-> COMPLETED           we are paid back
    PENDING | PROCESSING -refused-> DROPPED                                  nothing was spent
    DROPPED -reopened-> PENDING                                              a person retries it

A reverted or lost transaction takes the order one state back, as a new attempt. An order
that the registry or the escrow already knows as paid is taken up where the chain has it.
A claim is a transaction of ours whose message goes to the L2, or a prover's task: then
PROVING lasts until the task is done, and PROVED until the escrow has read the proof.

What a chain takes back, the order goes back too, as the same attempt, whatever came later:

    unmined     L1 has the transfer in no block: TRANSFERRING, from wherever it had led, for
                the same bytes are sent again. From PROCESSING and DROPPED too: a revert was
                taken back, and the next time the same bytes may pay.
    unpaid      L1 has nobody's transfer, and ours is not in the lane: PROCESSING, to be paid.
    unclaimed   L1 has the claim in no block: PROVING, from PROVED and COMPLETED, and from
                FULFILLED, where its revert had led. A COMPLETED order is claimed by the same
                bytes; where the escrow's payment stands, it is COMPLETED again at once.
    unsettled   the L2 has taken the escrow's payment back: PROVED, until it pays again; or
                undelivered, where no claim of ours is in a block or in the lane.
    vanished    the L2 has taken the order itself back: DROPPED while it is not paid.
    retold      the L2 tells it again: revived, or other content under the same number.

While the transfer is unmined the claim stays in the lane behind it. It may be decided when
the order is FULFILLED again but not PROVING: mined -> PROVED, reverted or lost -> FULFILLED.
Pure: no clock, network or database. A fact comes in, a new Order goes out.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from mmbot_pipelines.core.errors import IllegalStep
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block

ORIGINS = ("zksync", "starknet")  # the networks whose escrows hold orders

# An escrow's id is a uint256: 78 decimal digits at most.
_KEY = re.compile(rf"(?:{'|'.join(ORIGINS)}):[0-9]{{1,78}}")


class Status(StrEnum):
    PENDING = "PENDING"  # seen in the escrow, nothing decided
    PROCESSING = "PROCESSING"  # worth it: fee and amount pass
    TRANSFERRING = "TRANSFERRING"  # transfer stored, perhaps broadcast
    FULFILLED = "FULFILLED"  # recipient paid, our money is out
    PROVING = "PROVING"  # claim stored, perhaps broadcast
    PROVED = "PROVED"  # claim mined, its message is on the way to the L2
    COMPLETED = "COMPLETED"  # the escrow has paid us
    DROPPED = "DROPPED"  # refused before spending

    @property
    def final(self) -> bool:
        """Tell whether nothing more happens to the order by itself."""
        return self in (Status.COMPLETED, Status.DROPPED)


class Fact(StrEnum):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    REOPENED = "reopened"  # a person wants a dropped order decided again
    PAID = "paid"  # the registry has our transfer already
    SENT = "sent"
    MINED = "mined"
    REVERTED = "reverted"
    LOST = "lost"  # its nonce went to another transaction
    UNMINED = "unmined"  # the transfer's block was taken back
    UNPAID = "unpaid"  # L1 took back a payment that was not ours
    UNCLAIMED = "unclaimed"  # the claim's block was taken back
    PROVEN = "proven"  # a prover's task is done, and the escrow is told of it
    UNDELIVERED = "undelivered"  # the claim never arrived
    SETTLED = "settled"
    UNSETTLED = "unsettled"  # the block in which the escrow paid was taken back
    VANISHED = "vanished"  # its block was taken back, and no other has it
    RETOLD = "retold"  # the escrow logs it anew after its block was taken back


# A hash that no block has, for orders that none has: readable, and unlike all others.
TAKEN_BACK = "taken back"

NEXT = {
    (Status.PENDING, Fact.ACCEPTED): Status.PROCESSING,
    (Status.PENDING, Fact.REFUSED): Status.DROPPED,
    (Status.PENDING, Fact.PAID): Status.FULFILLED,
    (Status.PROCESSING, Fact.REFUSED): Status.DROPPED,
    (Status.DROPPED, Fact.REOPENED): Status.PENDING,
    (Status.PROCESSING, Fact.PAID): Status.FULFILLED,
    (Status.PROCESSING, Fact.SENT): Status.TRANSFERRING,
    (Status.TRANSFERRING, Fact.MINED): Status.FULFILLED,
    (Status.TRANSFERRING, Fact.REVERTED): Status.PROCESSING,
    (Status.TRANSFERRING, Fact.LOST): Status.PROCESSING,
    (Status.FULFILLED, Fact.SENT): Status.PROVING,
    (Status.FULFILLED, Fact.SETTLED): Status.COMPLETED,
    (Status.PROVING, Fact.MINED): Status.PROVED,
    (Status.PROVING, Fact.REVERTED): Status.FULFILLED,
    (Status.PROVING, Fact.LOST): Status.FULFILLED,
    (Status.PROVING, Fact.PROVEN): Status.PROVED,
    (Status.PROVING, Fact.UNDELIVERED): Status.FULFILLED,
    (Status.PROVING, Fact.SETTLED): Status.COMPLETED,
    (Status.PROVED, Fact.UNDELIVERED): Status.FULFILLED,
    (Status.PROVED, Fact.SETTLED): Status.COMPLETED,
    # what a chain takes back
    (Status.PENDING, Fact.VANISHED): Status.DROPPED,
    (Status.PROCESSING, Fact.VANISHED): Status.DROPPED,
    (Status.PENDING, Fact.RETOLD): Status.PENDING,
    (Status.PROCESSING, Fact.RETOLD): Status.PENDING,
    (Status.DROPPED, Fact.RETOLD): Status.PENDING,
    (Status.DROPPED, Fact.PAID): Status.FULFILLED,
    (Status.DROPPED, Fact.UNMINED): Status.TRANSFERRING,
    (Status.PROCESSING, Fact.UNMINED): Status.TRANSFERRING,
    (Status.FULFILLED, Fact.UNMINED): Status.TRANSFERRING,
    (Status.PROVING, Fact.UNMINED): Status.TRANSFERRING,
    (Status.PROVED, Fact.UNMINED): Status.TRANSFERRING,
    (Status.COMPLETED, Fact.UNMINED): Status.TRANSFERRING,
    (Status.FULFILLED, Fact.UNPAID): Status.PROCESSING,
    (Status.FULFILLED, Fact.MINED): Status.PROVED,
    (Status.FULFILLED, Fact.REVERTED): Status.FULFILLED,
    (Status.FULFILLED, Fact.LOST): Status.FULFILLED,
    (Status.FULFILLED, Fact.UNCLAIMED): Status.PROVING,
    (Status.PROVED, Fact.UNCLAIMED): Status.PROVING,
    (Status.COMPLETED, Fact.UNCLAIMED): Status.PROVING,
    (Status.COMPLETED, Fact.UNSETTLED): Status.PROVED,
    (Status.COMPLETED, Fact.UNDELIVERED): Status.FULFILLED,
}

_SETTLEMENT = (Fact.SETTLED, Fact.UNSETTLED)
_NEW_ATTEMPT = (Fact.REVERTED, Fact.LOST, Fact.UNDELIVERED, Fact.UNPAID)
# A claim that goes out once more goes by another name.
_CLAIM_ANEW = (Fact.SENT, Fact.UNCLAIMED, Fact.UNMINED)
_PROGRESS = (
    Fact.ACCEPTED,
    Fact.REOPENED,
    Fact.PAID,
    Fact.MINED,
    Fact.PROVEN,
    Fact.SETTLED,
    Fact.RETOLD,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order set in one escrow, and how far we have come with it."""

    origin: str  # "zksync" or "starknet"
    number: int  # the escrow's own uint256 id: unique per origin, not overall
    recipient: Address  # on L1
    amount: Wei  # what the recipient gets
    fee: Wei  # what we earn, before gas
    block: Block  # of the L2, where the escrow logged it
    set_order_tx: TxHash
    changed_at: datetime  # UTC
    status: Status = Status.PENDING
    attempt: int = 1  # never falls: transactions are unique by it
    failures: int = 0  # since the last progress
    lost_claims: int = 0  # since a person last took the order up: a claim sent is no progress here
    failed: bool = False
    next_attempt_at: datetime | None = None  # UTC; a failed order without it is parked
    reason: str | None = None  # why it was dropped, why it last failed, or what it waits for
    waiting_since: datetime | None = None  # UTC; healthy, for the same reason since then
    transfer_tx: TxHash | None = None
    claim_tx: TxHash | None = None  # on L1, or on the L2 where a proof claims
    searched_below: int | None = None  # on L1: its payment is in no block from there on
    claim_ref: str | None = None  # what a claim under way goes by: "message 0x...", "task ..."
    settle_tx: TxHash | None = None  # on the L2, where the escrow paid us
    settle_block: Block | None = None  # of the L2, that has settle_tx
    settle_final: bool = False  # L1 has accepted that block: nothing takes it back
    claim_refund: Wei | None = None  # of its message, on the L2 with settle_tx; None: unknown
    claim_cost: Wei | None = None  # message and gas of its claim, when it was decided to fill it
    version: int = 0  # compare-and-set: the store raises it with every change

    @property
    def key(self) -> str:
        """Name the order across origins, e.g. "zksync:42"."""
        return f"{self.origin}:{self.number}"

    @property
    def parked(self) -> bool:
        """Tell whether only a person can make the order go on."""
        return self.failed and self.next_attempt_at is None

    def is_due(self, at: datetime) -> bool:
        """Return whether a run may work on the order at this time: healthy, or its wait is over."""
        return not self.failed or (self.next_attempt_at is not None and self.next_attempt_at <= at)

    @property
    def taken_back(self) -> bool:
        """Tell whether the L2 had it in no block when it was last looked for."""
        return self.block.hash == TAKEN_BACK

    @property
    def claimed(self) -> bool:
        """Tell whether its claim is on a way that no transaction of ours tells the end of."""
        by_task = self.status is Status.PROVING and self.claim_ref is not None
        return by_task or self.status is Status.PROVED

    def after(
        self,
        fact: Fact,
        *,
        at: datetime,
        tx: TxHash | None = None,
        block: Block | None = None,
        refund: Wei | None = None,
        ref: str | None = None,
        reason: str | None = None,
    ) -> "Order":
        """Return the order as `fact`, proven by `tx`, leaves it: no longer failed.

        block: of the L2, in which the escrow paid us.
        ref: what a new claim goes by, where that is known before it arrives.
        refund: what a claim's message did not use and the settlement gave back, in wei.

        Raises:
            IllegalStep: the table has no such step. A bug or a lost race,
                never a network fault.
        """
        if (self.status, fact) not in NEXT:
            raise IllegalStep(f"{self.key}: {fact} while {self.status}")
        status = NEXT[self.status, fact]
        return replace(
            self,
            status=status,
            attempt=self.attempt + (fact in _NEW_ATTEMPT),
            failures=0 if fact in _PROGRESS else self.failures,
            failed=False,
            next_attempt_at=None,
            reason=reason,
            waiting_since=None,
            block=Block(self.block.number, TAKEN_BACK) if fact is Fact.VANISHED else self.block,
            transfer_tx=self._transfer_tx(status, fact, tx),
            claim_tx=tx or self.claim_tx if _claims(status, fact) else self.claim_tx,
            claim_ref=ref if fact in _CLAIM_ANEW else self.claim_ref,
            settle_tx=self._settle_tx(fact, tx),
            searched_below=None,
            settle_block=self._settle_block(fact, block),
            claim_refund=refund if fact in _SETTLEMENT else self.claim_refund,
            settle_final=self.settle_final and status is self.status,
            changed_at=at,
        )

    def failing(self, why: str, *, failed: bool, next_attempt_at: datetime | None) -> "Order":
        """Return the order with one more failure; its status stays what the chain proves."""
        return replace(
            self,
            failures=self.failures + 1,
            failed=failed,
            next_attempt_at=next_attempt_at,
            reason=why,
            waiting_since=None,
        )

    def _transfer_tx(self, status: Status, fact: Fact, tx: TxHash | None) -> TxHash | None:
        if fact in (Fact.RETOLD, Fact.UNPAID):
            return None  # whatever was sent was for what was taken back
        return tx or self.transfer_tx if _pays(status, fact) else self.transfer_tx

    def _settle_tx(self, fact: Fact, tx: TxHash | None) -> TxHash | None:
        if fact is Fact.UNSETTLED:
            return None
        return tx or self.settle_tx if fact is Fact.SETTLED else self.settle_tx

    def _settle_block(self, fact: Fact, block: Block | None) -> Block | None:
        if fact is Fact.UNSETTLED:
            return None
        return block or self.settle_block if fact is Fact.SETTLED else self.settle_block

    def cleared(self) -> "Order":
        """Return the order as a person takes it up again: not failed, all attempts left."""
        return replace(
            self,
            failed=False,
            failures=0,
            lost_claims=0,
            next_attempt_at=None,
            reason=None,
            waiting_since=None,
        )

    def waiting(self, reason: str, *, at: datetime) -> "Order":
        """Return the order, healthy, with what it waits for; the same reason keeps its time."""
        same = self.reason == reason and self.waiting_since is not None
        return replace(
            self,
            failed=False,
            next_attempt_at=None,
            reason=reason,
            waiting_since=self.waiting_since if same else at,
        )


def is_key(text: str) -> bool:
    """Return whether a text has the form of an order's key.

    Text from a person or a run's configuration is repeated nowhere before this holds.
    """
    return _KEY.fullmatch(text) is not None


def _pays(status: Status, fact: Fact) -> bool:
    if fact is Fact.MINED:
        return status is Status.FULFILLED
    return fact is Fact.PAID or (fact is Fact.SENT and status is Status.TRANSFERRING)


def _claims(status: Status, fact: Fact) -> bool:
    if fact is Fact.MINED:
        return status is Status.PROVED
    return fact is Fact.PROVEN or (fact is Fact.SENT and status is Status.PROVING)
