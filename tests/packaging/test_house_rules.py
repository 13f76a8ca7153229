"""Rules of the house that ruff cannot see, checked on the source."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "shared/runwatch_shared",
    "server/runwatch_server",
    "console/runwatch_console",
    "nodemanager/runwatch_nodemanager",
)
LONGEST_FILE_LINES = 500
TABLES_OF_RECORDS = ("shared/runwatch_shared/models.py", "shared/runwatch_shared/wire.py")
"""Declarations only, in the order of the contract: looked up, not read."""
TASKS = ROOT / "shared/runwatch_shared/tasks.py"
UNVERIFIED = ("CERT_NONE", "_create_unverified_context")
LOOKED_AT = ROOT / "shared/runwatch_shared/offered.py"
"""Shows the certificate of a server nobody vouches for, before anything is sent to it."""
TRACES = re.compile(
    r"/w[o]rk/(main|shared)|/tmp/pl[a]n|/root/[a-z]|artifactory|jfrog|nexus\.|index-url"
)
"""Paths and hosts of one machine have no place in a repository."""


def source_files() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {file: ast.parse(file.read_text()) for file in source_files()}


def test_every_task_is_started_with_a_name_by_an_owner(trees: dict[Path, ast.Module]) -> None:
    wrong = []
    for file, tree in trees.items():
        for call in calls(tree):
            if not isinstance(call.func, ast.Attribute) or file == TASKS:
                continue
            named = any(keyword.arg == "name" for keyword in call.keywords)
            of_loop = "loop" in ast.unparse(call.func.value)
            of_coroutine = bool(call.args) and isinstance(call.args[0], ast.Call)
            if call.func.attr == "create_task" and of_coroutine and (not named or of_loop):
                wrong.append(f"{file.relative_to(ROOT)}:{call.lineno}")
    assert wrong == []


def test_certificates_are_verified_everywhere(trees: dict[Path, ast.Module]) -> None:
    wrong = []
    for file, tree in trees.items():
        if file == LOOKED_AT:
            looks = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
            assert sum(node.attr in UNVERIFIED for node in looks) == 1
            sent = {"send", "sendall", "write", "sendfile"} & {node.attr for node in looks}
            assert sent == set(), "who looks at a stranger's certificate sends nothing"
            continue
        for call in calls(tree):
            for keyword in call.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in ("verify", "check_hostname") and off:
                    wrong.append(f"{file.relative_to(ROOT)}:{call.lineno}")
        wrong += [
            f"{file.relative_to(ROOT)}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr in UNVERIFIED
        ]
    assert wrong == []


def test_every_module_says_what_is_in_it(trees: dict[Path, ast.Module]) -> None:
    silent = [
        str(file) for file, tree in trees.items() if tree.body and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_nothing_is_imported_from_the_future(trees: dict[Path, ast.Module]) -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
    ]
    assert wrong == []


def test_no_file_is_longer_than_anybody_reads() -> None:
    long = {
        name: lines
        for file in source_files()
        if (name := str(file.relative_to(ROOT))) not in TABLES_OF_RECORDS
        and (lines := len(file.read_text().splitlines())) > LONGEST_FILE_LINES
    }
    assert long == {}


def test_packages_carry_their_types() -> None:
    assert all((ROOT / package / "py.typed").exists() for package in PACKAGES)


def test_nothing_of_one_machine_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git work tree")
    own = Path(__file__).resolve()
    found = []
    for name in listed.stdout.split("\0"):
        file = ROOT / name
        if not name or not file.is_file() or file.resolve() == own:
            continue
        if match := TRACES.search(file.read_bytes().decode(errors="ignore")):
            found.append(f"{name}: {match[0]}")
    assert found == ["Makefile: index-url"]  # the flag that keeps addresses out of the pins
