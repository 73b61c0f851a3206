"""Both programs read their settings strictly, from the given environment alone, and report every fault at once."""

import os
from pathlib import Path

import pytest

from master import __main__ as master_program
from master.doctor.examination import readable_settings as settings_of_masters_doctor
from master.errors import BadConfiguration
from master.settings import OPTIONAL, REQUIRED
from master.settings import read_settings as read_master
from node import __main__ as node_program
from node.doctor.examination import findings as node_findings
from node.errors import NodeConfigurationError
from node.settings import read_settings as read_node
from shared.settings.errors import ConfigurationError

MASTER = {
    "DATABASE_HOST": "h",
    "DATABASE_USERNAME": "u",
    "DATABASE_PASSWORD": "hush",
    "DATABASE_NAME": "n",
    "AMQP_URL": "amqp://u:hush@h/",
    "RABBITMQ_MANAGEMENT_URL": "http://u:hush@h:15672/",
}
UNREADABLE = {
    "AMQP_URL": "http://u:hush@h/",
    "NODE_AMQP_URL": "amqp://u:hush@h:0/",
    "DATABASE_PORT": "65536",
    "QUEUE_TYPE": "round",
    "API_HOST": "localhost",
    "API_PORT": "http",
    "PUBLIC_URL": "https://u:hush@h/",
    "CHECK_TARGET": "ftp://u:hush@h/",
    "EVENTS_KEEP_DAYS": "3651",
    "WEBHOOK_ALLOW_PRIVATE": "true",
    "LOG_LEVEL": "loud",
}
UNREADABLE_FOR_NODES = {
    "NODE_LISTEN": "nowhere",
    "NODE_ENROL_PORT": "0",
    "NODE_WORKERS": "257",
    "NODE_ALLOW_DESTINATIONS": "10.0.0.0/33",
    "NODE_DENY_PORTS": "smtp",
    "NODE_UNADMITTED_CONNECTIONS": "1",
    "NODE_VIA": "a b",
    "NODE_TLS_CERT": "proxy.pem",
    "THREE_PROXY": "/no/such",
    "LOG_LEVEL": "loud",
}
NOT_A_NUMBER = ["3_005", " 3005", "3005 ", "+3005", "-1", "3005.0", "0x1", "٣٠٠٥", "9" * 5000]


@pytest.fixture
def node(tmp_path: Path) -> dict[str, str]:
    return {"NODE_DATA_DIR": str(tmp_path)}


def faults(error: ConfigurationError) -> dict[str, str]:
    return {each.variable: each.reason for each in error.errors()}


def test_the_master_reports_every_fault_with_its_reason_and_no_secret() -> None:
    with pytest.raises(BadConfiguration) as caught:
        read_master({**MASTER, **UNREADABLE, "DATABASE_NAME": ""})
    found = faults(caught.value)
    assert found.keys() == {*UNREADABLE, "DATABASE_NAME"}
    assert found["DATABASE_NAME"] == "is not set"
    assert found["API_PORT"] == "'http' is not a port number"
    assert found["EVENTS_KEEP_DAYS"] == "'3651' is not a number of days from 1 to 3650"
    assert found["QUEUE_TYPE"] == "'round' is none of classic, quorum"
    assert len(str(caught.value).splitlines()) == len(found)
    assert "hush" not in str(caught.value)


def test_the_node_reports_every_fault_with_its_reason(node: dict[str, str]) -> None:
    with pytest.raises(NodeConfigurationError) as caught:
        read_node({**node, **UNREADABLE_FOR_NODES})
    found = faults(caught.value)
    assert found.keys() == UNREADABLE_FOR_NODES.keys()
    assert found["NODE_WORKERS"] == "'257' is not a whole number from 1 to 256"
    assert found["NODE_LISTEN"] == "'nowhere' is not an IP address"
    assert found["THREE_PROXY"] == "/no/such is not an executable file"


def test_the_masters_doctor_reads_the_rest_and_knows_every_fault() -> None:
    settings, errors = settings_of_masters_doctor({**UNREADABLE, "HISTORY_KEEP_DAYS": "7"})
    assert {error.variable for error in errors} == {*UNREADABLE, *REQUIRED}
    assert (settings.history_keep_days, settings.api_port) == (7, 3005)


