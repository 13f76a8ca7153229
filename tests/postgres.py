"""A PostgreSQL server of the tests' own, in a scratch directory, and a fresh database a test."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from runwatch_server.storage.postgres import schema
from runwatch_server.storage.postgres.connection import Connection
from runwatch_server.storage.postgres.failures import FAILURES
from tests.processes import free_port, wait_until

LIMIT_S: Final = 60.0
QUICK: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
}
"""The data of a test need not outlive the machine."""
DURABLE: Final = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "maintenance_work_mem": "512MB",
}
"""For what measures: everything acknowledged is on the disk, as PostgreSQL itself has it."""
EMPTY: Final = """
DO $$
DECLARE
    every text;
BEGIN
    SELECT string_agg(relname, ', ') INTO every FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND NOT relispartition AND relname <> 'schema_steps';
    EXECUTE 'TRUNCATE ' || every || ' RESTART IDENTITY';
    INSERT INTO head(store_id) VALUES (substr(md5(random()::text), 1, 16));
END $$
"""
_numbers = itertools.count(1)


def binaries() -> Path | None:
    """Where PostgreSQL's programs are; None where it is not installed."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


class Cluster:
    """One server on a free port of loopback, the tests' own child.

    Args:
        options: What differs from `QUICK`.
    """

    def __init__(self, folder: Path, programs: Path, options: Mapping[str, str] = {}) -> None:
        self._folder = folder
        self._programs = programs
        self._options = {**QUICK, **options}
        self._process: subprocess.Popen[bytes] | None = None
        self._used: str | None = None
        self.port = free_port()

    def make(self) -> None:
        """The data directory, and an empty database with the schema of this build."""
        subprocess.run(
            [self._program("initdb"), "-D", self._data, "-A", "trust", "-U", "postgres", "-N"],
            **self._owner(),
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=LIMIT_S,
        )
        self.start()
        for database, command in (("postgres", "CREATE DATABASE empty_one"), ("empty_one", "")):
            with closing(Connection.open(self.url(database))) as connection:
                if command:
                    connection.command(command)
                else:
                    schema.migrate(connection)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._folder),
            **self._options,
        }
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._program("postgres"), "-D", self._data, "-p", str(self.port)),
                    *(part for pair in options.items() for part in ("-c", "=".join(pair))),
                ],
                **self._owner(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, "PostgreSQL", LIMIT_S)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT in good order, SIGQUIT at once (``pg_ctl stop -m fast|immediate``)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(LIMIT_S)
            self._process = None

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def database(self) -> str:
        """The URL of a fresh database with the schema of this build and a store id of its own."""
        name = f"test_{next(_numbers)}"
        with closing(Connection.open(self.url("postgres"))) as connection:
            connection.command(f"CREATE DATABASE {name} TEMPLATE empty_one STRATEGY FILE_COPY")
        with closing(Connection.open(self.url(name))) as connection:
            connection.command("UPDATE head SET store_id = substr(md5(random()::text), 1, 16)")
        return self.url(name)

    def emptied(self) -> str:
        """The URL of one database that is used again and again; quicker than a fresh one."""
        if self._used is None:
            self._used = self.database()
        else:
            with closing(Connection.open(self._used)) as connection:
                connection.command(EMPTY)
        return self._used

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _owner(self) -> dict[str, Any]:
        """PostgreSQL refuses to run as root."""
        user = "postgres" if os.geteuid() == 0 else None
        return {
            "user": user,
            "group": user,
            "extra_groups": [] if user else None,
            "cwd": self._folder,
            "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        }

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        try:
            Connection.open(self.url("postgres")).close()
        except FAILURES:
            return False
        return True


@contextmanager
def cluster(options: Mapping[str, str] = {}) -> Iterator[Cluster]:
    """A server in a scratch directory, ended and removed behind the block."""
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="runwatch-pg-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    found = Cluster(folder, programs, options)
    try:
        found.make()
        yield found
    finally:
        found.stop()
        shutil.rmtree(folder, ignore_errors=True)
