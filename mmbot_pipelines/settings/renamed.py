"""Settings that had another name in an earlier release: the old one still works, and says so."""

import logging
from collections.abc import Mapping

# by the old name; drop an entry two releases after its renaming
RENAMED = {
    "MMBOT_CRASH_POINTS": "MMBOT_FAILPOINTS",
    "MMBOT_KEEP_RUNS_DAYS": "MMBOT_RUN_RETENTION_DAYS",
}
_log = logging.getLogger(__name__)
_warned: set[str] = set()


def with_new_names(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with old names replaced; a new name that is set too wins.

    Logs one line for each old name, once per process.
    """
    names = dict(given)
    for old, new in RENAMED.items():
        value = names.pop(old, None)
        if value is None:
            continue
        names.setdefault(new, value)
        if old not in _warned:
            _warned.add(old)
            _log.warning("%s is now called %s: rename it in your environment", old, new)
    return names
