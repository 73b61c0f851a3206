"""A secret may come from a file, and every file that cannot be used is reported without its content."""

from pathlib import Path

import pytest

from master.doctor.examination import readable_settings, setting_findings
from master.errors import BadConfiguration
from master.settings import SECRETS, read_settings
from shared.doctor.findings import as_text
from shared.settings.secret_files import LONGEST_SECRET

ENV = {
    "DATABASE_HOST": "h",
    "DATABASE_USERNAME": "u",
    "DATABASE_NAME": "n",
    "RABBITMQ_MANAGEMENT_URL": "http://h:15672",
}
TOKEN = "mp_258zY2SWR86rmGpAtwqN0QpAQ9RvQj2do7aj"
SECRET = {"DATABASE_PASSWORD": "hush", "AMQP_URL": "amqp://u:hush@h/", "LICENSE_KEY": "hush", "API_TOKEN": TOKEN}


def in_files(folder: Path, **texts: str) -> dict[str, str]:
    """Write each text to a file, and name the files by variables."""
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode())
    return {f"{name}_FILE": str(folder / name) for name in texts}


def reasons(env: dict[str, str]) -> dict[str, str]:
    with pytest.raises(BadConfiguration) as caught:
        read_settings(env)
    assert "hush" not in str(caught.value)
    return {error.variable: error.reason for error in caught.value.errors()}


def test_every_secret_of_the_master_may_come_from_a_file(tmp_path: Path) -> None:
    assert set(SECRETS) == set(SECRET)
    from_files = read_settings({**ENV, **in_files(tmp_path, **SECRET)})
    assert from_files.model_dump() == read_settings({**ENV, **SECRET}).model_dump()


@pytest.mark.parametrize(
    ("content", "password"),
    [("hush\n", "hush"), ("hush\r\n", "hush"), ("hush\n\n", "hush\n"), (" hush ", " hush "), ("a\nb", "a\nb")],
)
def test_the_newline_at_the_end_is_not_part_of_a_secret(tmp_path: Path, content: str, password: str) -> None:
    files = in_files(tmp_path, DATABASE_PASSWORD=content)
    read = read_settings({**ENV, "AMQP_URL": "amqp://h/", **files})
    assert read.database["password"] == password


def test_a_secret_and_its_file_together_are_an_error_that_names_both(tmp_path: Path) -> None:
    found = reasons({**ENV, **SECRET, **in_files(tmp_path, DATABASE_PASSWORD="hush")})
    assert found == {"DATABASE_PASSWORD": "is set, and DATABASE_PASSWORD_FILE too; set one of them"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"hush\xff", "it is not text in UTF-8"),
        (b"hush\0", "it is not text in UTF-8"),
        (b"h" * (LONGEST_SECRET + 1), "it has more than 65536 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_reported_with_the_reason(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    path = tmp_path / "license"
    if content is not None:
        path.write_bytes(content)
    found = reasons({**ENV, **SECRET, "LICENSE_KEY": "", "LICENSE_KEY_FILE": str(path), "API_PORT": "no"})
    assert found == {
        "API_PORT": "'no' is not a port number",
        "LICENSE_KEY": f"the file {path} of LICENSE_KEY_FILE cannot be used: {why}",
    }


def test_a_folder_in_place_of_a_file_is_reported(tmp_path: Path) -> None:
    found = reasons({**ENV, **SECRET, "AMQP_URL": "", "AMQP_URL_FILE": str(tmp_path)})
    assert found["AMQP_URL"].endswith("of AMQP_URL_FILE cannot be used: Is a directory")


def test_an_empty_file_leaves_an_optional_secret_unset_and_a_required_one_missing(tmp_path: Path) -> None:
    unlicensed = read_settings({**ENV, **SECRET, "LICENSE_KEY": "", "LICENSE_KEY_FILE": "/dev/null"})
    assert (unlicensed.license_key, unlicensed.configured_license()) == (None, None)
    files = in_files(tmp_path, DATABASE_PASSWORD="\n")
    assert reasons({**ENV, "AMQP_URL": "amqp://h/", **files}) == {
        "DATABASE_PASSWORD": "the file of DATABASE_PASSWORD_FILE is empty"
    }


def test_an_address_from_a_file_is_validated_as_one_from_the_environment(tmp_path: Path) -> None:
    found = reasons({**ENV, "DATABASE_PASSWORD": "p", **in_files(tmp_path, AMQP_URL="http://u:hush@h/")})
    assert found == {"AMQP_URL": "is not an address of the form amqp://user:password@host:port/ or amqps://..."}


def test_the_doctor_goes_on_without_an_unreadable_file_and_gives_no_wrong_hint(tmp_path: Path) -> None:
    env = {**ENV, "DATABASE_PASSWORD": "p", "AMQP_URL_FILE": str(tmp_path / "missing")}
    settings, errors = readable_settings(env)
    assert (settings.database_host, [error.variable for error in errors]) == ("h", ["AMQP_URL"])
    assert "did you mean" not in as_text(setting_findings(errors, env))
