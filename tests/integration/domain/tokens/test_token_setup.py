"""Tokens that come from the settings and from the command line."""

import argparse
from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from master.db.database import Database
from master.domain.tokens import service as tokens
from master.domain.tokens.commands import run_token
from master.errors import BadConfiguration
from master.schemas.token_format import fault_of, new_token
from master.settings import read_settings
from tests.integration.conftest import Api
from tests.integration.domain.tokens.test_tokens import bearer, created, refused
from tests.services.postgres import Database as Address

KNOWN = "mp_258zY2SWR86rmGpAtwqN0QpAQ9RvQj2do7aj"
BROKER = {"AMQP_URL": "amqp://localhost/", "RABBITMQ_MANAGEMENT_URL": "http://localhost/"}


async def started(rows: Database, token: str | None) -> list[str]:
    """The warnings of a master that starts with this setting."""
    async with rows.transaction() as session:
        found = await tokens.prepare_tokens(session, SecretStr(token) if token else None)
    return [event for event, _ in found]


async def test_the_setting_closes_the_api_before_anybody_is_served(api: Api, rows: Database) -> None:
    token = new_token()
    assert await started(rows, token) == []
    await refused(api, 401)
    shown = await api.call("GET", "/tokens/current", 200, headers=bearer(token))
    assert (shown["name"], shown["scopes"]) == ("API_TOKEN", ["admin"])
    assert await api.rows.fetch("SELECT type, actor FROM events") == [("token.created", "master")]


async def test_another_value_of_the_setting_replaces_the_former_one(api: Api, rows: Database) -> None:
    first, second = new_token(), new_token()
    for token in (first, first, second):
        await started(rows, token)
    await refused(api, 401, bearer(first))
    await refused(api, 200, bearer(second))
    assert await api.rows.fetchval("SELECT count(*) FROM tokens") == 1
    assert await api.rows.fetchval("SELECT count(*) FROM events") == 2


async def test_a_setting_that_is_lost_does_not_open_the_api(api: Api, rows: Database) -> None:
    await started(rows, new_token())
    assert await started(rows, None) == ["token.setting_gone"]
    await refused(api, 401)


async def test_a_master_warns_while_the_api_is_open(rows: Database) -> None:
    assert await started(rows, None) == ["api.open"]


async def test_a_token_that_was_created_may_become_the_setting_if_it_is_an_admins(api: Api, rows: Database) -> None:
    reader, admin = await created(api), await created(api, name="admin", scopes=["admin"])
    assert await started(rows, admin) == []
    with pytest.raises(BadConfiguration, match="'shop'"):
        await started(rows, reader)


@pytest.mark.parametrize("token", ["sesame", KNOWN[:-1], f" {KNOWN}"])
def test_a_setting_that_is_no_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        read_settings({"API_TOKEN": token})
    reasons = {error.variable: error.reason for error in refused.value.errors()}
    assert "maybe-master token generate" in reasons["API_TOKEN"]
    assert token.strip() not in str(refused.value.errors())


@pytest.fixture
def environment(database: Address, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """The settings of a master with this test's database."""
    found = {
        **BROKER,
        "DATABASE_HOST": database.host,
        "DATABASE_PORT": str(database.port),
        "DATABASE_USERNAME": database.user,
        "DATABASE_PASSWORD": database.password,
        "DATABASE_NAME": database.name,
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def test_an_empty_file_of_the_setting_is_refused(
    environment: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("secrets") / "token"
    file.write_text("\n")
    with pytest.raises(BadConfiguration, match="is empty"):
        read_settings({**environment, "API_TOKEN_FILE": str(file)})


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], str]:
    """The exit code, the lines and the errors of `maybe-master token ...`."""
    code = run_token(words)
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


def test_an_operator_creates_lists_and_revokes_tokens_by_the_database(
    environment: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, [token], _ = command(capsys, "create", "--name", "again")
    assert (code, fault_of(token)) == (0, None)
    shop = (
        "create",
        "--name",
        "shop",
        "--scope",
        "read",
        "--label",
        "customer:7",
        "--allow-ip",
        "10.0.0.0/8",
        "--days",
        "9",
    )
    assert command(capsys, *shop)[0] == 0
    code, listed, _ = command(capsys, "list")
    assert (code, listed[0]) == (0, "every request needs a token")
    assert "again: admin; last used never" in listed[1]
    assert "shop: read; for label customer:7; from 10.0.0.0/8; until " in listed[2]
    code, _, error = command(capsys, "revoke", "1")
    assert (code, "--last" in error) == (1, True)
    assert command(capsys, "revoke", "1", "--last") == (0, ["revoked token 1", "the API is open to everybody now"], "")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("create", "--name", "API_TOKEN"), "API_TOKEN"),
        (("create", "--name", "a", "--stack", "1"), "cannot have admin"),
        (("create", "--name", "a", "--allow-ip", "here"), "allow_ips"),
        (("revoke", "7"), "there is no token 7"),
    ],
)
def test_a_command_that_is_wrong_is_refused_with_the_reason(
    environment: Mapping[str, str], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], part: str
) -> None:
    code, lines, error = command(capsys, *words)
    assert (code, lines, part in error) == (1, [], True), error


def test_generate_needs_no_settings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("DATABASE_HOST", "AMQP_URL"):
        monkeypatch.delenv(name, raising=False)
    code, [token], _ = command(capsys, "generate")
    assert (code, fault_of(token)) == (0, None)


async def test_the_command_line_is_the_actor_of_its_changes(api: Api, rows: Database) -> None:
    from master.actors import COMMAND_LINE, acting
    from master.domain.tokens.commands import create

    arguments = argparse.Namespace(
        name="again", scope=None, label=None, stack=None, location=None, allow_ip=None, days=None
    )
    with acting(COMMAND_LINE):
        async with rows.transaction() as session:
            [token] = await create(session, arguments)
    shown = await api.call("GET", "/tokens", 200, headers=bearer(token))
    assert shown["items"][0]["created_by"] == "command line"
