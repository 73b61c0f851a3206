"""Findings about the bundles that nodes are installed from, and about their download port."""

from collections.abc import Iterator, Sequence

from master.distribution.releases import NoManifest, Release, Untrusted, read_release, trusted_keys
from master.errors import BadConfiguration
from master.settings import Settings
from shared.doctor.findings import Finding, ok, problem, warning
from shared.release.versions import BadVersion, is_older
from shared.version import program_version

CHECK = "bundles"
MAKE = "maybe-master bundle build --out {folder}; docs/nodes.md describes it"


def bundle_findings(settings: Settings) -> list[Finding]:
    """Examine BUNDLE_DIR, RELEASE_KEYS_FILE and the settings of downloads. Reads files."""
    found = [port_finding(settings.download_port, settings.download_url)]
    try:
        keys = trusted_keys(settings.release_keys_file)
    except BadConfiguration as error:
        advice = "it has one public key in base64 a line, as `maybe-master bundle key` prints it"
        return [*found, problem("RELEASE_KEYS_FILE", error.reason, advice)]
    return [*found, *release_findings(settings, keys)]


def release_findings(settings: Settings, keys: Sequence[str]) -> Iterator[Finding]:
    """Examine the newest version."""
    folder = settings.bundle_dir
    try:
        release = read_release(folder, keys)
    except NoManifest:
        yield ok(CHECK, f"none in {folder}: nodes are not installed from this master")
        return
    except Untrusted as error:
        advice = (
            "they are not served: build them again with the right key, or name their public key by RELEASE_KEYS_FILE"
        )
        yield problem(CHECK, str(error), advice)
        return
    yield ok(CHECK, f"version {release.version} in {folder}, signed by {release.key}")
    yield from file_findings(release)
    yield from age_findings(release.version, program_version(), str(folder))


def file_findings(release: Release) -> Iterator[Finding]:
    """Compare the sizes of the files with the manifest; `maybe-master bundle verify` compares their hashes."""
    for file in release.manifest.files:
        try:
            size = (release.folder / file.name).stat().st_size
            reason = "" if size == file.size else f"has {size} bytes instead of {file.size}"
        except OSError as error:
            reason = error.strerror or "cannot be read"
        if reason:
            yield problem(CHECK, f"{file.name} {reason}", "copy the whole folder again, or build the bundles again")


def age_findings(version: str, own: str, folder: str) -> Iterator[Finding]:
    """Compare the version of the bundles with the master's own. Pure."""
    try:
        is_behind = is_older(version, own)
    except BadVersion:
        return
    if is_behind:
        text = f"version {version} is older than this master, {own}: new nodes are installed with the older version"
        yield warning(CHECK, text, MAKE.format(folder=folder))


def port_finding(port: int | None, url: str | None) -> Finding:
    """Return the finding about the settings of downloads. Pure."""
    if port is not None and url is None:
        return warning(
            "DOWNLOAD_URL",
            f"is not set, though DOWNLOAD_PORT is {port}: the install line names the address of the API instead",
            f"set it to where hosts reach that port, such as http://HOST:{port}",
        )
    return ok("downloads", f"at {url or 'the address of the API'}{f', port {port} is open' if port else ''}")
