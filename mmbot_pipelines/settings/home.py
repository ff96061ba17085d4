"""What the dagster.yaml in DAGSTER_HOME must name. Reads that file only."""

from pathlib import Path

import yaml

from mmbot_pipelines.core.errors import InvalidSettings

# The class that keeps Dagster's runs in our database and guards every UI that opens it.
STORAGE = ("mmbot_pipelines.defs.storage", "Storage")
# The class that hands runs to warm workers where MMBOT_BROKER_URL names their broker.
_LAUNCHER = ("mmbot_pipelines.defs.launcher", "Launcher")

FIX = "set it to the absolute path of a folder that holds the project's dagster.yaml"


def require_home(home: Path | None) -> Path:
    """Return the home of a Dagster that loads `STORAGE`.

    Another one's runs would be lost, and its UI unguarded.

    Raises:
        InvalidSettings: DAGSTER_HOME is not set, or its dagster.yaml names another storage.
    """
    if home is None:
        raise InvalidSettings(f"DAGSTER_HOME is missing: {FIX}, or the UI answers any web page")
    try:
        read = yaml.safe_load((home / "dagster.yaml").read_text())
    except (OSError, yaml.YAMLError):
        raise InvalidSettings(f"DAGSTER_HOME is {home}, without a dagster.yaml: {FIX}") from None
    match read:
        case {"storage": {"custom": {"module": module, "class": name}}} if (
            module,
            name,
        ) == STORAGE:
            return home
    raise InvalidSettings(
        f"DAGSTER_HOME is {home}, but its dagster.yaml does not name our storage, without which "
        f"the UI answers any web page: {FIX}"
    )


def launcher_fault(home: Path) -> str | None:
    """Return why a broker hands no run to workers in this DAGSTER_HOME, or None.

    home: one that `require_home` has let pass.
    """
    match yaml.safe_load((home / "dagster.yaml").read_text()):
        case {"run_launcher": {"module": module, "class": name}} if (module, name) == _LAUNCHER:
            return None
    return (
        f"MMBOT_BROKER_URL is set, but {home}/dagster.yaml names another run launcher, so workers "
        "get no run: copy the project's dagster.yaml there again"
    )
