"""mmbot safety, halt and resume: they need the database and nothing else."""

import json

import pytest

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.core.safety import GLOBAL, State, halt, state_of
from tests.bridge.orders import NOON
from tests.cli.command import Mmbot, caller
from tests.ports.store_writes import decided


@pytest.fixture
def store(database_url: str) -> PgBridgeStore:
    return PgBridgeStore(connect(database_url))


def state(store: PgBridgeStore, scope: str = GLOBAL) -> State:
    return state_of(store.safety.scope_states(), scope).state


def test_nothing_was_ever_wrong(mmbot: Mmbot) -> None:
    output = mmbot("safety")
    assert (output.code, output.err) == (0, "")
    assert output.out.splitlines()[0] == "global is NORMAL"
    assert "History (0)" in output.out


def test_a_person_halts_and_resumes_everything(mmbot: Mmbot, store: PgBridgeStore) -> None:
    output = mmbot("halt", "--by", "Ann", "--reason", "a look at the node")
    assert output.code == 0
    assert output.out.startswith("global is HALTED since ")
    assert output.out.splitlines()[0].endswith("by Ann: a look at the node")
    assert state(store) is State.HALTED
    output = mmbot("resume", "--by", "Bo", "--reason", "all well")
    assert output.code == 0
    assert output.out.startswith("global is NORMAL since ")
    assert state(store) is State.NORMAL
    reported = mmbot("safety").out
    assert reported.index("global: HALTED -> NORMAL  by Bo") < reported.index(
        "NORMAL -> HALTED  by Ann"
    )
    assert "      a look at the node" in reported
    assert "History (1)" in mmbot("safety", "--history", "1").out


def test_one_origin_is_resumed_by_its_name(mmbot: Mmbot, store: PgBridgeStore) -> None:
    decided(halt, store, "starknet", by="Ann", reason="a look", at=NOON)
    output = mmbot("resume", "--by", "Ann", "--reason", "well")
    assert (output.code, output.out) == (1, "")
    assert output.err == (
        "global is NORMAL, nothing to resume; "
        "starknet is HALTED since 2026-11-20 12:00:00 UTC by Ann: a look\n"
    )
    assert mmbot("resume", "--by", "Ann", "--reason", "well", "--scope", "starknet").code == 0
    assert state(store, "starknet") is State.NORMAL


@pytest.mark.parametrize("command", ["halt", "resume"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--by", "", "--reason", "x"], "it needs a name: who decides"),
        (["--by", "Ann", "--reason", " "], "it needs a reason: why"),
        (["--by", "Ann", "--reason", "x", "--scope", "zsync"], "choose one of global, zksync, sta"),
    ],
)
def test_a_word_that_is_not_whole_is_refused_in_one_line(
    mmbot: Mmbot, store: PgBridgeStore, command: str, given: list[str], expected: str
) -> None:
    decided(halt, store, GLOBAL, by="Ann", reason="before", at=NOON)
    output = mmbot(command, *given)
    assert (output.code, output.out) == (1, "")
    assert expected in output.err
    assert len(output.err.splitlines()) == 1
    assert state(store) is State.HALTED
    assert len(store.safety.changes(9)) == 1


@pytest.mark.parametrize("command", ["halt", "resume"])
def test_name_and_reason_must_be_given(mmbot: Mmbot, command: str) -> None:
    output = mmbot(command, "--reason", "x")
    assert output.code == 2
    assert "--by" in output.err


def test_text_is_only_text(mmbot: Mmbot, store: PgBridgeStore) -> None:
    decided(halt, store, GLOBAL, by="[red]Ann", reason="\x1b[2Jgone \u202e", at=NOON)
    output = mmbot("safety")
    assert "[red]Ann" in output.out
    assert not {"\x1b", "\u202e"} & set(output.out)


def test_a_database_that_is_away_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"MMBOT_DATABASE_URL": "postgresql://bot:hunter2@127.0.0.1:1/mmbot"}
    mmbot = caller(environ, capsys, monkeypatch)
    for command in (["safety"], ["halt", "--by", "Ann", "--reason", "x"]):
        output = mmbot(*command)
        assert (output.code, output.out) == (2, "")
        assert output.err.startswith("StoreUnavailable: ")
        assert len(output.err.splitlines()) == 1
        assert "hunter2" not in output.err


def test_a_program_reads_states_and_history(mmbot: Mmbot, store: PgBridgeStore) -> None:
    decided(halt, store, "starknet", by="Ann", reason="a look", at=NOON)
    output = mmbot("safety", "--json")
    shown = json.loads(output.out)
    states = {row["scope"]: (row["state"], row["by"]) for row in shown["scopes"]}
    assert states == {"global": ("NORMAL", "mmbot"), "starknet": ("HALTED", "Ann")}
    (change,) = shown["history"]
    assert (change["before"], change["after"], change["why"]) == ("NORMAL", "HALTED", "a look")
    assert output.err.startswith("database: ")
