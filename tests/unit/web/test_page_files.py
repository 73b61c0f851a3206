"""The files of the web page: their sizes, imports, words and types."""

import re
from pathlib import Path

import pytest

from master.web.files import FOLDER, build, needed, page_file, without_comments
from master.web.page import API_PAGE, PAGE, POLICY, page_file_of
from tests.openapi.document import digest

KB = 1000
FIRST_LOAD_KB, ALL_KB = 60, 180
"""All: every screen, chart and QR code in one language, each file compressed by itself."""
VENDOR_LATER = ("uplot.js", "uplot.css", "uqr.js")
"""Loaded on demand; Swagger UI belongs to another page."""
OWN = sorted(path for path in FOLDER.rglob("*.js") if "vendor" not in path.parts)


def zipped(*paths: Path) -> int:
    return sum(len(page_file(path.relative_to(FOLDER).as_posix()).zipped) for path in paths)


def words(language: str, section: str) -> dict[str, str]:
    """The texts of a section; plural forms are in one text."""
    text = (FOLDER / "words" / language / f"{section}.js").read_text()
    entries = re.findall(
        r"^  (?:\"([^\"]+)\"|(\w+)):\s*((?:\{[^}]*?(?:\{\w+\}[^}]*?)*\})|\"(?:[^\"\\]|\\.)*\"),", text, re.M
    )
    return {quoted or plain: value for quoted, plain, value in entries}


SECTIONS = sorted(path.stem for path in (FOLDER / "words" / "en").glob("*.js"))


def test_the_first_load_and_all_of_it_stay_within_the_budget():
    styles = sorted(FOLDER.glob("style/*.css"))
    names = {
        *needed("main.js"),
        *needed("screens/overview.js"),
        *(f"words/en/{one}.js" for one in ("core", "overview", "insight")),
    }
    first = {FOLDER / name for name in names}
    assert len(page_file_of(build()).zipped) + zipped(*first, *styles) <= FIRST_LOAD_KB * KB
    english = [path for path in OWN if "ru" not in path.parts]
    later = [FOLDER / "vendor" / name for name in VENDOR_LATER]
    assert zipped(*{*english, *first, *styles, *later}) <= ALL_KB * KB


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


def test_comments_are_not_sent_and_lines_keep_their_numbers():
    sent = without_comments(
        b"// a\n/**\n * b\n */\nf(/** @type {any} */ (x)); // c\n  /** @type {X} */ (y).z();\n/* d */\n"
    )
    assert sent == b"\n\n\n\nf((x)); // c\n  (y).z();\n\n"
