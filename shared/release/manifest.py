"""The manifest of a version: which bundles there are, with size and SHA-256 of each. Pure.

The bytes of `manifest.json` as they are served are what is signed. A reader ignores members that it does not know, so
that later releases can add some; `format` grows when the meaning of the present ones changes.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.release.versions import is_older, version_order
from shared.strict_json import DuplicateMemberError, NotJsonError, check_json
from shared.validation_errors import first_error

PRODUCT = "maybe-node"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
MANIFEST_LIMIT = 1 << 20
BUNDLE_LIMIT = 1 << 30
"""Bytes of one bundle."""
MOST_FILES = 256
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\.tar\.gz"
"""A name without a slash that does not begin with a dot or a dash, safe in paths, URLs and shell words."""

BundleKind = Literal["thin", "full"]


class BadManifest(ValueError):
    """The manifest cannot be used."""


def known_version(text: str) -> str:
    """Check a version. Raises BadVersion."""
    version_order(text)
    return text


def read_moment(text: str) -> datetime:
    """Read a moment of the form 2026-11-30T12:00:00Z. Raises ValueError."""
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", text):
            raise ValueError(text)
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("is not a moment of the form 2026-11-30T12:00:00Z") from None


def checked_moment(text: str) -> str:
    """Check a moment, which is kept as text. Raises ValueError."""
    read_moment(text)
    return text


ManifestVersion = Annotated[str, AfterValidator(known_version)]


class BundleFile(BaseModel):
    """A bundle. `python` is the minor version of the host's Python for a thin one, such as 3.11, else None."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", strict=True)

    name: Annotated[str, Field(pattern=rf"^{NAME}$")]
    kind: BundleKind
    python: Annotated[str, Field(pattern=r"^3\.[1-9][0-9]$")] | None
    machine: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,20}$")]
    libc: Annotated[str, Field(pattern=r"^[a-z]{1,10}$")]
    size: Annotated[int, Field(ge=1, le=BUNDLE_LIMIT)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @model_validator(mode="after")
    def _has_python(self) -> "BundleFile":
        if (self.kind == "thin") != (self.python is not None):
            raise ValueError("a thin bundle has a version of Python, and a full one has none")
        return self


class Manifest(BaseModel):
    """The bundles of one version. A node may be upgraded to it from `min_upgradable_from` or a later version."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="ignore", strict=True)

    format: Literal[1] = 1
    product: Literal["maybe-node"] = PRODUCT
    version: ManifestVersion
    created_at: Annotated[str, AfterValidator(checked_moment)]
    min_upgradable_from: ManifestVersion
    files: Annotated[tuple[BundleFile, ...], Field(min_length=1, max_length=MOST_FILES)]

    @model_validator(mode="after")
    def _names_differ(self) -> "Manifest":
        if len({file.name for file in self.files}) < len(self.files):
            raise ValueError("two files have one name")
        if is_older(self.version, self.min_upgradable_from):
            raise ValueError("min_upgradable_from is a later version than the manifest's own")
        return self

    @property
    def mtime(self) -> int:
        """The moment of its creation, in seconds of Unix time."""
        return int(read_moment(self.created_at).timestamp())

    def file_for(self, *, python: str | None, machine: str, libc: str) -> BundleFile | None:
        """Return the thin bundle for this Python, or the full one where `python` is None."""
        wanted = (python, machine, libc)
        return next((file for file in self.files if (file.python, file.machine, file.libc) == wanted), None)

    def bytes(self) -> bytes:
        """Write the file."""
        return self.model_dump_json(indent=1).encode() + b"\n"


def read_manifest(raw: bytes) -> Manifest:
    """Read a manifest, whose signature the caller verifies. Raises BadManifest."""
    if len(raw) > MANIFEST_LIMIT:
        raise BadManifest(f"the manifest has more than {MANIFEST_LIMIT} bytes")
    try:
        check_json(raw)
        return Manifest.model_validate_json(raw)
    except NotJsonError as error:
        raise BadManifest(f"the manifest is not JSON: {error}") from error
    except DuplicateMemberError as error:
        raise BadManifest("the manifest has a member twice") from error
    except ValidationError as error:
        raise BadManifest(f"the manifest is invalid: {first_error(error)}") from error


def bundle_name(version: str, kind: BundleKind, *, python: str | None, machine: str, libc: str) -> str:
    """Return the name of a bundle's file: maybe-node-0.2.0-thin-cp311-x86_64-gnu.tar.gz."""
    tag = [f"cp{python.replace('.', '')}"] if python else []
    return "-".join([PRODUCT, version, kind, *tag, machine, libc]) + ".tar.gz"


def bundle_folder(version: str) -> str:
    """Return the name of the one folder in a bundle."""
    return f"{PRODUCT}-{version}"
