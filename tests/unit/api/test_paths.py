"""One spelling a resource: a path is canonical or leads nowhere."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master.api.requests.paths import is_canonical

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@pytest.mark.parametrize(
    "path",
    ["/", "/proxies", "/proxies/17", "/stacks/by-name/a%20b", "/stacks/by-name/%C3%BC", "/l/aB-_1", "/a/b.c", "/a/%25"],
)
def test_the_canonical_spelling_of_a_path_is_taken(path: str):
    assert is_canonical(path.encode())


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "proxies",
        "//",
        "//proxies",
        "/proxies/",
        "/proxies//1",
        "/./proxies",
        "/proxies/.",
        "/proxies/..",
        "/proxies/../nodes",
        "/proxies%2Fexport",
        "/proxies%2fexport",
        "/stacks/by-name/%2Fshop",
        "/stacks/by-name/shop%2F",
        "/stacks/by-name/%2E",
        "/stacks/by-name/%2E%2E",
        "/stacks/by-name/%73hop",
        "/stacks/by-name/%",
        "/stacks/by-name/%c3%bc",
        "/stacks/by-name/%C3",
        "/stacks/by-name/%C0%AF",
        "/stacks/by-name/%E0%80%AF",
        "/stacks/by-name/%ED%A0%80",
        "/stacks/by-name/%FF",
        "/stacks/by-name/%00",
        "/stacks/by-name/a%0Ab",
        "/stacks/by-name/a%7Fb",
        "/stacks/by-name/a b",
        "/stacks/by-name/a\\b",
        "/stacks/by-name/a|b",
        "/stacks/by-name/ü",
        "/proxies/%31",
        "/proxies/1#a",
        "http://127.0.0.1/proxies",
    ],
)
def test_every_other_spelling_is_refused(path: str):
    assert not is_canonical(path.encode())


@given(NAMES)
def test_each_name_has_the_spelling_that_encoders_give_it(name: str):
    assert is_canonical(b"/stacks/by-name/" + quote(name, safe="").encode())
    assert is_canonical(b"/stacks/by-name/" + quote(name, safe="!$&'()*+,;=:@").encode())


@given(st.text(st.sampled_from("aZ0-._~%25eE2Ff\\+:!"), max_size=12))
def test_two_canonical_spellings_of_one_name_differ_in_sub_delimiters_alone(text: str):
    if is_canonical(b"/" + text.encode()):
        assert quote(unquote(text), safe="!:+") == text.replace("%21", "!").replace("%3A", ":").replace("%2B", "+")
