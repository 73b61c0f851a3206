"""Where the node's own services are."""

from node.agent.broker_addresses import broker_addresses


async def test_the_broker_is_found_behind_its_name() -> None:
    assert await broker_addresses(["127.0.0.1"]) == ("127.0.0.1",)
    assert "127.0.0.1" in await broker_addresses(["broker.invalid", "localhost"])


async def test_a_broker_that_cannot_be_found_protects_nothing() -> None:
    assert await broker_addresses(["broker.invalid"]) == ()
