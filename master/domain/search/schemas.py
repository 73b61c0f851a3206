"""The query and resources of the search."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from master.schemas.base import Query, Resource, Text

ResultKind = Literal["proxy", "node", "location", "stack", "link", "webhook"]


class SearchQuery(Query):
    """What to search for."""

    q: Annotated[Text, Field(min_length=1, pattern=r"\S", examples=["fra", "10.0.0.1:20004"])] = Field(
        description="The beginning of a name, user name, host name or address, in any case; an id; or the endpoint of "
        "a proxy as host:port."
    )
    limit: Annotated[int, Field(ge=1, le=50)] = Field(default=5, description="The most results of each kind.")


class SearchResult(Resource):
    """A resource that was found."""

    kind: ResultKind
    id: int
    name: str | None = Field(description="The name; of a webhook, the host of its address. null: it has none.")
    detail: str = Field(
        description="Further properties in a line, without words of a language: of a proxy the endpoint, the node and "
        "the user name; of a node the address and the location; of a location the country; of a stack the number of "
        "proxies; of a link its kind and format; of a webhook its types of events."
    )


class SearchResults(Resource):
    """The results by kind."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "items": [
                        {"kind": "proxy", "id": 7, "name": "fra-shop", "detail": "10.0.0.1:20004 · fra-1 · alice"},
                        {"kind": "node", "id": 3, "name": "fra-1", "detail": "10.0.0.1 · Frankfurt"},
                    ]
                }
            ]
        }
    )

    items: list[SearchResult] = Field(
        description="Proxies, nodes, locations, stacks, links and webhooks, each kind with the exact id first."
    )
