"""The files of the web page: their packed form, sizes, imports, words and types."""

import json
import re
from pathlib import Path

import pytest

from master.web import first_load
from master.web.files import CONTENTS, FOLDER, build, page_file
from master.web.first_load import needed, packed, unpacked
from master.web.page import API_PAGE, PAGE, POLICY, page_file_of
from tests.openapi.document import digest

KB = 1000
FIRST_LOAD_KB, ALL_KB = 60, 125
"""All: every screen, chart and QR code in one language."""
OWN = sorted(path for path in FOLDER.rglob("*.js") if not {"vendor", "packed"} & {*path.parts})


def zipped(*names: str) -> int:
    return sum(len(page_file(name).zipped) for name in names)


def words(language: str, section: str) -> dict[str, str]:
    """The texts of a section; plural forms are in one text."""
    text = (FOLDER / "words" / language / f"{section}.js").read_text()
    entries = re.findall(
        r"^  (?:\"([^\"]+)\"|(\w+)):\s*((?:\{[^}]*?(?:\{\w+\}[^}]*?)*\})|\"(?:[^\"\\]|\\.)*\"),", text, re.M
    )
    return {quoted or plain: value for quoted, plain, value in entries}


SECTIONS = sorted(path.stem for path in (FOLDER / "words" / "en").glob("*.js"))


def test_the_first_load_and_all_of_it_stay_within_the_budget():
    first = packed()
    assert first
    english, russian = (next(CONTENTS.parent.glob(f"{language}-*.js")) for language in ("en", "ru"))
    names = {first.style, first.entry, *first.modules, f"packed/{english.name}"}
    every = {f"packed/{path.name}" for path in CONTENTS.parent.glob("*.js") if path != russian}
    html = len(page_file_of(build()).zipped)
    assert html + zipped(*names) <= FIRST_LOAD_KB * KB
    assert html + zipped(*names | every) <= ALL_KB * KB


def test_the_packed_form_is_served_only_while_the_sources_are_those_that_it_was_made_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, contents = tmp_path / "main.js", tmp_path / "packed/contents.json"
    contents.parent.mkdir()
    monkeypatch.setattr(first_load, "FOLDER", tmp_path)
    monkeypatch.setattr(first_load, "CONTENTS", contents)
    source.write_text("first")
    assert packed() is None
    made_from = {"main.js": "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e"}
    contents.write_text(json.dumps({"sources": made_from, "modules": ["a.js"]}))
    assert packed() == first_load.FirstLoad("packed/page.css", "packed/main.js", ("packed/a.js",))
    source.write_text("second")
    assert packed() is None
    source.unlink()
    assert packed() is None


def test_the_sources_load_what_the_first_screens_import_and_no_other_screen():
    modules = unpacked().modules
    assert {"view.js", "screens/proxies.js", "vendor/signals-core.js"} <= {*modules}
    assert "screens/webhooks.js" not in modules


def test_each_screen_of_an_address_and_the_login_are_in_one_of_the_two_groups():
    screens = re.findall(r'^  \["[^"]+", "(\w+)"\],', (FOLDER / "routes.js").read_text(), re.M)
    groups = "".join((FOLDER / f"screens/{name}.js").read_text() for name in ("first", "others"))
    assert sorted([*screens, "login"]) == sorted(re.findall(r"^import (\w+)", groups, re.M))


def test_a_module_is_short_and_takes_part_in_no_cycle_of_imports():
    for path in (path for path in OWN if "words" not in path.parts):
        assert len(path.read_text().splitlines()) <= 200, path
        name = path.relative_to(FOLDER).as_posix()
        assert [other for other in needed(name)[1:] if name in needed(other)] == []


def test_one_module_speaks_to_the_network_and_no_text_becomes_html():
    doors = {path.name for path in OWN if re.search(r"\bfetch\(|XMLHttpRequest|EventSource", path.read_text())}
    assert doors == {"api.js"}
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function"
    assert [path.name for path in OWN if re.search(forbidden, path.read_text())] == []


@pytest.mark.parametrize("section", SECTIONS)
def test_both_languages_have_the_same_words_with_the_forms_that_their_plurals_need(section: str):
    english, russian = words("en", section), words("ru", section)
    # The hints of fields are the API's own descriptions, which are English.
    assert list(english) == [key for key in russian if not key.startswith("hint/")]
    for key, text in english.items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", russian[key])), key
        assert text.startswith("{") == russian[key].startswith("{"), key
        forms = set(re.findall(r"(one|few|many|other):", russian[key])) if text.startswith("{") else set()
        assert forms in (set(), {"one", "few", "many", "other"}), key


@pytest.mark.parametrize("language", ["en", "ru"])
def test_each_section_is_part_of_the_texts_of_its_language(language: str):
    text = (FOLDER / "words" / f"{language}.js").read_text()
    assert re.findall(r"^import (\w+)", text, re.M) == re.findall(r"^  \.\.\.(\w+),", text, re.M) == SECTIONS


def test_no_word_stands_in_two_sections_and_each_is_used():
    keys = [key for section in SECTIONS for key in words("en", section)]
    assert len(keys) == len(set(keys))
    code = "\n".join(path.read_text() for path in OWN if "words" not in path.parts)
    prefixes = tuple(re.findall(r"`([\w./]+)\$\{", code))
    assert [key for key in keys if f'"{key}"' not in code and not key.startswith(prefixes)] == []


def test_every_word_that_the_code_names_is_there():
    keys = {key for section in SECTIONS for key in words("en", section)}
    code = "\n".join(path.read_text() for path in OWN if "words" not in path.parts)
    assert set(re.findall(r"\bt\(\"([^\"]+)\"", code)) - keys == set()


def test_the_pages_run_no_inline_script_and_name_no_other_server():
    for text in (PAGE, API_PAGE):
        assert not re.findall(r'(?:src|href)="(?!/ui/)', text)
        assert not re.search(r"<script(?![^>]* src=)|<style|style=|http", text)
    assert "unsafe" not in POLICY


def test_the_types_of_the_page_are_those_of_the_document():
    first = (FOLDER / "openapi.d.ts").read_text().partition("\n")[0]
    assert first.endswith(digest()), "the API has changed: run ./dev web"
