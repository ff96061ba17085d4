"""Each invariant of the audit finds its own violations, and only those."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from mmbot_pipelines.bridge.audit.facts import (
    ChainFacts,
    MinedTransaction,
    OrderTerms,
    RegistryTransfer,
    StoredEvent,
    StoredFacts,
    StoredOrder,
    StoredTransaction,
)
from mmbot_pipelines.bridge.audit.invariants import audit
from mmbot_pipelines.bridge.orders.lifecycle import Status
from mmbot_pipelines.core.outbox import TxState

TERMS = OrderTerms(recipient=0xBEEF, amount=1000, fee=50)
KNOWN = "every locked order is stored as it is"
ONCE = "no order is paid twice"
SAME = "payments on L1 match the orders"
REST = "every order is at rest"
FREE = "a dropped order cost nothing"
RECORDED = "every transaction on L1 is stored"
WALLET = "the wallet's balance on L1, to the wei"
EARNED = "the wallet's balance on zksync, to the wei"
NONCES = "every nonce is used once"
ERRORS = "no error is lost"
LEGAL = "history is a legal path"

FILL = ["PENDING", "PROCESSING", "TRANSFERRING"]


def order(number: int, status: Status, **values: Any) -> StoredOrder:
    common = {"failed": False, "parked": False, "reason": None, "claim_refund": 0}
    return StoredOrder(
        key=f"zksync:{number}", origin="zksync", terms=TERMS, status=status, **(common | values)
    )


def history(key: str, *path: str) -> list[StoredEvent]:
    pairs = zip([None, *path], path, strict=False)
    return [StoredEvent(key=key, before=before, after=after) for before, after in pairs]


def row(subject: str, tx: str, nonce: int, state: TxState, value: int) -> StoredTransaction:
    return StoredTransaction(
        subject=subject, hash=tx, nonce=nonce, state=state, value=value, gas_cost=20
    )


def mined(tx: str, nonce: int, *, succeeded: bool = True) -> MinedTransaction:
    return MinedTransaction(hash=tx, nonce=nonce, succeeded=succeeded, gas_cost=20)


@dataclass
class Facts:
    chain: ChainFacts
    stored: StoredFacts

    def on_chain(self, **changes: Any) -> None:
        self.chain = replace(self.chain, **changes)

    def in_store(self, **changes: Any) -> None:
        self.stored = replace(self.stored, **changes)

    def change_row(self, rows: str, index: int, **values: Any) -> None:
        changed = list(getattr(self.stored, rows))
        changed[index] = replace(changed[index], **values)
        self.in_store(**{rows: changed})

    def violated(self) -> set[str]:
        results = audit(self.chain, self.stored)
        assert all(result.checked for result in results)
        return {result.name for result in results if result.violations}


@pytest.fixture
def facts() -> Facts:
    """Return the facts of a completed, a dropped and a parked order, without a violation."""
    chain = ChainFacts(
        locked={f"zksync:{n}": TERMS for n in range(3)},
        payments=[RegistryTransfer(key="zksync:0", recipient=TERMS.recipient, amount=TERMS.amount)],
        transactions=[mined("0xa", 5), mined("0xb", 6), mined("0xc", 7, succeeded=False)],
        nonces=range(5, 8),
        wallet_change=-(TERMS.amount + 7 + 3 * 20),
        origin_changes={"zksync": TERMS.amount + TERMS.fee},
    )
    stored = StoredFacts(
        orders=[
            order(0, Status.COMPLETED),
            order(1, Status.DROPPED),
            order(2, Status.PROCESSING, failed=True, parked=True, reason="no"),
        ],
        events=[
            *history("zksync:0", *FILL, "FULFILLED", "PROVING", "PROVED", "COMPLETED"),
            *history("zksync:1", "PENDING", "DROPPED"),
            *history("zksync:2", *FILL, "PROCESSING", "PROCESSING"),
        ],
        errors=[("zksync:2", "r")],
        transactions=[
            row("zksync:0", "0xa", 5, TxState.MINED, TERMS.amount),
            row("zksync:0", "0xb", 6, TxState.MINED, 7),
            row("zksync:2", "0xc", 7, TxState.REVERTED, TERMS.amount),
        ],
        failed_runs=[("r", "zksync:1"), ("r", "zksync:2")],
    )
    return Facts(chain, stored)


def test_all_is_well(facts: Facts) -> None:
    assert facts.violated() == set()


def test_an_order_that_was_never_seen(facts: Facts) -> None:
    facts.on_chain(locked={**facts.chain.locked, "zksync:9": TERMS})
    assert facts.violated() == {KNOWN}


def test_an_order_stored_with_other_terms(facts: Facts) -> None:
    facts.change_row("orders", 1, terms=replace(TERMS, amount=TERMS.amount + 1))
    assert facts.violated() == {KNOWN}


def test_an_order_paid_twice(facts: Facts) -> None:
    facts.on_chain(payments=[*facts.chain.payments] * 2)
    assert facts.violated() == {ONCE}


@pytest.mark.parametrize(
    "event", [{"recipient": 1}, {"amount": 1}, {"key": "zksync:1"}, {"key": "zksync:9"}]
)
def test_a_payment_that_the_database_does_not_have(facts: Facts, event: dict[str, Any]) -> None:
    facts.on_chain(payments=[replace(facts.chain.payments[0], **event)])
    assert SAME in facts.violated()


def test_a_payment_that_the_registry_does_not_have(facts: Facts) -> None:
    facts.on_chain(payments=[replace(facts.chain.payments[0], key="zksync:2")])
    assert facts.violated() == {SAME}


@pytest.mark.parametrize("values", [{"parked": False}, {"reason": None}])
def test_an_order_that_is_not_settled(facts: Facts, values: dict[str, Any]) -> None:
    facts.change_row("orders", 2, **values)
    assert facts.violated() == {REST}


def test_a_dropped_order_that_money_went_out_for(facts: Facts) -> None:
    facts.change_row("transactions", 1, subject="zksync:1")
    assert facts.violated() == {FREE}
    facts.change_row("transactions", 1, value=0)  # a cancellation: only its gas is gone
    assert FREE not in facts.violated()


def test_a_transaction_that_somebody_else_sent(facts: Facts) -> None:
    facts.on_chain(transactions=[*facts.chain.transactions, mined("0xd", 8)])
    assert facts.violated() == {RECORDED}


@pytest.mark.parametrize("values", [{"state": TxState.MINED}, {"gas_cost": 36}])
def test_a_receipt_stored_with_other_facts(facts: Facts, values: dict[str, Any]) -> None:
    facts.change_row("transactions", 2, **values)
    assert facts.violated() == {RECORDED, WALLET}


def test_a_row_decided_by_a_block_that_is_gone(facts: Facts) -> None:
    facts.on_chain(transactions=facts.chain.transactions[:-1])
    assert facts.violated() == {RECORDED}


def test_a_missing_wei(facts: Facts) -> None:
    facts.on_chain(wallet_change=facts.chain.wallet_change - 1)
    assert facts.violated() == {WALLET}
    facts.on_chain(origin_changes={"zksync": TERMS.amount + TERMS.fee + 1})
    assert facts.violated() == {WALLET, EARNED}


def test_a_nonce_that_nobody_has(facts: Facts) -> None:
    facts.on_chain(nonces=range(5, 9))
    assert facts.violated() == {NONCES}
    facts.on_chain(nonces=range(5, 7))
    assert facts.violated() == {NONCES}


def test_a_nonce_that_two_have(facts: Facts) -> None:
    facts.change_row("transactions", 1, nonce=5)
    assert facts.violated() == {NONCES}


def test_a_transaction_that_is_undecided(facts: Facts) -> None:
    facts.change_row("transactions", 2, state=TxState.STORED)
    assert NONCES in facts.violated()


def test_an_error_that_is_lost(facts: Facts) -> None:
    facts.in_store(errors=[])
    assert facts.violated() == {ERRORS}
    facts.in_store(errors=[("zksync:2", "other")])
    assert facts.violated() == {ERRORS}  # the failed run has none
    facts.in_store(errors=[("zksync:2", None)], failed_runs=[])
    assert facts.violated() == set()


@pytest.mark.parametrize("origin", ["zksync", "starknet, zksync"])
def test_an_outage_that_is_noted_once_for_all_orders_of_a_run(facts: Facts, origin: str) -> None:
    facts.in_store(errors=[("zksync:2", None), ("starknet", "r")])
    assert facts.violated() == {ERRORS}
    facts.in_store(errors=[("zksync:2", None), (origin, "r")])
    assert facts.violated() == set()


@pytest.mark.parametrize(
    ("index", "values"),
    [
        (0, {"after": "FULFILLED"}),  # began in the middle
        (1, {"before": "DROPPED"}),  # left a state that it was not in
        (3, {"after": "PROVED"}),  # a step that the table does not have
        (6, {"after": "PROVED"}),  # ends elsewhere than the order
    ],
)
def test_an_illegal_history(facts: Facts, index: int, values: dict[str, Any]) -> None:
    facts.change_row("events", index, **values)
    assert facts.violated() == {LEGAL}
