"""Removal of keys from the environment of the webserver and daemon of `dagster dev`.

`dagster dev` hands its whole environment to every process that it starts. Only its code server
signs, and keeps the keys.
"""

import os
import sys

from mmbot_pipelines.defs.shared.dagster_internals import KEYLESS_PROGRAMS
from mmbot_pipelines.settings import without_keys


def drop_keys() -> None:
    """Replace this process by itself without keys, if it is a webserver or daemon.

    A process cannot clear what /proc/PID/environ shows, so it executes its program again.
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
