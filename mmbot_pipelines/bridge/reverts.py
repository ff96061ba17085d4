"""Why a call of ours reverts, and whose doing it is. Reads chain, writes store.

A revert's text is no proof: the author of a contract chooses it. So the registry
itself is asked whom it takes. Where nothing was sent, looking again costs nothing; and where the
money is out, nothing is given up on one node's answer.
"""

from collections.abc import Sequence

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.failures import Work, fault_of
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.accounts import TRANSFER
from mmbot_pipelines.bridge.transitions import change
from mmbot_pipelines.core.errors import (
    Failure,
    Halts,
    PaymentNotVisible,
    Reorged,
    RpcRefused,
    SimulationReverted,
    TryAgain,
    TryLater,
)
from mmbot_pipelines.core.money import Gas
from mmbot_pipelines.core.outbox import UNKNOWN, Chain, Outcome, Transaction, TxState

# The PaymentRegistry's revert reason when the recipient did not take the money, and only then.
_NOT_TAKEN = "Transfer failed."

_NO_REASON = "reverted without a reason"


def is_recipients_doing(chain: Chain, order: Order, outcome: Outcome) -> bool:
    """Return whether a reverted transfer is the doing of its recipient.

    It is where the registry's reason is that; where gas ran out, or no reason came, in a call of an
    account with code; and where no replay reverts, for only code that reads its
    context behaves differently then, and such code may be gone in the same block.

    What no node can answer any more, as with pruned state, counts as its doing: it is not tried
    again by itself, and holds no other receipt up.

    Raises:
        RpcUnavailable: no node answered.
    """
    row, receipt, reason = outcome.transaction, outcome.receipt, outcome.reason
    if row.purpose != TRANSFER or receipt is None:
        return False
    if _NOT_TAKEN in reason or reason.startswith(UNKNOWN):
        return True
    if receipt.gas_used < row.gas and not reason.startswith(_NO_REASON):
        return False  # the registry's own words
    try:
        return chain.has_code(order.recipient, receipt.block.number)
    except RpcRefused:
        return True


def is_not_taken(reason: str) -> bool:
    """Return whether a replayed transfer reverts because its recipient does not take the money."""
    return _NOT_TAKEN in reason


# The registry's reverts for a stranger: its modifier, and OwnableUnauthorizedAccount(address).
_REVERT_REASONS = ("Only Owner or MM", "0x118cdaa7")


class NotMarketMaker(Halts):
    """The registry takes neither transfers nor claims from our wallet."""

    reason = "waiting: the registry does not take our wallet as its market maker"


class WalletRefused(TryAgain):
    """The registry refuses one of our wallets: another one of them goes on."""


def check_market_maker(work: Work, results: Sequence[Gas | Failure]) -> list[Gas | Failure]:
    """Return the results of simulations, with the cause where we are refused for who we are.

    Raises:
        Failure: the registry could not be asked.
    """
    named = next((str(result) for result in results if _is_authority_revert(result)), None)
    cause = market_maker_refusal(work.bridge, named) if named is not None else None
    if cause is None:
        return list(results)
    return [cause if _is_authority_revert(result) else result for result in results]


def market_maker_refusal(bridge: Bridge, words: str) -> NotMarketMaker | WalletRefused | None:
    """Return the cause of a revert with these words, if it is that our wallet is not taken.

    Nothing is halted while the registry takes another one of our wallets.

    Raises:
        Failure: the registry could not be asked.
    """
    if not any(reason in words for reason in _REVERT_REASONS):
        return None
    wallet = bridge.chain.wallet
    others = {lane.chain.wallet for lane in bridge.lanes} - {wallet}
    accepted, *others_accepted = bridge.registry.accepts([wallet, *others])
    if accepted:
        return None
    refusal = WalletRefused if any(others_accepted) else NotMarketMaker
    return refusal(
        "the registry takes transfers and claims from its owner and its market maker alone, "
        f"{wallet} is neither: have the owner call setMMAddress({wallet}), or set the key of "
        "the market maker"
    )


def _is_authority_revert(result: Gas | Failure) -> bool:
    text = str(result) if isinstance(result, SimulationReverted) else ""
    return any(reason in text for reason in _REVERT_REASONS)


# How often a payment of another program is looked for, with growing waits, until we pay.
_MAX_CHECKS = 3


class ClaimRefused(TryLater):
    """The claim of a paid order would revert, so nothing was sent and no gas was spent."""


def store_claim_reverts(work: Work, foreseen: Sequence[tuple[Order, Failure]]) -> None:
    """Store with orders why their claims are not sent, and pay again what nobody has paid."""
    reverts = [order for order, failure in foreseen if isinstance(failure, SimulationReverted)]
    used = dict(zip(reverts, work.bridge.registry.used(reverts), strict=True)) if reverts else {}
    for order, failure in foreseen:
        if order not in used:
            work.fail(order, failure)
        elif used[order]:
            work.fail(order, ClaimRefused(str(failure)))
        else:
            _payment_not_visible(work, order, failure)


def _payment_not_visible(work: Work, order: Order, failure: Failure) -> None:
    why = f"L1 does not show the transfer {order.transfer_tx} now: {failure}"
    not_visible, ours = PaymentNotVisible(why), _open_transfers(work, order)
    if any(not _final(work, row) for row in ours):
        work.fail(
            order, not_visible
        )  # should it be reorged out, `check_l1_reorgs` finds that by its receipt
    elif ours:
        work.fail(order, ClaimRefused(f"{why}; is this the registry that it was paid in?"))
    elif order.failures + 1 < min(_MAX_CHECKS, work.bridge.rules.max_attempts):
        work.roll_back(order, order, not_visible)  # the other program's may well be mined again
    else:
        _unpaid(work, order)


def _open_transfers(work: Work, order: Order) -> list[Transaction]:
    """List the transfers of ours that have paid it, or may yet."""
    return [
        row
        for row in work.bridge.store.outbox.of(order.key)
        if row.serves(order.key, TRANSFER) and row.state in (TxState.STORED, TxState.MINED)
    ]


def _final(work: Work, row: Transaction) -> bool:
    depth = work.bridge.rules.l1_finality_blocks
    return row.block is not None and row.block.number < work.bridge.chain.head().number - depth


def _unpaid(work: Work, order: Order) -> None:
    why = f"L1 reorged out {order.transfer_tx}, in which another program had paid it"
    after = order.after(Fact.PAYMENT_REORGED, at=work.bridge.clock(), reason=why)
    fault = fault_of(order, Reorged(why), work.step)
    if change(work.bridge, work.run, order, after, fault=fault):
        work.run.log(f"{order.key}: {why}; now {after.status}")
