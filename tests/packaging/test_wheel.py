"""The built wheel holds everything the programs need, and nothing else."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.packaging.images import distributions

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "runwatch_shared": ROOT / "shared",
    "runwatch_server": ROOT / "server",
    "runwatch_console": ROOT / "console",
    "runwatch_nodemanager": ROOT / "nodemanager",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_every_file_of_every_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    # The migrations lie elsewhere and are linked to from where the program reads them.
    wanted = {
        str((Path(place) / name).relative_to(folder))
        for package, folder in PACKAGES.items()
        for place, _, names in os.walk(folder / package, followlinks=True)
        for name in names
        if "__pycache__" not in Path(place).parts and not name.startswith(".")
    }
    assert "runwatch_server/storage/queries/postgres/schema/0001_initial.sql" in wanted
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == wanted


def test_the_wheel_names_the_three_commands_and_its_license(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
    text = wheel.read(entry_points).decode()
    for command in ("monitor-server = ", "monitor-tui = ", "nodemanager = "):
        assert command in text
    assert any(name.endswith("licenses/LICENSE") for name in names)


TIERS = {
    "server": ("monitor-server", "uvicorn", {"textual", "docker", "ahocorasick-rs"}),
    "console": ("monitor-tui", "textual", {"uvicorn", "apsw", "docker", "prometheus-client"}),
    "nodemanager": ("nodemanager", "docker", {"textual", "uvicorn", "apsw"}),
}
"""Each with its program, a library it needs, and libraries that are others'."""


@pytest.mark.parametrize("tier", TIERS)
def test_a_tier_asks_for_its_own_libraries_alone(tier: str) -> None:
    _, own, others = TIERS[tier]
    asked = {name.lower() for name in distributions([tier])}
    assert own in asked
    assert not asked & others


@pytest.mark.timeout(240)
def test_one_tier_is_installed_from_the_wheel_in_an_environment_of_its_own(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    place = tmp_path / "console"
    venv.create(place, with_pip=False)
    python = place / "bin/python"
    installed = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"),
            *("--no-compile", "--disable-pip-version-check", "--retries=1"),
            *("--constraint", str(ROOT / "requirements/constraints.txt")),
            f"{wheel.filename}[console]",
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    if "No matching distribution" in installed.stderr or "Connection" in installed.stderr:
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stderr[-2000:]
    environment = {"PATH": os.defpath, "HOME": str(tmp_path)}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(place / "bin" / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )

    console = run("monitor-tui", "--help")
    assert (console.returncode, console.stderr) == (0, "")
    for tier in ("server", "nodemanager"):
        program, _, _ = TIERS[tier]
        other = run(program, "--help")
        assert other.returncode == 78
        assert f"pipx install --force 'runwatch[{tier}]'" in other.stderr
        assert "Traceback" not in other.stderr
