"""Takes the keys from Dagster's own processes under `dagster dev`, which gives all to all.

Its webserver and daemon move no money: the code server signs, which `dagster dev` starts itself.
"""

import os
import sys

from mmbot_pipelines.defs.shared.dagster_internals import KEYLESS_PROGRAMS
from mmbot_pipelines.settings import without_keys


def drop_keys() -> None:
    """Start this process again without keys, if it is one of those that need none.

    The memory that /proc/PID/environ shows cannot be emptied: a new program has one of its own.
    """
    program = getattr(sys.modules["__main__"], "__spec__", None)
    if (
        "DAGSTER_IS_DEV_CLI" not in os.environ
        or not program
        or program.name not in KEYLESS_PROGRAMS
    ):
        return
    kept = without_keys(os.environ)
    if len(kept) < len(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], kept)  # noqa: S606
