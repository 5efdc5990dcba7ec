"""An example with one article more, whose page breaks: the environment names the example as ``SPOILT``."""

from __future__ import annotations

import os
from importlib import import_module


class Unreadable:
    """A text that nobody can show."""

    def __format__(self, format_spec: str) -> str:
        raise RuntimeError("this page breaks")


module, _, name = os.environ["SPOILT"].partition(":")
example = import_module(module)
example.ARTICLES["broken"] = ("The broken page", Unreadable())
app = getattr(example, name)
