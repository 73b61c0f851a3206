"""Create, read, change and revoke tokens."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from master.actors import cause
from master.db.constraints import existing
from master.db.database import Row, Session
from master.domain.events.log import NewEvent, record_events
from master.domain.events.schemas import EventType
from master.domain.tokens.schemas import SETTING, NewToken, Token, TokenCreated, TokenList, TokenPage, TokenPatch
from master.errors import BadConfiguration, LastAdminToken, invalid_at
from master.schemas.access import ADMIN
from master.schemas.token_format import new_token, token_hash

OPEN_ADVICE = (
    "whoever reaches the API can do everything; create a token with the scope admin by POST /tokens, "
    "`maybe-master token create` or the setting API_TOKEN"
)
GONE_ADVICE = f"the setting is gone, but its token still counts; set it again, or revoke the token {SETTING}"


async def create(session: Session, body: NewToken) -> TokenCreated:
    """Create a token. The text that is sent is returned here and never again. Raises Invalid."""
    await check_expiry(session, body.expires_at)
    await session.execute("tokens.lock")
    token = new_token()
    row = await session.row(
        "tokens.insert",
        **body.model_dump(exclude={"filter"}),
        filter=body.filter.model_dump() if body.filter is not None else None,
        hash=token_hash(token),
        created_by=cause().actor,
    )
    created = Token.model_validate(row)
    await record(session, "token.created", created.model_dump())
    return TokenCreated(**created.model_dump(), token=token)


async def page(session: Session, query: TokenList) -> TokenPage:
    """Return a page of tokens."""
    rows = await session.rows(f"tokens.select_page by {query.sort}", **query.position)
    return TokenPage(items=[Token.model_validate(row) for row in rows], next=query.next_after(rows))


async def get(session: Session, id_: int) -> Token:
    """Return one token. Raises NotFound."""
    return Token.model_validate(existing(await session.row("tokens.select_one", id=id_), "token", id_))


async def change(session: Session, id_: int, body: TokenPatch) -> Token:
    """Change a token. Raises NotFound, Invalid."""
    given = body.given()
    await check_expiry(session, given.get("expires_at"))
    await session.execute("tokens.lock")
    now = (await get(session, id_)).model_dump(include={"name", "allow_ips", "expires_at"})
    await session.execute("tokens.update", id=id_, **now | given)
    changed = await get(session, id_)
    await record(session, "token.updated", changed.model_dump())
    return changed


async def revoke(session: Session, id_: int, *, even_last: bool = False) -> None:
    """Revoke a token.

    With `even_last` also the last one that can manage tokens. Raises NotFound, LastAdminToken.
    """
    await session.execute("tokens.lock")
    row = existing(await session.row("tokens.delete", id=id_), "token", id_)
    if ADMIN in row["scopes"] and not even_last and not await session.value("tokens.has_other_admin", id=id_):
        detail = (
            "no other admin token counts, and without one nobody could manage tokens; create another one first, or "
            "use `maybe-master token revoke --last` on the host of a master"
        )
        raise LastAdminToken(detail, {"token_id": id_})
    await record(session, "token.revoked", row)


async def install_setting(session: Session, setting: SecretStr) -> None:
    """Make the token of the setting API_TOKEN count, in place of its former one. Raises BadConfiguration."""
    hash_ = token_hash(setting.get_secret_value())
    await session.execute("tokens.lock")
    known = await session.row("tokens.find", hash=hash_)
    if known is not None and ADMIN not in known["scopes"]:
        raise BadConfiguration(SETTING, f"is the token {known['name']!r}, which has not the scope admin")
    if known is not None:
        return
    row = await session.row("tokens.install", name=SETTING, hash=hash_, created_by=cause().actor)
    await record(session, "token.created", row or {})


async def prepare_tokens(session: Session, setting: SecretStr | None) -> list[tuple[str, dict[str, str]]]:
    """Make the token of the setting count, and return warnings for the log, each with its facts.

    Without the setting its former token stays: a setting that is lost must not open the API. Raises BadConfiguration.
    """
    if setting is not None:
        await install_setting(session, setting)
        return []
    if await is_open(session):
        return [("api.open", {"advice": OPEN_ADVICE})]
    left = [row["name"] for row in await admins(session) if row["name"] == SETTING]
    return [("token.setting_gone", {"name": name, "advice": GONE_ADVICE}) for name in left]


async def record(session: Session, type_: EventType, token: Mapping[str, Any]) -> None:
    """Record an event about a token: what it may do, never the token itself."""
    details = {"token_id": token["id"], "name": token["name"], "scopes": token["scopes"], "filter": token["filter"]}
    await record_events(session, [NewEvent(type=type_, details=details)])


async def check_expiry(session: Session, expires_at: datetime | None) -> None:
    """Raises Invalid for a time in the past."""
    if expires_at is not None and expires_at <= await session.value("tokens.clock"):
        raise invalid_at("expires_at is in the past", "/expires_at")


async def is_open(session: Session) -> bool:
    """Whether the API is open to everybody, because there is no admin token."""
    return not await session.value("tokens.has_admin")


async def admins(session: Session) -> list[Row]:
    """Return `name` and `days`, until it expires or None, of each admin token."""
    return await session.rows("tokens.select_admins")
