"""Settings of a private broker, in files and in its environment."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.services.ports import AMQP, AMQPS, HOST, MANAGEMENT, MANAGEMENT_TLS, PortBlock


def surroundings(home: Path, *, distribution: int, mapper: int) -> Mapping[str, str]:
    """Build the environment of a broker beside the system's own (RabbitMQ docs, "File and Directory Locations")."""
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "RABBITMQ_NODENAME": "maybe@localhost",
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "logs"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
        "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_PID_FILE": str(home / "broker.pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        # By default idle schedulers spin, which takes time from other programs on a small machine.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": HOST,
    }


def listener_settings(ports: PortBlock) -> str:
    """Return a later file than that of maybe-master tls, for ports of our own."""
    return f"""\
listeners.tcp.default = {HOST}:{ports.port(AMQP)}
listeners.ssl.default = {HOST}:{ports.port(AMQPS)}
management.tcp.ip = {HOST}
management.tcp.port = {ports.port(MANAGEMENT)}
management.ssl.ip = {HOST}
management.ssl.port = {ports.port(MANAGEMENT_TLS)}
"""


def login_settings(user: str, password: str) -> str:
    return f"""\
default_user = {user}
default_pass = {password}
default_user_tags.administrator = true
loopback_users = none
heartbeat = 10
disk_free_limit.absolute = 50MB
"""
