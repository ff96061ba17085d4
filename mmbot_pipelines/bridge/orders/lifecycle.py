"""The life of one bridge order, written as a table.

    PENDING -accepted-> PROCESSING -sent-> TRANSFERRING -mined-> FULFILLED   the user is paid
    FULFILLED -sent-> PROVING -mined-> PROVED -settled-> COMPLETED           we are paid back
    PENDING | PROCESSING -refused-> DROPPED                                  nothing was spent
    DROPPED -reopened-> PENDING                                              a person retries it

A reverted or lost transaction takes the order one state back, as a new attempt. An order
that the registry or the escrow already knows as paid is taken up where the chain has it.
A claim is a transaction of ours whose message goes to the L2, or a prover's task: then
PROVING lasts until the task is done, and PROVED until the escrow has read the proof.

After a reorg the order goes back too, as the same attempt, whatever came later:

    transfer_reorged    L1 has the transfer in no block: TRANSFERRING, from wherever it had led, for
                the same bytes are sent again. From PROCESSING and DROPPED too: the block of
                a revert was reorged out, and the next time the same bytes may pay.
    payment_reorged     L1 has nobody's transfer, and ours is not in the lane: PROCESSING, to be
                paid.
    claim_reorged       L1 has the claim in no block: PROVING, from PROVED and COMPLETED, and from
                FULFILLED, where its revert had led. A COMPLETED order is claimed by the same
                bytes; where the escrow's payment stands, it is COMPLETED again at once.
    settlement_reorged  the escrow's payment was reorged out: PROVED, until it pays again; or
                undelivered, where no claim of ours is in a block or in the lane.
    orphaned            the order itself was reorged out: DROPPED while it is not paid.
    reemitted           the escrow logs it again: revived, or other content under the same number.

While the transfer is in no block the claim stays in the lane behind it. It may be decided when
the order is FULFILLED again but not PROVING: mined -> PROVED, reverted or lost -> FULFILLED.
Pure: no clock, network or database. A fact comes in, a new Order goes out.
"""

from enum import StrEnum


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
    def is_final(self) -> bool:
        """Return whether nothing more happens to the order by itself."""
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
    TRANSFER_REORGED = "transfer_reorged"  # the transfer's block was reorged out
    PAYMENT_REORGED = "payment_reorged"  # the block of a payment that was not ours was reorged out
    CLAIM_REORGED = "claim_reorged"  # the claim's block was reorged out
    PROVEN = "proven"  # a prover's task is done, and submitted to the escrow
    UNDELIVERED = "undelivered"  # the claim never arrived
    SETTLED = "settled"
    SETTLEMENT_REORGED = "settlement_reorged"  # the block in which the escrow paid was reorged out
    ORPHANED = "orphaned"  # its block was reorged out, and no other has it
    REEMITTED = "reemitted"  # the escrow logs it again after its block was reorged out


# A hash that no block has, for orders that none has: readable, and unlike all others.
ORPHANED_HASH = "orphaned"

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
    # after a reorg
    (Status.PENDING, Fact.ORPHANED): Status.DROPPED,
    (Status.PROCESSING, Fact.ORPHANED): Status.DROPPED,
    (Status.PENDING, Fact.REEMITTED): Status.PENDING,
    (Status.PROCESSING, Fact.REEMITTED): Status.PENDING,
    (Status.DROPPED, Fact.REEMITTED): Status.PENDING,
    (Status.DROPPED, Fact.PAID): Status.FULFILLED,
    (Status.DROPPED, Fact.TRANSFER_REORGED): Status.TRANSFERRING,
    (Status.PROCESSING, Fact.TRANSFER_REORGED): Status.TRANSFERRING,
    (Status.FULFILLED, Fact.TRANSFER_REORGED): Status.TRANSFERRING,
    (Status.PROVING, Fact.TRANSFER_REORGED): Status.TRANSFERRING,
    (Status.PROVED, Fact.TRANSFER_REORGED): Status.TRANSFERRING,
    (Status.COMPLETED, Fact.TRANSFER_REORGED): Status.TRANSFERRING,
    (Status.FULFILLED, Fact.PAYMENT_REORGED): Status.PROCESSING,
    (Status.FULFILLED, Fact.MINED): Status.PROVED,
    (Status.FULFILLED, Fact.REVERTED): Status.FULFILLED,
    (Status.FULFILLED, Fact.LOST): Status.FULFILLED,
    (Status.FULFILLED, Fact.CLAIM_REORGED): Status.PROVING,
    (Status.PROVED, Fact.CLAIM_REORGED): Status.PROVING,
    (Status.COMPLETED, Fact.CLAIM_REORGED): Status.PROVING,
    (Status.COMPLETED, Fact.SETTLEMENT_REORGED): Status.PROVED,
    (Status.COMPLETED, Fact.UNDELIVERED): Status.FULFILLED,
}
