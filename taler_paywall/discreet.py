"""Values that hold what nobody must read in a log."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class Discreet(msgspec.Struct, frozen=True):
    """A value of which some fields are never shown, neither printed nor by tools that print tracebacks."""

    #: Names of the fields that are left out.
    hidden: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Return what is shown (the protocol of Rich, which prefers it to ``repr``)."""
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.hidden]

    def __repr__(self) -> str:
        """Show the same."""
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"
