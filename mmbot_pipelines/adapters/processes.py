"""Processes that end with the one that started them, on Linux."""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # prctl(2)
_TIE = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.getppid() == int(sys.argv[1]):  # else it died before we asked
    os.execv(sys.argv[2], sys.argv[2:])
"""


def tied_to_parent(command: Sequence[str]) -> list[str]:
    """Return the command as one that the kernel ends with this process, where it can.

    An exec keeps the wish (prctl(2), PR_SET_PDEATHSIG), so a short Python makes it
    first: Popen's preexec_fn may deadlock in a process of several threads. SIGINT ends the
    command even where a shell started this process in the background, which ignores it.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-ISc", _TIE, str(os.getpid()), *command]


def end_with_parent() -> None:
    """Let the kernel kill this process when the thread that forked it ends, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
