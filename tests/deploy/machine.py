"""A machine made of a folder: it executes the runbook's lines, with paths that lie in it.

What needs root, systemd, packages or a repository is noted and not done. Postgres' own programs,
the files and their modes, openssl and `mmbot` are real.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values

from tests.deploy.units import INSTALLED, ROOT

NOTED = ("apt-get", "git", "journalctl", "make", "nginx", "systemctl", "useradd")
_FOLDERS = (
    "etc/default",
    "etc/grafana/provisioning",
    "etc/nginx/conf.d",
    "etc/prometheus",
    "etc/systemd/system",
    "usr/local/bin",
    "var/lib",
    "var/run",
)
_STUBS = {
    "sudo": 'if [ "$1" = -u ]; then PGUSER=$2; export PGUSER; shift 2; fi\nexec "$@"\n',
    "runuser": '[ "$1 $2 $3" = "--user mmbot --" ] || exit 9\nshift 3\nexec "$@"\n',
    # nobody here has the users
    "install": """for word; do
  shift
  case $skip$word in
    -o|-g) skip=x ;;
    x*) skip= ;;
    *) set -- "$@" "$word" ;;
  esac
done
exec /usr/bin/install "$@"
""",
} | dict.fromkeys(NOTED, 'echo "$(basename "$0") $*" >> "$NOTES"\n')


class Machine:
    def __init__(self, folder: Path, postgres: Path, programs: Path) -> None:
        """Make an empty machine.

        postgres: the folder of a server's socket.
        programs: Postgres' own.
        """
        self.folder = folder
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        (folder / "var/run/postgresql").symlink_to(postgres)
        stubs = folder / "stubs"
        stubs.mkdir()
        for name, text in _STUBS.items():
            (stubs / name).write_text(f"#!/bin/sh\n{text}")
            (stubs / name).chmod(0o755)
        self._notes = folder / "notes"
        self._environ = {
            "PATH": f"{stubs}:{folder}/usr/local/bin:{programs}:/usr/bin:/bin",
            "NOTES": str(self._notes),
            "PGHOST": str(postgres),
            "PGUSER": "postgres",
            "HOME": str(folder),
        }

    def path(self, path: str) -> Path:
        """Return where a path of the runbook is."""
        return Path(self.here(path))

    def here(self, text: str) -> str:
        """Rewrite the paths of a text to those of this machine."""
        text = text.replace(f"{INSTALLED}/.", f"{ROOT}/.").replace(INSTALLED, str(ROOT))
        return re.sub(r"(?<![\w./-])/(etc|var|usr/local)/", rf"{self.folder}/\1/", text)

    def execute(self, lines: list[str], stdin: str = "", **environ: str) -> str:
        """Execute lines in one shell; return what they print. Any that fails ends it."""
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here("\n".join(lines))],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            env=self._environ | environ,
            check=False,
        )
        assert ran.returncode == 0, f"{lines}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def noted(self) -> list[str]:
        """Return what was noted and not done."""
        return self._notes.read_text().splitlines() if self._notes.exists() else []

    def settings(self) -> dict[str, str]:
        """Return the environment that `sudo mmbot` reads."""
        found = [dotenv_values(self.path(f"/etc/mmbot/{name}")) for name in ("env", "keys.env")]
        return {name: value or "" for one in found for name, value in one.items()}


def blocks(text: str, heading: str = "") -> list[list[str]]:
    """Return the shown blocks below a heading, or all: their lines without comments."""
    if heading:
        text = re.split(r"(?m)^## ", text.split(f"\n## {heading}\n")[1])[0]
    found = re.findall(r"(?m)^```\n(.*?)^```", text, re.DOTALL)
    return [list(_commands(block)) for block in found]


def _commands(block: str) -> Iterator[str]:
    for line in block.splitlines():
        command = re.sub(r"\s{2,}#.*$", "", line).strip()
        if command:
            yield command


def called(line: str) -> list[str] | None:
    """Return the arguments of a call of mmbot; None: it is another command."""
    match = re.fullmatch(r"(?:sudo )?mmbot (.*)", line)
    return shlex.split(match[1]) if match else None
