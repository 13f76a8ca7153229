"""The built wheel holds everything the programs need, and nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

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
