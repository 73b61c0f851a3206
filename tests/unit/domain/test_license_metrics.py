"""What the metrics have of a licence."""

from datetime import UTC, datetime, timedelta

from master.domain.license.keys import read_license
from master.domain.monitoring.license_metrics import license_families
from tests.master.licenses import signed, trusted_test_key


def test_a_licence_shows_its_state_its_ends_and_the_limits_that_it_has() -> None:
    with trusted_test_key():
        license_ = read_license(signed(nbf=-90, exp=-3, max_nodes=5))
    text = "".join(license_families(license_, datetime.now(UTC)))
    grace_until = license_.valid_to + timedelta(days=14)
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert samples == {
        'maybe_license{state="grace"}': "1",
        'maybe_license_end_timestamp_seconds{period="valid"}': f"{license_.valid_to.timestamp():.10g}",
        'maybe_license_end_timestamp_seconds{period="grace"}': f"{grace_until.timestamp():.10g}",
        'maybe_license_limit{kind="nodes"}': "5",
    }


def test_without_a_licence_there_is_its_state_alone() -> None:
    text = "".join(license_families(None, datetime.min))
    assert [line for line in text.splitlines() if not line.startswith("#")] == ['maybe_license{state="community"} 1']
