"""A service's settings as a TOML file: read into a frozen dataclass of one type per field."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, ValidationError

from privacy.errors import BadInput

S = TypeVar("S")
CLOSED = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
Port = Annotated[int, Field(ge=0, le=65535)]


def read_settings(file: Path, kind: type[S], nobody: str, command: str) -> S:
    """Read `file`; raises BadInput naming it and what is wrong.

    Where there is none, `nobody` says so and `command` makes one.
    """
    where = str(file)
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise BadInput(nobody, where=where, instead=f"run `{command}` first") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(str(error), where=where) from None
    except UnicodeDecodeError:
        raise BadInput("not UTF-8 text", where=where) from None
    try:
        return kind(**values)
    except ValidationError as error:
        raise BadInput(_said(error), where=where) from None


def _said(error: ValidationError) -> str:
    """What is wrong with the first setting that is, without its value."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    name = ".".join(map(str, first["loc"]))
    match first["type"]:
        case "unexpected_keyword_argument":
            return f"unknown setting {name!r}"
        case "missing" | "missing_argument":
            return f"{name} is missing"
        case _:
            return f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}"


def settings_text(values: Mapping[str, object]) -> str:
    """The lines of a settings file; a mapping becomes a table at its end, an empty one nothing."""
    plain = [_line(name, value) for name, value in values.items() if not isinstance(value, Mapping)]
    tables = [
        line
        for name, value in values.items()
        if isinstance(value, Mapping) and value
        for line in (f"[{name}]", *(_line(key, each) for key, each in value.items()))
    ]
    return "\n".join([*plain, *tables]) + "\n"


def _line(name: str, value: object) -> str:
    if not isinstance(value, str):
        return f"{name} = {value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{escaped}"'
