"""What every section of the settings is: fields that are read from environment variables."""

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError


def variable(name: str, default: Any = ..., need: str = "") -> Any:
    """Return a field that is read from an environment variable.

    need: ends the line that reports the field as missing.
    """
    return Field(default, alias=name, description=need)


class Section(BaseModel):
    """Settings that belong together, read from a mapping instead of the process's own."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        defer_build=True,  # a command that reads one section pays for that one alone
    )

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the section's variables.

        Raises:
            pydantic.ValidationError: some are missing or wrong.
        """
        return cls.model_validate({n: environ[n] for n in cls.variables() if n in environ})

    @classmethod
    def variables(cls) -> list[str]:
        """Name the section's environment variables."""
        return [field.alias for field in cls.model_fields.values() if field.alias]


_S = TypeVar("_S", bound=Section)


def read_section(section: type[_S], given: Mapping[str, str], faults: list[str]) -> _S | None:
    """Read a section; None, and a line added to `faults` for each fault, where it cannot be."""
    try:
        return section.read(given)
    except ValidationError as e:
        needs = {field.alias: field.description for field in section.model_fields.values()}
        for error in e.errors(include_url=False, include_input=False):
            name = str(error["loc"][0]) if error["loc"] else ""
            if error["type"] == "missing":
                faults.append(f"{name} is missing: {needs[name]}")
            else:
                message = error["msg"].removeprefix("Value error, ")
                faults.append(f"{name} {message}".strip())
        return None
