"""Several figures of the same rounds, as a request has its time, its first byte and its memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from benchmarks.table import Rounds

S = TypeVar("S")


@dataclass(frozen=True)
class Samples(Generic[S]):
    """What every way has cost in every round, the first way being the reference of the others.

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
