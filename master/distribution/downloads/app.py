"""The ASGI application: install.sh, the manifests, their signatures and the bundles, for GET and HEAD alone.

Every path is looked up among the names of verified manifests; none is ever a path of the file system.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from master.distribution.downloads.files import Content, send_content
from master.distribution.downloads.limits import RequestRates, client_of
from master.distribution.folder import BundleFolder
from master.distribution.install_script import InstallScript, NoScript, origin_of
from master.distribution.releases import Release
from master.errors import BundleError
from shared.asgi import Answer, Receive, Scope, Send, declared_length, send_answer, whole_body
from shared.release.manifest import MANIFEST, SIGNATURE

log = structlog.get_logger()

INSTALL_PATH, BUNDLE_PATH, ANNOUNCE_PATH = "/install.sh", "/bundle/", "/announce"
VERSIONS_PATH = f"{BUNDLE_PATH}versions/"
DOWNLOAD_ROUTE = "/bundle"
"""The name of all paths in the figures of the API's port."""
ANNOUNCE_LIMIT = 4096
ANNOUNCE_S = 10.0
TEXT_TYPE, JSON_TYPE, ARCHIVE_TYPE = "text/plain; charset=utf-8", "application/json", "application/gzip"
HOW_TO = (
    "There are no bundles on this master, so it cannot install nodes. Make them with `maybe-master bundle build`, "
    "and set BUNDLE_DIR to their folder; see docs/nodes.md.\n"
)
NOT_FOUND = Answer(404, b"not found\n")
ONLY_READ = Answer(405, b"only GET and HEAD\n", headers=((b"allow", b"GET, HEAD"),))
TOO_MANY = Answer(429, b"too many requests\n", headers=((b"retry-after", b"5"),))
TOO_LONG = Answer(413, b"too long\n", headers=((b"connection", b"close"),))
TOO_SLOW = Answer(408, b"too slow\n", headers=((b"connection", b"close"),))
NOT_NOW = b"this file is not complete on the master; try again, or see the master's log\n"


class Announcements(Protocol):
    """Takes what nodes announce that were installed by an invitation."""

    async def announce(self, body: bytes, address: str) -> Answer:
        """Answer a body of at most ANNOUNCE_LIMIT bytes from this address, which may be hostile."""
        ...


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a release: bytes at hand, or the name of a bundle."""

    release: Release
    name: str


def is_download(path: str) -> bool:
    """Whether a path of the API's port belongs to this application."""
    return path in (INSTALL_PATH, ANNOUNCE_PATH) or path.startswith(BUNDLE_PATH)


class Downloads:
    """Serves one request at a time on each connection; requests of a client are limited.

    Announcements have limits of their own, which false ones do not use up for genuine ones.
    """

    def __init__(self, folder: BundleFolder, script: InstallScript, announcements: Announcements | None = None) -> None:
        """Without `announcements`, /announce is not there."""
        self.folder, self.script, self._announcements = folder, script, announcements
        self._rates = RequestRates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        address = scope["client"][0] if scope["client"] else ""
        content = await self._answer(scope, receive, address)
        if isinstance(content, Answer):
            await send_answer(content, send, bodiless=scope["method"] == "HEAD")
            return
        try:
            await send_content(content, scope, receive, send)
        finally:
            content.close()

    async def _answer(self, scope: Scope, receive: Receive, address: str) -> Content | Answer:
        if scope["path"] == ANNOUNCE_PATH and self._announcements is not None:
            return await announced(self._announcements, scope, receive, address)
        if not self._rates.admit(client_of(address)):
            return TOO_MANY
        if not is_download(scope["path"]):
            return NOT_FOUND
        return await self._content(scope) if scope["method"] in ("GET", "HEAD") else ONLY_READ

    async def _content(self, scope: Scope) -> Content | Answer:
        path: str = scope["path"]
        if path == INSTALL_PATH:
            return await self._install_script(scope)
        if not path.startswith(BUNDLE_PATH):
            return NOT_FOUND
        found = await self._release_of(path)
        if found is None:
            return NOT_FOUND
        release, name = found.release, found.name
        if name == MANIFEST:
            return Content.of(release.manifest_bytes, JSON_TYPE)
        if name == SIGNATURE:
            return Content.of(release.signatures, TEXT_TYPE)
        return await self._bundle(release, name)

    async def _install_script(self, scope: Scope) -> Content | Answer:
        newest = (await self.folder.contents()).newest
        if newest is None:
            return Answer(404, HOW_TO.encode())
        try:
            return Content.of(self.script.text(newest, origin_of(scope)), TEXT_TYPE)
        except NoScript as error:
            return Answer(400, f"{error}\n".encode())

    async def _release_of(self, path: str) -> FoundFile | None:
        contents = await self.folder.contents()
        if path.startswith(VERSIONS_PATH):
            version, _, name = path.removeprefix(VERSIONS_PATH).partition("/")
            release = contents.releases.get(version)
        else:
            name, release = path.removeprefix(BUNDLE_PATH), contents.newest
        return FoundFile(release, name) if release is not None else None

    async def _bundle(self, release: Release, name: str) -> Content | Answer:
        file = release.file(name)
        if file is None:
            return NOT_FOUND
        try:
            opened = await self.folder.open(release, file)
        except BundleError as error:
            log.warning("bundle.not_served", reason=str(error))
            return Answer(503, NOT_NOW, headers=((b"retry-after", b"5"),))
        return Content(opened, file.size, f'"{file.sha256}"', ARCHIVE_TYPE)


async def announced(announcements: Announcements, scope: Scope, receive: Receive, address: str) -> Answer:
    """Answer an announcement."""
    if scope["method"] != "POST":
        return Answer(405, b"only POST\n", headers=((b"allow", b"POST"),))
    if declared_length(scope) > ANNOUNCE_LIMIT:
        return TOO_LONG
    try:
        async with asyncio.timeout(ANNOUNCE_S):
            body = await whole_body(receive, ANNOUNCE_LIMIT)
    except TimeoutError:
        return TOO_SLOW
    if body is None or len(body) > ANNOUNCE_LIMIT:
        return TOO_LONG
    return await announcements.announce(body, address)
