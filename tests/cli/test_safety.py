"""mmbot safety, halt and resume: they need the database and nothing else."""

import pytest

from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.adapters.db.safety import PgSafety
from mmbot_pipelines.core.safety import GLOBAL, SafetyStore, State, halt, of
from tests.bridge.orders import NOON
from tests.cli.command import Mmbot, caller


@pytest.fixture
def store(database_url: str) -> SafetyStore:
    return PgSafety(connect(database_url))


def state(store: SafetyStore, scope: str = GLOBAL) -> State:
    return of(store.standings(), scope).state


def test_nothing_was_ever_wrong(mmbot: Mmbot) -> None:
    said = mmbot("safety")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0] == "global is NORMAL"
    assert "History (0)" in said.out


def test_a_person_halts_and_resumes_everything(mmbot: Mmbot, store: SafetyStore) -> None:
    said = mmbot("halt", "--by", "Ann", "--reason", "a look at the node")
    assert said.code == 0
    assert said.out.startswith("global is HALTED since ")
    assert said.out.splitlines()[0].endswith("by Ann: a look at the node")
    assert state(store) is State.HALTED
    said = mmbot("resume", "--by", "Bo", "--reason", "all well")
    assert said.code == 0
    assert said.out.startswith("global is NORMAL since ")
    assert state(store) is State.NORMAL
    told = mmbot("safety").out
    assert told.index("global: HALTED -> NORMAL  by Bo") < told.index("NORMAL -> HALTED  by Ann")
    assert "      a look at the node" in told
    assert "History (1)" in mmbot("safety", "--history", "1").out


def test_one_origin_is_resumed_by_its_name(mmbot: Mmbot, store: SafetyStore) -> None:
    halt(store, "starknet", by="Ann", reason="a look", at=NOON)
    said = mmbot("resume", "--by", "Ann", "--reason", "well")
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "global is NORMAL, nothing to resume; "
        "starknet is HALTED since 2026-11-20 12:00:00 UTC by Ann: a look\n"
    )
    assert mmbot("resume", "--by", "Ann", "--reason", "well", "--scope", "starknet").code == 0
    assert state(store, "starknet") is State.NORMAL


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--by", "", "--reason", "x"], "it needs a name: say who decides"),
        (["--by", "Ann", "--reason", " "], "it needs a reason: say why"),
        (["--by", "Ann", "--reason", "x", "--scope", "zsync"], "choose one of global, zksync, sta"),
    ],
)
def test_a_word_that_is_not_whole_is_refused_in_one_line(
    mmbot: Mmbot, store: SafetyStore, command: str, given: list[str], says: str
) -> None:
    halt(store, GLOBAL, by="Ann", reason="before", at=NOON)
    said = mmbot(command, *given)
    assert (said.code, said.out) == (1, "")
    assert says in said.err
    assert len(said.err.splitlines()) == 1
    assert state(store) is State.HALTED
    assert len(store.changes(9)) == 1


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_name_and_reason_must_be_given(mmbot: Mmbot, command: str) -> None:
    said = mmbot(command, "--reason", "x")
    assert said.code == 2
    assert "--by" in said.err


def test_text_is_only_text(mmbot: Mmbot, store: SafetyStore) -> None:
    halt(store, GLOBAL, by="[red]Ann", reason="\x1b[2Jgone \u202e", at=NOON)
    said = mmbot("safety")
    assert "[red]Ann" in said.out
    assert not {"\x1b", "\u202e"} & set(said.out)


def test_a_database_that_is_away_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"MMBOT_DATABASE_URL": "postgresql://bot:hunter2@127.0.0.1:1/mmbot"}
    mmbot = caller(environ, capsys, monkeypatch)
    for command in (["safety"], ["halt", "--by", "Ann", "--reason", "x"]):
        said = mmbot(*command)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("StoreUnavailable: ")
        assert len(said.err.splitlines()) == 1
        assert "hunter2" not in said.err
