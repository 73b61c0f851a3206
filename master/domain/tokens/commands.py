"""`maybe-master token create|list|revoke|generate`: by the database, for an operator who has no token."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from master.actors import COMMAND_LINE, acting
from master.db.constraints import writing
from master.db.database import Database, Session
from master.domain.tokens import service as tokens
from master.domain.tokens.schemas import NewToken, Token, TokenList
from master.errors import BadConfiguration, DatabaseError, RequestRefused
from master.schemas.access import SCOPES
from master.schemas.token_format import new_token
from master.settings import read_settings
from shared.validation_errors import first_error

MOST_DAYS = 36_500
MOST_SHOWN = 1_000
Act = Callable[[Session, argparse.Namespace], Awaitable[list[str]]]


def run_token(words: Sequence[str]) -> int:
    """Run a command about tokens, and return the exit code: 0 done, 1 refused, 2 for bad configuration."""
    arguments = parser().parse_args(words)
    try:
        print("\n".join(generated() if arguments.act is None else asyncio.run(done(arguments.act, arguments))))
    except BadConfiguration as error:
        print("\n".join(f"maybe-master: {each}" for each in error.errors()), file=sys.stderr)
        return 2
    except (RequestRefused, DatabaseError, ValueError) as error:
        print(f"maybe-master: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    made = argparse.ArgumentParser(
        prog="maybe-master token",
        description="Manage the tokens of the API by the database of the settings. Masters heed a change within a "
        "second.",
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    creating = commands.add_parser("create", help="create a token, and print it; it is not shown again")
    creating.add_argument("--name", required=True, help="unique; events name it")
    creating.add_argument("--scope", action="append", choices=SCOPES, help="may be repeated (default: admin)")
    part = creating.add_mutually_exclusive_group()
    part.add_argument("--label", metavar="KEY:VALUE", help="only the part of the fleet with this label")
    part.add_argument("--stack", type=int, metavar="ID", help="only this stack and its proxies")
    part.add_argument("--location", type=int, metavar="ID", help="only this location, its nodes and their proxies")
    creating.add_argument("--allow-ip", action="append", metavar="NETWORK", help="accepted from here; may be repeated")
    creating.add_argument("--days", type=days, metavar="N", help="expires after so many days (default: never)")
    creating.set_defaults(act=create)
    commands.add_parser("list", help="list all tokens, without their texts").set_defaults(act=show)
    revoking = commands.add_parser("revoke", help="revoke a token")
    revoking.add_argument("id", type=int, metavar="ID", help="as `list` shows it")
    revoking.add_argument(
        "--last", action="store_true", help="also the last admin token, after which the API is open to everybody"
    )
    revoking.set_defaults(act=revoke)
    generating = commands.add_parser("generate", help="print a new token for the setting API_TOKEN; stores nothing")
    generating.set_defaults(act=None)
    return made


def days(text: str) -> int:
    """Read a number of days. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_DAYS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_DAYS}")
    return int(text)


def generated() -> list[str]:
    """Return a new token."""
    return [new_token()]


async def done(act: Act, arguments: argparse.Namespace) -> list[str]:
    """Act in a transaction, and return what is printed. Raises BadConfiguration, RequestRefused, DatabaseError."""
    database = Database(read_settings(os.environ).database, size=1)
    try:
        with acting(COMMAND_LINE):
            async with writing(database) as session:
                return await act(session, arguments)
    finally:
        await database.close()


async def create(session: Session, arguments: argparse.Namespace) -> list[str]:
    """Create a token. Raises ValueError, RequestRefused."""
    created = await tokens.create(session, new_token_of(arguments))
    return [created.token]


def new_token_of(arguments: argparse.Namespace) -> NewToken:
    """Read the arguments as the body of POST /tokens. Raises ValueError."""
    filter_ = {
        name: value for name in ("label", "stack", "location") if (value := getattr(arguments, name)) is not None
    }
    body: dict[str, Any] = {
        "name": arguments.name,
        "scopes": arguments.scope or ["admin"],
        "filter": filter_ or None,
        "allow_ips": arguments.allow_ip or [],
    }
    if arguments.days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=arguments.days)).isoformat()
    try:
        return NewToken.model_validate(body)
    except ValidationError as error:
        raise ValueError(first_error(error)) from None


async def show(session: Session, _: argparse.Namespace) -> list[str]:
    """Describe all tokens, a line for each."""
    found = await tokens.page(session, TokenList(limit=MOST_SHOWN))
    state = "the API is open to everybody" if await tokens.is_open(session) else "every request needs a token"
    more = [f"only the first {MOST_SHOWN} are shown"] if found.next is not None else []
    return [state, *map(line, found.items), *more]


def line(token: Token) -> str:
    """Describe a token."""
    parts = [f"{token.id:>4}  {token.name}: {', '.join(token.scopes)}"]
    if token.filter is not None:
        parts += [f"for {name} {value}" for name, value in token.filter.given().items() if value is not None]
    parts += [f"from {', '.join(token.allow_ips)}"] if token.allow_ips else []
    parts += [f"until {token.expires_at.isoformat(timespec='seconds')}"] if token.expires_at else []
    used = token.last_used_at.isoformat(timespec="minutes") if token.last_used_at else "never"
    return "; ".join([*parts, f"last used {used}"])


async def revoke(session: Session, arguments: argparse.Namespace) -> list[str]:
    """Revoke a token. Raises RequestRefused."""
    await tokens.revoke(session, arguments.id, even_last=arguments.last)
    opened = ["the API is open to everybody now"] if await tokens.is_open(session) else []
    return [f"revoked token {arguments.id}", *opened]
