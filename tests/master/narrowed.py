"""Requests of a token with a filter."""

from collections.abc import Generator
from contextlib import contextmanager

from master.schemas.access import FLEET_SCOPES, Access, TokenFilter, accessing


@contextmanager
def narrowed(**filter_: str | int) -> Generator[None]:
    """Send the requests of this block with a token for this part of the fleet."""
    access = Access(scopes=FLEET_SCOPES, name="shop", token_id=7, filter=TokenFilter.model_validate(filter_))
    with accessing(access):
        yield
