"""The download port: what it serves, to whom, and what hostile clients get."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from master.distribution.bundles.build import build
from master.distribution.downloads import protocol
from master.distribution.downloads.app import Downloads
from master.distribution.downloads.limits import BURST, Connections
from shared.asgi import Answer
from shared.release.manifest import Manifest
from shared.release.signing import public_key
from tests.release.bundles import KEY, STRANGER, change_byte, sign_by_stranger
from tests.release.bundles import Release as BundleRelease
from tests.release.downloads import DownloadPort, download_port, downloads_over
from tests.release.inputs import make_build, make_sources


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return build(make_build(tmp_path), silent)


@pytest.fixture
async def port(tmp_path: Path, manifest: Manifest) -> AsyncIterator[DownloadPort]:
    del manifest
    async with download_port(downloads_over(tmp_path / "out")) as served:
        served.app.folder.look()
        yield served


def changed_now(port: DownloadPort) -> None:
    """Have the folder looked at, as it is a second later."""
    port.app.folder._looked_at = -1e9


async def test_it_serves_the_script_the_manifest_its_signature_and_each_bundle(
    tmp_path: Path, port: DownloadPort, manifest: Manifest
) -> None:
    for name in ("manifest.json", "manifest.json.sig", manifest.files[0].name):
        for path in (f"/bundle/{name}", f"/bundle/versions/0.2.0/{name}"):
            answer = await port.client.get(path)
            assert (answer.status_code, answer.content) == (200, (tmp_path / "out" / name).read_bytes())
    script = (await port.client.get("/install.sh")).text
    digest = hashlib.sha256((tmp_path / "out/manifest.json").read_bytes()).hexdigest()
    assert f"\nBASE_URL='http://127.0.0.1:{port.port}'\nVERSION='0.2.0'\nMANIFEST_SHA256='{digest}'\n" in script
    assert f"\nRELEASE_KEYS='{public_key(KEY)}'\n" in script


NOTHING_THERE = (
    *("/", "/bundle", "/bundle/", "/bundle/x.tar.gz", "/install.sh/", "/install.sh%00", "/nodes", "/health/live"),
    *("/bundle/release-keys", "/bundle/../manifest.json", "/bundle/%2e%2e%2fout/manifest.json", "/bundle/.new-1.0.0"),
    *(
        "/bundle/manifest.json%00",
        "/bundle//manifest.json",
        "/bundle/versions/",
        "/bundle/versions/0.2.0",
        "//install.sh",
    ),
    *("/bundle/versions/../manifest.json", "/bundle/versions/9.9.9/manifest.json", "/bundle/versions/0.2.0/../x"),
    *("/bundle/%5c..%5cmanifest.json", "/BUNDLE/manifest.json", "/announce", "/bundle/%ff%fe", "/../../etc/passwd"),
)


async def test_it_serves_nothing_else(port: DownloadPort) -> None:
    for path in NOTHING_THERE:
        answer = await port.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (path, head.split(b"\r\n")[0], body) == (path, b"HTTP/1.1 404 Not Found", b"not found\n")


async def test_it_takes_no_method_that_writes(port: DownloadPort) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = await port.client.request(method, "/bundle/manifest.json", content=b"x" * 100_000)
        assert (method, answer.status_code, answer.headers["allow"]) == (method, 405, "GET, HEAD")


async def test_head_answers_as_get_does_without_the_body(port: DownloadPort, manifest: Manifest) -> None:
    for path in ("/install.sh", "/bundle/manifest.json", f"/bundle/{manifest.files[0].name}", "/nothing"):
        head, get = await port.client.head(path), await port.client.get(path)
        kept = ("content-length", "content-type", "etag")
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert [head.headers.get(name) for name in kept] == [get.headers.get(name) for name in kept]


async def test_a_download_is_resumed_where_it_was_cut_off(port: DownloadPort, manifest: Manifest) -> None:
    path = f"/bundle/{manifest.files[0].name}"
    whole = await port.client.get(path)
    etag = whole.headers["etag"]
    assert etag == f'"{manifest.files[0].sha256}"'
    rest = await port.client.get(path, headers={"Range": "bytes=100-", "If-Range": etag})
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    assert rest.headers["content-range"] == f"bytes 100-{len(whole.content) - 1}/{len(whole.content)}"
    beyond = await port.client.get(path, headers={"Range": f"bytes={len(whole.content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(whole.content)}")
    known = await port.client.get(path, headers={"If-None-Match": etag})
    assert (known.status_code, known.content) == (304, b"")


async def status_for(app: Downloads, address: str) -> int:
    """Return the status that a client at this address gets."""
    statuses: list[int] = []

    async def send(message: dict[str, Any]) -> None:
        statuses.append(message.get("status", 0))

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"client": (address, 1), "path": "/nothing", "method": "GET", "headers": []}
    await app(scope, receive, send)
    return statuses[0]


async def test_a_flood_of_one_address_is_refused_while_others_are_served(tmp_path: Path) -> None:
    app = downloads_over(tmp_path)
    flood = [await status_for(app, f"2001:db8::{number:x}") for number in range(int(BURST) + 50)]
    assert {404, 429} == set(flood)
    for other in ("192.0.2.1", "2001:db8:0:1::1", "127.0.0.1"):
        assert await status_for(app, other) == 404


async def test_connections_above_the_limit_are_reset(tmp_path: Path, manifest: Manifest) -> None:
    del manifest
    async with download_port(downloads_over(tmp_path / "out"), Connections(most=2)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port.port) for _ in range(2)]
        for reader, writer in held:
            writer.write(b"GET /bundle/manifest.json HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await port.client.get("/bundle/manifest.json")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(10):
            while True:
                try:
                    assert (await port.client.get("/bundle/manifest.json")).status_code == 200
                    break
                except (httpx.ReadError, httpx.RemoteProtocolError):
                    continue


async def test_a_client_that_sends_no_request_is_cut_off(port: DownloadPort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.DownloadProtocol, "head_s", 0.2)
    assert await port.raw(b"GET /install.sh HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""
    answer = await port.raw(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /again")
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_client_that_reads_nothing_is_reset(
    tmp_path: Path, manifest: Manifest, port: DownloadPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = make_sources(tmp_path / "large")
    (sources / "node/large.bin").write_bytes(os.urandom(24 << 20))
    made = build(make_build(tmp_path, sources=sources), silent)
    assert made.files[0].name == manifest.files[0].name
    changed_now(port)
    monkeypatch.setattr(protocol.DownloadProtocol, "stall_s", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", port.port, limit=1024)
    writer.write(f"GET /bundle/{made.files[0].name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    writer.transport.pause_reading()
    async with asyncio.timeout(20):
        while port_connections(port.port):
            await asyncio.sleep(0.05)
    writer.transport.abort()
    del reader


def port_connections(port: int) -> int:
    """Count the server's ends of established connections."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "01" for line in lines)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /install.sh HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET\x00/ HTTP/1.1\r\n\r\n",
        b"\r\n" * 20_000,
    ],
)
async def test_a_request_that_cannot_be_read_is_answered_and_closed(port: DownloadPort, data: bytes) -> None:
    try:
        answer = await port.raw(data)
    except ConnectionResetError:
        return  # it was answered while the rest was still being sent
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_bad_host_never_gets_into_the_script(port: DownloadPort) -> None:
    for host in ("x';reboot;'", "$(reboot)", "a b", "user@x", "x:99999999", "", "x\\", "x'"):
        answer = await port.client.get("/install.sh", headers={"Host": host})
        assert (answer.status_code, "reboot" in answer.text) == (400, False)


