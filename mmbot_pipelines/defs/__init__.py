"""What Dagster is given: definitions, storage, run launchers."""

import sys
from importlib import import_module

# Dagster's storage imports libraries that colour tracebacks where they find the means, which take
# a tenth of a second to import. No process of ours shows such a traceback.
_COLOURS = [name for name in ("rich", "pygments") if name not in sys.modules]
sys.modules.update(dict.fromkeys(_COLOURS))  # type: ignore[arg-type]
try:
    for _name in ("structlog.dev", "mako.exceptions"):
        import_module(_name)
finally:
    for _name in _COLOURS:
        del sys.modules[_name]
