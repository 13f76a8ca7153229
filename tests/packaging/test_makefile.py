"""Make targets that start nothing, and the entry of continuous integration."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={
            name: value
            for name, value in os.environ.items()
            if name not in ("MAKEFLAGS", "MAKELEVEL")
        },
    )


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    listed = make()
    assert listed.returncode == 0
    lines = dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", listed.stdout, re.MULTILINE))
    assert lines == dict(
        re.findall(r"^([a-z-]+):.*## (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


def test_ci_runs_the_same_check_as_a_person() -> None:
    entry = ROOT / ".ci/run"
    assert os.access(entry, os.X_OK)
    assert entry.read_text().startswith("#!/usr/bin/env bash\n")
    assert "make --no-print-directory test" in entry.read_text()
    steps = make("--dry-run", "check").stdout
    for step in ("ruff format --check", "ruff check", "mypy", "lint-imports", "pytest"):
        assert step in steps
    assert "--ignore=tests/benchmarks" in steps


def test_shell_scripts_are_executable_and_parse() -> None:
    for script in (ROOT / ".ci/run", ROOT / "deployments/ci/system-packages.sh"):
        assert os.access(script, os.X_OK), script
        checked = subprocess.run(["bash", "-n", script], capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_an_unknown_purpose_of_the_package_script_is_a_usage_error() -> None:
    script = ROOT / "deployments/ci/system-packages.sh"
    ran = subprocess.run([script, "party"], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "usage" in ran.stderr


def test_the_local_script_refuses_what_it_does_not_know() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "deployments/local/local.py", "party"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "run-nodemanager" in ran.stderr


def test_every_test_with_the_terminal_corpus_is_in_the_security_tests() -> None:
    text = (ROOT / "Makefile").read_text()
    words = text.partition("SECURITY := ")[2].partition("\n\n")[0].replace("\\", " ").split()
    assert all((ROOT / word).exists() for word in words)
    with_corpus = [
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(
            r"^from tests\.(console|shared)(\.hostile)? import .*\b(hostile|SEQUENCES)\b",
            (path.read_text()),
            re.MULTILINE,
        )
    ]
    assert len(with_corpus) > 3
    for path in with_corpus:
        assert any(path.is_relative_to(ROOT / word) for word in words), path