async def test_a_new_version_is_served_once_its_manifest_verifies(
    tmp_path: Path, port: DownloadPort, manifest: Manifest
) -> None:
    new = build(make_build(tmp_path, version="0.3.0", out=tmp_path / "new"), silent)
    old_bytes = (await port.client.get("/bundle/manifest.json")).content
    for name in (new.files[0].name, "manifest.json"):
        (tmp_path / "out" / name).write_bytes((tmp_path / "new" / name).read_bytes())
        changed_now(port)
        assert (await port.client.get("/bundle/manifest.json")).content == old_bytes
        assert "VERSION='0.2.0'" in (await port.client.get("/install.sh")).text
        assert (await port.client.get(f"/bundle/{new.files[0].name}")).status_code == 404
    (tmp_path / "out/manifest.json.sig").write_bytes((tmp_path / "new/manifest.json.sig").read_bytes())
    changed_now(port)
    assert "VERSION='0.3.0'" in (await port.client.get("/install.sh")).text
    assert (await port.client.get(f"/bundle/{new.files[0].name}")).status_code == 200
    assert (await port.client.get(f"/bundle/{manifest.files[0].name}")).status_code == 404


async def test_the_version_before_stays_there_under_its_number(
    tmp_path: Path, port: DownloadPort, manifest: Manifest
) -> None:
    build(make_build(tmp_path, version="0.3.0"), silent)
    changed_now(port)
    assert "VERSION='0.3.0'" in (await port.client.get("/install.sh")).text
    for name in ("manifest.json", "manifest.json.sig", manifest.files[0].name):
        assert (await port.client.get(f"/bundle/versions/0.2.0/{name}")).status_code == 200


