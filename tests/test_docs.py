"""What README.md and docs/ name exists, and what they quote is in the code."""

import ast
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from mmbot_pipelines import adapters, bridge, core, settings
from mmbot_pipelines.bridge.ports.chains import Origin
from mmbot_pipelines.core.errors import (
    CounterpartyFault,
    Failure,
    Halts,
    RetryPolicy,
    Stop,
    TryAgain,
    TryLater,
    Waits,
)
from mmbot_pipelines.core.failpoints import Point
from mmbot_pipelines.wiring.origins import OriginModule
from tests.documents import called, dagster_names, pieces, understood, words

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FAULTS = ROOT / "docs" / "faults.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CALLS = {" ".join(call): call for path in DOCUMENTS for call in called(path.read_text())}

KINDS = (TryAgain, Waits, TryLater, Stop, CounterpartyFault, Halts)

# Errors that are stored under a name of their own, without a class.
WITHOUT_CLASS = {"OrderChanged", "Reorg"}

# What stands for any text, in a quotation and in our code.
ANY = r"\.\.\.|\b(?:KEY|HOST|NAME|L1|zksync|starknet|global|everything|MMBOT_\w+|[0-9.]+)\b"


def in_every(path: Path, found: str) -> set[str]:
    return set(re.findall(found, path.read_text()))


@cache
def named_in(path: str) -> set[str]:
    """Return the tests of a file, by name: functions, also of classes, and state machines."""
    if not (ROOT / path).is_file():
        return set()
    tree = ast.parse((ROOT / path).read_text())
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    machines = re.findall(r"^(Test\w+) = \w+\.TestCase$", (ROOT / path).read_text(), re.MULTILINE)
    return {name for name in functions if name.startswith("test_")} | set(machines)


def test_every_test_it_names_exists() -> None:
    named = in_every(FAULTS, r"`([\w/]+\.py)::(\w+)")
    assert len(named) > 100
    assert {f"{path}::{name}" for path, name in named if name not in named_in(path)} == set()


def test_every_function_on_the_way_of_an_order_exists() -> None:
    named = re.findall(r"`([\w/]+)\.py::(\w+)`", (ROOT / "docs/architecture.md").read_text())
    assert len(named) >= 12
    assert [(path, name) for path, name in named if not hasattr(of_product(path), name)] == []


def test_every_place_to_change_exists() -> None:
    named = in_every(ROOT / "docs/architecture.md", r"`([a-z_]+/[\w/]+(?:\.py|/))`")
    assert {path for path in named if not (ROOT / "mmbot_pipelines" / path).exists()} == set()


def of_product(path: str) -> ModuleType:
    return import_module(f"mmbot_pipelines.{path.replace('/', '.')}")


def test_every_fault_has_its_four_cells_and_a_test() -> None:
    lines = [line for line in FAULTS.read_text().splitlines() if line.startswith("| ")]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    faults = [row for row in rows if row[-1].strip() not in ("test", "what the bot does")]
    faults = [row for row in faults if row[0].strip() not in list(RetryPolicy)]
    assert len(faults) > 100
    assert [row[0] for row in faults if len(row) != 4 or "`tests/" not in row[-1]] == []


@cache
def classes() -> dict[str, RetryPolicy]:
    """Return the errors of the product by name, with what they ask for."""
    for package in (adapters, bridge, core):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in module.name:
                import_module(module.name)
    return {one.__name__: one.retry_policy for one in below(Failure) if one not in KINDS}


def below(of: type[Failure]) -> Iterator[type[Failure]]:
    for one in of.__subclasses__():
        if one.__module__.startswith("mmbot_pipelines."):
            yield one
        yield from below(one)


@pytest.mark.parametrize("policy", list(RetryPolicy))
def test_every_error_class_stands_with_its_verdict(policy: RetryPolicy) -> None:
    known = {name for name, asked in classes().items() if asked is policy}
    (line,) = re.findall(rf"^\| {policy} \|([^|]+)\|", FAULTS.read_text(), re.MULTILINE)
    reported = re.findall(r"\w+", line)
    assert sorted(reported) == sorted(known)


def test_what_leaves_a_run_green_is_named() -> None:
    (listed,) = re.findall(r"what strangers did \(([^)]+)\)", FAULTS.read_text())
    assert set(re.findall(r"\w+", listed)) == {one.__name__ for one in below(CounterpartyFault)}


def test_every_class_it_names_is_explained_in_a_row() -> None:
    text = FAULTS.read_text()
    named = {piece for piece in pieces(text) if re.fullmatch(r"(?:[A-Z][a-z0-9]+)+", piece)}
    assert named - set(classes()) <= WITHOUT_CLASS
    assert {name for name in classes() if text.count(f"`{name}`") < 2} == set()


def test_every_failpoint_is_documented() -> None:
    reported = set(re.findall(r"`([a-z0-9-]+)`", FAULTS.read_text()))
    assert set(map(str, Point)) <= reported


def test_every_rule_of_prometheus_is_documented_and_no_other() -> None:
    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    rules = {rule["alert"] for group in groups for rule in group["rules"]}
    assert in_every(FAULTS, r"\b(Mmbot[A-Z]\w+)\b") == rules


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_metric_it_names_exists(path: Path) -> None:
    used = [ROOT / "deploy/prometheus/alerts.yml", ROOT / "deploy/grafana/mmbot.json"]
    known = set().union(*(in_every(one, r"\b(mmbot_[a-z0-9_]+)") for one in used))
    assert in_every(path, r"\b(mmbot_(?!pipelines)[a-z0-9_]+)") <= known


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_setting_and_name_it_has_exists(path: Path) -> None:
    named = {name for name in in_every(path, r"\b(MMBOT_\w+)") if not settings.is_wallets(name)}
    assert named <= set(settings.VARIABLES)
    metrics = {word for word in words(path.read_text()) if word.startswith("mmbot_")}
    defaults = {str(f.default) for s in settings.SECTIONS for f in s.model_fields.values()}
    of_origins = {*dir(Origin), *dir(OriginModule)}
    assert words(path.read_text()) - metrics <= dagster_names() | defaults | of_origins


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_every_call_of_mmbot_is_understood(call: list[str]) -> None:
    assert understood(call)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_and_target_exists(path: Path) -> None:
    links = in_every(path, r"\]\((?!https?:)([^)#]+)[^)]*\)")
    assert {link for link in links if not (path.parent / link).exists()} == set()
    targets = in_every(ROOT / "Makefile", r"(?m)^([a-z]+):")
    assert in_every(path, r"\bmake ([a-z]+)\b(?=`|$|  )") <= targets


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of our code, with "..." for what is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "..." for p in node.values)
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def messages() -> list[str]:
    """Return all texts in the product's code."""
    files = (ROOT / "mmbot_pipelines").rglob("*.py")
    ours = [path for path in files if "devnet" not in path.parts]
    return [text for path in ours for text in texts(ast.parse(path.read_text()))]


def is_in_code(quoted: str) -> bool:
    """Return whether some text of our code matches the quote."""
    fixed = re.split(ANY, quoted)
    pattern = re.compile(".*".join(re.escape(part) for part in fixed), re.DOTALL)
    return any(pattern.search(text) for text in messages())


def test_what_it_quotes_is_logged_in_these_words() -> None:
    quoted = re.findall(r'"([^"\n]+)"', FAULTS.read_text())
    assert len(quoted) > 50
    assert [quote for quote in quoted if not is_in_code(quote)] == []


def test_other_words_are_noticed() -> None:
    assert is_in_code("10 steps failed in a row")
    assert not is_in_code("10 steps went wrong in a row")
