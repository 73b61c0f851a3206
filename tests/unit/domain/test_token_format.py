"""The form of a token, and what is noticed without a look at the database."""

from hypothesis import given
from hypothesis import strategies as st

from master.schemas.token_format import (
    CHECK,
    LENGTH,
    LETTERS,
    PREFIX,
    fault_of,
    new_token,
    token_hash,
    with_check_digits,
)

TOKENS = st.text(alphabet=LETTERS, min_size=30, max_size=30).map(lambda text: with_check_digits(PREFIX + text))
KNOWN = "mp_258zY2SWR86rmGpAtwqN0QpAQ9RvQj2do7aj"


def test_a_token_has_its_form_for_good() -> None:
    assert with_check_digits(KNOWN[:-CHECK]) == KNOWN
    assert token_hash(KNOWN) == "0eeaff6d93420ea54cd449cb3e062bd0383447bd912690f5f82bf22a94dc3aef"


def test_new_tokens_differ_and_fit() -> None:
    drawn = {new_token() for _ in range(100)}
    assert (len(drawn), {fault_of(one) for one in drawn}, {len(one) for one in drawn}) == (100, {None}, {LENGTH})


@given(TOKENS, st.integers(0, LENGTH - 1), st.sampled_from(LETTERS))
def test_one_wrong_letter_is_noticed(token: str, place: int, letter: str) -> None:
    other = token[:place] + letter + token[place + 1 :]
    assert (fault_of(other) is None) == (other == token)


@given(TOKENS, st.integers(0, LENGTH - 2))
def test_two_letters_in_the_wrong_order_are_noticed(token: str, place: int) -> None:
    other = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
    assert (fault_of(other) is None) == (other == token)


@given(TOKENS, st.integers(0, LENGTH))
def test_a_part_of_a_token_is_noticed(token: str, end: int) -> None:
    assert (fault_of(token[:end]) is None) == (end == LENGTH)


@given(st.text(max_size=60))
def test_a_fault_never_repeats_the_text(text: str) -> None:
    fault = fault_of(PREFIX + text)
    assert fault is None or len(text) < 8 or text not in fault
