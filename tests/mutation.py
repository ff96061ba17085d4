"""Measure what the tests without a chain notice: `make mutate` changes the code and counts.

mutmut makes the mutants of core/ and the applications; a sample of them is tried, each in a process
of its own. MUTANTS (how many) and SEED choose the sample. A mutant that only changes a text, a
log line, or zip's check of lengths is not counted. Reads and writes the folder `mutants`; uses a
Postgres of its own.
"""

import ast
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests import postgres

_FOLDER = Path("mutants")
_WANTED = 0.85
_SURVIVED, _UNTESTED = 0, 33  # exit codes by which mutmut reports them
_LOGS = {"log", "log_line"}


class _Meaning(ast.NodeTransformer):
    """Takes out of a function what does not change what it does."""

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node

    def visit_keyword(self, node: ast.keyword) -> ast.AST | None:
        return None if node.arg == "strict" else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        return ast.Constant("") if name in _LOGS else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return ast.Constant("")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = ""
        return self.generic_visit(node)


def _bodies(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def _meaning(function: ast.FunctionDef) -> str:
    return ast.dump(_Meaning().visit(function))


def mutants() -> Iterator[str]:
    """Yield the names of all mutants that change what a function does."""
    for meta in sorted(_FOLDER.rglob("*.py.meta")):
        bodies = _bodies(meta.with_suffix(""))
        originals: dict[str, str] = {}
        for name in json.loads(meta.read_text())["exit_code_by_key"]:
            function = name.rpartition(".")[2]
            original = f"{function.partition('__mutmut_')[0]}__mutmut_orig"
            if original not in originals:
                originals[original] = _meaning(bodies[original])
            if _meaning(bodies[function]) != originals[original]:
                yield name


def outcomes(sample: set[str]) -> dict[str, int | None]:
    """Return how the run of each mutant of the sample ended."""
    ended: dict[str, int | None] = {}
    for meta in _FOLDER.rglob("*.py.meta"):
        ended |= json.loads(meta.read_text())["exit_code_by_key"]
    return {name: ended[name] for name in sorted(sample)}


def _mutmut(*arguments: str, check: bool = True) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    stderr = None if check else subprocess.DEVNULL
    return subprocess.run(
        command, check=check, stdout=subprocess.PIPE, stderr=stderr, text=True
    ).stdout


def main() -> None:
    count, seed = int(os.environ.get("MUTANTS", "300")), int(os.environ.get("SEED", "1"))
    os.environ["MMBOT_TEST_DATABASE_URL"] = postgres.server()
    os.environ["MMBOT_TEST_TEMPLATE"] = postgres.template()
    print("making the mutants, and running the tests once without any", flush=True)
    _mutmut("run", "no mutant of this name", check=False)
    everything = list(mutants())
    sample = set(random.Random(seed).sample(everything, min(count, len(everything))))
    print(f"trying {len(sample)} of {len(everything)} mutants (SEED={seed})", flush=True)
    _mutmut("run", *sorted(sample))
    ended = outcomes(sample)
    alive = [name for name, code in ended.items() if code in (_SURVIVED, _UNTESTED, None)]
    for name in alive:
        print(f"survived{' (no test)' if ended[name] == _UNTESTED else ''}:", name)
        print(_mutmut("show", name, check=False))
    killed = len(ended) - len(alive)
    print(f"{killed} of {len(ended)} noticed: {killed / len(ended):.1%} (wanted: {_WANTED:.0%})")
    sys.exit(killed < _WANTED * len(ended))


if __name__ == "__main__":
    main()