async def test_the_nodes_doctor_reports_a_problem_for_each_fault(node: dict[str, str]) -> None:
    found = [str(each) for each in await node_findings({**node, **UNREADABLE_FOR_NODES}) if each.check == "settings"]
    assert len(found) == len(UNREADABLE_FOR_NODES)
    assert all(any(variable in text for text in found) for variable in UNREADABLE_FOR_NODES)


def test_both_programs_end_with_a_line_for_each_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], node: dict[str, str]
) -> None:
    for variable in (*REQUIRED, *OPTIONAL):
        monkeypatch.delenv(variable, raising=False)
    for program, environment, beginnings in (
        (master_program, {"API_PORT": "no", "LOG_LEVEL": "no"}, ["not set: AMQP_URL, ", "API_PORT: ", "LOG_LEVEL: "]),
        (node_program, {**node, "NODE_WORKERS": "no", "LOG_LEVEL": "no"}, ["NODE_WORKERS: ", "LOG_LEVEL: "]),
    ):
        with monkeypatch.context() as patched:
            patched.setattr("sys.argv", ["program"])
            for variable, value in environment.items():
                patched.setenv(variable, value)
            with pytest.raises(SystemExit) as ended:
                program.main()
        assert ended.value.code == 2
        printed = capsys.readouterr().err.splitlines()
        assert len(printed) == len(beginnings)
        for line, start in zip(printed, beginnings, strict=True):
            assert line.partition(": ")[2].startswith(start)


@pytest.mark.parametrize("text", NOT_A_NUMBER)
def test_a_number_has_digits_alone(text: str, node: dict[str, str]) -> None:
    for variable in ("DATABASE_PORT", "API_PORT", "EVENTS_KEEP_DAYS", "HISTORY_KEEP_DAYS"):
        with pytest.raises(BadConfiguration, match=variable):
            read_master({**MASTER, variable: text})
    for variable in ("NODE_ENROL_PORT", "NODE_WORKERS", "NODE_FAILED_LOGINS", "NODE_CONNECTIONS_PER_SOURCE"):
        with pytest.raises(NodeConfigurationError, match=variable):
            read_node({**node, variable: text})


def test_words_may_have_letters_of_either_case() -> None:
    read = read_master({**MASTER, "QUEUE_TYPE": "Quorum", "WEBHOOK_ALLOW_PRIVATE": "YES", "LOG_LEVEL": "Debug"})
    assert (read.queue_type, read.webhook_allow_private, read.log_level) == ("quorum", True, "debug")


def test_names_of_variables_have_capital_letters_alone() -> None:
    assert read_master({**MASTER, "api_port": "1", "Api_Port": "no", "EXTRA": "1"}).api_port == 3005


def test_an_empty_variable_is_unset_but_for_the_name_in_via_fields(node: dict[str, str]) -> None:
    unset, empty = read_master(MASTER), read_master(MASTER | dict.fromkeys(OPTIONAL, ""))
    assert unset == empty
    assert read_node({**node, **dict.fromkeys(UNREADABLE_FOR_NODES, ""), "NODE_VIA": "x"}) == read_node(
        {**node, "NODE_VIA": "x"}
    )
    assert (read_node(node).via, read_node({**node, "NODE_VIA": ""}).via) == ("maybe-proxy", "")


def test_nothing_but_the_given_environment_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: dict[str, str]
) -> None:
    (tmp_path / ".env").write_text("API_PORT=1\nNODE_ENROL_PORT=1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_PORT", "2")
    monkeypatch.setenv("NODE_ENROL_PORT", "2")
    assert (read_master(MASTER).api_port, read_node(node).enrol_port) == (3005, 3006)
    assert read_master(MASTER | {"API_PORT": os.environ["API_PORT"]}).api_port == 2


def test_secrets_are_not_shown_and_logins_are_not_passed_on() -> None:
    read = read_master({**MASTER, "LICENSE_KEY": "hush"})
    assert "hush" not in repr(read)
    assert (read.node_broker.bare_urls, read.management_urls) == (("amqp://h/",), ("http://h:15672",))
    assert read.database["password"] == "hush"
    assert read_master({**MASTER, "NODE_AMQP_URL": "amqps://u:hush@other/v"}).node_broker.bare_urls == (
        "amqps://other/v",
    )
