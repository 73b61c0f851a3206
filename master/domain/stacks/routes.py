"""/stacks, by their ids and by their names"""

from typing import Annotated

from litestar import Response, delete, get, patch, post, put
from litestar.params import JSONBody, PathParameter
from pydantic import TypeAdapter, ValidationError

from master.api.dependencies import IfMatch, Injected
from master.api.names import with_ids
from master.api.openapi.route_docs import NOT_YET, documented
from master.api.requests.reading import PathId
from master.api.responses import respond
from master.api.writes.idempotency import IdempotencyKey, StoredResponse, once, replay, stored_response
from master.api.writes.outcomes import WriteOutcome
from master.api.writes.waiting import Preference, etag, removed_response
from master.db.constraints import writing
from master.db.database import Database, Session
from master.domain.proxies.routes import CHANGED
from master.domain.rotation import service as rotation
from master.domain.rotation.schemas import FleetRotation, RotateRequest
from master.domain.stacks import service as stacks
from master.domain.stacks.schemas import NamedStack, NewStack, Stack, StackList, StackName, StackPage, StackPatch
from master.errors import InsufficientCapacity, LicenseRefused, NameTaken, NotFound, NotRotatable, RotationUnderWay
from master.schemas.base import SecretsQuery
from master.schemas.dry_run import DryRunnable, TimedWrite

PathName = Annotated[str, PathParameter()]
NAMES = TypeAdapter[str](StackName)


def named(name: str) -> str:
    """Return the name, if a stack can have it. Raises NotFound."""
    try:
        return NAMES.validate_python(name)
    except ValidationError as error:
        raise NotFound("no stack has such a name") from error


@get("/stacks", summary="List stacks", opt=documented(answers={200: "A page of stacks."}))
async def list_stacks(database: Injected[Database], parameters: Injected[StackList]) -> StackPage:
    """List the stacks that match the filter, one page at a time."""
    async with database.session() as session:
        return await stacks.page(session, parameters)


@post(
    "/stacks",
    summary="Create a stack",
    opt=documented(
        answers={201: "The stack was created.", 202: NOT_YET},
        problems=(NameTaken, InsufficientCapacity, LicenseRefused),
    ),
)
async def create_stack(
    data: JSONBody[NewStack],
    database: Injected[Database],
    parameters: Injected[TimedWrite],
    idempotency_key: Injected[IdempotencyKey],
    preference: Injected[Preference],
) -> Response[Stack]:
    """Create a stack with all of its proxies in one transaction, or nothing.

    If the nodes cannot take all of the proxies, the 409 problem gives `wanted` and `possible`, their numbers, and
    `by_node`, the reasons.
    """
    created: list[tuple[Stack, WriteOutcome]] = []

    async def act(session: Session) -> StoredResponse:
        id_, outcome = await stacks.create(session, await with_ids(session, data), allow_past=parameters.allow_past)
        stack = await stacks.get(session, id_)
        created.append((stack, outcome))
        return stored_response(stack, 201, {**etag(stack.version), "Location": f"/stacks/{stack.id}"})

    stored, is_repeated = await once(database, idempotency_key.of(data), act)
    if is_repeated:
        return replay(stored, is_repeated=True)
    return await settled(database, preference, *created[0], 201)


async def settled(
    database: Database, preference: Preference, stack: Stack, outcome: WriteOutcome, status: int
) -> Response[Stack]:
    """Answer with the stack once the nodes have confirmed the change; with 202 when the time is over before."""
    is_confirmed = await preference.is_confirmed(outcome)
    if preference.wait_s is not None:
        stack = await current(database, stack)
    location = {"Location": f"/stacks/{stack.id}"} if status == 201 else {}
    headers = {**etag(stack.version), **preference.headers, **location}
    return respond(stack, status if is_confirmed else 202, headers)


async def current(database: Database, stack: Stack) -> Stack:
    """Read the stack again; return it as it was if it has been removed meanwhile."""
    try:
        async with database.session() as session:
            return await stacks.get(session, stack.id)
    except NotFound:
        return stack


async def show(database: Database, key: stacks.StackKey, parameters: SecretsQuery) -> Response[Stack]:
    """Answer with one stack."""
    async with database.session() as session:
        stack = await stacks.get(session, key)
    shown = stack if parameters.shows_secrets else stack.without_secrets()
    return respond(shown, 200, etag(stack.version))


async def remove(
    database: Database, key: stacks.StackKey, if_match: IfMatch, preference: Preference
) -> Response[bytes]:
    """Remove one stack with its proxies."""
    async with writing(database) as session:
        outcome = await stacks.remove(session, key, if_match)
    return await removed_response(preference, outcome)


SHOWN = documented(answers={200: "The stack."})
REMOVED = documented(answers={204: "The stack and its proxies were removed.", 202: NOT_YET})


