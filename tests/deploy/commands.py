"""Whether a command that a unit or a container runs would be understood."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.metadata import entry_points
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from tests.deploy.units import INSTALLED, ROOT

PROGRAMS = Path(sys.executable).parent
LISTENING = ("dagster api grpc", "dagster-webserver", "mmbot metrics")


def misunderstood(command: list[str]) -> str:
    """Return the program's error about its arguments, or nothing."""
    return _asked(Path(command[0]).name, *command[1:])


@cache
def _asked(program: str, *arguments: str) -> str:
    # An option that does not exist is refused before the help is given.
    (installed,) = entry_points(group="console_scripts", name=program)
    main, err = installed.load(), StringIO()
    with (
        patch.object(sys, "argv", [program, *arguments, "--help"]),
        redirect_stdout(StringIO()),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            return err.getvalue() if ended.code else ""
    raise AssertionError(f"{program} gave no help")


def listens_on(command: list[str]) -> str | None:
    """Return the address that the command listens on; None if it does not listen."""
    named = " ".join([Path(command[0]).name, *command[1:]])
    if not named.startswith(LISTENING):
        return None
    return command[command.index("--host") + 1] if "--host" in command else "the default"


def missing_files(command: list[str]) -> list[str]:
    """Return the files of the project that the command names and that do not exist."""
    named = [part for part in command if part.startswith(f"{INSTALLED}/")]
    here = {part: part.replace(INSTALLED, str(ROOT), 1) for part in named}
    venv = f"{INSTALLED}/.venv/bin"
    return [
        part
        for part, path in here.items()
        if not Path(path if not part.startswith(venv) else PROGRAMS / Path(part).name).exists()
    ]
