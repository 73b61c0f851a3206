"""Examines the certificate with which the node serves clients that speak TLS."""

from datetime import UTC, datetime

from node.certificates.files import read_operators
from node.settings import Settings
from shared.doctor.encryption import expiry_finding
from shared.doctor.findings import Finding, ok, problem

CHECK = "TLS certificate"
RENEW = "replace the files of NODE_TLS_CERT and NODE_TLS_KEY; the agent takes them within seconds"


def certificate_findings(settings: Settings) -> list[Finding]:
    """Read the operator's files as the agent does. Blocks."""
    if settings.tls_cert is None or settings.tls_key is None:
        return [ok(CHECK, "made by the node itself, once a proxy speaks TLS")]
    try:
        found = read_operators(settings.tls_cert, settings.tls_key)
    except ValueError as error:
        advice = "correct the files; until then the agent goes on with the certificate that it had, if any"
        return [problem(CHECK, str(error), advice)]
    return [expiry_finding(CHECK, str(settings.tls_cert), found.expires_at, datetime.now(UTC), RENEW)]
