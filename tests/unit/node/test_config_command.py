"""`maybe-node config`: prints the addresses of the broker without a login, and leaves others for the agent."""

import json
from pathlib import Path

import pytest

from node.commands.config import main
from node.errors import NodeError
from node.state.broker_moves import BrokerConfig, NodeMoves, arrived, asked, gave_up
from node.state.identity import Identity, write_identity
from node.state.manual_move import BadManualMove, read_manual_move
from shared.bus.addresses import addresses
from shared.enrolment.bodies import NodeConfig
from tests.tls.authority import Authority

CONFIG = NodeConfig.model_validate(
    {"node_id": 1, "name": "n", "cluster": "c", "amqp_urls": ["amqp://node-1:hush@a/"], "queue": "q"}
)
CA = Authority()
A = BrokerConfig(0, addresses(["amqp://node-1:hush@a/"]), confirmed=True)
B = BrokerConfig(4, addresses(["amqps://node-1:hush@b/v"], CA.pem + CA.pem))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of an enrolled node."""
    monkeypatch.setenv("NODE_DATA_DIR", str(tmp_path))
    write_identity(tmp_path / "identity.json", Identity(CONFIG))
    return tmp_path


def left(folder: Path) -> object:
    found = read_manual_move(folder / "broker.json")
    return found and found.model_dump()


def test_it_prints_what_is_used_kept_and_what_failed_without_logins(folder: Path, capsys: pytest.CaptureFixture[str]):
    moves = arrived(asked(NodeMoves(A), B), B)
    failing = BrokerConfig(5, addresses(["amqp://node-1:hush@c/"]))
    moves = gave_up(asked(moves, failing), failing, "no route")
    write_identity(folder / "identity.json", Identity(CONFIG, None, moves))
    assert main([]) == 0
    assert capsys.readouterr().out == (
        "uses    amqps://b/v (revision 4, not confirmed, trusts 2 authorities of its own)\n"
        "keeps   amqp://a/ (revision 0, confirmed, without TLS)\n"
        "failed  revision 5: no route\n"
    )
    assert main(["--json"]) == 0
    shown = capsys.readouterr().out
    assert "hush" not in shown
    assert json.loads(shown)["previous"][0] == {"rev": 0, "amqp_urls": ["amqp://a/"], "ca": None, "confirmed": True}


def test_it_leaves_addresses_for_the_agent_readable_by_its_user_only(folder: Path):
    assert main(["--broker", "amqp://b:5672/v", "--broker", "amqp://c/v", "--rev", "7"]) == 0
    assert left(folder) == {"amqp_urls": ("amqp://b:5672/v", "amqp://c/v"), "ca": None, "rev": 7}
    assert (folder / "broker.json").stat().st_mode & 0o777 == 0o600


def test_it_takes_the_certificates_out_of_a_file_and_no_key(folder: Path, tmp_path: Path):
    certificate, key = CA.issue(tmp_path, "b")
    file = tmp_path / "ca.pem"
    file.write_text(f"a comment\n{CA.pem}{key.read_text()}{certificate.read_text()}")
    assert main(["--broker", "amqps://b/", "--ca", str(file)]) == 0
    assert left(folder) == {"amqp_urls": ("amqps://b/",), "ca": CA.pem + certificate.read_text(), "rev": None}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--broker", "amqp://node-1:secret@b/"], "without login and query"),
        (["--broker", "amqp://b/?x=1"], "without login and query"),
        (["--broker", "amqps://b/"], "needs --ca"),
        (["--broker", "amqp://b/", "--ca", "system"], "amqps:// with certificate authorities"),
        (["--broker", "amqps://b/", "--ca", "/no/such/file"], "No such file"),
        (["--broker", "amqps://b/", "--ca", "/dev/null"], "no certificate"),
        (["--broker", "amqp://b/", "--rev", "-1"], "rev"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused_and_nothing_is_left(folder: Path, arguments: list[str], text: str):
    with pytest.raises(NodeError, match=text) as caught:
        main(arguments)
    assert "secret" not in str(caught.value)
    assert left(folder) is None


def test_a_node_that_is_not_enrolled_has_no_addresses(folder: Path):
    (folder / "identity.json").unlink()
    with pytest.raises(NodeError, match="not enrolled"):
        main(["--broker", "amqp://b/"])
    assert left(folder) is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"amqp_urls": ["amqp://u:p@h/"]}', b"x" * 100_000])
def test_a_file_that_somebody_else_wrote_is_refused(folder: Path, content: bytes):
    (folder / "broker.json").write_bytes(content)
    with pytest.raises(BadManualMove, match=r"broker\.json cannot be"):
        read_manual_move(folder / "broker.json")
