"""`maybe-master tls init` and `renew`, which need neither settings nor a database."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath

from master.broker_tls.certificates import AUTHORITY_DAYS, BROKER_DAYS, read_host
from master.broker_tls.folder import AUTHORITY_KEY, SETTINGS, Issued, init, renew
from master.broker_tls.rabbitmq_settings import AUTHORITY, BROKER, BROKER_KEY
from master.errors import TlsError


def run_tls(words: Sequence[str]) -> int:
    """Run `tls init` or `tls renew`, and return the exit code: 0 done, 1 refused."""
    arguments = parser().parse_args(words)
    try:
        print("\n".join(arguments.run(arguments)))
    except (TlsError, OSError) as error:
        print(f"maybe-master: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    made = argparse.ArgumentParser(
        prog="maybe-master tls", description="Make the certificates with which nodes and masters verify RabbitMQ."
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    first = commands.add_parser(
        "init",
        help="make a certificate authority, a certificate of the broker, and RabbitMQ's settings",
        description=f"Make a certificate authority for {AUTHORITY_DAYS // 365} years, a certificate of the broker for "
        f"{BROKER_DAYS} days, and a file for RabbitMQ's conf.d. An authority that exists is never overwritten.",
    )
    add_hosts(first, required=True)
    first.add_argument(
        "--found-at",
        type=absolute_folder,
        metavar="DIR",
        help="the folder of these files on the broker's host, in its settings (default: that of --out)",
    )
    first.add_argument("--keep-plain", action="store_true", help="leave the broker's ports in clear text open, too")
    first.set_defaults(run=run_init)
    again = commands.add_parser(
        "renew",
        help="make another certificate of the broker by the same authority",
        description=f"Make another certificate of the broker for {BROKER_DAYS} days, for the same hosts unless others "
        f"are named. Clients notice nothing. The key is kept; remove {BROKER_KEY} to have another one drawn.",
    )
    add_hosts(again, required=False)
    again.set_defaults(run=run_renew)
    return made


def add_hosts(made: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the arguments that both commands have."""
    made.add_argument(
        "--broker",
        nargs="+",
        required=required,
        type=host,
        default=[],
        metavar="HOST",
        help="every name and IP address under which masters and nodes call the broker (or the brokers of a cluster)",
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the files")


def host(text: str) -> str:
    """Read a host. Raises ArgumentTypeError."""
    try:
        return read_host(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def absolute_folder(text: str) -> PurePath:
    """Read the absolute path of a folder. Raises ArgumentTypeError."""
    path = PurePath(text)
    if not path.is_absolute() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not an absolute path")
    return path


def run_init(arguments: argparse.Namespace) -> list[str]:
    """Run `init`, and describe the files and the next steps. Raises TlsError, OSError."""
    folder: Path = arguments.out
    found_at = arguments.found_at or folder.absolute()
    issued = init(folder, arguments.broker, datetime.now(UTC), found_at=found_at, keeps_plain=arguments.keep_plain)
    return [
        f"{folder / AUTHORITY}: the CA, valid to {issued.authority_ends_at:%Y-%m-%d}. Masters take it by AMQP_CA_FILE; "
        "nodes get it when they are enrolled.",
        f"{folder / AUTHORITY_KEY}: the key of the CA, which only renewals need: keep it off the broker.",
        described(folder, issued),
        f"{folder / SETTINGS}: settings for RabbitMQ's conf.d, usually /etc/rabbitmq/conf.d. It looks for the files in "
        f"{found_at}.",
        key_hint(found_at),
    ]


def run_renew(arguments: argparse.Namespace) -> list[str]:
    """Run `renew`, and describe the file and the next steps. Raises TlsError, OSError."""
    folder: Path = arguments.out
    issued = renew(folder, arguments.broker, datetime.now(UTC))
    taken = (
        "RabbitMQ takes it for new connections within minutes; at once by: rabbitmqctl eval 'ssl:clear_pem_cache().'"
    )
    return [described(folder, issued), *([key_hint(folder)] if issued.has_new_key else []), taken]


def described(folder: Path, issued: Issued) -> str:
    """Describe a certificate of the broker."""
    return f"{folder / BROKER}: the broker's certificate, valid to {issued.ends_at:%Y-%m-%d}, for " + ", ".join(
        issued.hosts
    )


def key_hint(folder: PurePath) -> str:
    """Describe who must read the key."""
    return f"{folder / BROKER_KEY}: its private key, which RabbitMQ must be able to read: chown rabbitmq on its host."
