"""Findings about the encryption of links: certificates that end, and addresses without it. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.bus.clear_text import in_clear_text
from shared.bus.logins import LoginResult
from shared.doctor.findings import Finding, ok, problem, warning

NOTICE = timedelta(days=30)
"""How long before its end a certificate is reported."""
RENEW_BROKER = "make another one: `maybe-master tls renew`, or as this one was made; nothing else changes"


@dataclass(frozen=True, slots=True)
class EncryptionAdvice:
    """Advice about authorities that end, and about links in clear text."""

    authority: str
    clear_text: str


def broker_encryption_findings(
    urls: Iterable[str],
    authorities: Sequence[tuple[str, datetime]],
    logins: Sequence[LoginResult],
    now: datetime,
    advice: EncryptionAdvice,
) -> list[Finding]:
    """Judge the addresses of a broker, the ends of trusted authorities, and those of certificates as seen now."""
    seen = [(each.endpoint, each.certificate_ends_at) for each in logins]
    certificates = [
        expiry_finding("broker certificate", f"that of {place}", end, now, RENEW_BROKER) for place, end in seen if end
    ]
    return [clear_text_finding(urls, advice.clear_text), *certificates, *authority_findings(authorities, now, advice)]


def clear_text_finding(urls: Iterable[str], advice: str) -> Finding:
    """Judge whether someone on the way to these addresses can read passwords."""
    if exposed := in_clear_text(urls):
        return warning("encryption", f"passwords travel in clear text to {', '.join(exposed)}", advice)
    return ok("encryption", "no link to the broker leaves this host in clear text")


def authority_findings(
    authorities: Sequence[tuple[str, datetime]], now: datetime, advice: EncryptionAdvice
) -> list[Finding]:
    """Judge the ends of authorities. While one of them lasts, the end of the others is no fault."""
    found = [expiry_finding("broker CA", name, end, now, advice.authority) for name, end in authorities]
    if any(each.level == "ok" for each in found):
        return [ok(each.check, each.text) for each in found]
    return found


def expiry_finding(check: str, name: str, end: datetime, now: datetime, advice: str) -> Finding:
    """Judge the end of the certificate of this name."""
    if end <= now:
        return problem(check, f"{name} has expired on {end:%Y-%m-%d}", advice)
    if end - now < NOTICE:
        return warning(check, f"{name} expires on {end:%Y-%m-%d}, in {(end - now).days} days", advice)
    return ok(check, f"{name} is valid to {end:%Y-%m-%d}")
