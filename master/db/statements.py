"""Named SQL statements from the .sql files beside the modules that use them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement with $1, $2, ... for its named parameters, in this order."""

    name: str
    sql: str
    parameters: tuple[str, ...]


@cache
def statements() -> Mapping[str, Statement]:
    """Return the statements of all packages as file.name: `-- name: delete` in proxies.sql is "proxies.delete".

    Raises ValueError when two packages define the same name.
    """
    found: dict[str, Statement] = {}
    for entry in sql_files(files("master")):
        file = entry.name.removesuffix(".sql")
        for name, text in re.findall(r"^-- name: (\w+)\n(.*?)(?=^-- name: |\Z)", entry.read_text(), re.M | re.S):
            if f"{file}.{name}" in found:
                raise ValueError(f"the statement {file}.{name} is defined twice")
            found[f"{file}.{name}"] = numbered(f"{file}.{name}", text)
    return found


def sql_files(folder: Traversable) -> Iterator[Traversable]:
    """Find the .sql files in this folder and below, except migrations, which have no named statements."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "migrations":
            yield from sql_files(entry)
        elif entry.name.endswith(".sql"):
            yield entry


def numbered(name: str, text: str) -> Statement:
    """Replace the :parameters of a query by numbers. The double colon of a cast is no parameter."""
    parameters: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in parameters:
            parameters.append(match[1])
        return f"${parameters.index(match[1]) + 1}"

    body = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return Statement(name, re.sub(r"(?<![:\w]):([a-z_]\w*)", number, body).strip().rstrip(";"), tuple(parameters))


def ordered(query: Statement, parameters: Mapping[str, object]) -> list[object]:
    """Return the values in the order of their numbers. Raises TypeError for a missing or unknown one."""
    if set(parameters) != set(query.parameters):
        raise TypeError(f"{query.name} takes {sorted(query.parameters)}, not {sorted(parameters)}")
    return [parameters[name] for name in query.parameters]
