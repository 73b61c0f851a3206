"""`maybe-node config`: prints which addresses of the broker the node uses, or sets others by hand.

Usually the master moves its nodes. Setting is for a node that cannot hear it any more.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from node.commands.options import options
from node.commands.owner import act_as_owner
from node.data_directory import DataDirectory, data_directory_of
from node.errors import NodeError
from node.state.agent_lock import is_running
from node.state.broker_moves import BrokerConfig, NodeMoves
from node.state.identity import IDENTITY_LIMIT, Identity, identity_of, members_of
from node.state.manual_move import ManualMove, write_manual_move
from node.state.status_file import read_bounded
from shared.bus.addresses import SYSTEM, BrokerAddresses
from shared.messages.broker_config import certificates_in
from shared.settings.secret_files import file_text
from shared.validation_errors import first_error

EFFECT = (
    "Print which addresses of the broker this node uses, keeps as a way back, and tries. With --broker, have the agent "
    "use others, for a node that its master cannot reach: it connects there beside the old connection, and moves once "
    "its login is accepted. An agent that does not run does so at its next start. Proxies go on."
)


def main(arguments: Sequence[str]) -> int:
    """Print or set the addresses. Raises NodeError."""
    parser = options("config", EFFECT)
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument(
        "--broker", action="append", metavar="URL", help="amqps://host:port/vhost without login; several in order"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help=f"certificate authorities in PEM, or {SYSTEM!r}; for amqps:// only"
    )
    parser.add_argument("--rev", type=int, help="the revision in GET /system/broker; default: the one in use")
    wanted = parser.parse_args(arguments)
    if wanted.broker is None and (wanted.ca or wanted.rev is not None):
        parser.error("--ca and --rev need --broker")
    order = order_of(wanted) if wanted.broker is not None else None
    files = data_directory_of(os.environ)
    act_as_owner(files)
    identity = known_identity(files)
    if order is not None:
        return leave(files, order)
    moves = identity.moves
    sys.stdout.write(json.dumps(members_of(moves, bare_urls), indent=2) + "\n" if wanted.json else as_text(moves))
    return 0


def order_of(wanted: argparse.Namespace) -> ManualMove:
    """Read what is asked for. The file is read with the rights of the caller. Raises NodeError."""
    ca = authorities(wanted.ca) if wanted.ca else None
    if ca is None and any(url.startswith("amqps://") for url in wanted.broker):
        raise NodeError(f"amqps:// needs --ca: a file in PEM, or {SYSTEM!r} for the authorities that this host trusts")
    try:
        return ManualMove.model_validate({"amqp_urls": tuple(wanted.broker), "ca": ca, "rev": wanted.rev})
    except ValidationError as error:
        raise NodeError(f"these addresses cannot be used: {first_error(error)}") from error


def authorities(name: str) -> str:
    """Read certificates from a file. Raises NodeError."""
    if name == SYSTEM:
        return SYSTEM
    try:
        found = certificates_in(file_text(Path(name)))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise NodeError(f"{name} cannot be read: {reason}") from error
    if not found:
        raise NodeError(f"{name} has no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    return found


def known_identity(files: DataDirectory) -> Identity:
    """Read the identity. Raises NodeError, with the reason why there is none."""
    path = files.identity_file
    try:
        return identity_of(path, read_bounded(path, IDENTITY_LIMIT)[0])
    except FileNotFoundError as error:
        raise NodeError(f"{path} does not exist: this node is not enrolled, and has no broker yet") from error
    except OSError as error:
        reason = error.strerror or error
        raise NodeError(f"{path} cannot be read: {reason}; run the command as root or as the agent's user") from error


def leave(files: DataDirectory, order: ManualMove) -> int:
    """Leave the order for the agent. Raises NodeError."""
    try:
        write_manual_move(files.manual_move_file, order)
        runs = is_running(files)
    except OSError as error:
        raise NodeError(f"{files.manual_move_file} cannot be written: {error.strerror}") from error
    when = "the agent tries them now" if runs else "the agent does not run, and tries them at its next start"
    print(f"{', '.join(order.amqp_urls)}: {when}; `maybe-node status` shows how it went")
    return 0


def bare_urls(addresses: BrokerAddresses) -> Sequence[str]:
    """Return the addresses without login."""
    return addresses.bare_urls


def as_text(moves: NodeMoves) -> str:
    """Describe the addresses for a person."""
    rows = [("uses", moves.current), *(("keeps", each) for each in moves.previous)]
    rows += [("tries", moves.next)] if moves.next is not None else []
    lines = [f"{name:7} {line_of(config)}" for name, config in rows]
    if moves.failed is not None:
        lines.append(f"failed  revision {moves.failed.rev}: {moves.failed.reason}")
    return "\n".join(lines) + "\n"


def line_of(config: BrokerConfig) -> str:
    """Describe addresses in a line."""
    ca = config.addresses.ca
    trust = {None: "without TLS", SYSTEM: "trusts the authorities of this host"}
    count = (ca or "").count("BEGIN CERTIFICATE")
    pinned = f"trusts {count} {'authority' if count == 1 else 'authorities'} of its own"
    state = "confirmed" if config.confirmed else "not confirmed"
    return f"{', '.join(config.addresses.bare_urls)} (revision {config.rev}, {state}, {trust.get(ca, pinned)})"
