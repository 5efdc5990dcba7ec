"""Mutants of the modules that decide, and how many of them the tests of tests/core kill; run by ``make mutants``.

mutmut leaves properties alone, and ours decide a lot: the copy that it works on makes them of plain methods.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / ".venv" / "mutated"
GROUPS = {
    "path gate": ("path", "gate", "rules", "resource", "http"),
    "cookies": ("session", "forms", "visit"),
    "evidence": ("flow", "answers", "merchant", "operations", "offer"),
}
#: Percent of each group.
LEAST = 90
# How mutmut notes that tests failed, crashed or never ended.
KILLED = {1, 3, 24, 36, 152, 255, -24, -11, -9}


def without_properties(source: str) -> str:
    """Return a module whose properties are made of plain methods."""
    lines = source.splitlines()
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    methods = [node for each in classes for node in each.body if isinstance(node, ast.FunctionDef)]
    for method in sorted(methods, key=lambda method: method.lineno, reverse=True):
        kinds = [node.id for node in method.decorator_list if isinstance(node, ast.Name)]
        if kinds in (["property"], ["cached_property"]):
            lines.insert(method.end_lineno or 0, f"    {method.name} = {kinds[0]}(_{method.name}_of)")
            lines[method.lineno - 1] = lines[method.lineno - 1].replace(method.name, f"_{method.name}_of", 1)
            del lines[method.lineno - 2]
    return "\n".join(lines) + "\n"


def copy() -> None:
    """Put what mutmut needs into a directory of its own, anew each time: it would believe what it found before."""
    shutil.rmtree(COPY, ignore_errors=True)
    for name in ("taler_paywall", "tests", "examples"):
        shutil.copytree(ROOT / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "pyproject.toml", COPY)
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    modules = {f"taler_paywall/{module}.py" for group in GROUPS.values() for module in group}
    assert modules == set(settings["only_mutate"]), "every module that is mutated belongs to one group"
    for module in modules:
        path = COPY / module
        path.write_text(without_properties(path.read_text(encoding="utf-8")), encoding="utf-8")


def figures(module: str) -> tuple[int, int]:
    """Return how many mutants of a module have met the tests, and how many of these were killed."""
    found = json.loads((COPY / "mutants" / "taler_paywall" / f"{module}.py.meta").read_text(encoding="utf-8"))
    exits = [code for code in found["exit_code_by_key"].values() if code is not None]
    return len(exits), sum(code in KILLED for code in exits)


def main() -> int:
    """Try all mutants, or those that are named; fail where too few of a group were killed."""
    copy()
    mutmut = Path(sys.executable).with_name("mutmut")
    subprocess.run([mutmut, "run", "--max-children", "2", *sys.argv[1:]], cwd=COPY, check=True)
    scores = []
    for group, modules in GROUPS.items():
        tried = {module: counts for module in modules if (counts := figures(module)) != (0, 0)}
        for module, (own, killed) in tried.items():
            print(f"  {module:<12}{own:>6} mutants{killed:>6} killed")
        if tried:
            made, killed = (sum(column) for column in zip(*tried.values(), strict=True))
            scores.append(100 * killed / made)
            print(f"{group:<14}{made:>6} mutants{killed:>6} killed: {scores[-1]:.1f} %")
    return 0 if min(scores, default=0) >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
