"""Moves to other addresses of the broker that the node's operator asks for by `maybe-node config`."""

import asyncio
from pathlib import Path

import structlog

from node.agent.broker_links import NodeLinks
from node.state.manual_move import BadManualMove, read_manual_move

log = structlog.get_logger()

LOOK_S = 2.0
"""Time between two looks at the file."""


async def follow_manual_moves(path: Path, links: NodeLinks) -> None:
    """Take the moves in this file until cancelled, or until the file cannot be removed."""
    while await take_manual_move(path, links):  # noqa: ASYNC110 (another program writes the file)
        await asyncio.sleep(LOOK_S)


async def take_manual_move(path: Path, links: NodeLinks) -> bool:
    """Take the move in the file, if there is one, and remove the file; False if that fails.

    The move is in the node's identity by then, so one whose file is found again is taken twice at worst.
    """
    try:
        move = await asyncio.to_thread(read_manual_move, path)
        if move is None:
            return True
        log.info("broker.asked_by_hand", urls=move.amqp_urls, rev=move.rev)
        await links.take_by_hand(move.addresses(*links.moves.current.addresses.login), move.rev)
    except BadManualMove as error:
        log.error("broker.order_refused", reason=str(error))
    try:
        await asyncio.to_thread(path.unlink, missing_ok=True)
    except OSError as error:
        log.error("broker.order_not_removed", path=str(path), reason=error.strerror)
        return False
    return True
