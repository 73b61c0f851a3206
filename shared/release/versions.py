"""Order of the product's versions: N.N.N, or N.N.NrcN for a candidate of that release. Pure."""

import re

PATTERN = r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})(?:rc(0|[1-9][0-9]{0,5}))?"
"""A subset of PEP 440 without two spellings of one version, safe in paths and in shell words."""
RELEASE = 10**6
"""Stands for the candidate's number of a release, which comes after all of its candidates."""

VersionOrder = tuple[int, int, int, int]


class BadVersion(ValueError):
    """The text is not a version of the product."""


def version_order(version: str) -> VersionOrder:
    """Return a key that sorts versions by age. Raises BadVersion."""
    found = re.fullmatch(PATTERN, version)
    if found is None:
        raise BadVersion("is not a version of the form 1.2.3 or 1.2.3rc1")
    major, minor, patch, candidate = found.groups()
    return int(major), int(minor), int(patch), RELEASE if candidate is None else int(candidate)


def is_older(version: str, other: str) -> bool:
    """Whether a version is older than another one. Raises BadVersion."""
    return version_order(version) < version_order(other)
