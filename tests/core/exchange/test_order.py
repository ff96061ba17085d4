"""How events change an order: the whole state table, and every permutation of a history."""

from dataclasses import replace
from decimal import Decimal
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.core.errors import IllegalTransition
from mmbot_pipelines.core.exchange.market import Lots
from mmbot_pipelines.core.exchange.order import (
    Alarm,
    NotThisOrder,
    Order,
    OrderEvent,
    Status,
    Word,
    apply,
    submitting,
)
from tests.core.exchange.orders import SIZE, a_fill, an_order, event, filled

# The rows of the design's table, each event without an earlier fill; FILL is one of 4 lots of 10.
# "!" is the alarm REVIVED, "-" cannot be.
TABLE = """
                  ACCEPTED FILL              FILLED    CANCELED  REJECTED NO_ANSWER SEEN  IMPOSSIBLE
NEW               -        -                 -         CANCELLED FAILED   -         -     -
SUBMITTING        OPEN     PARTIALLY_FILLED  FILLED    CANCELLED FAILED   UNKNOWN   OPEN  FAILED
UNKNOWN           OPEN     PARTIALLY_FILLED  FILLED    CANCELLED FAILED   UNKNOWN   OPEN  FAILED
OPEN              OPEN     PARTIALLY_FILLED  FILLED    CANCELLED FAILED   OPEN      OPEN  CANCELLED
FILLED            FILLED   FILLED            FILLED    FILLED    FILLED   FILLED    OPEN! FILLED
CANCELLED         CANCELLED CANCELLED        FILLED    CANCELLED CANCELLED CANCELLED OPEN! CANCELLED
FAILED            OPEN!    PARTIALLY_FILLED! FILLED!   CANCELLED FAILED   FAILED    OPEN! FAILED
"""
_HEAD, *_ROWS = TABLE.strip().splitlines()
CELLS = [
    (Status(row.split()[0]), Word(word), cell)
    for row in _ROWS
    for word, cell in zip(_HEAD.split(), row.split()[1:], strict=True)
]


def an_event(word: Word, order: Order) -> OrderEvent:
    asked = order.version if word is Word.SEEN else None
    fill = a_fill("1", 4) if word is Word.FILL else None
    return OrderEvent(word=word, fill=fill, asked_at_version=asked)


def test_the_table_names_every_event() -> None:
    assert set(_HEAD.split()) == set(Word)


@pytest.mark.parametrize(("status", "word", "expected"), CELLS)
def test_each_event_in_each_status(status: Status, word: Word, expected: str) -> None:
    order = an_order(status)
    if expected == "-":
        with pytest.raises(IllegalTransition):
            apply(order, an_event(word, order))
        return
    applied = apply(order, an_event(word, order))
    assert applied.order.status == expected.rstrip("!")
    assert applied.alarm == (Alarm.REVIVED if expected.endswith("!") else None)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (Word.ACCEPTED, Status.PARTIALLY_FILLED),
        (Word.NO_ANSWER, Status.PARTIALLY_FILLED),
        (Word.SEEN, Status.PARTIALLY_FILLED),
        (Word.CANCELED, Status.CANCELLED),
        (Word.REJECTED, Status.CANCELLED),  # it was alive: its fills stay
        (Word.IMPOSSIBLE, Status.CANCELLED),
        (Word.FILLED, Status.FILLED),
    ],
)
def test_each_event_after_a_partial_fill(word: Word, status: Status) -> None:
    order = apply(an_order(), filled("1", 4)).order
    after = apply(order, an_event(word, order)).order
    assert (after.status, after.filled) == (status, 4)


@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.UNKNOWN, Status.OPEN])
def test_a_fill_of_all_completes_an_order(status: Status) -> None:
    after = apply(an_order(status), filled("1", SIZE)).order
    assert (after.status, after.is_settled, after.remaining) == (Status.FILLED, True, 0)


def test_a_trade_counts_once() -> None:
    once = apply(an_order(), filled("1", 4)).order
    assert apply(once, filled("1", 4)).order is once


def test_what_was_paid_keeps_all_digits() -> None:
    long = Decimal("123456789012345678901234567890.5")
    trades = [replace(filled(n, 1), fill=replace(a_fill(n, 1), quote=long)) for n in ("1", "2")]
    order = reduce(lambda order, trade: apply(order, trade).order, trades, an_order())
    assert str(order.quote_filled) == "246913578024691357802469135781.0"


def test_a_total_alone_fills_nothing() -> None:
    after = apply(an_order(Status.OPEN), event(Word.CANCELED, 6)).order
    assert (after.filled, after.venue_filled, after.is_settled) == (0, 6, False)
    assert after.remaining == 10
    settled = reduce(lambda o, e: apply(o, e).order, [filled("1", 4), filled("2", 2)], after)
    assert (settled.status, settled.filled, settled.is_settled) == (Status.CANCELLED, 6, True)


def test_a_total_never_falls() -> None:
    order = apply(an_order(Status.OPEN), event(Word.SEEN, 6)).order
    assert apply(order, event(Word.CANCELED, 4)).order.venue_filled == 6


