"""Rows of the benchmark: what was measured, beside what in the same rounds, and how far two equal runs differ."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

#: The groups of rows: the module whose ``measure`` yields them, and what they tell.
GROUPS: Final = {
    "a": ("inprocess", "In process: microseconds that a request takes"),
    "b": ("peers", "The same beside other middlewares"),
    "c": ("throughput", "Through real servers"),
    "d": ("visits", "Calls of the merchant backend for each kind of visit"),
    "e": ("growth", "What grows"),
    "f": ("streams", "Long answers, import time and memory of a worker"),
    "g": ("sandbox", "What the sandbox bears"),
}
HEADINGS: Final = ("what", "measured", "reference", "added", "ratio (quartiles)", "budget", "besides")
#: Fewer rounds tell nothing about their spread.
ROUNDS: Final = 7

Quartiles = tuple[float, float, float]
S = TypeVar("S")


class BenchmarkError(Exception):
    """What was to be measured did not happen; the message says what did."""


@dataclass(frozen=True)
class Limit:
    """A budget (design, section 11).

    Args:
        of: what is bounded: the measured ``value``, what is ``added`` to the reference, or the ``ratio`` to it.
        bound: the value that is still allowed.
        at_least: whether more is better.
    """

    of: Literal["value", "added", "ratio"]
    bound: float
    at_least: bool = False

    def __str__(self) -> str:
        """Say it as it stands in the table."""
        sign = {"value": "", "added": "+", "ratio": "× "}[self.of]
        return f"{'≥' if self.at_least else '≤'} {sign}{self.bound:g}"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        group: one of `GROUPS`.
        name: what was measured.
        unit: of `value` and `base`.
        value: median of the rounds, or the one figure where there are no rounds, as for counts.
        reference: what it was measured beside, empty for nothing.
        base: median of the reference.
        ratio: quartiles of the rounds' ratios to the reference.
        noise: quartiles of the ratios of two runs of the reference.
        limit: the budget, None where there is none.
        more: further figures of the same run, by name.
    """

    group: str
    name: str
    unit: str
    value: float
    reference: str = ""
    base: float | None = None
    ratio: Quartiles | None = None
    noise: Quartiles | None = None
    limit: Limit | None = None
    more: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def added(self) -> float | None:
        """What comes on top of the reference, in the row's unit."""
        return None if self.base is None else self.value - self.base

    @property
    def equal(self) -> bool:
        """Whether the difference is one that two runs of the reference show as well, whichever of them came first."""
        return (
            self.ratio is not None and self.noise is not None and max(self.ratio[1], 1 / self.ratio[1]) <= self.spread
        )

    @property
    def spread(self) -> float:
        """How many times as much one of two runs of the reference takes as the other."""
        low, _, high = self.noise or (1.0, 1.0, 1.0)
        return max(1 / low, high)

    @property
    def met(self) -> bool | None:
        """Whether the budget is kept, None without one, and where two runs of the reference differ by more than it."""
        if self.limit is None:
            return None
        if self.limit.of == "ratio" and self.equal:
            return True if self.spread <= max(self.limit.bound, 1 / self.limit.bound) else None
        figure = {"value": self.value, "added": self.added, "ratio": self.ratio and self.ratio[1]}[self.limit.of]
        if figure is None:
            return None
        return figure >= self.limit.bound if self.limit.at_least else figure <= self.limit.bound

    def members(self) -> dict[str, Any]:
        """Return the row for JSON."""
        return {
            "group": self.group,
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "reference": self.reference,
            "base": self.base,
            "added": self.added,
            "ratio": self.ratio,
            "noise": self.noise,
            "equal": self.equal,
            "limit": str(self.limit) if self.limit else None,
            "met": self.met,
            **self.more,
        }


