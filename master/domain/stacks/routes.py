"""/stacks, by their ids and by their names"""

from typing import Annotated, Any

from litestar import Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import PathParameter
from pydantic import TypeAdapter, ValidationError

from master.api.dependencies import Wiring
from master.api.idempotency import StoredResponse
from master.api.names import with_ids
from master.api.openapi.route_docs import IF_MATCH, PREFER, documented
from master.api.outcomes import WriteOutcome
from master.api.requests.reading import ApiRequest, PathId, read_body, read_if_match, read_query
from master.api.responses import keyed_request_of, once, resource_response, response, stored_response
from master.api.waiting import CHANGED, NOT_YET, REMOVED, changes, creates, etag, removed_response, wait_for_nodes
from master.db.constraints import writing
from master.db.database import Session
from master.domain.rotation import service as rotation
from master.domain.rotation.schemas import FleetRotation, RotateRequest
from master.domain.stacks import service as stacks
from master.domain.stacks.schemas import NamedStack, NewStack, Stack, StackList, StackName, StackPage, StackPatch
from master.errors import InsufficientCapacity, NameTaken, NotFound, NotRotatable, PreconditionFailed, RotationUnderWay
from master.schemas.dry_run import TimedWrite
from master.schemas.pages import next_cursor

PathName = Annotated[str, PathParameter()]
NAMES = TypeAdapter[str](StackName)


def named(name: str) -> str:
    """The name, if there can be a stack of it. Raises NotFound."""
    try:
        return NAMES.validate_python(name)
    except ValidationError as error:
        raise NotFound("no stack has such a name") from error