def test_the_venues_word_for_complete_waits_for_its_trades() -> None:
    order = apply(an_order(Status.OPEN), event(Word.FILLED)).order
    assert not order.is_settled
    assert apply(order, filled("1", SIZE)).order.is_settled


@pytest.mark.parametrize("status", [Status.OPEN, Status.CANCELLED, Status.FILLED])
def test_more_than_ordered_is_an_alarm_once(status: Status) -> None:
    full = apply(an_order(status), filled("1", SIZE)).order
    over = apply(full, filled("2", 1))
    assert (over.alarm, over.order.filled) == (Alarm.OVERFILLED, 11)
    assert apply(over.order, filled("2", 1)).alarm is None
    assert over.order.remaining == 0


def test_a_lookup_from_before_the_end_revives_nothing() -> None:
    asked = an_order(Status.OPEN)
    ended = apply(asked, event(Word.CANCELED, 0)).order
    late = event(Word.SEEN, 0, asked_at_version=asked.version)
    assert apply(ended, late).order is ended
    again = apply(ended, event(Word.SEEN, 0, asked_at_version=ended.version))
    assert (again.order.status, again.alarm) == (Status.OPEN, Alarm.REVIVED)


def test_a_complete_order_that_is_seen_open_alarms_and_stays() -> None:
    full = apply(an_order(Status.OPEN), filled("1", SIZE)).order
    seen = apply(full, event(Word.SEEN, asked_at_version=full.version))
    assert (seen.order, seen.alarm) == (full, Alarm.REVIVED)


def test_another_venue_id_is_another_order() -> None:
    order = apply(an_order(), event(Word.ACCEPTED, venue_order_id="a")).order
    with pytest.raises(NotThisOrder, match="7 is a at its venue: an event names b"):
        apply(order, event(Word.CANCELED, 0, venue_order_id="b"))


def test_the_reason_is_that_of_the_end() -> None:
    unknown = apply(an_order(), event(Word.NO_ANSWER, reason="timed out")).order
    assert unknown.reason == "timed out"
    opened = apply(unknown, event(Word.ACCEPTED)).order
    assert opened.reason is None
    ended = apply(opened, event(Word.CANCELED, 0, reason="EXPIRED")).order
    assert apply(ended, event(Word.NO_ANSWER, reason="timed out")).order.reason == "EXPIRED"


def test_an_order_is_sent_once() -> None:
    sent = submitting(an_order(Status.NEW))
    assert (sent.status, sent.version) == (Status.SUBMITTING, 1)
    with pytest.raises(IllegalTransition):
        submitting(sent)


@st.composite
def histories(draw: st.DrawFn) -> list[OrderEvent]:
    """What a venue reports of one order: accepted, its trades, and an end if it has one."""
    sizes = draw(st.lists(st.integers(1, 4), max_size=4).filter(lambda sizes: sum(sizes) <= SIZE))
    total = sum(sizes)
    trades = [
        filled(str(number), size, sum(sizes[: number + 1]) if draw(st.booleans()) else None)
        for number, size in enumerate(sizes)
    ]
    accepted = [event(Word.ACCEPTED, 0, venue_order_id="a")] if sizes or draw(st.booleans()) else []
    no_answer = [event(Word.NO_ANSWER, reason="timed out")] if draw(st.booleans()) else []
    if total == SIZE:
        ends = draw(st.sampled_from([[], [event(Word.FILLED, total)]]))
    elif accepted:
        ends = draw(st.sampled_from([[], [event(Word.CANCELED, total, reason="CLIENT")]]))
    else:
        ends = [event(draw(st.sampled_from([Word.REJECTED, Word.CANCELED])), 0, reason="TICK")]
    return [*no_answer, *accepted, *trades, *ends]


@given(histories(), st.data())
def test_every_permutation_with_repetitions_gives_the_same_order(
    history: list[OrderEvent], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(history), max_size=4)) if history else []
    shuffled = data.draw(st.permutations([*history, *again]))
    in_turn, mixed = an_order(), an_order()
    for each in history:
        in_turn = apply(in_turn, each).order
    for each in shuffled:
        before, applied = mixed, apply(mixed, each)
        mixed = applied.order
        assert applied.alarm is None
        assert before.filled <= mixed.filled <= mixed.size
        # A late acceptance may still bring the venue's id.
        same = replace(mixed, version=before.version, venue_order_id=before.venue_order_id)
        assert same == before or not before.is_settled
    assert replace(mixed, version=0) == replace(in_turn, version=0)


@given(st.lists(st.sampled_from(Word), max_size=6), st.integers(0, 12))
def test_a_status_never_moves_backwards_without_an_alarm(words: list[Word], total: int) -> None:
    order = an_order()
    for number, word in enumerate(words):
        fill = a_fill(str(number), 3) if word is Word.FILL else None
        given = OrderEvent(
            word=word, fill=fill, venue_filled=Lots(total), asked_at_version=order.version
        )
        applied = apply(order, given)
        if order.status.is_terminal and not applied.order.status.is_terminal:
            assert applied.alarm is not None
        assert applied.order.filled >= order.filled
        assert applied.order.venue_filled >= max(order.venue_filled, applied.order.filled)
        order = applied.order
