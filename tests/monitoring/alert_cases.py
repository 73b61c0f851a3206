"""Series of a healthy fleet, and for each alert what is different when it fires.

A series is written as promtool does: `1x60` is the value 1 for an hour, a value a minute; `0+5x60` grows by 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

LATER = 400 * 86_400
"""An end of certificates and licences that is far away: the time begins at 0."""
HTTP = 'method="GET",route="/nodes",instance="a:3005"'

HEALTHY: Mapping[str, str] = {
    'up{job="maybe-master",instance="a:3005"}': "1x60",
    'maybe_database_up{instance="a:3005"}': "1x60",
    'maybe_bus_up{instance="a:3005"}': "1x60",
    'maybe_database_connections{state="used",instance="a:3005"}': "2x60",
    'maybe_database_connections{state="possible",instance="a:3005"}': "10x60",
    f'maybe_api_requests_total{{{HTTP},status="200"}}': "0+60x60",
    f'maybe_api_request_duration_seconds_bucket{{{HTTP},le="0.005"}}': "0+60x60",
    f'maybe_api_request_duration_seconds_bucket{{{HTTP},le="5"}}': "0+60x60",
    f'maybe_api_request_duration_seconds_bucket{{{HTTP},le="+Inf"}}': "0+60x60",
    "maybe_api_open": "0x60",
    'maybe_masters{version="1.0.0"}': "1x60",
    'maybe_nodes{state="active",link="online"}': "10x60",
    "maybe_held_lists": "0x60",
    "maybe_sync_lagging_online_nodes": "0 1x20 0x40",
    "maybe_troubled_nodes": "0x60",
    'maybe_proxies{state="running"}': "100x60",
    'maybe_upgrade{state="done"}': "1x60",
    'maybe_messages_total{type="report",verdict="taken"}': "0+40x60",
    'maybe_webhooks{state="active"}': "1x60",
    'maybe_webhook_lag_max{state="active"}': "3x60",
    'maybe_certificate_end_timestamp_seconds{certificate="api"}': f"{LATER}x60",
    "maybe_node_certificate_problems": "0x60",
    'maybe_license{state="valid"}': "1x60",
    'maybe_license_end_timestamp_seconds{period="valid"}': f"{LATER}x60",
    'maybe_license_end_timestamp_seconds{period="grace"}': f"{LATER}x60",
    'maybe_license_limit{kind="proxies"}': "1000x60",
    'maybe_license_limit{kind="nodes"}': "100x60",
}


@dataclass(frozen=True, kw_only=True)
class AlertCase:
    """Series that replace or join those of the healthy fleet, and the alerts that fire then, each so many times."""

    series: Mapping[str, str]
    fires: Mapping[str, int]
    at: str = field(default="45m")


def case(series: Mapping[str, str], *fires: str, at: str = "45m") -> AlertCase:
    return AlertCase(series=series, fires=dict.fromkeys(fires, 1), at=at)


def certificate(days: int) -> Mapping[str, str]:
    return {'maybe_certificate_end_timestamp_seconds{certificate="api"}': f"{days * 86_400}x60"}


UP, API_200 = 'up{job="maybe-master",instance="a:3005"}', f'maybe_api_requests_total{{{HTTP},status="200"}}'
LICENSE_VALID = 'maybe_license_end_timestamp_seconds{period="valid"}'

CASES: Mapping[str, AlertCase] = {
    "nothing is wrong": case({}, at="60m"),
    "one of two masters is down": case({'up{job="maybe-master",instance="b:3005"}': "1x20 0x40"}, "MaybeMasterDown"),
    "every master is down": case({UP: "0x60"}, "MaybeMasterDown", "MaybeNoMaster"),
    "no master is watched": case({UP: "_x60"}, "MaybeNoMaster"),
    "the database is down": case({'maybe_database_up{instance="a:3005"}': "0x60"}, "MaybeDatabaseDown"),
    "the broker is down": case({'maybe_bus_up{instance="a:3005"}': "0x60"}, "MaybeBrokerDown"),
    "every connection is used": case(
        {'maybe_database_connections{state="used",instance="a:3005"}': "10x60"}, "MaybeDatabasePoolFull"
    ),
    "a tenth of the requests fails": case(
        {API_200: "0+54x60", f'maybe_api_requests_total{{{HTTP},status="503"}}': "0+6x60"}, "MaybeApiErrors"
    ),
    "reads are slow": case(
        {
            f'maybe_api_request_duration_seconds_bucket{{{HTTP},le="0.005"}}': "0x60",
            f'maybe_api_request_duration_seconds_bucket{{{HTTP},le="5"}}': "0+60x60",
        },
        "MaybeApiSlow",
    ),
    "the API is open": case({"maybe_api_open": "1x120"}, "MaybeApiOpen", at="70m"),
    "tokens are refused": case(
        {'maybe_api_authentication_failures_total{reason="unknown",instance="a:3005"}': "0+90x60"},
        "MaybeTokensRefused",
    ),
    "masters differ": case({'maybe_masters{version="1.1.0"}': "1x120"}, "MaybeMastersDiffer", at="60m"),
    "a node is offline": case({'maybe_nodes{state="active",link="offline"}': "1x60"}, "MaybeNodesOffline"),
    "a disabled node is offline": case({'maybe_nodes{state="disabled",link="offline"}': "1x60"}),
    "most nodes are offline": case(
        {'maybe_nodes{state="draining",link="offline"}': "11x60"}, "MaybeNodesOffline", "MaybeManyNodesOffline"
    ),
    "a node never reported": case(
        {'maybe_nodes{state="active",link="never_reported"}': "1x60"}, "MaybeNodesNeverReported"
    ),
    "a list is held": case({"maybe_held_lists": "1x60"}, "MaybeListHeld"),
    "a node lags": case({"maybe_sync_lagging_online_nodes": "1x60"}, "MaybeSyncLagging"),
    "a node is troubled": case({"maybe_troubled_nodes": "1x60"}, "MaybeNodesTroubled"),
    "a node does not move": case(
        {'maybe_broker_move_waiting_nodes{state="both"}': "1x60"}, "MaybeBrokerMoveWaits", at="70m"
    ),
    "every node has moved": case({'maybe_broker_move_waiting_nodes{state="both"}': "5x20 0x40"}, at="70m"),
    "a proxy failed": case({'maybe_proxies{state="failed"}': "1x60"}, "MaybeProxiesFailed"),
    "an upgrade is halted": case(
        {'maybe_upgrade{state="done"}': "_x60", 'maybe_upgrade{state="halted"}': "1x60"}, "MaybeUpgradeStopped"
    ),
    "the first message is parked": case(
        {'maybe_messages_total{type="report",verdict="parked"}': "_x40 1x20"}, "MaybeMessagesUnreadable"
    ),
    "another message is refused": case(
        {'maybe_messages_total{type="report",verdict="refused"}': "3x40 4x20"}, "MaybeMessagesUnreadable"
    ),
    "messages were parked an hour ago": case({'maybe_messages_total{type="report",verdict="parked"}': "3x60"}),
    "a node floods": case({'maybe_messages_total{type="any",verdict="dropped"}': "0+50x60"}, "MaybeNodeFloods"),
    "a webhook is disabled": case({'maybe_webhooks{state="disabled"}': "1x60"}, "MaybeWebhookFailing"),
    "a webhook lags": case({'maybe_webhook_lag_max{state="active"}': "5000x60"}, "MaybeWebhookLagging"),
    "a certificate ends in 20 days": case(certificate(20), "MaybeCertificateEnds", at="70m"),
    "a certificate ends in 2 days": case(certificate(2), "MaybeCertificateEnds", "MaybeCertificateEndsNow", at="70m"),
    "a certificate cannot be read": case(certificate(0), "MaybeCertificateEnds", "MaybeCertificateEndsNow", at="70m"),
    "a node's certificate ends in 10 days": case(
        {'maybe_node_certificate_end_timestamp_seconds{maker="operator"}': f"{10 * 86_400}x60"},
        "MaybeNodeCertificateEnds",
        at="70m",
    ),
    "a node renews its own certificate in time": case(
        {'maybe_node_certificate_end_timestamp_seconds{maker="node"}': f"{10 * 86_400}x60"}, at="70m"
    ),
    "a node does not renew its own certificate": case(
        {'maybe_node_certificate_end_timestamp_seconds{maker="node"}': f"{2 * 86_400}x60"},
        "MaybeNodeCertificateEnds",
        at="70m",
    ),
    "a node has an unusable certificate": case(
        {"maybe_node_certificate_problems": "1x60"}, "MaybeNodeCertificateUnusable"
    ),
    "the licence ends in 10 days": case({LICENSE_VALID: f"{10 * 86_400}x120"}, "MaybeLicenseEnds", at="70m"),
    "the grace period is over": case(
        {'maybe_license{state="expired"}': "1x60", 'maybe_license{state="valid"}': "_x60"}, "MaybeLicenseGraceOver"
    ),
    "the licence is nearly full": case({'maybe_proxies{state="running"}': "950x60"}, "MaybeLicenseNearLimit"),
}
