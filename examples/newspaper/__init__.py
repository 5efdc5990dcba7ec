"""The Ledger: a small newspaper that sells its articles with GNU Taler."""
