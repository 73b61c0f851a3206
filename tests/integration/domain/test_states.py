"""The state of a proxy is what its node's latest word makes of it."""

from tests.integration.conftest import Api


async def test_a_proxy_is_pending_until_its_node_confirms_and_then_runs(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    assert await api.state(id_) == ("pending", None)
    await api.report(node)
    status = (await api.call("GET", f"/proxies/{id_}", 200))["status"]
    assert (status["state"], status["observed_version"]) == ("running", 1)
    assert status["observed_at"].endswith("Z")


async def test_a_changed_proxy_is_pending_again(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.report(node)
    await api.call("PATCH", f"/proxies/{id_}", 200, json={"password": "fresh"})
    assert await api.state(id_) == ("pending", None)


async def test_another_proxy_is_not_disturbed_by_a_change(api: Api):
    node = await api.node()
    quiet, changed = (await api.proxy(node))["id"], (await api.proxy(node))["id"]
    await api.report(node)
    await api.call("PATCH", f"/proxies/{changed}", 200, json={"password": "fresh"})
    assert await api.state(quiet) == ("running", None)


async def test_a_proxy_that_cannot_start_is_failed_with_the_reason(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.fail(id_, "port 20000 is taken")
    assert await api.state(id_) == ("failed", "port 20000 is taken")


async def test_a_failure_of_an_older_version_says_nothing(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.fail(id_, "port 20000 is taken")
    await api.call("PATCH", f"/proxies/{id_}", 200, json={"port": 20001})
    assert await api.state(id_) == ("pending", None)


async def test_a_disabled_proxy_is_stopped_when_its_node_confirms(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.report(node)
    await api.call("PATCH", f"/proxies/{id_}", 200, json={"enabled": False})
    assert await api.state(id_) == ("pending", None)
    await api.report(node)
    assert await api.state(id_) == ("stopped", "disabled")


async def test_a_disabled_node_stops_its_proxies_and_says_so(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.report(node)
    await api.call("PATCH", f"/nodes/{node}", 200, json={"state": "disabled"})
    assert await api.state(id_) == ("pending", None)
    await api.report(node)
    assert await api.state(id_) == ("stopped", f"node {node} is disabled")


async def test_proxies_of_a_node_that_is_enabled_again_are_pending_until_it_confirms(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    for state in ("disabled", "active"):
        await api.report(node)
        await api.call("PATCH", f"/nodes/{node}", 200, json={"state": state})
    assert await api.state(id_) == ("pending", None)
    await api.report(node)
    assert await api.state(id_) == ("running", None)


async def test_a_draining_node_goes_on_running_its_proxies(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.report(node)
    await api.call("PATCH", f"/nodes/{node}", 200, json={"state": "draining"})
    assert await api.state(id_) == ("running", None)


async def test_nobody_knows_of_a_silent_node_and_it_is_told_since_when(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.report(node, online=False)
    await api.rows.execute("UPDATE node_status SET reported_at = '2026-01-02 03:04:05Z'")
    assert await api.state(id_) == ("unknown", f"node {node} has not reported since 2026-01-02T03:04:05Z")


async def test_a_node_that_has_never_reported_is_waited_for(api: Api):
    node = await api.node()
    await api.rows.execute("UPDATE node_status SET session = 0, online = false")
    id_ = (await api.proxy(node))["id"]
    assert await api.state(id_) == ("pending", f"node {node} has not reported yet")


async def test_a_list_that_is_held_back_is_the_reason_for_waiting(api: Api):
    node = await api.node()
    id_ = (await api.proxy(node))["id"]
    await api.rows.execute("UPDATE node_status SET held_rev = 2, held_stops = 20, held_of = 30")
    state, reason = await api.state(id_)
    assert (state, reason) == (
        "pending",
        f"node {node} holds back a list that would stop 20 of its 30 proxies until it is confirmed",
    )


async def test_lists_are_filtered_by_state(api: Api):
    node = await api.node()
    running = (await api.proxy(node))["id"]
    await api.report(node)
    pending = (await api.proxy(node))["id"]
    for state, ids in {"running": [running], "pending": [pending], "failed": []}.items():
        listed = await api.call("GET", f"/proxies?state={state}", 200)
        assert [one["id"] for one in listed["items"]] == ids
