"""GET /install-command, and the paths of downloads on the API's port."""

import hashlib
from pathlib import Path

import pytest

from master.asgi import DOWNLOADS
from master.distribution.bundles.build import build
from tests.integration.conftest import Api
from tests.master import shared_app
from tests.release.downloads import downloads_over
from tests.release.inputs import make_build

PRIVATE = {"Host": "master.internal:3005"}


@pytest.fixture
def bundles(api: Api, tmp_path: Path) -> Path:
    """The master of `api` has bundles."""
    del api
    build(make_build(tmp_path), lambda _: None)
    app, places = shared_app.shared()
    app.state[DOWNLOADS] = places["downloads"].behind = downloads_over(tmp_path / "out")
    return tmp_path / "out"


async def test_a_master_without_bundles_says_how_to_make_them(api: Api) -> None:
    answer = (await api.http.get("/install-command")).json()
    assert (answer["command"], answer["url"]) == (None, "http://master")
    assert "maybe-master bundle build" in answer["advice"]
    script = await api.http.get("/install.sh")
    assert (script.status_code, "maybe-master bundle build" in script.text) == (404, True)


async def test_an_api_that_speaks_tls_is_named_by_https(api: Api, bundles: Path) -> None:
    del bundles
    answer = (await api.http.get("https://master.internal/install-command", headers=PRIVATE)).json()
    script = (await api.http.get("https://master.internal/install.sh", headers=PRIVATE)).content
    assert (answer["url"], answer["sha256"]) == ("https://master.internal:3005", hashlib.sha256(script).hexdigest())
    assert b"https://master.internal:3005" in script


async def test_the_line_pins_the_script_that_the_api_serves_at_the_same_address(api: Api, bundles: Path) -> None:
    del bundles
    answer = (await api.http.get("/install-command", headers={"Host": "192.0.2.9:3005"})).json()
    script = (await api.http.get("/install.sh", headers={"Host": "192.0.2.9:3005"})).content
    assert answer["sha256"] == hashlib.sha256(script).hexdigest()
    assert (answer["url"], answer["version"], answer["advice"]) == ("http://192.0.2.9:3005", "0.2.0", None)
    assert answer["command"].endswith('| sha256sum -c - && $(command -v sudo) sh "$f"')
    assert "curl -fsSL http://192.0.2.9:3005/install.sh" in answer["command"]
    user = (await api.http.get("/install-command?user=true", headers={"Host": "192.0.2.9:3005"})).json()
    assert user["command"].endswith('&& sh "$f" --user')


async def test_the_apis_port_serves_the_bundles_too(api: Api, bundles: Path) -> None:
    manifest = await api.http.get("/bundle/manifest.json")
    assert manifest.content == (bundles / "manifest.json").read_bytes()
    head = await api.http.head("/bundle/manifest.json")
    assert (head.headers["content-length"], head.content) == (str(len(manifest.content)), b"")
    part = await api.http.get("/bundle/manifest.json.sig", headers={"Range": "bytes=0-15"})
    assert (part.status_code, len(part.content)) == (206, 16)
    assert (await api.http.post("/bundle/manifest.json")).status_code == 405
    assert (await api.http.get("/bundle/release-keys")).status_code == 404


async def test_downloads_at_the_apis_port_are_refused_for_a_foreign_host(api: Api, bundles: Path) -> None:
    del bundles
    for path in ("/install.sh", "/install-command"):
        assert (await api.http.get(path, headers={"Host": "evil.example.com"})).status_code == 421
