"""Certificates of a peer and of trusted authorities, as the module ssl reports them. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from ssl import SSLCertVerificationError, SSLContext, cert_time_to_seconds
from typing import Any

UNKNOWN_ISSUER = (18, 19, 20, 21)
"""Codes of OpenSSL's X509_STORE_CTX_get_error(3) for a chain that does not end at a trusted certificate."""
MOST_CAUSES = 10


def refusal(error: SSLCertVerificationError) -> str:
    """Describe why a certificate is refused; OpenSSL's text names the check that failed."""
    text = error.verify_message or error.reason
    if error.verify_code in UNKNOWN_ISSUER:
        return f"certificate is refused: it comes from an authority that is not trusted here ({text})"
    return f"certificate is refused: {text}"


def refusal_behind(error: BaseException) -> str | None:
    """Describe the refusal of a certificate that caused another error, None if there was none."""
    cause: BaseException | None = error
    for _ in range(MOST_CAUSES):
        if cause is None or isinstance(cause, SSLCertVerificationError):
            break
        cause = cause.__cause__ or cause.__context__
    return refusal(cause) if isinstance(cause, SSLCertVerificationError) else None


def end_of(certificate: Mapping[str, Any] | None) -> datetime | None:
    """Return the end of a certificate in the form of SSLSocket.getpeercert; None without one."""
    return datetime.fromtimestamp(cert_time_to_seconds(certificate["notAfter"]), UTC) if certificate else None


def authority_ends(context: SSLContext) -> list[tuple[str, datetime]]:
    """Return name and end of each authority that a context trusts."""
    return [(name_in(each), end) for each in context.get_ca_certs() if (end := end_of(each))]


def name_in(certificate: Mapping[str, Any]) -> str:
    """Return the common name of a certificate in the form of SSLContext.get_ca_certs."""
    members = dict(part for parts in certificate["subject"] for part in parts)
    return str(members.get("commonName", "an authority without a name"))
