"""Named SQL statements from the .sql files beside the modules that use them.

Beside plain statements (`-- name: delete`) a file may have:

- Parts: `-- part: matching` in proxies.sql stands wherever a statement or another part has `{proxies.matching}`.
- Optional conditions: `AND (:state::text[] IS NULL OR ...)` is left out of the statement while the parameter is None,
  so that PostgreSQL plans for the conditions that are given. As written, it means the same.
- Flags: `CASE WHEN :by_state::boolean THEN` has the flag's value in the SQL instead of a parameter: PostgreSQL
  would otherwise come to keep one plan for all values, which joins and groups by everything.
- Sorts: a statement with `-- sort:` lines becomes one statement for each order, "proxies.select_page by -name". A line
  `-- sort: name = sort_name::text` names the key, its expression and its type; the id decides between equal keys.
  `{key}` stands for the key, `{beyond}` for the condition of rows after the last one seen (`:after_id` and
  `:after_key`, which a sort by id lacks), and `{order}` for the list of ORDER BY.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

BLOCK = re.compile(r"^-- (name|part): (\w+)\n(.*?)(?=^-- (?:name|part): |\Z)", re.M | re.S)
SORT = re.compile(r"^-- sort: (\w+)(?: = (\w+))?(?:::(\w+))?$", re.M)
PART = re.compile(r"\{(\w+\.\w+)\}")
OPTIONAL = re.compile(r"AND \(:(\w+)(::[\w\[\]]+) IS NULL OR ")
FLAG = re.compile(r"(?<=CASE WHEN ):(\w+)::boolean(?= THEN)")
PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
"""The double colon of a cast is no parameter."""
MOST_FORMS = 2000
"""The most forms of statements, by their optional conditions and flags, that are kept."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement with $1, $2, ... for its named parameters, in this order; `source` has their names."""

    name: str
    source: str
    sql: str
    parameters: tuple[str, ...]
    optional: frozenset[str]
    """The parameters of optional conditions."""
    flags: frozenset[str]


@cache
def statements() -> Mapping[str, Statement]:
    """Return the statements of all packages as file.name: `-- name: delete` in proxies.sql is "proxies.delete".

    Raises ValueError when two packages define the same name.
    """
    found: dict[str, Statement] = {}
    texts, parts = blocks("name"), {name: without_comments(text) for name, text in blocks("part").items()}
    for name, text in texts.items():
        for suffix, sorted_text in sorts(text):
            found[f"{name}{suffix}"] = numbered(f"{name}{suffix}", with_parts(sorted_text, parts))
    return found


def with_parts(text: str, parts: Mapping[str, str]) -> str:
    """Put the parts into a text, also parts of parts."""
    return PART.sub(lambda match: with_parts(parts[match[1]], parts), text)


def blocks(kind: str) -> dict[str, str]:
    """Return the text of each statement or part by file.name. Raises ValueError when a name is defined twice."""
    found: dict[str, str] = {}
    for entry in sql_files(files("master")):
        file = entry.name.removesuffix(".sql")
        for of_kind, name, text in BLOCK.findall(entry.read_text()):
            if of_kind == kind and f"{file}.{name}" in found:
                raise ValueError(f"the {kind} {file}.{name} is defined twice")
            if of_kind == kind:
                found[f"{file}.{name}"] = text.rstrip()
    return found


def sql_files(folder: Traversable) -> Iterator[Traversable]:
    """Find the .sql files in this folder and below, except migrations, which have no named statements."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "migrations":
            yield from sql_files(entry)
        elif entry.name.endswith(".sql"):
            yield entry


def sorts(text: str) -> Iterator[tuple[str, str]]:
    """Yield the suffix and the text of a statement for each of its orders, or itself when it has none."""
    keys = SORT.findall(text)
    if not keys:
        yield "", text
    for name, expression, type_ in keys:
        for sign, direction, beyond in (("", "", ">"), ("-", " DESC", "<")):
            key = expression or name
            order = f"id{direction}" if key == "id" else f"{key}{direction}, id{direction}"
            row = f"id {beyond} :after_id" if key == "id" else f"({key}, id) {beyond} (:after_key::{type_}, :after_id)"
            after = f"(:after_id::bigint IS NULL OR {row})"
            sorted_text = text.replace("{key}", key).replace("{order}", order).replace("{beyond}", after)
            yield f" by {sign}{name}", sorted_text


def numbered(name: str, text: str) -> Statement:
    """Replace the :parameters of a query by numbers."""
    parameters: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[1] not in parameters:
            parameters.append(match[1])
        return f"${parameters.index(match[1]) + 1}"

    body = without_comments(text).rstrip(";")
    optional = frozenset(match[1] for match in OPTIONAL.finditer(body))
    flags = frozenset(FLAG.findall(body))
    return Statement(name, body, PARAMETER.sub(number, body), tuple(parameters), optional, flags)


def without_comments(text: str) -> str:
    """Leave out lines that are comments."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


@lru_cache(MOST_FORMS)
def form_of(statement: Statement, omitted: frozenset[str], raised: frozenset[str] = frozenset()) -> Statement:
    """Return the statement without the optional conditions of `omitted`, and with the flags of `raised` set.

    Its other conditions are plain ones, and its other flags are false.
    """
    text, rest = "", statement.source
    while match := OPTIONAL.search(rest):
        end = closing(rest, match.end())
        condition = rest[match.end() : end]
        typed = re.sub(rf":{match[1]}\b(?!::)", f":{match[1]}{match[2]}", condition)
        text += rest[: match.start()] + ("" if match[1] in omitted else f"AND ({typed})")
        rest = rest[end + 1 :]
    plain = FLAG.sub(lambda match: str(match[1] in raised).lower(), text + rest)
    return numbered(statement.name, plain)


def closing(text: str, begin: int) -> int:
    """Return where the parenthesis closes that was opened before `begin`. Texts with parentheses are not expected."""
    depth = 1
    for place in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"a parenthesis is not closed: {text[begin : begin + 60]}")


def bound(name: str, parameters: Mapping[str, object]) -> tuple[str, list[object]]:
    """Return the SQL of a statement in the form for these values, and the values in order.

    Raises TypeError for a missing or unknown parameter.
    """
    statement = statements()[name]
    if set(parameters) != set(statement.parameters):
        raise TypeError(f"{name} takes {sorted(statement.parameters)}, not {sorted(parameters)}")
    omitted = frozenset(one for one in statement.optional if parameters[one] is None)
    raised = frozenset(one for one in statement.flags if parameters[one])
    form = form_of(statement, omitted, raised) if statement.optional or statement.flags else statement
    return form.sql, [parameters[one] for one in form.parameters]
