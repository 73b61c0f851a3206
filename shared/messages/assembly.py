"""Assembly of a check-sync from its parts. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.messages.bodies import CheckSync, Header

ROUNDS_KEPT = 4
"""Check-syncs that are assembled at once, so that one that lost a part does not block the next."""

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembly:
    """The parts of one check-sync received so far, by number."""

    rev: int
    parts: int
    got: Mapping[int, Pairs]


Assemblies = Mapping[str, Assembly]


def assemble(assemblies: Assemblies, round_: str, header: Header, body: CheckSync) -> tuple[Assemblies, Pairs | None]:
    """Add a part. Returns the new assemblies, and the whole list if this was its last missing part."""
    begun = assemblies.get(round_)
    same = begun is not None and (begun.rev, begun.parts) == (header.rev, header.parts)
    got = {**(begun.got if begun is not None and same else {}), header.part: body.pairs}
    others = {key: assembly for key, assembly in assemblies.items() if key != round_}
    if len(got) == header.parts:
        return others, tuple(pair for part in sorted(got) for pair in got[part])
    kept = dict(list(others.items())[-ROUNDS_KEPT + 1 :])
    return {**kept, round_: Assembly(rev=header.rev, parts=header.parts, got=got)}, None
