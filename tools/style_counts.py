"""
Count what the package's style is judged by, for one checkout or several side by side.

    python -m tools.style_counts                    # this checkout
    python -m tools.style_counts ../before .        # two of them

Prints a table in Markdown. The emulator counts only as its own lines; everything else is read without it.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

PACKAGE = "airflow_provider_seedance"

#: Rows of the table below those of lines and files.
FEATURES = CALLABLES, NESTED, LAMBDAS, PARTIALS, IMPORTS, ANYS, IGNORES = (
    "Callable parameters and attributes",
    "nested functions",
    "lambdas",
    "partial calls",
    "imports inside functions",
    "annotations with Any",
    "type: ignore comments",
)

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class FeatureVisitor(ast.NodeVisitor):
    """Counts the features of a module, as ``counts``."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._scopes: list[ast.AST] = []

    def visit(self, node: ast.AST) -> None:
        """Count a node and everything in it."""
        scope = self._scopes[-1] if self._scopes else None
        if isinstance(node, _Function):
            self.counts[NESTED] += isinstance(scope, _Function)
            self.counts[ANYS] += _mentions(node.returns, "Any")
        elif isinstance(node, ast.Lambda):
            self.counts[LAMBDAS] += 1
        elif isinstance(node, ast.Call):
            self.counts[PARTIALS] += ast.unparse(node.func) in ("partial", "functools.partial")
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.counts[IMPORTS] += any(isinstance(outer, _Function) for outer in self._scopes)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            self.counts[CALLABLES] += not _is_variable(node, scope) and _mentions(node.annotation, "Callable")
            self.counts[ANYS] += _mentions(node.annotation, "Any")
        if isinstance(node, _Function | ast.ClassDef):
            self._scopes.append(node)
            self.generic_visit(node)
            self._scopes.pop()
        else:
            self.generic_visit(node)


def _is_variable(node: ast.arg | ast.AnnAssign, scope: ast.AST | None) -> bool:
    """Return whether an annotated name is a variable, neither a parameter nor an attribute."""
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not isinstance(scope, ast.ClassDef)


def _mentions(annotation: ast.expr | None, name: str) -> bool:
    nodes = ast.walk(annotation) if annotation is not None else ()
    return any(getattr(node, "id", getattr(node, "attr", None)) == name for node in nodes)


def count(checkout: Path) -> dict[str, int]:
    """
    Count one checkout.

    :param checkout: A folder that holds the package.
    :returns: The numbers by row of the table: lines by folder, lines in all, files, features, lines of the emulator.
    """
    package = checkout / PACKAGE
    lines: Counter[str] = Counter()
    features: Counter[str] = Counter()
    files = 0
    for path in sorted(package.rglob("*.py")):
        source = path.read_text()
        folder = path.relative_to(package).parts[0] if path.parent != package else ""
        lines[folder] += len(source.splitlines())
        if folder == "emulator":
            continue
        files += 1
        visitor = FeatureVisitor()
        visitor.visit(ast.parse(source))
        features += visitor.counts
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        features[IGNORES] += sum(token.type == tokenize.COMMENT and "type: ignore" in token.string for token in tokens)
    emulator = lines.pop("emulator", 0)
    return {
        **{f"lines in {PACKAGE}/{folder}": lines[folder] for folder in sorted(lines)},
        "lines": lines.total(),
        "files": files,
        **{feature: features[feature] for feature in FEATURES},
        "lines of the emulator": emulator,
    }


def table(columns: Mapping[str, Mapping[str, int]]) -> str:
    """Return counts as a table in Markdown, one checkout a column; a row that a checkout does not have is 0."""
    totals = ("lines", "files", *FEATURES, "lines of the emulator")
    folders = {name for counts in columns.values() for name in counts} - set(totals)
    rows = [["", *columns], ["---", *("---:" for _ in columns)]]
    rows += [[name, *(str(counts.get(name, 0)) for counts in columns.values())] for name in (*sorted(folders), *totals)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Count what the package's style is judged by.")
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path()], help="folders (this one)")
    checkouts = parser.parse_args(arguments).checkouts
    print(table({str(checkout): count(checkout) for checkout in checkouts}))


if __name__ == "__main__":
    main()
