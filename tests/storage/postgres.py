"""A PostgreSQL server of the tests' own, in a scratch directory, and a fresh database a test."""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runwatch_server.storage.postgres import schema
from runwatch_server.storage.postgres.connection import Connection

_numbers = itertools.count(1)


def binaries() -> Path | None:
    """Where PostgreSQL's programs are; None where it is not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


class Cluster:
    """One server on a free port of loopback. Its data is not synced: it need not outlive us."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._folder = folder
        self._programs = programs
        self.port = _free_port()

    def start(self) -> None:
        self._as_owner("initdb", "-D", str(self._data), "-A", "trust", "-U", "postgres", "-N")
        options = (
            f"-p {self.port} -k {self._folder} -c listen_addresses=127.0.0.1 -c fsync=off "
            "-c full_page_writes=off -c max_connections=200 -c shared_buffers=64MB"
        )
        self.control("start", "-o", options, "-l", str(self._folder / "log"))
        connection = Connection.open(self.url("postgres"))
        connection.command("CREATE DATABASE empty_one")
        connection.close()
        connection = Connection.open(self.url("empty_one"))
        schema.migrate(connection)
        connection.close()

    def control(self, *arguments: str) -> None:
        self._as_owner("pg_ctl", "-D", str(self._data), "-w", *arguments)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a fresh database with the schema of this build and a store id of its own."""
        name = f"test_{next(_numbers)}"
        connection = Connection.open(self.url("postgres"))
        connection.command(f"CREATE DATABASE {name} TEMPLATE empty_one STRATEGY FILE_COPY")
        connection.close()
        return self.url(name)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _as_owner(self, program: str, *arguments: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None
        subprocess.run(
            [str(self._programs / program), *arguments],
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=self._folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="runwatch-pg-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    found = Cluster(folder, programs)
    try:
        found.start()
        yield found
        found.control("stop", "-m", "fast")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
