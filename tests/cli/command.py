"""How tests call `mmbot`: in this process, with the settings in the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from mmbot_pipelines.cli.main import main
from mmbot_pipelines.settings import VARIABLES


@dataclass(frozen=True, slots=True)
class CommandOutput:
    code: int
    out: str
    err: str


Mmbot = Callable[..., CommandOutput]


def caller(
    environ: Mapping[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Mmbot:
    """Return a function that runs one command in this environment alone."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def mmbot(*arguments: str) -> CommandOutput:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        output = capsys.readouterr()
        return CommandOutput(int(ended.value.code or 0), output.out, output.err)

    return mmbot
