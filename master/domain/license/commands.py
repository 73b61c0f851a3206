"""`maybe-master license issue` and `inspect`, which need neither settings nor a database."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import uuid4

from pydantic import ValidationError

from master.domain.license.keys import BadLicense, Claims, read_license, write_license
from master.domain.license.state import grace_until, state_of
from shared.validation_errors import first_error

MOST_DAYS = 36_500


def run_license(words: Sequence[str]) -> int:
    """Run `license issue` or `license inspect`, and return the exit code: 0 done, 1 refused."""
    arguments = parser().parse_args(words)
    try:
        print(arguments.run(arguments))
    except (BadLicense, OSError, ValueError) as error:
        print(f"maybe-master: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    made = argparse.ArgumentParser(prog="maybe-master license", description="Issue and inspect licence keys.")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    issuing = commands.add_parser("issue", help="sign a licence with a private key, and print it")
    issuing.add_argument("--key", type=Path, required=True, metavar="FILE", help="the Ed25519 private key, a PEM file")
    issuing.add_argument("--kid", required=True, help="the id under which masters know the public half")
    issuing.add_argument("--customer", required=True)
    issuing.add_argument("--days", type=days, required=True, help=f"how long it is valid, at most {MOST_DAYS}")
    issuing.add_argument("--begins", type=date.fromisoformat, metavar="DATE", help="its first day (default: today)")
    issuing.add_argument("--id", help="default: a random one")
    issuing.add_argument("--nodes", type=int, metavar="N", help="the most nodes (default: any number)")
    issuing.add_argument("--proxies", type=int, metavar="N", help="the most proxies (default: any number)")
    issuing.set_defaults(run=issued)
    inspecting = commands.add_parser("inspect", help="verify a licence key, and describe it")
    inspecting.add_argument("file", metavar="FILE", help="the file of the key; - for standard input")
    inspecting.set_defaults(run=inspected)
    return made


def days(text: str) -> int:
    """Read a number of days. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_DAYS):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_DAYS}")
    return int(text)


def issued(arguments: argparse.Namespace) -> str:
    """Issue a licence. Raises BadLicense, OSError."""
    first: date | None = arguments.begins
    return issue(
        arguments.key,
        arguments.kid,
        customer=arguments.customer,
        days=arguments.days,
        begins=datetime.combine(first, time(), UTC) if first else None,
        id_=arguments.id,
        max_nodes=arguments.nodes,
        max_proxies=arguments.proxies,
    )


def inspected(arguments: argparse.Namespace) -> str:
    """Describe a licence. Raises BadLicense, OSError, ValueError."""
    return "\n".join(inspect(key_text(arguments.file)))


def issue(
    key_file: Path,
    kid: str,
    *,
    customer: str,
    days: int,
    begins: datetime | None = None,
    id_: str | None = None,
    max_nodes: int | None = None,
    max_proxies: int | None = None,
) -> str:
    """Sign a licence that begins at a moment, now by default, and lasts so many days. Raises BadLicense, OSError."""
    now = datetime.now(UTC)
    start = begins or now
    try:
        claims = Claims(
            jti=id_ or uuid4().hex,
            sub=customer,
            iat=int(now.timestamp()),
            nbf=int(start.timestamp()),
            exp=int((start + timedelta(days=days)).timestamp()),
            max_nodes=max_nodes,
            max_proxies=max_proxies,
        )
    except ValidationError as error:
        raise BadLicense(f"the licence cannot be issued: {first_error(error)}") from None
    return write_license(claims, key_file.read_bytes(), kid)


def inspect(text: str) -> list[str]:
    """Describe a licence key, line by line. Raises BadLicense."""
    try:
        found = read_license("".join(text.split()))
    except BadLicense as error:
        raise BadLicense(f"the key {error}") from None
    now = datetime.now(UTC)
    return [
        f"id:           {found.id}",
        f"customer:     {found.customer}",
        f"signed by:    {found.signed_by}",
        f"issued at:    {found.issued_at.isoformat()}",
        f"valid from:   {found.valid_from.isoformat()}",
        f"valid to:     {found.valid_to.isoformat()}",
        f"grace until:  {grace_until(found).isoformat()}",
        f"nodes:        {limit(found.max_nodes)}",
        f"proxies:      {limit(found.max_proxies)}",
        f"state now:    {state_of(found, now)}",
    ]


def limit(number: int | None) -> str:
    """Write a limit."""
    return "any number" if number is None else f"at most {number}"


def key_text(name: str) -> str:
    """Read a licence key from a file, or from standard input for "-". Raises OSError, ValueError."""
    return sys.stdin.read() if name == "-" else Path(name).read_text()
