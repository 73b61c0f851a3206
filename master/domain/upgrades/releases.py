"""The releases that this master offers to nodes: bundles whose manifest a trusted key has signed."""

from dataclasses import dataclass

from master.distribution.downloads.app import HOW_TO, VERSIONS_PATH
from master.distribution.folder import BundleFolder
from master.errors import NoRelease
from shared.release.manifest import MANIFEST
from shared.release.versions import version_order


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedRelease:
    """Bundles of one version, with the SHA-256 of their manifest."""

    version: str
    sha256: str
    min_upgradable_from: str

    @property
    def path(self) -> str:
        """The path of the manifest below DOWNLOAD_URL, which stays when a newer version comes."""
        return f"{VERSIONS_PATH}{self.version}/{MANIFEST}"


@dataclass(frozen=True, slots=True)
class OfferedReleases:
    """The releases in the folder of bundles."""

    folder: BundleFolder

    async def find(self, version: str | None) -> OfferedRelease:
        """Return the release of this version; None: of the newest one. Raises NoRelease."""
        contents = await self.folder.contents()
        if contents.reason and (version is None or not contents.releases):
            raise NoRelease(f"no node would install this: {contents.reason}", {"why": "untrusted"})
        found = contents.newest if version is None else contents.releases.get(version)
        if found is None and not contents.releases:
            raise NoRelease(HOW_TO.strip(), {"why": "no-bundles"})
        if found is None:
            known = sorted(contents.releases, key=version_order, reverse=True)
            detail = f"this master has no bundles of {version}, but of {', '.join(known)}"
            raise NoRelease(detail, {"why": "unknown-version", "version": version, "known": known})
        return OfferedRelease(
            version=found.version, sha256=found.sha256, min_upgradable_from=found.manifest.min_upgradable_from
        )
