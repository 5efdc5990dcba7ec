"""What the benchmark makes of its figures: when two are equal, when a budget is kept, and how the table says it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from benchmarks.table import (
    GROUPS,
    HEADINGS,
    Limit,
    Quartiles,
    Rounds,
    Row,
    cells,
    interleaved,
    number,
    printed,
    ratios,
)

#: Two runs of the reference differ by a quarter at most.
NOISE: Quartiles = (0.8, 1.0, 1.2)
QUIET: Quartiles = (0.99, 1.0, 1.01)
SEVEN = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def row(value: float = 10.0, ratio: float | None = None, **members: Any) -> Row:
    """Return a row with this median ratio to a reference of 8."""
    quartiles = None if ratio is None else (ratio - 0.1, ratio, ratio + 0.1)
    return replace(Row("a", "a way", "µs", value, "bare", 8.0, quartiles, NOISE), **members)


@pytest.mark.parametrize(
    ("noise", "spread"),
    [((0.8, 1.0, 1.2), 1.25), ((0.9, 1.0, 1.2), 1.2), ((1.1, 1.2, 1.5), 1.5), ((0.5, 0.6, 0.8), 2.0), (None, 1.0)],
)
def test_the_spread_counts_whichever_run_came_first(noise: Quartiles | None, spread: float) -> None:
    """Half as much is as far away as twice as much."""
    assert row(noise=noise).spread == spread


@pytest.mark.parametrize("ratio", [1.0, 1.25, 0.8, 1.1])
def test_a_difference_of_two_equal_runs_is_equal(ratio: float) -> None:
    """The border belongs to the noise, on both sides."""
    assert row(ratio=ratio).equal


@pytest.mark.parametrize("ratio", [math.nextafter(1.25, 2), 0.7999, 2.0, 0.1])
def test_just_outside_the_noise_is_not_equal(ratio: float) -> None:
    """More than two equal runs show is a difference, also where the quartiles of both overlap."""
    assert not row(ratio=ratio).equal


def test_what_has_no_rounds_is_never_equal() -> None:
    """A count of the same value is not called equal: nobody knows how far two of them differ."""
    assert not row(ratio=1.0, noise=None).equal
    assert not row(value=8.0, ratio=None).equal


@pytest.mark.parametrize(
    ("value", "limit", "met"),
    [
        (10.0, None, None),
        (10.0, Limit("value", 10.0), True),
        (10.1, Limit("value", 10.0), False),
        (10.0, Limit("value", 10.0, at_least=True), True),
        (9.9, Limit("value", 10.0, at_least=True), False),
        (10.0, Limit("added", 2.0), True),
        (10.1, Limit("added", 2.0), False),
        (7.0, Limit("added", 0.0), True),
        (10.0, Limit("added", 2.0, at_least=True), True),
        (9.9, Limit("added", 2.0, at_least=True), False),
    ],
)
def test_a_value_and_what_is_added_are_held_against_the_budget(
    value: float, limit: Limit | None, *, met: bool | None
) -> None:
    """The bound itself is allowed. The ratio, here within the noise, excuses nothing."""
    assert row(value, ratio=1.0, limit=limit).met is met
    assert row(value, limit=limit).met is met


@pytest.mark.parametrize(
    ("ratio", "limit", "met"),
    [
        (3.0, Limit("ratio", 3.0), True),
        (3.01, Limit("ratio", 3.0), False),
        (1.05, Limit("ratio", 1.05), True),
        (1.06, Limit("ratio", 1.05), False),
        (0.9, Limit("ratio", 1.05), True),
        (0.97, Limit("ratio", 0.97, at_least=True), True),
        (0.96, Limit("ratio", 0.97, at_least=True), False),
        (1.5, Limit("ratio", 0.97, at_least=True), True),
    ],
)
def test_a_ratio_outside_the_noise_is_held_against_the_budget(ratio: float, limit: Limit, *, met: bool) -> None:
    """Its median decides, not its quartiles."""
    told = row(ratio=ratio, noise=QUIET, limit=limit)
    assert not told.equal
    assert told.met is met


@pytest.mark.parametrize("limit", [Limit("ratio", 1.25), Limit("ratio", 0.8, at_least=True), Limit("ratio", 3.0)])
@pytest.mark.parametrize("ratio", [1.0, 1.2, 0.81])
def test_an_equal_ratio_keeps_a_budget_that_the_noise_does_not_exceed(ratio: float, limit: Limit) -> None:
    """Two equal runs differ by no more than is allowed."""
    assert row(ratio=ratio, limit=limit).met is True


@pytest.mark.parametrize("limit", [Limit("ratio", 1.24), Limit("ratio", 0.81, at_least=True)])
@pytest.mark.parametrize("ratio", [1.0, 1.2, 0.81, 0.8, 1.25])
def test_noise_that_is_larger_than_the_budget_tells_nothing(ratio: float, limit: Limit) -> None:
    """Neither kept nor exceeded can be said where two equal runs differ by more."""
    assert row(ratio=ratio, limit=limit).met is None


@pytest.mark.parametrize("limit", [Limit("added", 1.0), Limit("ratio", 1.05)])
def test_without_a_reference_nothing_is_told_about_it(limit: Limit) -> None:
    """A budget of what is added, or of the ratio, is not kept by what was measured beside nothing."""
    alone = Row("a", "alone", "µs", 10.0, limit=limit)
    assert alone.added is None
    assert alone.met is None


def test_ratios_are_those_of_each_round() -> None:
    """A round is held against the reference in the same round: a machine that grows slower changes nothing."""
    assert ratios(SEVEN, [2.0] * 7) == (1.0, 2.0, 3.0)
    assert ratios([3 * one for one in SEVEN], SEVEN) == (3.0, 3.0, 3.0)
    with pytest.raises(ValueError, match="longer"):
        ratios(SEVEN[:6], SEVEN)


def test_all_ways_take_turns_and_the_reference_comes_once_more() -> None:
    """The first way is the reference; its second figure of a round is kept apart."""
    calls: list[str] = []

    def way(name: str) -> Callable[[], float]:
        def measure() -> float:
            calls.append(name)
            return float(len(calls))

        return measure

    rounds = interleaved("a", "µs", {name: way(name) for name in ("bare", "free", "paid")}, rounds=2)
    assert calls == ["bare", "free", "paid", "bare"] * 2
    values = {"bare": [1.0, 5.0], "free": [2.0, 6.0], "paid": [3.0, 7.0]}
    assert rounds == Rounds("a", "µs", "bare", values, again=[4.0, 8.0])


def test_there_are_seven_rounds() -> None:
    """Fewer have no spread to speak of (issue: at least seven)."""
    rounds = interleaved("a", "µs", {"bare": lambda: 1.0})
    assert len(rounds.values["bare"]) == len(rounds.again) == 7


def test_a_row_of_rounds_is_their_medians() -> None:
    """Ratio and noise come from the rounds, not from the medians."""
    base = [2.0] * 6 + [4.0]
    rounds = Rounds("a", "µs", "bare", {"bare": base, "paid": SEVEN}, again=[2.0, 2.0, 3.0, 3.0, 3.0, 2.0, 4.0])
    limit = Limit("added", 2.0)
    expected = Row("a", "paid", "µs", 4.0, "bare", 2.0, (1.0, 1.75, 2.5), (1.0, 1.0, 1.5), limit, {"count": 7})
    assert rounds.row("paid", limit, count=7) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0374, "0.037"),
        (1.0, "1"),
        (1.375, "1.38"),
        (99.99, "99.99"),
        (100.25, "100.2"),
        (1234.5, "1,234"),
        (1_000_000.0, "1,000,000"),
        (-0.5, "-0.500"),
        (-1234.5, "-1,234"),
    ],
)
def test_a_figure_has_as_many_digits_as_tell_something(value: float, text: str) -> None:
    """What is counted has none after the point."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (Limit("value", 400.0), "≤ 400"),
        (Limit("added", 2.0), "≤ +2"),
        (Limit("ratio", 1.05), "≤ × 1.05"),
        (Limit("ratio", 0.97, at_least=True), "≥ × 0.97"),
    ],
)
def test_a_budget_says_of_what_it_is(limit: Limit, text: str) -> None:
    """The same words stand in the table, in its JSON and in the document."""
    assert str(limit) == text


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            row(ratio=2.0, limit=Limit("added", 2.0), more={"count": 10, "p99 ms": 12.5, "worst": 3.0}),
            ["a way", "10 µs", "8 µs (bare)", "+2", "× 2 (1.9 to 2.1)", "≤ +2 kept", "p99 ms 12.50, worst 3"],
        ),
        (
            row(value=6.5, ratio=1.1, limit=Limit("ratio", 1.05)),
            [
                *("a way", "6.50 µs", "8 µs (bare)", "−1.50", "equal, × 1.1 (1 to 1.2)"),
                *("≤ × 1.05 cannot be told: too noisy", ""),
            ],
        ),
        (
            Row("d", "new visitor", "", 3.0, limit=Limit("value", 2.0), more={"calls": "GET, GET, POST"}),
            ["new visitor", "3", "", "", "", "≤ 2 **not kept**", ""],
        ),
    ],
)
def test_a_row_has_a_cell_for_every_heading(told: Row, expected: list[str]) -> None:
    """Further figures come last; what the name says already, or another table, is left out."""
    assert cells(told.members()) == expected
    assert len(expected) == len(HEADINGS)


def test_the_table_has_a_line_for_each_row() -> None:
    """Columns stand below each other, and every row tells its group, its verdict and its further figures."""
    rows = [row(limit=Limit("added", 1.0)), replace(row(), group="c", name="much longer", more={"p50 ms": 0.25})]
    assert printed(rows).splitlines() == [
        "what            measured  reference    added  ratio (quartiles)  budget             besides",
        "a: a way        10 µs     8 µs (bare)  +2                        ≤ +1 **not kept**",
        "c: much longer  10 µs     8 µs (bare)  +2                                           p50 ms 0.250",
    ]
    assert printed([]) == "  ".join(HEADINGS)


def test_every_group_has_a_module_that_measures_it() -> None:
    """They are those of the issue, and the sandbox's own."""
    assert "".join(GROUPS) == "abcdefg"
    assert all(find_spec(f"benchmarks.{module}") for module, _ in GROUPS.values())
