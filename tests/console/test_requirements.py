"""Every requirement of the console has a driven test that names it, and no test names another."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.requirements import FIGURES, NOT_YET, REQUIREMENTS

TESTS = Path(__file__).resolve().parents[1]


def named(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each test function and each id that its marks name."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in function.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.requirement":
                for argument in mark.args:
                    yield function.name, ast.literal_eval(argument)


@pytest.fixture(scope="module")
def tests_of() -> dict[str, list[str]]:
    """The tests that name an id."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        for name, requirement in named(ast.parse(path.read_text(encoding="utf-8"))):
            assert name.startswith("test_"), f"{path.name}: {name} is no test"
            found[requirement].append(f"{path.relative_to(TESTS)}::{name}")
    return found


def test_every_requirement_has_a_driven_test(tests_of: dict[str, list[str]]) -> None:
    assert [each for each in REQUIREMENTS if each not in tests_of] == []


def test_no_test_names_what_is_not_required(tests_of: dict[str, list[str]]) -> None:
    strange = {each: tests for each, tests in tests_of.items() if each not in REQUIREMENTS}
    assert strange == {}


def test_what_is_not_there_yet_has_a_reason_and_is_not_required_too() -> None:
    assert NOT_YET.keys() & REQUIREMENTS.keys() == set()
    assert all(reason.strip() for reason in NOT_YET.values())


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_is_measured_by_a_benchmark(figure: str) -> None:
    module, name = FIGURES[figure]
    source = (TESTS / "benchmarks" / f"{module}.py").read_text(encoding="utf-8")
    assert name in source
