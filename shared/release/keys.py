"""The public keys that sign the project's releases."""

RELEASE_KEYS = (
    "LZOMwTBWWDfSTr6BNzm/5fdtPI5bIXuDbI2oK+LLOzc=",
    "b2AORmG9tK0IK8Fwue7R+vvo6NKtNIjYewBdVE07Yks=",
)
"""Ed25519 in base64. One signature is enough; the second key is kept apart, for the day when the first one is lost."""