@get("/stacks/{stack_id:int}", summary="Show a stack", opt=SHOWN)
async def show_stack(
    stack_id: PathId, database: Injected[Database], parameters: Injected[SecretsQuery]
) -> Response[Stack]:
    """Show one stack, with the number of its proxies in each state. List the proxies at `/proxies?stack_id=`."""
    return await show(database, stack_id, parameters)


@get("/stacks/by-name/{name:str}", summary="Show a stack by its name", opt=SHOWN)
async def show_named_stack(
    name: PathName, database: Injected[Database], parameters: Injected[SecretsQuery]
) -> Response[Stack]:
    """Show the stack with this name, with the number of its proxies in each state."""
    return await show(database, named(name), parameters)


@delete("/stacks/{stack_id:int}", status_code=200, summary="Remove a stack", opt=REMOVED)
async def remove_stack(
    stack_id: PathId,
    database: Injected[Database],
    parameters: Injected[DryRunnable],
    if_match: Injected[IfMatch],
    preference: Injected[Preference],
) -> Response[bytes]:
    """Remove a stack and all of its proxies. Their open connections are closed."""
    return await remove(database, stack_id, if_match, preference)


@delete("/stacks/by-name/{name:str}", status_code=200, summary="Remove a stack by its name", opt=REMOVED)
async def remove_named_stack(
    name: PathName,
    database: Injected[Database],
    parameters: Injected[DryRunnable],
    if_match: Injected[IfMatch],
    preference: Injected[Preference],
) -> Response[bytes]:
    """Remove the stack with this name and all of its proxies. Their open connections are closed."""
    return await remove(database, named(name), if_match, preference)


@patch(
    "/stacks/{stack_id:int}",
    summary="Change a stack",
    opt=documented(
        answers={200: "The stack after the change.", 202: NOT_YET},
        problems=(*CHANGED, NameTaken, InsufficientCapacity, LicenseRefused),
    ),
)
async def change_stack(
    stack_id: PathId,
    data: JSONBody[StackPatch],
    database: Injected[Database],
    parameters: Injected[TimedWrite],
    if_match: Injected[IfMatch],
    preference: Injected[Preference],
) -> Response[Stack]:
    """Change the members that are in the body, all in one transaction or not at all. `proxy` and labels are merged.

    Additional proxies are placed like those of a new stack; when the count falls, the newest proxies are removed. A
    changed template changes the existing proxies live. What one of them has of its own stays until the template changes
    in the same member. Locations, nodes and `spread` apply only to proxies that are created from now on.
    """
    async with writing(database) as session:
        body = await with_ids(session, data)
        id_, outcome = await stacks.change(session, stack_id, body, if_match, allow_past=parameters.allow_past)
        stack = await stacks.get(session, id_)
    return await settled(database, preference, stack, outcome, 200)


@put(
    "/stacks/by-name/{name:str}",
    summary="Create or update a stack by its name",
    opt=documented(
        answers={200: "The stack matches the body.", 201: "The stack was created.", 202: NOT_YET},
        problems=(*CHANGED, NameTaken, InsufficientCapacity, LicenseRefused),
    ),
)
async def put_stack(
    name: PathName,
    data: JSONBody[NamedStack],
    database: Injected[Database],
    parameters: Injected[TimedWrite],
    if_match: Injected[IfMatch],
    preference: Injected[Preference],
) -> Response[Stack]:
    """Create the stack, or update it to match the body. Omitted members take their defaults.

    A request that changes nothing has no effect at all: no event, no new version, no message to nodes. Logins that the
    body omits stay as they were generated.
    """
    name = named(name)
    async with writing(database) as session:
        body = await with_ids(session, data)
        id_, outcome, is_new = await stacks.put(session, name, body, if_match, allow_past=parameters.allow_past)
        stack = await stacks.get(session, id_)
    return await settled(database, preference, stack, outcome, 201 if is_new else 200)


@post(
    "/stacks/{stack_id:int}/rotate",
    status_code=202,
    summary="Rotate all proxies of a stack",
    opt=documented(answers={202: "The rotations are under way."}, problems=(NotRotatable, RotationUnderWay)),
)
async def rotate_stack(stack_id: PathId, data: JSONBody[RotateRequest], database: Injected[Database]) -> FleetRotation:
    """Begin to rotate all proxies of the stack, or none. Each rotation then proceeds on its own, make-before-break."""
    async with writing(database) as session:
        await stacks.select(session, stack_id)
        ids = await rotation.rotate_stack(session, stack_id, await with_ids(session, data))
    return FleetRotation(matched=len(ids), rotation_ids=ids)


handlers = [
    list_stacks,
    create_stack,
    show_stack,
    show_named_stack,
    change_stack,
    put_stack,
    remove_stack,
    remove_named_stack,
    rotate_stack,
]
