"""/tokens"""

from litestar import Response, Router, delete, get, patch, post
from litestar.params import JSONBody

from master.api.authentication import Authenticator
from master.api.dependencies import Injected
from master.api.openapi.route_docs import documented
from master.api.requests.reading import PathId
from master.api.responses import respond
from master.db.constraints import writing
from master.db.database import Database
from master.domain.tokens import service as tokens
from master.domain.tokens.schemas import CurrentToken, NewToken, Token, TokenCreated, TokenList, TokenPage, TokenPatch
from master.errors import LastAdminToken, NameTaken
from master.schemas.access import SCOPES, Access, TokenScope

PRIVATE = {"Cache-Control": "no-store"}


@get("/", summary="List tokens", opt=documented(answers={200: "A page of tokens."}))
async def list_tokens(database: Injected[Database], parameters: Injected[TokenList]) -> TokenPage:
    """List the tokens, one page at a time. The texts that clients send are not shown."""
    async with database.session() as session:
        return await tokens.page(session, parameters)


@post(
    "/",
    summary="Create a token",
    opt=documented(answers={201: "The token was created. Its text is shown this once."}, problems=(NameTaken,)),
)
async def create_token(
    data: JSONBody[NewToken], database: Injected[Database], authenticator: Injected[Authenticator]
) -> Response[TokenCreated]:
    """Create a token. With the first one that has the scope `admin`, every request needs a token.

    The master stores only a hash of it, so a lost token cannot be shown again: create another one, and revoke it.
    """
    async with writing(database) as session:
        created = await tokens.create(session, data)
    authenticator.forget()
    return respond(created, 201, {"Location": f"/tokens/{created.id}", **PRIVATE})


@get("/current", summary="Show the token of the request", opt=documented(answers={200: "What the request may do."}))
async def show_current_token(access: Injected[Access]) -> CurrentToken:
    """Show what the token may do with which this is asked. While the API is open, no token is needed."""
    ordered: list[TokenScope] = [scope for scope in SCOPES if scope in access.scopes]
    return CurrentToken(id=access.token_id, name=access.name or None, scopes=ordered, filter=access.filter)


@get("/{token_id:int}", summary="Show a token", opt=documented(answers={200: "The token."}))
async def show_token(token_id: PathId, database: Injected[Database]) -> Token:
    """Show one token, without the text that clients send."""
    async with database.session() as session:
        return await tokens.get(session, token_id)


@patch(
    "/{token_id:int}",
    summary="Change a token",
    opt=documented(answers={200: "The token after the change."}, problems=(NameTaken,)),
)
async def change_token(
    token_id: PathId, data: JSONBody[TokenPatch], database: Injected[Database], authenticator: Injected[Authenticator]
) -> Token:
    """Change the members that are in the body. All masters heed the change within a second."""
    async with writing(database) as session:
        changed = await tokens.change(session, token_id, data)
    authenticator.forget()
    return changed


@delete(
    "/{token_id:int}",
    summary="Revoke a token",
    opt=documented(answers={204: "The token was revoked."}, problems=(LastAdminToken,)),
)
async def revoke_token(token_id: PathId, database: Injected[Database], authenticator: Injected[Authenticator]) -> None:
    """Revoke a token. All masters refuse it within a second, and end the streams that it has open.

    The last token that can manage tokens is not revoked here, but by `maybe-master token revoke --last`, which opens
    the API to everybody.
    """
    async with database.transaction() as session:
        await tokens.revoke(session, token_id)
    authenticator.forget()


router = Router(
    "/tokens",
    route_handlers=[list_tokens, create_token, show_current_token, show_token, change_token, revoke_token],
)
