"""A base image without a registry: Python and the pinned libraries of this very environment.

What its `pip` is asked for is there already, so building an image needs no network.
"""

import importlib.metadata
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

LEFT_OUT: Final = re.compile(
    r"/(test|tests|idlelib|lib2to3|turtledemo|site-packages|__pycache__)/|/config-3"
)
SHELL: Final = ("sh", "mkdir", "chown", "echo", "cat", "id", "touch", "ls", "true", "sleep", "rm")


def distributions(extras: Iterable[str]) -> set[str]:
    """The names of what Runwatch needs with these extras, and pip."""
    found: set[str] = set()
    waiting = [Requirement(f"runwatch[{','.join(extras)}]"), Requirement("pip")]
    asked: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (wanted.name.lower(), frozenset(wanted.extras))
        if key in asked:
            continue
        asked.add(key)
        found.add(wanted.name)
        for line in importlib.metadata.requires(wanted.name) or []:
            needed = Requirement(line)
            given = [{"extra": extra} for extra in wanted.extras or {""}]
            if needed.marker is None or any(map(needed.marker.evaluate, given)):
                waiting.append(needed)
    return found - {"runwatch"}


def root_file_system(extras: Iterable[str]) -> bytes:
    """A tar archive: busybox for a shell, Python, its libraries, the distributions."""
    standard = Path(sysconfig.get_paths()["stdlib"]).resolve()
    interpreter = Path(sys.executable).resolve()
    site = _site_of(interpreter)
    objects = {interpreter}
    files: dict[str, Path] = {f"usr/bin/{interpreter.name}": interpreter}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "var/lib"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            archive.addfile(folder)
        busybox = shutil.which("busybox")
        assert busybox
        archive.add(Path(busybox).resolve(), "bin/busybox")
        for name in SHELL:
            _link(archive, f"bin/{name}", "busybox")
        _link(archive, "usr/bin/python3", interpreter.name)
        for path in standard.rglob("*"):
            if path.is_file() and not LEFT_OUT.search(str(path)):
                files[str(path).removeprefix("/")] = path
                objects |= {path} if path.suffix == ".so" else set()
        for name in distributions(extras):
            distribution = importlib.metadata.distribution(name)
            for file in distribution.files or []:
                path = Path(str(distribution.locate_file(file)))
                if path.is_file() and ".." not in file.parts and "__pycache__" not in file.parts:
                    files[f"{site}/{file}"] = path
                    objects |= {path} if ".so" in path.suffixes else set()
        files |= {str(path).removeprefix("/"): path for path in libraries(objects)}
        for name, path in files.items():
            archive.add(path.resolve(), name, recursive=False)
    return buffer.getvalue()


def libraries(objects: Iterable[Path]) -> set[Path]:
    """What the dynamic linker loads for them, the linker itself too."""
    listed = subprocess.run(
        ["ldd", *map(str, objects)], capture_output=True, text=True, check=False, timeout=60
    )
    found = re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listed.stdout, re.MULTILINE)
    return {Path(name) for name in found}


def _site_of(interpreter: Path) -> str:
    """Where it looks for what is installed for all."""
    asked = "import site; print(site.getsitepackages()[0])"
    told = subprocess.run(
        [str(interpreter), "-I", "-c", asked], capture_output=True, text=True, check=True
    )
    return told.stdout.strip().removeprefix("/")


def _link(archive: tarfile.TarFile, name: str, target: str) -> None:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, target
    archive.addfile(link)
