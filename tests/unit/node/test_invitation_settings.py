"""The settings of a node that enrols itself."""

from pathlib import Path

import pytest

from node.enrolment.invited import read_nonce
from node.errors import NodeConfigurationError
from node.settings import read_settings
from shared.enrolment.challenge import invitation_code, new_challenge

URL = "http://master.example.com:3007"


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {"NODE_DATA_DIR": str(folder), **more}


def test_a_node_with_an_invitation_needs_to_know_its_master(tmp_path: Path):
    code = invitation_code(3, new_challenge())
    with pytest.raises(NodeConfigurationError, match="NODE_MASTER_URL"):
        read_settings(environment(tmp_path, NODE_INVITATION=code))


def test_an_invitation_may_come_from_a_file_and_is_not_shown(tmp_path: Path):
    code = invitation_code(3, new_challenge())
    (tmp_path / "code").write_text(f"{code}\n")
    settings = read_settings(
        environment(tmp_path, NODE_INVITATION_FILE=str(tmp_path / "code"), NODE_MASTER_URL=f"{URL}/")
    )
    assert settings.master_url == URL
    assert settings.invitation is not None
    assert settings.invitation.get_secret_value() == code
    assert code[2:] not in repr(settings)


@pytest.mark.parametrize("change", [lambda code: code[:-1], lambda code: code[2:], lambda code: f"x{code}"])
def test_a_code_that_is_none_is_refused_without_repeating_it(tmp_path: Path, change: object):
    assert callable(change)
    code = change(invitation_code(3, new_challenge()))
    with pytest.raises(NodeConfigurationError, match="NODE_INVITATION") as caught:
        read_settings(environment(tmp_path, NODE_INVITATION=code, NODE_MASTER_URL=URL))
    assert code[3:] not in str(caught.value)


@pytest.mark.parametrize("url", ["http://m", "https://master.example.com", "http://[2001:db8::1]:3007/maybe"])
def test_the_address_of_a_master_is_taken(tmp_path: Path, url: str):
    assert read_settings(environment(tmp_path, NODE_MASTER_URL=url)).master_url == url


@pytest.mark.parametrize(
    "url",
    [
        "master:3007",
        "ftp://master",
        "http://",
        "http://user:secret@master",
        "http://master?secret=1",
        "http://master#secret",
        "http://master:0",
        "http://master:99999",
        "http://mas ter",
        "http://master/\r\nsecret",
        "http://mäster",
    ],
)
def test_what_is_no_address_of_a_master_is_refused_without_repeating_it(tmp_path: Path, url: str):
    with pytest.raises(NodeConfigurationError, match="NODE_MASTER_URL") as caught:
        read_settings(environment(tmp_path, NODE_MASTER_URL=url))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"invitation": 4, "nonce": "00"}', '{"invitation": 3, "nonce": 7}', "x" * 2000]
)
def test_a_damaged_file_of_the_nonce_is_as_none(tmp_path: Path, text: str):
    (tmp_path / "invitation.json").write_text(text)
    assert read_nonce(tmp_path / "invitation.json", 3) is None
