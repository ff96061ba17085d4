"""What every section of the settings is: fields that are read from environment variables."""

from collections.abc import Mapping
from typing import Any, Self, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)


def variable(name: str, default: Any = ..., need: str = "") -> Any:
    """Return a field that is read from an environment variable.

    need: ends the line that reports the field as missing.
    """
    return Field(default, alias=name, description=need)


class Section(BaseSettings):
    """Settings that belong together, read from a mapping instead of the process's own."""

    model_config = SettingsConfigDict(
        frozen=True,
        case_sensitive=True,
        extra="forbid",
        validate_default=False,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Read the section's variables.

        Raises:
            pydantic.ValidationError: some are missing or wrong.
        """
        source = EnvSettingsSource(cls)
        source.env_vars = environ
        return cls(**source())

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