@dataclass(frozen=True)
class Rounds:
    """What every way has cost in every round.

    Args:
        group: letter of the group.
        unit: of the figures.
        reference: name of the way that all others are held against.
        values: by way, a figure for each round.
        again: the reference once more, at the end of each round.
    """

    group: str
    unit: str
    reference: str
    values: Mapping[str, Sequence[float]]
    again: Sequence[float]

    def row(self, name: str, limit: Limit | None = None, **more: float | str) -> Row:
        """Return the row of one way."""
        base, values = self.values[self.reference], self.values[name]
        return Row(
            group=self.group,
            name=name,
            unit=self.unit,
            value=statistics.median(values),
            reference=self.reference,
            base=statistics.median(base),
            ratio=ratios(values, base),
            noise=ratios(self.again, base),
            limit=limit,
            more=more,
        )


@dataclass(frozen=True)
class Samples(Generic[S]):
    """Several figures of the same rounds, as a request has its time, its first byte and its memory.

    Args:
        group: letter of the group.
        taken: by way, a sample for each round.
        again: the reference once more, at the end of each round.
    """

    group: str
    taken: Mapping[str, Sequence[S]]
    again: Sequence[S]

    def rounds(self, unit: str, figure: Callable[[S], float]) -> Rounds:
        """Return one figure of every sample."""
        values = {name: [figure(sample) for sample in samples] for name, samples in self.taken.items()}
        return Rounds(self.group, unit, next(iter(values)), values, [figure(sample) for sample in self.again])


def sampled(group: str, ways: Mapping[str, Callable[[], S]], rounds: int) -> Samples[S]:
    """Take a sample of every way in turns, and one more of the first at the end of each round."""
    reference = next(iter(ways.values()))
    taken: dict[str, list[S]] = {name: [] for name in ways}
    again: list[S] = []
    for _ in range(rounds):
        for name, sample in ways.items():
            taken[name].append(sample())
        again.append(reference())
    return Samples(group, taken, again)


def interleaved(group: str, unit: str, ways: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> Rounds:
    """Measure all ways in turns, the first of which is the reference and is measured once more in each round.

    Args:
        group: letter of the group.
        unit: of what the ways return.
        ways: by name; each measures once.
        rounds: how often.
    """
    return sampled(group, ways, rounds).rounds(unit, float)


def ratios(values: Sequence[float], base: Sequence[float]) -> Quartiles:
    """Return lower quartile, median and upper quartile of the rounds' ratios."""
    low, middle, high = statistics.quantiles([one / other for one, other in zip(values, base, strict=True)], n=4)
    return low, middle, high


def number(value: float) -> str:
    """Write a figure with as many digits as tell something."""
    size = abs(value)
    digits = 0 if size >= 1000 or value == int(value) else 1 if size >= 100 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


#: Members of a row that are no further figures: they have a column, or belong to the name.
_TOLD: Final = {*Row("", "", "", 0.0).members(), "count", "calls", "path"}


def cells(line: Mapping[str, Any]) -> list[str]:
    """Return a row for the table, in the order of `HEADINGS`.

    Args:
        line: the row's members.
    """
    unit = f" {line['unit']}" if line["unit"] else ""
    added, ratio = line["added"], line["ratio"]
    times = f"{'equal, ' if line['equal'] else ''}× {ratio[1]:.3g}" if ratio else ""
    spread = f" ({ratio[0]:.3g} to {ratio[2]:.3g})" if ratio else ""
    verdict = {None: "cannot be told: too noisy", True: "kept", False: "**not kept**"}[line["met"]]
    return [
        line["name"],
        f"{number(line['value'])}{unit}",
        "" if line["base"] is None else f"{number(line['base'])}{unit} ({line['reference']})",
        "" if added is None else f"{'+' if added >= 0 else '−'}{number(abs(added))}",
        times + spread,
        f"{line['limit']} {verdict}" if line["limit"] else "",
        ", ".join(f"{name} {number(line[name])}" for name in line if name not in _TOLD),
    ]


def printed(rows: Sequence[Row]) -> str:
    """Return the table as text."""
    named = ({**row.members(), "name": f"{row.group}: {row.name}"} for row in rows)
    lines = [HEADINGS, *map(cells, named)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
