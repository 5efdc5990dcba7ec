"""``python -m taler_paywall`` is the command ``taler-paywall``."""

from __future__ import annotations

from taler_paywall.cli import main

if __name__ == "__main__":
    main()
