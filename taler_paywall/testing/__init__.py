"""For the tests of paywalled sites: a sandbox, a wallet and a reader; as fixtures of pytest, see `plugin`, or without.

Everything but `plugin` imports without pytest.
"""

from __future__ import annotations
