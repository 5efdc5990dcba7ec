"""Name, logo, colours and templates of a site: what is taken, and what is refused with its fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taler_paywall.look import Look, look_of


def problems(**options: Any) -> list[str]:
    """Return what is wrong with some options."""
    return look_of(**dict.fromkeys(("site_name", "logo", "colours", "templates")) | options)[1]


def test_nothing_given() -> None:
    """The defaults can be read on their grounds, by day and by night."""
    look, wrong = look_of(None, None, None, None)
    assert (look, wrong) == (Look(), [])
    assert problems(colours={"accent": look.accent, "dark_accent": look.dark_accent}) == []


def test_everything_given(tmp_path: Path) -> None:
    """What is right is taken as it is; a directory may be a text."""
    colours = {"accent": "#005500", "dark_accent": "#A0FFA0"}
    expected = Look("The Hive", "/static/logo.svg?v=1", "#005500", "#A0FFA0", tmp_path)
    for directory in (tmp_path, str(tmp_path)):
        assert look_of("The Hive", "/static/logo.svg?v=1", colours, directory) == (expected, [])
    assert look_of("", "", {}, None) == (Look(), [])


@pytest.mark.parametrize(
    ("accent", "text"), [("#000000", "#ffffff"), ("#0042b3", "#ffffff"), ("#767676", "#000000"), ("#ffff00", "#000000")]
)
def test_text_on_the_accent(accent: str, text: str) -> None:
    """Black or white, whichever can be read better, on both sides."""
    assert (Look(accent=accent).accent_text, Look(dark_accent=accent).dark_accent_text) == (text, text)


@pytest.mark.parametrize("name", [1, b"The Hive", ["The Hive"]])
def test_a_name_is_a_text(name: Any) -> None:
    assert problems(site_name=name) == ["site_name is a text"]


@pytest.mark.parametrize(
    "logo",
    [
        "logo.svg",
        "//cdn.example/logo.svg",
        "https://cdn.example/logo.svg",
        "/a b.svg",
        "/a\n",
        "/½.svg",
        1,
        ["/logo.svg"],
    ],
)
def test_a_logo_is_the_sites_own(logo: Any) -> None:
    """Another host's would be blocked by the page's own policy, and would tell it who reads."""
    [problem] = problems(logo=logo)
    assert problem.startswith("logo is the path of a picture of this site")


@pytest.mark.parametrize(
    ("colours", "said"),
    [
        ("#0042b3", "colours is a mapping"),
        (["accent"], "colours is a mapping"),
        ({"acent": "#0042b3"}, "'acent' is none of accent, dark_accent"),
        ({1: "#0042b3"}, "1 is none of"),
        ({"accent": "blue"}, "six hexadecimal digits, such as #0042b3, not 'blue'"),
        ({"accent": "#04b"}, "six hexadecimal digits"),
        ({"accent": "#0042b3\n"}, "six hexadecimal digits"),
        ({"accent": "#0042b3;}"}, "six hexadecimal digits"),
        ({"accent": 0x0042B3}, "six hexadecimal digits"),
        ({"accent": "#ffff00"}, "the contrast is 1.1, and at least 4.5 is needed (WCAG 2.2)"),
        ({"accent": "#777777"}, "the contrast is 4.5, and at least 4.5"),
        ({"dark_accent": "#0042b3"}, "can hardly be read on #15181e"),
    ],
)
def test_colours_that_are_refused(colours: Any, said: str) -> None:
    """A name that is unknown, what would break out of the style sheet, and what can hardly be read."""
    [problem] = problems(colours=colours)
    assert said in problem


def test_the_contrast_is_that_of_the_standard() -> None:
    """WCAG 2.2 gives 4.54 to 1 for #767676 on white, which is enough; #777777 has 4.48."""
    assert problems(colours={"accent": "#767676"}) == []


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    """Neither a file, nor nothing, nor a number."""
    (tmp_path / "file").touch()
    for given in (tmp_path / "file", tmp_path / "nothing", str(tmp_path / "nothing"), 5):
        [problem] = problems(templates=given)
        assert (problem.startswith("templates: "), problem.endswith("is no directory")) == (True, True)


def test_all_mistakes_at_once() -> None:
    """Each with its fix, and the look is then none of theirs."""
    look, wrong = look_of(1, "logo.svg", {"accent": "blue", "x": "y"}, "/nothing/here")
    assert (look, len(wrong)) == (Look(), 5)
