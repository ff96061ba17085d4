"""Each invariant finds what breaks it, and nothing else does."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from mmbot_pipelines.devnet.invariants import judge, table
from mmbot_pipelines.devnet.outside import Before, Books, Mined, Paid, Terms

RECIPIENT, AMOUNT, FEE = 0xBEEF, 1000, 50
KNOWN = "every locked order is known as it is"
ONCE = "one transfer per order at most"
SAME = "paid in the registry = paid in the database"
REST = "every order is at rest"
FREE = "a dropped order cost nothing"
RECORDED = "each of our transactions is recorded"
WALLET = "the wallet on L1, to the wei"
EARNED = "the wallet on zksync, to the wei"
NONCES = "no nonce twice, none missing"
ERRORS = "no error is lost"
LEGAL = "history is a legal path"


@dataclass
class Side:
    locked: dict[str, Terms]
    has: int
    name: str = "zksync"

    def orders(self) -> dict[str, Terms]:
        return self.locked

    def balance(self) -> int:
        return self.has


@dataclass
class World:
    """One completed order, one that was dropped, one parked; all is well."""

    side: Side = field(
        default_factory=lambda: Side(
            {f"zksync:{n}": Terms(recipient=RECIPIENT, amount=AMOUNT, fee=FEE) for n in range(3)},
            has=AMOUNT + FEE,
        )
    )
    events: list[Paid] = field(
        default_factory=lambda: [Paid(key="zksync:0", recipient=RECIPIENT, amount=AMOUNT)]
    )
    sent: list[Mined] = field(
        default_factory=lambda: [
            Mined(hash="0xa", nonce=5, succeeded=True, value=AMOUNT, gas_cost=20),
            Mined(hash="0xb", nonce=6, succeeded=True, value=7, gas_cost=20),
            Mined(hash="0xc", nonce=7, succeeded=False, value=AMOUNT, gas_cost=20),
        ]
    )
    has: int = 10_000 - AMOUNT - 7 - 60
    used: int = 8

    def __post_init__(self) -> None:
        self.sides = [self.side]
        self.since = Before(block=0, nonce=5, balance=10_000, balances={"zksync": 0})
        way = ["PENDING", "PROCESSING", "TRANSFERRING", "FULFILLED", "PROVING", "PROVED"]
        parked = [*way[:3], "PROCESSING", "PROCESSING"]
        self.kept = Books(
            orders=[
                order(0, "COMPLETED"),
                order(1, "DROPPED"),
                order(2, "PROCESSING", failed=True, reason="no"),
            ],
            events=[
                *history("zksync:0", [*way, "COMPLETED"]),
                *history("zksync:1", ["PENDING", "DROPPED"]),
                *history("zksync:2", parked),
            ],
            errors=[SimpleNamespace(subject="zksync:2", kind="Reverted", run_id="r")],
            transactions=[
                row("zksync:0", "0xa", 5, "MINED", AMOUNT),
                row("zksync:0", "0xb", 6, "MINED", 7),
                row("zksync:2", "0xc", 7, "REVERTED", AMOUNT),
            ],
            failed_runs=[("r", "zksync:1"), ("r", "zksync:2")],
        )

    def paid(self, since: Before) -> list[Paid]:
        return self.events

    def mined(self, since: Before) -> list[Mined]:
        return self.sent

    def balance(self) -> int:
        return self.has

    def nonce(self) -> int:
        return self.used

    def broken(self) -> set[str]:
        results = judge(self, self.kept, self.since)  # type: ignore[arg-type]
        assert all(result.checked for result in results)
        for result in results:
            assert (f"BROKEN {len(result.broken)}" in table([result])) is bool(result.broken)
        return {result.name for result in results if result.broken}

    def change(self, rows: str, index: int, **values: Any) -> None:
        vars(getattr(self.kept, rows)[index]).update(values)

    def books(self, **changes: Any) -> None:
        self.kept = replace(self.kept, **changes)


def order(number: int, status: str, **values: Any) -> SimpleNamespace:
    common: dict[str, Any] = {"failed": False, "next_attempt_at": None, "reason": None}
    return SimpleNamespace(
        key=f"zksync:{number}",
        origin="zksync",
        recipient=hex(RECIPIENT),
        claim_refund=None,
        amount=AMOUNT,
        fee=FEE,
        status=status,
        **(common | values),
    )


def history(key: str, way: list[str]) -> list[SimpleNamespace]:
    pairs = zip([None, *way], way, strict=False)
    return [SimpleNamespace(key=key, before=before, after=after) for before, after in pairs]


def row(subject: str, tx: str, nonce: int, state: str, value: int) -> SimpleNamespace:
    return SimpleNamespace(
        subject=subject,
        hash=tx,
        nonce=nonce,
        state=state,
        call_value=value,
        gas_used=4,
        gas_price=5,
    )


@pytest.fixture
def world() -> World:
    return World()


def test_all_is_well(world: World) -> None:
    assert world.broken() == set()


def test_an_order_that_was_never_seen(world: World) -> None:
    world.side.locked["zksync:9"] = Terms(recipient=1, amount=1, fee=1)
    assert world.broken() == {KNOWN}


def test_an_order_kept_otherwise(world: World) -> None:
    world.change("orders", 1, amount=AMOUNT + 1)
    assert world.broken() == {KNOWN}


def test_an_order_paid_twice(world: World) -> None:
    world.events *= 2
    assert world.broken() == {ONCE}


@pytest.mark.parametrize(
    "event", [{"recipient": 1}, {"amount": 1}, {"key": "zksync:1"}, {"key": "zksync:9"}]
)
def test_a_payment_that_the_database_does_not_have(world: World, event: dict[str, Any]) -> None:
    world.events = [replace(world.events[0], **event)]
    assert SAME in world.broken()


def test_a_payment_that_the_registry_does_not_have(world: World) -> None:
    world.events = [replace(world.events[0], key="zksync:2")]
    assert world.broken() == {SAME}


@pytest.mark.parametrize("values", [{"next_attempt_at": "soon"}, {"reason": None}])
def test_an_order_that_is_not_at_rest(world: World, values: dict[str, Any]) -> None:
    world.change("orders", 2, **values)
    assert world.broken() == {REST}


def test_a_dropped_order_that_money_went_out_for(world: World) -> None:
    world.change("transactions", 1, subject="zksync:1")
    assert world.broken() == {FREE}
    world.change("transactions", 1, call_value=0)  # a cancellation: only its gas is gone
    assert FREE not in world.broken()


def test_a_transaction_that_somebody_else_sent(world: World) -> None:
    world.sent.append(Mined(hash="0xd", nonce=8, succeeded=True, value=0, gas_cost=1))
    assert world.broken() == {RECORDED}


@pytest.mark.parametrize("values", [{"state": "MINED"}, {"gas_used": 9}])
def test_a_receipt_kept_otherwise(world: World, values: dict[str, Any]) -> None:
    world.change("transactions", 2, **values)
    assert world.broken() == {RECORDED, WALLET}


def test_a_row_decided_by_a_block_that_is_gone(world: World) -> None:
    world.sent.pop()
    assert world.broken() == {RECORDED}


def test_a_missing_wei(world: World) -> None:
    world.has -= 1
    assert world.broken() == {WALLET}
    world.side.has += 1
    assert world.broken() == {WALLET, EARNED}


def test_a_nonce_that_nobody_has(world: World) -> None:
    world.used += 1
    assert world.broken() == {NONCES}
    world.used -= 2
    assert world.broken() == {NONCES}


def test_a_nonce_that_two_have(world: World) -> None:
    world.change("transactions", 1, nonce=5)
    assert world.broken() == {NONCES}


def test_a_transaction_that_is_undecided(world: World) -> None:
    world.change("transactions", 2, state="STORED")
    assert NONCES in world.broken()


def test_an_error_that_is_lost(world: World) -> None:
    world.books(errors=[])
    assert world.broken() == {ERRORS}
    world.books(errors=[SimpleNamespace(subject="zksync:2", kind="Reverted", run_id="other")])
    assert world.broken() == {ERRORS}  # the failed run has none
    world.books(failed_runs=[], errors=[SimpleNamespace(subject="zksync:2", kind="", run_id="")])
    assert world.broken() == set()


@pytest.mark.parametrize(
    ("index", "values"),
    [
        (0, {"after": "FULFILLED"}),  # began in the middle
        (1, {"before": "DROPPED"}),  # left a state that it was not in
        (3, {"after": "PROVED"}),  # a step that the table does not have
        (6, {"after": "PROVED"}),  # ends elsewhere than the order
    ],
)
def test_an_illegal_history(world: World, index: int, values: dict[str, Any]) -> None:
    world.change("events", index, **values)
    assert world.broken() == {LEGAL}
