"""A Podman of one's own in a scratch folder: its service on a socket, and an image of busybox."""

import contextlib
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

NEEDED = ("podman", "runc", "busybox", "catatonit")
IMAGE = "localhost/agent:latest"
BARE_IMAGE = "localhost/bare:latest"
"""Has one program, `true`, and no shell."""
AGENT = b"#!/bin/sh\nexec cat\n"
"""Says what it is told."""
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
lock_type = "file"
tmp_dir = "{folder}/tmp"
events_logger = "none"
"""


def why_not() -> str | None:
    """Why there can be no container here."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    return "only root" if os.geteuid() != 0 else None


@dataclass(frozen=True)
class Podman:
    folder: Path
    environment: dict[str, str]
    _services: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "podman.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def command(self, *arguments: str) -> list[str]:
        folder = self.folder
        places = ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        return ["podman", *places, "--storage-driver=vfs", *arguments]

    def why_none_runs(self) -> str | None:
        """Why this machine lets not even podman itself run a container; None where it does."""
        told = subprocess.run(
            self.command("run", "--rm", "--network=none", IMAGE, "true"),
            env=self.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return told.stderr.decode(errors="replace").strip()[-300:] if told.returncode else None

    def run(self, *arguments: str, stdin: bytes = b"") -> str:
        told = subprocess.run(
            self.command(*arguments),
            input=stdin,
            env=self.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert told.returncode == 0, told.stderr.decode()
        return told.stdout.decode()

    def containers(self) -> list[str]:
        return self.run("ps", "-a", "--format", "{{.Names}}").split()

    def serve(self) -> None:
        """Start its service, if it does not run."""
        if self._services:
            return
        self.socket.unlink(missing_ok=True)
        service = subprocess.Popen(
            self.command("system", "service", "--time=0", self.url),
            env=self.environment,
            cwd=self.folder,  # where conmon leaves files
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._services.append(service)
        deadline = time.monotonic() + 30
        while not self.socket.exists():
            assert service.poll() is None, "the service did not come up"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def kill(self) -> None:
        """End its service at once; containers live on."""
        for service in self._services:
            service.kill()
            service.wait()
        self._services.clear()
        self.socket.unlink(missing_ok=True)


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """One with its images; whatever was made with it is gone after the block."""
    configuration = folder / "containers.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder))
    mine = Podman(
        folder=folder,
        environment={
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "CONTAINERS_CONF": str(configuration),
        },
    )
    try:
        path = ["--change", "ENV PATH=/usr/bin:/bin"]
        mine.run("import", *path, "-", IMAGE, stdin=_tree(_links()))
        mine.run("import", *path, "-", BARE_IMAGE, stdin=_tree(["true"]))
        yield mine
    finally:
        mine.kill()
        subprocess.run(
            mine.command("rm", "--all", "--force", "--time=0"),
            env=mine.environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        for pid in _named(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _named(folder: Path) -> list[int]:
    """Processes that have the folder in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def _links() -> list[str]:
    listed = subprocess.run(["busybox", "--list"], capture_output=True, check=True, text=True)
    return [name for name in listed.stdout.split() if name != "busybox"]


def _tree(links: list[str]) -> bytes:
    """A root file system of busybox and these names of it."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in ("bin", "tmp", "etc", "proc", "sys", "dev", "run"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        program = shutil.which("busybox")
        assert program
        archive.add(Path(program).resolve(), "bin/busybox")
        agent = tarfile.TarInfo("bin/claude")
        agent.mode, agent.size = 0o755, len(AGENT)
        archive.addfile(agent, BytesIO(AGENT))
        for name in links:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
    return buffer.getvalue()
