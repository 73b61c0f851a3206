"""Settings of RabbitMQ that have it speak TLS with a certificate of our folder. Pure."""

from pathlib import PurePath

AUTHORITY, BROKER, BROKER_KEY = "ca.pem", "broker.pem", "broker.key"
FILES = {"cacertfile": AUTHORITY, "certfile": BROKER, "keyfile": BROKER_KEY}
AMQPS_PORT, MANAGEMENT_TLS_PORT = 5671, 15671
VERSIONS = ("tlsv1.3", "tlsv1.2")
CLOSED = "# Nothing listens in clear text.\nlisteners.tcp = none\n"
KEPT = """\
# Also in clear text, while something still uses these ports. Then: listeners.tcp = none, and no management.tcp.port.
listeners.tcp.default = 5672
management.tcp.port = 15672
"""


def tls_settings(folder: PurePath, *, keeps_plain: bool) -> str:
    """Return a file for RabbitMQ's conf.d. Without `keeps_plain` it closes the ports in clear text."""
    return f"""\
# TLS for nodes, masters and the management API. Written by maybe-master tls init.
listeners.ssl.default = {AMQPS_PORT}
management.ssl.port = {MANAGEMENT_TLS_PORT}
{encryption(folder)}
{KEPT if keeps_plain else CLOSED}"""


def encryption(folder: PurePath) -> str:
    """Return the settings of certificate and key (RabbitMQ docs, "TLS Support", "Management Plugin").

    Clients prove who they are by their password, so the broker asks for no certificate of theirs.
    """
    amqp = [f"ssl_options.{name} = {folder / file}" for name, file in FILES.items()]
    amqp += ["ssl_options.verify = verify_none", "ssl_options.fail_if_no_peer_cert = false"]
    amqp += [f"ssl_options.versions.{number} = {version}" for number, version in enumerate(VERSIONS, 1)]
    management = [f"management.ssl.{name} = {folder / file}" for name, file in FILES.items()]
    management += [f"management.ssl.versions.{number} = {version}" for number, version in enumerate(VERSIONS, 1)]
    return "\n".join([*amqp, *management]) + "\n"
