"""Proxies as lines: every form is read back as what it was."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.domain.proxies.export.template import FIELDS, ExportFormat, pieces
from master.domain.proxies.export.writers import COLUMNS, WRITERS, ExportedProxy, csv_line, guarded, writer
from master.domain.proxies.settings import random_texts
from shared.proxies import carried_password

ROW: dict[str, Any] = {
    "id": 7, "name": 'a "b", c', "location_id": None, "node_id": 2, "protocol": "mixed", "host": "203.0.113.7",
    "tls": False, "port": 20001, "username": "=cmd|x", "password": "p:q@r", "state": "running",
    "labels": {"tier": "gold"},
}  # fmt: skip
SIX = ROW | {"host": "2001:db8::7"}
OPEN = ROW | {"username": None, "password": None}


def is_carried(text: str) -> bool:
    try:
        return bool(carried_password(text))
    except ValueError:
        return False


def line(row: dict[str, Any], format_: ExportFormat = "plain", template: str | None = None) -> str:
    return writer(format_, template).line(row)


@pytest.mark.parametrize(
    ("row", "format_", "expected"),
    [
        (ROW, "plain", "203.0.113.7:20001:=cmd|x:p:q@r\n"),
        (SIX, "plain", "[2001:db8::7]:20001:=cmd|x:p:q@r\n"),
        (OPEN, "plain", "203.0.113.7:20001\n"),
        (SIX, "url", "http://%3Dcmd%7Cx:p%3Aq%40r@[2001:db8::7]:20001\n"),
        (ROW | {"tls": True}, "url", "https://%3Dcmd%7Cx:p%3Aq%40r@203.0.113.7:20001\n"),
        (OPEN | {"tls": True, "protocol": "socks5"}, "url", "socks5+tls://203.0.113.7:20001\n"),
        (ROW | {"protocol": "socks5"}, "url", "socks5://%3Dcmd%7Cx:p%3Aq%40r@203.0.113.7:20001\n"),
    ],
)
def test_a_line_is_written_as_clients_read_it(row: dict[str, Any], format_: ExportFormat, expected: str):
    assert line(row, format_) == expected


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{host}:{port}:{username}:{password}", "[2001:db8::7]:20001:=cmd|x:p:q@r\n"),
        ("{{{ip}}} {id}/{location_id}.", "{2001:db8::7} 7/.\n"),
        ("all alike", "all alike\n"),
        ("{url}", "http://%3Dcmd%7Cx:p%3Aq%40r@[2001:db8::7]:20001\n"),
    ],
)
def test_a_template_holds_fields_and_doubled_braces(template: str, expected: str):
    assert line(SIX, template=template) == expected


@pytest.mark.parametrize(
    "template", ["{", "}", "{}", "{0}", "{nosuch}", "{host!r}", "{port:>9}", "{host.x}", "{id[0]}"]
)
def test_a_template_with_anything_else_in_braces_is_refused(template: str):
    with pytest.raises(ValueError, match=r"."):
        pieces(template)


@given(st.lists(st.one_of(st.integers(), st.text())))
def test_a_record_of_csv_is_read_back_as_it_was(fields: list[Any]):
    text = csv_line(["begin", *fields])
    assert text.endswith("\r\n")
    assert next(csv.reader(io.StringIO(text, newline=""))) == ["begin", *map(str, fields)]


def test_text_stands_in_quotation_marks_in_csv():
    assert '"a ""b"", c"' in line(ROW, "csv")


def test_a_formula_in_csv_is_defused_unless_the_raw_value_is_asked_for():
    assert '"\'=cmd|x"' in line(ROW, "csv")
    assert '"=cmd|x"' in writer("csv", None, raw=True).line(ROW)


DANGEROUS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n", "  =1", "\u3000=1", "\u200b=1", "\ufeff-1"]
WIDE = ["\uff1d1", "\uff0b1", "\uff0d1", "\uff20A", "\ufe66A", "\u207a1", "\u207b1", "\u22121", " \uff1d1"]


@pytest.mark.parametrize("text", DANGEROUS + WIDE)
def test_no_cell_that_a_spreadsheet_may_run_is_left_as_it_is(text: str):
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize(
    "value", ["", "'", "a=1", "1-2", "[::1]", "http://=x", "\u00e9=", "\u4e2d", "%A1", -5, 7, None]
)
def test_every_other_cell_stays_as_it_is(value: object):
    assert guarded(value) is value


@given(st.text())
def test_a_guarded_cell_is_the_text_itself_with_one_quote_before_it_at_most(text: str):
    assert str(guarded(text)) in (text, f"'{text}")
    assert not str(guarded(text)).lstrip().startswith(("=", "+", "-", "@"))


def test_in_other_forms_nothing_is_altered():
    wild = ROW | {"password": "@x", "name": "-n"}
    assert line(wild).endswith(":@x\n")
    assert json.loads(line(wild, "json"))["password"] == "@x"
    assert line(wild, template="{name}{password}") == "-n@x\n"


@given(st.integers(1, 40))
def test_no_drawn_login_begins_with_a_sign_that_a_spreadsheet_minds(letters: int):
    login = random_texts(1, letters)[0]
    assert guarded(login) is login


def test_a_json_line_has_every_column():
    assert set(json.loads(line(ROW, "json"))) == {*COLUMNS, "labels"} == set(ExportedProxy.model_fields)


@given(st.text(st.characters(codec="ascii"), min_size=1).filter(is_carried))
def test_a_plain_line_is_split_by_its_first_colons_whatever_the_password(password: str):
    assert line(ROW | {"password": password}).rstrip("\n").split(":", 3)[3] == password


def test_every_field_may_be_in_a_template():
    assert line(ROW, template="".join(f"{{{name}}}" for name in FIELDS)).endswith("running\n")
    assert set(WRITERS) == {"plain", "url", "csv", "json"}
