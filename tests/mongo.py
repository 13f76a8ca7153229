"""A server that speaks MongoDB's protocol, and an empty database a test: a real MongoDB where
``RUNWATCH_TEST_MONGO_URL`` names one, else FerretDB, which ``python -m tests.mongo`` builds with
the machine's Go.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.processes import free_port, wait_until

LIMIT_S: Final = 60.0
BUILD_S: Final = 600.0
SOURCE: Final = Path(__file__).parent / "ferretdb"


class MongoServer:
    """One server; the databases tests made on it go with their tests."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=1000)

    @property
    def _database(self) -> str:
        return f"test_{os.getpid()}"

    def answers(self) -> bool:
        try:
            self.client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def emptied(self, number: int = 0) -> str:
        """The URL of one of the tests' databases, with nothing in it but indexes."""
        name = f"{self._database}_{number}" if number else self._database
        for collection in self.client[name].list_collection_names():
            self.client[name][collection].delete_many({})
        return named(self._url, name)

    def close(self) -> None:
        self.client.close()

    def drop(self) -> None:
        for name in self.client.list_database_names():
            if name == self._database or name.startswith(f"{self._database}_"):
                self.client.drop_database(name)


def named(url: str, database: str) -> str:
    """The URL with this database; who logs in does so where the URL says, else in ``admin``."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    hosts, _, path = place.partition("/")
    if "@" in hosts and "authSource=" not in query:
        query = "&".join(filter(None, (query, f"authSource={path or 'admin'}")))
    return f"{scheme}://{hosts}/{database}" + (f"?{query}" if query else "")


def url_of_a_real_one() -> str | None:
    return os.environ.get("RUNWATCH_TEST_MONGO_URL")


@contextmanager
def server() -> Iterator[MongoServer]:
    real = url_of_a_real_one()
    if real is not None:
        with closing(MongoServer(real)) as found:
            yield found
            found.drop()
        return
    with ferretdb() as own, closing(MongoServer(own.url)) as found:
        yield found


class FerretDb:
    """One FerretDB on a port of its own, that can be killed and started again."""

    def __init__(self, folder: str) -> None:
        self.port = free_port()
        self.url = f"mongodb://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        self._process = subprocess.Popen(
            [program(), str(self.port), self._folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        with closing(MongoServer(self.url)) as found:
            wait_until(found.answers, "FerretDB", LIMIT_S)

    def kill(self) -> None:
        """At once; nothing where it does not run."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.kill()
            process.wait(LIMIT_S)


@contextmanager
def ferretdb() -> Iterator[FerretDb]:
    """One that has nothing, for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="runwatch-ferretdb-") as folder:
        own = FerretDb(folder)
        try:
            own.start()
            yield own
        finally:
            own.kill()


def program() -> Path:
    """Where FerretDB is once it is built: another place for each state of its sources."""
    digest = sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCE / name).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "runwatch-tests" / f"ferretdb-{digest.hexdigest()[:16]}"


def build() -> None:
    """Build it once; takes a minute or two, so it is done before the tests."""
    wanted = program()
    if wanted.exists() or url_of_a_real_one() is not None:
        return
    if shutil.which("go") is None:
        say("There is no Go to build FerretDB with: tests on MongoDB skip")
        return
    say("Building FerretDB, which tests on MongoDB need")
    wanted.parent.mkdir(parents=True, exist_ok=True)
    making = wanted.with_suffix(f".{os.getpid()}")
    done = subprocess.run(["go", "build", "-o", making, "."], cwd=SOURCE, timeout=BUILD_S)
    if done.returncode:
        say("FerretDB could not be built: tests on MongoDB skip")
        return
    making.rename(wanted)


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    build()
