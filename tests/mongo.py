"""A server that speaks MongoDB's protocol, and a fresh database a test: a real MongoDB where
``RUNWATCH_TEST_MONGO_URL`` names one, else FerretDB, built here with the machine's Go.
"""

import os
import shutil
import subprocess
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
        self._base = url.rstrip("/")
        self.client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=1000)

    def answers(self) -> bool:
        try:
            self.client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def emptied(self) -> str:
        """The URL of the tests' database, with nothing in it but indexes."""
        name = f"test_{os.getpid()}"
        for collection in self.client[name].list_collection_names():
            self.client[name][collection].delete_many({})
        return f"{self._base}/{name}"

    def close(self) -> None:
        self.client.close()

    def drop(self) -> None:
        self.client.drop_database(f"test_{os.getpid()}")


def url_of_a_real_one() -> str | None:
    return os.environ.get("RUNWATCH_TEST_MONGO_URL")


def can_build() -> bool:
    return shutil.which("go") is not None


@contextmanager
def server() -> Iterator[MongoServer]:
    real = url_of_a_real_one()
    if real is not None:
        with closing(MongoServer(real)) as found:
            yield found
            found.drop()
        return
    with tempfile.TemporaryDirectory(prefix="runwatch-ferretdb-") as folder:
        port = free_port()
        process = subprocess.Popen(
            [_built(), str(port), folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with closing(MongoServer(f"mongodb://127.0.0.1:{port}")) as found:
                wait_until(found.answers, "FerretDB", LIMIT_S)
                yield found
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.terminate()
            process.wait(LIMIT_S)


def _built() -> Path:
    """The program, built once for what its sources are."""
    digest = sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCE / name).read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "runwatch-tests" / f"ferretdb-{digest.hexdigest()[:16]}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        making = program.with_suffix(f".{os.getpid()}")
        subprocess.run(["go", "build", "-o", making, "."], cwd=SOURCE, check=True, timeout=BUILD_S)
        making.rename(program)
    return program
