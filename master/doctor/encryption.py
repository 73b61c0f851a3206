"""Findings about the encryption of the master's links."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from master.broker_links.links import BrokerLink
from shared.bus.addresses import SYSTEM, ssl_context
from shared.bus.clear_text import ADVICE
from shared.bus.logins import LoginResult
from shared.certificates import authority_ends
from shared.doctor.encryption import EncryptionAdvice, broker_encryption_findings, expiry_finding
from shared.doctor.findings import Finding, problem

BROKER_ADVICE = EncryptionAdvice(
    "make another CA (`maybe-master tls init`), and have nodes trust both before the broker gets a certificate of the "
    "new one: AMQP_CA_FILE may hold several",
    ADVICE,
)
RENEW_API = "renew it and replace the file of API_TLS_CERT; the master takes it within seconds"


def link_findings(link: BrokerLink, logins: Sequence[LoginResult]) -> list[Finding]:
    """Judge the links to the broker and its management API, and those that nodes are given."""
    urls = [*link.broker.bare_urls, *link.node_broker.bare_urls, *link.management_urls]
    authorities = [] if link.ca in (None, SYSTEM) else authority_ends(ssl_context(link.ca))
    return broker_encryption_findings(urls, authorities, logins, datetime.now(UTC), BROKER_ADVICE)


def api_certificate_findings(file: Path | None) -> list[Finding]:
    """Judge the end of the API's certificate; nothing without one."""
    if file is None:
        return []
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        return [problem("API certificate", f"{file} cannot be read: {error}", "correct API_TLS_CERT")]
    return [expiry_finding("API certificate", str(file), certificate.not_valid_after_utc, datetime.now(UTC), RENEW_API)]
