"""Reading of messages from bytes, which accepts them or refuses them with a reason. Pure."""

from types import MappingProxyType

from pydantic import JsonValue, TypeAdapter, ValidationError

from shared.messages.bodies import (
    IDS,
    WIRE_VERSION,
    CheckSync,
    Header,
    MessageBody,
    NeedSync,
    Pair,
    Report,
    Sync,
    SyncItem,
    UpgradeRequest,
)
from shared.messages.broker_config import CONFIG_LIMIT, ConfigBody, ConfigOkBody
from shared.validation_errors import ERROR_TEXT_LIMIT, first_error, printable

READ_LIMIT = 1_048_576
"""Most bytes of a body that is read; our programs never write as many."""


class Unreadable(Exception):
    """A message cannot be read; the text is the reason."""


PAIRS: TypeAdapter[tuple[Pair, ...]] = TypeAdapter(tuple[Pair, ...])
RAW_RECORDS: TypeAdapter[tuple[dict[str, JsonValue], ...]] = TypeAdapter(tuple[dict[str, JsonValue], ...])

MODELS = MappingProxyType(
    {"report": Report, "upgrade": UpgradeRequest, "config": ConfigBody, "config-ok": ConfigOkBody}
)


def decode(type_: str | None, body: bytes) -> MessageBody:
    """Read the body of a message of this type. Raises Unreadable."""
    limit = CONFIG_LIMIT if type_ == "config" else READ_LIMIT
    if len(body) > limit:
        raise Unreadable(f"the body has {len(body)} bytes, more than {limit}")
    try:
        match type_:
            case "check-sync":
                return CheckSync(pairs=PAIRS.validate_json(body))
            case "need-sync":
                return NeedSync(ids=IDS.validate_json(body))
            case "sync":
                return Sync(items=tuple(sync_item(raw) for raw in RAW_RECORDS.validate_json(body)))
            case "report" | "upgrade" | "config" | "config-ok":
                return MODELS[type_].model_validate_json(body)
            case _:
                raise Unreadable(f"unknown type {str(type_)[:40]!r}")
    except ValidationError as error:
        raise Unreadable(first_error(error)) from error


def revision_in(body: bytes) -> int | None:
    """Return the revision in a `config` that cannot be read otherwise; None if even that cannot be read."""
    try:
        return ConfigOkBody.model_validate_json(body[:READ_LIMIT]).rev
    except ValidationError:
        return None


def sync_item(raw: dict[str, JsonValue]) -> SyncItem:
    """Read the members of a record that every version knows. Raises ValidationError."""
    return SyncItem.model_validate({**{k: raw[k] for k in ("id", "version", "content") if k in raw}, "raw": raw})


def decode_header(headers: object) -> Header:
    """Read the headers of a message. Raises Unreadable."""
    try:
        header = Header.model_validate(headers)
    except ValidationError as error:
        raise Unreadable(f"headers: {first_error(error)}") from error
    if header.v != WIRE_VERSION:
        version = printable(f"wire version {header.v}", ERROR_TEXT_LIMIT // 2)
        raise Unreadable(f"{version} is not supported, only {WIRE_VERSION}")
    if header.part > header.parts:
        raise Unreadable(f"part {header.part} of {header.parts}")
    return header
