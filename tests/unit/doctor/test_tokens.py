"""What the doctors report about who may use the API."""

import pytest

from master.doctor.tokens import token_findings


def levels(*admins: tuple[str, int | None], is_set: bool = False) -> list[str]:
    """The levels of the findings for these names and days."""
    return [one.level for one in token_findings([{"name": name, "days": days} for name, days in admins], is_set=is_set)]


def test_an_open_api_is_a_warning() -> None:
    [found] = token_findings([], is_set=False)
    assert (found.level, "open to everybody" in found.text) == ("warning", True)


@pytest.mark.parametrize(
    ("days", "level"),
    [
        ((None,), "ok"),
        ((5, None), "ok"),
        ((31,), "ok"),
        ((30,), "warning"),
        ((-3, 1), "warning"),
        ((0,), "problem"),
        ((-3, -1), "problem"),
    ],
)
def test_the_admin_token_that_lasts_longest_counts(days: tuple[int | None, ...], level: str) -> None:
    assert levels(*((f"t{number}", one) for number, one in enumerate(days))) == [level]


def test_a_token_whose_setting_is_gone_is_a_warning() -> None:
    assert levels(("API_TOKEN", None), is_set=True) == ["ok"]
    assert levels(("API_TOKEN", None), is_set=False) == ["ok", "warning"]
