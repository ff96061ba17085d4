"""What the dagster.yaml in DAGSTER_HOME must name. Reads that file only."""

from pathlib import Path

import yaml

from mmbot_pipelines.core.errors import InvalidSettings

# The class that keeps Dagster's runs in our database and guards every UI that opens it.
STORAGE = ("mmbot_pipelines.defs.storage", "Storage")

FIX = "set it to the absolute path of a folder that holds the project's dagster.yaml"


def require_home(home: Path | None) -> None:
    """Refuse a Dagster that would not load `STORAGE`: its runs would be lost, its UI unguarded.

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
            return
    raise InvalidSettings(
        f"DAGSTER_HOME is {home}, but its dagster.yaml does not name our storage, without which "
        f"the UI answers any web page: {FIX}"
    )
