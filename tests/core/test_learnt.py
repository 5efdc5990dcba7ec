"""What a process has learnt of its backend."""

from __future__ import annotations

import time

import pytest

from taler_paywall.learnt import LINKS_SECONDS, Learnt


def test_links_are_believed_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for ever, for the backend may be another version tomorrow; long enough for a quiet site to gain by it."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    known = Learnt()
    known.learn_links(as_built=True)
    now += LINKS_SECONDS - 1
    assert known.links_as_built
    now += 2
    assert not known.links_as_built


def test_what_is_known_of_links() -> None:
    """Nothing at first; then what was learnt last."""
    known = Learnt()
    assert known.links_as_built is False
    for as_built in (True, False):
        known.learn_links(as_built=as_built)
        assert known.links_as_built is as_built
