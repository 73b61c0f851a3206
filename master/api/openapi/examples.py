"""Examples of bodies and answers: written beside each model, and put together for pages."""

from typing import Any, get_args

from pydantic import BaseModel


def example_of(model: type[BaseModel]) -> Any:
    """Return the first example of a model, or a page with one example of its items; None when there is none."""
    extra: Any = model.model_config.get("json_schema_extra", {})
    if "examples" in extra:
        return extra["examples"][0]
    items = model.model_fields.get("items")
    if items is None or "next" not in model.model_fields:
        return None
    item = next((example_of(one) for one in get_args(items.annotation) if issubclass(one, BaseModel)), None)
    return None if item is None else {**dict.fromkeys(model.model_fields), "items": [item]}
