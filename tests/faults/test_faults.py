"""Whatever production does to the site: nobody reads what is not paid, who has paid reads on, and no money is lost."""

from __future__ import annotations

import pytest

from .catalogue import SHORT
from .conftest import Run
from .strikes import Fault


@pytest.mark.parametrize("fault", SHORT, ids=[fault.name.replace(" ", "-") for fault in SHORT])
def test_site_survives(fault: Fault, run: Run) -> None:
    """The answers to a few hundred readers, of at least 20 of which the fault has changed, are right at both sites."""
    rows = run(fault)
    assert all(row.is_well for row in rows), [(str(row), row.examples) for row in rows]
