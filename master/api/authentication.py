"""Finds out who sends a request, before its route is looked up, and ends the request when its permission ends."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any, Protocol

from litestar import Request
from litestar.types import ASGIApp, Message

from master.actors import API, acting, cause, token_actor
from master.api.problems import on_away, on_refused
from master.api.requests.admission import send_problem
from master.api.requests.cross_origin import Headers, values
from master.api.scopes import copes_without_database, is_free
from master.errors import DatabaseAway, DatabaseFailed, RequestRefused, Unauthorized
from master.schemas.access import Access, accessing
from master.schemas.media_types import MediaType

SCHEME = "bearer"
REVOKED = "the token was revoked or has expired, or tokens are required since now"


class AccessEnded(Exception):
    """The access of a request ended while it was served."""


class Authenticator(Protocol):
    """Knows the tokens."""

    async def access_of(self, token: str | None, address: str, *, without_database: bool) -> Access:
        """Return what a request with this token, from this address, may do.

        With `without_database`, what was known last counts while the database is away. Raises Unauthorized, Forbidden,
        DatabaseAway, DatabaseFailed.
        """
        ...

    def lasting(self, access: Access, address: str) -> AbstractAsyncContextManager[None]:
        """Serve a request inside of this context. It raises AccessEnded within a second after the access has ended."""
        ...

    def forget(self) -> None:
        """Look at the tokens afresh, since they were changed."""
        ...


def authenticated(app: ASGIApp, authenticator: Authenticator) -> ASGIApp:
    """Put the authentication before an application."""

    async def served(scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if is_free(path):
            await app(scope, receive, send)
            return
        address = client_address(scope)
        try:
            token = bearer_token(scope["headers"])
            access = await authenticator.access_of(token, address, without_database=copes_without_database(path))
        except RequestRefused as error:
            await send_problem(on_refused(None, error), send)
        except (DatabaseAway, DatabaseFailed) as error:
            await send_problem(on_away(Request(scope), error), send)
        else:
            await serve_for(access, authenticator.lasting(access, address), app, scope, receive, send)

    return served


@dataclass(slots=True)
class AnswerProgress:
    """How far an answer is."""

    is_begun: bool = False
    is_stream: bool = False

    def note(self, message: Message) -> None:
        """Take what is sent."""
        if message["type"] == "http.response.start":
            self.is_begun = True
            self.is_stream = any(
                name.lower() == b"content-type" and value.startswith(MediaType.EVENTS.encode())
                for name, value in message.get("headers", ())
            )


async def serve_for(
    access: Access, lasting: AbstractAsyncContextManager[None], app: ASGIApp, scope: Any, receive: Any, send: Any
) -> None:
    """Serve a request with this access until the access ends.

    An event stream is ended then; any other answer that has begun is left incomplete, so that its client notices.
    """
    progress = AnswerProgress()

    async def passing(message: Message) -> None:
        progress.note(message)
        await send(message)

    actor = API if access.token_id is None else token_actor(access.name)
    with accessing(access), acting(actor, cause().request_id):
        try:
            async with lasting:
                await app(scope, receive, passing)
        except AccessEnded:
            if not progress.is_begun:
                await send_problem(on_refused(None, Unauthorized(REVOKED)), send)
            elif progress.is_stream:
                await send({"type": "http.response.body", "body": b"", "more_body": False})


def bearer_token(headers: Headers) -> str | None:
    """Return the token of a request; None without one. Other schemes are left to proxies. Raises Unauthorized."""
    found = values(headers, b"authorization")
    if len(found) > 1:
        raise Unauthorized("a request has one Authorization field")
    scheme, _, token = "".join(found).partition(" ")
    return token.strip() if scheme.lower() == SCHEME else None


def client_address(scope: Any) -> str:
    """Return the address of whoever connected, "" if it is not known. IPv4 within IPv6 is IPv4."""
    host: str = scope["client"][0] if scope.get("client") else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
