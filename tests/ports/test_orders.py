"""How the store keeps orders."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mmbot_pipelines.bridge.orders.lifecycle import Fact, Status
from mmbot_pipelines.bridge.ports.orders import BridgeStore, Cursor, OrderFilter, Scan
from mmbot_pipelines.core.money import Address, TxHash, Wei
from mmbot_pipelines.core.outbox import Block
from tests.bridge.orders import NOON, an_order
from tests.ports.store_writes import FAULT, TOP, a_scan, add, add_scan, change, later, note, step

TX = TxHash("0x5e771ed")

# adding


@pytest.mark.parametrize("edge", [0, 1, 2**64, TOP - 1, TOP])
def test_numbers_are_exact_at_the_edges(store: BridgeStore, edge: int) -> None:
    order = replace(an_order(edge, amount=edge, fee=edge), block=Block(edge, "0xb"))
    assert add(store, order, last=edge) == [f"zksync:{edge}"]

    (stored,) = store.orders.get([order.key])
    assert stored == order
    assert {type(n) for n in (stored.number, stored.amount, stored.fee)} == {int}
    cursor = store.orders.cursor("zksync", Cursor.LATEST)
    assert cursor == Block(edge, f"0x{edge:064x}")
    assert type(cursor.number) is int


def test_times_come_back_in_utc(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    (stored,) = store.orders.get([order.key])
    assert stored.changed_at == NOON
    assert stored.changed_at.utcoffset() == timedelta(0)
    assert store.orders.history(order.key)[0].at.utcoffset() == timedelta(0)


def test_only_new_orders_are_stored(store: BridgeStore) -> None:
    first, second = an_order(1), an_order(2)
    assert add(store, second) == ["zksync:2"]
    paid = step(store, second, Fact.PAID)

    assert add(store, second, first, second) == ["zksync:1"]
    assert store.orders.get([second.key]) == [paid]
    assert [entry.after for entry in store.orders.history(first.key)] == [Status.PENDING]


def test_a_new_order_has_its_first_row_of_history(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    (entry,) = store.orders.history(order.key)
    assert (entry.before, entry.after) == (None, Status.PENDING)
    assert (entry.run_id, entry.tx, entry.at) == ("scan", order.set_order_tx, NOON)


def test_the_same_number_of_two_origins_is_two_orders(store: BridgeStore) -> None:
    ours, theirs = an_order(1), an_order(1, origin="starknet", amount=5)
    add(store, ours, theirs)
    step(store, ours, Fact.ACCEPTED)
    assert store.orders.get(["starknet:1"]) == [theirs]
    assert len(store.orders.history("starknet:1")) == 1


@pytest.mark.parametrize(
    "reported",
    [
        {"amount": Wei(1)},
        {"fee": Wei(1)},
        {"recipient": Address("0x000000000000000000000000000000000000dEaD")},
    ],
)
def test_an_order_with_other_content_is_an_error_once(
    store: BridgeStore, reported: dict[str, object]
) -> None:
    order = an_order()
    add(store, order)
    for _ in range(3):
        assert add(store, replace(order, **reported)) == []
    assert store.orders.get([order.key]) == [order]
    (error,) = store.errors.of(order.key)
    assert error.fault.kind == "OrderChanged"
    assert str(next(iter(reported.values()))) in error.fault.message


def test_the_first_of_two_in_one_scan_stays(store: BridgeStore) -> None:
    order = an_order()
    assert add(store, order, replace(order, amount=Wei(1))) == [order.key]
    assert store.orders.get([order.key]) == [order]
    assert [error.fault.kind for error in store.errors.of(order.key)] == ["OrderChanged"]


def test_an_order_in_another_block_is_the_same_order(store: BridgeStore) -> None:
    order = an_order()
    add(store, order)
    assert add(store, replace(order, block=Block(11, "0xother"))) == []
    assert store.errors.of(order.key) == []


def test_a_scan_error_is_recorded_once_but_others_every_time(store: BridgeStore) -> None:
    where = replace(FAULT, subject="zksync block 5 log 1")
    long = replace(where, message="x" * 100_000)
    for _ in range(2):
        add(store, faults=(where, long))
        note(store, where, at=NOON, run_id="run")
    assert [error.fault for error in store.errors.of(where.subject)] == [where, long, where, where]


def test_rows_and_cursor_are_written_together_or_not_at_all(store: BridgeStore) -> None:
    with pytest.raises(Exception, match="not a uint256: -1"):
        add(store, an_order(1), faults=(FAULT,), last=-1)
    with pytest.raises(Exception, match="not a uint256: -1"):
        add(store, an_order(1), an_order(2, amount=-1), faults=(FAULT,))
    assert store.orders.find(OrderFilter()) == []
    assert store.orders.history("zksync:1") == []
    assert store.errors.of(FAULT.subject) == []
    assert store.orders.cursor("zksync", Cursor.LATEST) is None


def test_a_cursor_goes_forward_only(store: BridgeStore) -> None:
    assert store.orders.cursor("zksync", Cursor.LATEST) is None
    for last, expected in [(5, 5), (9, 9), (7, 9), (10, 10)]:
        add(store, last=last)
        cursor = store.orders.cursor("zksync", Cursor.LATEST)
        assert cursor is not None
        assert cursor.number == expected


def test_a_cursor_takes_the_newest_hash_of_its_height(store: BridgeStore) -> None:
    add(store, last=5)
    scan = Scan(last=Block(5, "0xreorganised"), orders=[], faults=[])
    add_scan(store, "zksync", Cursor.LATEST, scan, at=NOON, run_id="scan")
    assert store.orders.cursor("zksync", Cursor.LATEST) == scan.last


def test_cursors_of_other_kinds_and_origins_stand_still(store: BridgeStore) -> None:
    add(store, last=5)
    assert store.orders.cursor("zksync", Cursor.ACCEPTED) is None
    assert store.orders.cursor("starknet", Cursor.LATEST) is None
    add_scan(store, "starknet", Cursor.LATEST, a_scan(last=2), at=NOON, run_id="scan")
    add_scan(store, "zksync", Cursor.ACCEPTED, a_scan(last=3), at=NOON, run_id="scan")
    numbers = [
        cursor and cursor.number
        for cursor in (
            store.orders.cursor("zksync", Cursor.LATEST),
            store.orders.cursor("zksync", Cursor.ACCEPTED),
            store.orders.cursor("starknet", Cursor.LATEST),
        )
    ]
    assert numbers == [5, 3, 2]


# listing


def test_orders_are_got_in_the_order_asked_for(store: BridgeStore) -> None:
    add(store, *(an_order(n) for n in range(4)))
    wanted = ["zksync:3", "nonsense", "zksync:1", "", "zksync:99", "zksync:2"]
    assert [order.number for order in store.orders.get(wanted)] == [3, 1, 2]
    assert store.orders.get([]) == []


def test_find_lists_the_newest_change_first(store: BridgeStore) -> None:
    many = [replace(an_order(n), changed_at=NOON + later(n)) for n in (2, 10, 9)]
    add(store, *many, an_order(10, origin="starknet"))
    dropped = change(
        store,
        many[0],
        many[0].after(Fact.REFUSED, at=NOON + later(60), reason="too low"),
        run_id="run",
        at=NOON,
    )
    failed = change(
        store,
        many[1],
        many[1].with_failure("no", failed=True, next_attempt_at=None),
        run_id="run",
        at=NOON,
    )

    def found(**wanted: object) -> list[str]:
        return [order.key for order in store.orders.find(OrderFilter(**wanted))]

    assert found() == ["zksync:2", "zksync:10", "zksync:9", "starknet:10"]
    assert found(limit=2) == ["zksync:2", "zksync:10"]
    assert found(status=Status.DROPPED) == [dropped.key]
    assert found(failed=True) == [failed.key]
    assert found(failed=False, origin="zksync") == ["zksync:2", "zksync:9"]
    assert found(origin="starknet", status=Status.DROPPED) == []


def test_due_are_failed_orders_whose_time_has_come(store: BridgeStore) -> None:
    add(store, *(an_order(n) for n in range(5)))
    for number, seconds in [(0, 20), (1, 10), (2, 31), (3, None)]:
        (order,) = store.orders.get([f"zksync:{number}"])
        then = None if seconds is None else NOON + later(seconds)
        failed = order.with_failure("no", failed=True, next_attempt_at=then)
        change(store, order, failed, run_id="run", at=NOON)
    assert [order.number for order in store.orders.due(at=NOON + later(30))] == [1, 0]
    assert [order.number for order in store.orders.due(at=NOON + later(31))] == [1, 0, 2]
    assert store.orders.due(at=NOON) == []


def test_unfinished_orders_are_listed_by_block_the_highest_first(store: BridgeStore) -> None:
    many = [replace(an_order(n), block=Block(10 * n, "0xb")) for n in range(5)]
    add(store, *many, an_order(9, origin="starknet"))
    parked = many[1].with_failure("no", failed=True, next_attempt_at=None)
    change(store, many[1], parked, run_id="run", at=NOON)
    step(store, many[2], Fact.ACCEPTED)
    step(store, many[3], Fact.REFUSED)
    assert [o.number for o in store.orders.unfinished("zksync", max_orders=9)] == [4, 2, 1, 0]
    assert [o.number for o in store.orders.unfinished("zksync", first=20, max_orders=9)] == [4, 2]
    assert [o.number for o in store.orders.unfinished("zksync", max_orders=2)] == [4, 2]


def test_claimed_orders_are_listed_page_by_page(store: BridgeStore) -> None:
    for number in range(5):
        add(store, an_order(number))
        paid = step(store, an_order(number), Fact.PAID)
        after = paid.after(Fact.SENT, at=NOON + later(number // 2), ref=f"task {number}")
        change(store, paid, after if number else paid, run_id="run", at=NOON)
    page = store.orders.claimed("zksync", max_orders=2)
    assert [o.number for o in page] == [1, 2]
    behind = (page[-1].changed_at, page[-1].number)
    assert [o.number for o in store.orders.claimed("zksync", after=behind, max_orders=9)] == [3, 4]
    assert [o.number for o in store.orders.claimed("zksync", newest=True, max_orders=2)] == [4, 3]
    assert store.orders.claimed("starknet", max_orders=9) == []


def test_settlements_are_listed_until_they_are_final(store: BridgeStore) -> None:
    for number, block in ((1, 30), (2, 10), (3, 20)):
        order = an_order(number)
        add(store, order)
        paid = step(store, order, Fact.PAID)
        settled = paid.after(Fact.SETTLED, at=NOON, tx=TX, block=Block(block, "0xb"))
        change(store, paid, settled, run_id="r", at=NOON)
    found = store.orders.not_final("zksync", max_orders=9)
    assert [order.number for order in found] == [2, 3, 1]
    assert found[0].settle_block == Block(10, "0xb")
    assert [
        o.number for o in store.orders.not_final("zksync", first=11, last=29, max_orders=9)
    ] == [3]
    assert [o.number for o in store.orders.not_final("zksync", max_orders=1)] == [2]
    assert store.orders.not_final("starknet", max_orders=9) == []
    assert [o.number for o in store.orders.newest_not_final("zksync", max_orders=2)] == [3, 2]
    final = change(store, found[0], replace(found[0], settle_final=True), run_id="r", at=NOON)
    assert final.settle_final
    assert [order.number for order in store.orders.not_final("zksync", max_orders=9)] == [3, 1]
