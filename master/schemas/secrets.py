"""Members that are secret: null in every answer to a request whose token does not have the scope `secrets`. Pure."""

from typing import Any

from pydantic import SerializerFunctionWrapHandler, WrapSerializer

from master.schemas.access import present_access


def shown(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
    """Return the value as it is written, or None if the present request may not see it."""
    return handler(value) if present_access().shows_secrets else None


def without_password(value: Any, handler: SerializerFunctionWrapHandler) -> Any:
    """Return an object with null for its password, if it has one that the present request may not see."""
    written = handler(value)
    is_hidden = "password" in written and not present_access().shows_secrets
    return {**written, "password": None} if is_hidden else written


SECRET = WrapSerializer(shown, when_used="json")
"""Marks a member that is secret."""
WITH_PASSWORD = WrapSerializer(without_password, when_used="json")
"""Marks an object whose member `password` is secret."""
