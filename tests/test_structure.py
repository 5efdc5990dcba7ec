"""The shape of the code, held by a test: small modules, short functions, public names, lazy construction."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import taler_paywall

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / "taler_paywall").glob("**/*.py"))
MODULE_LINES, FUNCTION_LINES = 300, 40


@pytest.mark.parametrize("module", PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_are_short(module: Path) -> None:
    """No module has more than 300 lines, no function more than 40 without its docstring."""
    text = module.read_text()
    assert text.count("\n") <= MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            lines = (node.end_lineno or 0) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
            assert lines <= FUNCTION_LINES, node.name


def test_public_names() -> None:
    """What the package exports changes only on purpose."""
    assert taler_paywall.__all__ == sorted(taler_paywall.__all__)
    assert set(taler_paywall.__all__) == {
        "Amount",
        "ConfigError",
        "Event",
        "Payment",
        "Paywall",
        "Request",
        "Resource",
        "Rule",
        "TalerPaywallError",
        "payment_from",
    }


def public_modules() -> list[str]:
    """Return the names of all modules but the one that runs the command."""
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in PACKAGE if path.stem != "__main__"]
    return [name.removesuffix(".__init__") for name in names]


def test_imports_are_clean() -> None:
    """Every module imports by itself with warnings as errors."""
    for name in public_modules():
        done = subprocess.run([sys.executable, "-W", "error", "-c", f"import {name}"], capture_output=True, text=True)
        assert done.returncode == 0, (name, done.stderr)