@get("/stacks", summary="List stacks", opt=documented(query=StackList, answers={200: StackPage}))
async def list_stacks(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """By id, a page at a time."""
    asked = read_query(request, StackList)
    async with wiring.database.session() as session:
        items = await stacks.page(session, asked)
    return resource_response(StackPage(items=items, next=next_cursor(items, asked.limit)))


@post("/stacks", summary="Make a stack", opt=creates(NewStack, Stack))
async def create_stack(request: ApiRequest, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """All of its proxies in one transaction, or none.

    When they do not fit, 409 tells how many are `wanted` and `possible`, and `by_node` why no more.
    """
    asked, wish = read_query(request, TimedWrite), await read_body(request, NewStack)
    done: list[tuple[Stack, WriteOutcome]] = []

    async def act(session: Session) -> StoredResponse:
        id_, outcome = await stacks.create(session, await with_ids(session, wish), allow_past=asked.allow_past)
        stack = await stacks.get(session, id_)
        done.append((stack, outcome))
        return stored_response(stack, 201, {**etag(stack.version), "Location": f"/stacks/{stack.id}"})

    given, replayed = await once(wiring, keyed_request_of(request, wish), act)
    if replayed:
        return response(given, replayed=True)
    return await settled(request, wiring, *done[0], 201)


async def settled(
    request: ApiRequest, wiring: Wiring, stack: Stack, outcome: WriteOutcome, status: int
) -> Response[Any]:
    """The stack as it is when the nodes have confirmed the change, or 202 as it is when the time is over."""
    done, headers = await wait_for_nodes(request, wiring, outcome)
    if headers:
        stack = await present(wiring, stack)
    location = {"Location": f"/stacks/{stack.id}"} if status == 201 else {}
    return resource_response(stack, status if done else 202, {**etag(stack.version), **headers, **location})


async def present(wiring: Wiring, stack: Stack) -> Stack:
    """The stack as it is now; as it was when somebody has removed it meanwhile."""
    try:
        async with wiring.database.session() as session:
            return await stacks.get(session, stack.id)
    except NotFound:
        return stack


async def show(wiring: Wiring, key: stacks.StackKey) -> Response[Any]:
    """One stack."""
    async with wiring.database.session() as session:
        stack = await stacks.get(session, key)
    return resource_response(stack, 200, etag(stack.version))


async def remove(request: ApiRequest, wiring: Wiring, key: stacks.StackKey) -> Response[bytes]:
    """With its proxies."""
    versions = read_if_match(request.headers.get("if-match"))
    async with writing(wiring.database) as session:
        outcome = await stacks.remove(session, key, versions)
    return await removed_response(request, wiring, outcome)


SHOWN = documented(answers={200: Stack}, gives=("ETag",))


@get("/stacks/{stack_id:int}", summary="Show a stack", opt=SHOWN)
async def show_stack(stack_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """One stack, with how many of its proxies are in which state. These are at `/proxies?stack_id=`."""
    return await show(wiring, stack_id)


@get("/stacks/by-name/{name:str}", summary="Show a stack by its name", opt=SHOWN)
async def show_named_stack(name: PathName, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """One stack, with how many of its proxies are in which state."""
    return await show(wiring, named(name))


@delete("/stacks/{stack_id:int}", status_code=200, summary="Remove a stack", opt=REMOVED)
async def remove_stack(request: ApiRequest, stack_id: PathId, wiring: NamedDependency[Wiring]) -> Response[bytes]:
    """With all of its proxies; their open connections are closed."""
    return await remove(request, wiring, stack_id)


@delete("/stacks/by-name/{name:str}", status_code=200, summary="Remove a stack by its name", opt=REMOVED)
async def remove_named_stack(request: ApiRequest, name: PathName, wiring: NamedDependency[Wiring]) -> Response[bytes]:
    """With all of its proxies; their open connections are closed."""
    return await remove(request, wiring, named(name))


@patch("/stacks/{stack_id:int}", summary="Change a stack", opt=changes(StackPatch, Stack, InsufficientCapacity))
async def change_stack(request: ApiRequest, stack_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Only what is given; `proxy` and labels are merged. All of it in one transaction, or nothing.

    More proxies are placed as those of a new stack; of fewer, the newest go. A changed template changes the proxies
    that there are, live; what one of them has of its own stays until the template changes in that. Where proxies may
    be, and how they are spread, concerns those that are made from now on.
    """
    asked, wish = read_query(request, TimedWrite), await read_body(request, StackPatch)
    versions = read_if_match(request.headers.get("if-match"))
    async with writing(wiring.database) as session:
        wish = await with_ids(session, wish)
        id_, outcome = await stacks.change(session, stack_id, wish, versions, allow_past=asked.allow_past)
        stack = await stacks.get(session, id_)
    return await settled(request, wiring, stack, outcome, 200)


@put(
    "/stacks/by-name/{name:str}",
    summary="Make a stack what it shall be",
    opt=documented(
        query=TimedWrite,
        body=NamedStack,
        answers={200: Stack, 201: Stack, 202: Stack},
        headers=(IF_MATCH, PREFER),
        gives=("ETag", "Location", "Preference-Applied"),
        problems=(PreconditionFailed, NameTaken, InsufficientCapacity, *CHANGED),
        words={200: "As it shall be", 201: "Made", 202: NOT_YET},
    ),
)
async def put_stack(request: ApiRequest, name: PathName, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Makes it, or changes it in what it is not as it shall be; what is not said is as if it never had been.

    The same again does nothing at all: no event, no revision, no message. Logins that are not said stay as they were
    drawn.
    """
    name, wish = named(name), await read_body(request, NamedStack)
    asked = read_query(request, TimedWrite)
    versions = read_if_match(request.headers.get("if-match"))
    async with writing(wiring.database) as session:
        wish = await with_ids(session, wish)
        id_, outcome, is_new = await stacks.put(session, name, wish, versions, allow_past=asked.allow_past)
        stack = await stacks.get(session, id_)
    return await settled(request, wiring, stack, outcome, 201 if is_new else 200)


@post(
    "/stacks/{stack_id:int}/rotate",
    status_code=202,
    summary="Rotate all proxies of a stack",
    opt=documented(
        body=RotateRequest,
        answers={202: FleetRotation},
        problems=(NotRotatable, RotationUnderWay),
        words={202: "Under way"},
    ),
)
async def rotate_stack(request: ApiRequest, stack_id: PathId, wiring: NamedDependency[Wiring]) -> Response[Any]:
    """Begun for all or none; then each goes on by itself, make before break."""
    wish = await read_body(request, RotateRequest)
    async with writing(wiring.database) as session:
        await stacks.select(session, stack_id)
        ids = await rotation.rotate_stack(session, stack_id, await with_ids(session, wish))
    return resource_response(FleetRotation(matched=len(ids), rotation_ids=ids), 202)


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