async def test_a_bundle_that_is_still_being_copied_is_not_served(
    tmp_path: Path, port: DownloadPort, manifest: Manifest
) -> None:
    path = tmp_path / "out" / manifest.files[0].name
    content = path.read_bytes()
    for wrong in (content[:-1], content + b"x"):
        path.write_bytes(wrong)
        answer = await port.client.get(f"/bundle/{path.name}")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    change_byte(path)
    path.write_bytes(content)
    assert (await port.client.get(f"/bundle/{path.name}")).content == content
    change_byte(path)
    assert (await port.client.get(f"/bundle/{path.name}")).status_code == 503


async def test_a_link_or_fifo_in_place_of_a_bundle_is_not_served(
    tmp_path: Path, port: DownloadPort, manifest: Manifest
) -> None:
    path = tmp_path / "out" / manifest.files[0].name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert (await port.client.get(f"/bundle/{path.name}")).status_code == 503
    path.unlink()
    os.mkfifo(path)
    assert (await port.client.get(f"/bundle/{path.name}")).status_code == 503


@pytest.mark.parametrize("fault", ["stranger", "unsigned", "changed", "nothing"])
async def test_a_folder_that_no_trusted_key_signed_is_not_served(
    tmp_path: Path, manifest: Manifest, fault: str
) -> None:
    release = BundleRelease(tmp_path / "out", manifest, KEY)
    match fault:
        case "stranger":
            sign_by_stranger(release)
        case "unsigned":
            (release.folder / "manifest.json.sig").unlink()
        case "changed":
            change_byte(release.folder / "manifest.json")
        case _:
            (release.folder / "manifest.json").unlink()
    async with download_port(downloads_over(tmp_path / "out")) as port:
        answer = await port.client.get("/install.sh")
        assert (answer.status_code, "maybe-master bundle build" in answer.text) == (404, True)
        assert (await port.client.get(f"/bundle/{manifest.files[0].name}")).status_code == 404


async def test_a_master_with_other_keys_serves_nothing(tmp_path: Path, manifest: Manifest) -> None:
    del manifest
    async with download_port(downloads_over(tmp_path / "out", key=STRANGER)) as port:
        assert (await port.client.get("/bundle/manifest.json")).status_code == 404


async def test_all_masters_with_one_folder_and_url_serve_the_same_script(tmp_path: Path, manifest: Manifest) -> None:
    del manifest
    url = "https://download.example/maybe"
    async with (
        download_port(downloads_over(tmp_path / "out", url=url)) as one,
        download_port(downloads_over(tmp_path / "out", url=url)) as other,
    ):
        texts = {(await each.client.get("/install.sh")).text for each in (one, other)}
    assert len(texts) == 1
    assert f"BASE_URL='{url}'" in texts.pop()


class Announced:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, str]] = []

    async def announce(self, body: bytes, address: str) -> Answer:
        self.heard.append((body, address))
        return Answer(202, b"")


async def test_an_announcement_is_bounded_and_handed_on_with_its_address(tmp_path: Path) -> None:
    announced = Announced()
    async with download_port(downloads_over(tmp_path, announcements=announced)) as port:
        assert (await port.client.post("/announce", content=b"x" * 4097)).status_code == 413
        assert (await port.client.get("/announce")).status_code == 405
        assert (await port.client.post("/announce", content=b"{}")).status_code == 202
    assert announced.heard == [(b"{}", "127.0.0.1")]


async def test_the_script_that_is_served_is_readable_by_a_shell(port: DownloadPort) -> None:
    script = (await port.client.get("/install.sh")).content
    assert subprocess.run(["sh", "-n"], input=script, check=False).returncode == 0
