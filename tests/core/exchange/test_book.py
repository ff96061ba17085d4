"""An order book that is believed only while its updates follow each other."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.exchange.book import Changes, Level, OrderBook, Touch
from mmbot_pipelines.core.exchange.market import Lots, Side, Ticks
from tests.core.exchange.orders import NOON


def levels(*pairs: tuple[int, int]) -> list[Level]:
    return [(Ticks(price), Lots(size)) for price, size in pairs]


def changes(
    previous: int, sequence: int, bids: Sequence[Level] = (), asks: Sequence[Level] = ()
) -> Changes:
    return Changes(previous=previous, sequence=sequence, bids=bids, asks=asks, at=NOON)


@pytest.fixture
def book() -> OrderBook:
    book = OrderBook()
    book.reset(10, levels((98, 5), (99, 3)), levels((101, 2), (102, 7)), NOON)
    return book


def test_nothing_is_believed_before_a_snapshot() -> None:
    book = OrderBook()
    assert not book.apply(changes(0, 1, levels((99, 3))))
    assert (book.touch(), book.depth(Side.BUY, 5), book.fault) == (None, [], "no snapshot yet")


def test_the_touch_follows_the_changes(book: OrderBook) -> None:
    assert book.touch() == Touch(bid=Ticks(99), ask=Ticks(101), at=NOON)
    assert book.apply(changes(10, 12, levels((99, 0), (97, 1)), levels((100, 4))))
    assert book.touch() == Touch(bid=Ticks(98), ask=Ticks(100), at=NOON)
    assert book.depth(Side.BUY, 2) == levels((98, 5), (97, 1))
    assert book.depth(Side.SELL, 2) == levels((100, 4), (101, 2))


def test_an_empty_side_has_no_best_price(book: OrderBook) -> None:
    book.apply(changes(10, 11, levels((98, 0), (99, 0))))
    assert book.touch() == Touch(bid=None, ask=Ticks(101), at=NOON)


def test_a_gap_lasts_until_the_next_snapshot(book: OrderBook) -> None:
    assert not book.apply(changes(11, 12, levels((98, 9))))
    assert (book.touch(), book.fault) == (None, "a gap: 11 does not follow 10")
    assert not book.apply(changes(10, 11))
    book.reset(20, levels((98, 1)), levels((99, 1)), NOON)
    assert book.fault is None
    assert book.depth(Side.BUY, 9) == levels((98, 1))


def test_what_the_snapshot_has_is_skipped(book: OrderBook) -> None:
    assert book.apply(changes(8, 10, levels((99, 50))))
    assert book.depth(Side.BUY, 1) == levels((99, 3))
    assert book.apply(changes(9, 12, levels((99, 4))))  # overlaps it: sizes are absolute
    assert book.depth(Side.BUY, 1) == levels((99, 4))


def test_only_the_first_changes_may_overlap(book: OrderBook) -> None:
    book.apply(changes(10, 12))
    assert not book.apply(changes(11, 13))


@pytest.mark.parametrize("bid", [101, 102])
def test_a_crossed_book_is_not_believed(book: OrderBook, bid: int) -> None:
    assert not book.apply(changes(10, 11, levels((bid, 1))))
    assert book.touch() is None
    assert "crossed" in (book.fault or "")


def test_a_crossed_snapshot_is_not_believed(book: OrderBook) -> None:
    book.reset(11, levels((101, 1)), levels((101, 1)), NOON)
    assert (book.touch(), book.depth(Side.SELL, 1)) == (None, [])


_SIDE = st.dictionaries(st.integers(1, 50), st.integers(0, 3), max_size=4)


@given(st.lists(st.tuples(_SIDE, _SIDE), max_size=8), st.sets(st.integers(0, 7)))
def test_it_equals_the_venues_book_or_is_not_believed(
    moves: list[tuple[dict[int, int], dict[int, int]]], lost: set[int]
) -> None:
    book, bids, asks = OrderBook(), dict[int, int](), dict[int, int]()
    book.reset(0, [], [], NOON)
    for number, (down, up) in enumerate(moves):
        higher = {100 + price: size for price, size in up.items()}
        bids |= down
        asks |= higher
        if number not in lost:
            book.apply(changes(number, number + 1, levels(*down.items()), levels(*higher.items())))
    complete = not any(number in lost for number in range(len(moves) - 1))
    if complete and len(moves) - 1 not in lost:
        assert book.touch() is not None
        assert dict(book.depth(Side.BUY, 99)) == {p: s for p, s in bids.items() if s}
        assert dict(book.depth(Side.SELL, 99)) == {p: s for p, s in asks.items() if s}
    elif not complete and len(moves) - 1 not in lost:
        assert book.touch() is None
