"""make dev-up and dev-down: a PostgreSQL, and a MongoDB where there is one, to try the server on.

By Docker Compose where there is an engine, else by this machine's own programs on a scratch
directory. Their data goes with them.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import local_engine
import local_process
from local_ports import HOST, answers, require_free, wait_until, wanted
from local_stack import LocalError, Place, log_tail, open_place, program

READY_S: Final = 60.0
GRACE_S: Final = 30.0
POSTGRES: Final = "postgres"
MONGO: Final = "mongo"
OWNER: Final = "postgres"
"""PostgreSQL refuses to run as root; Debian's package brings this user."""


def up(environment: Mapping[str, str]) -> int:
    """Start what is not running, bring the schema up to date, and say how to use each."""
    place = open_place(environment)
    with place.locked():
        engine = local_engine.found(environment)
        if engine is not None:
            ports = {name: wanted(environment, name) for name in ("POSTGRES_PORT", "MONGO_PORT")}
            engine.up("databases", {name: str(port) for name, port in ports.items()})
            (place.folder / "databases.composed").touch()
            postgres = f"postgresql://runwatch:runwatch@{HOST}:{ports['POSTGRES_PORT']}/runwatch"
            mongo: str | None = f"mongodb://{HOST}:{ports['MONGO_PORT']}/runwatch"
        else:
            postgres = f"postgresql://runwatch@{HOST}:{_postgres(place, environment)}/runwatch"
            mongo_port = _mongo(place, environment)
            mongo = None if mongo_port is None else f"mongodb://{HOST}:{mongo_port}/runwatch"
        _migrate(environment, postgres)
    print("PostgreSQL  runs, with the schema of this build. To serve on it:")
    print(f"  export RUNWATCH_DATABASE_URL={postgres}")
    if mongo is None:
        print(
            "MongoDB     not started: neither a container engine with Compose nor `mongod` is here."
        )
    else:
        print("MongoDB     runs. To serve on it:")
        print(f"  export RUNWATCH_DATABASE_URL={mongo}")
    return 0


def down(environment: Mapping[str, str]) -> int:
    """End what `up` started and remove its data; well where nothing runs."""
    place = open_place(environment)
    with place.locked():
        composed = place.folder / "databases.composed"
        was_composed = composed.exists()
        engine = local_engine.found(environment) if was_composed else None
        if engine is not None:
            names = ("POSTGRES_PORT", "MONGO_PORT")
            engine.down("databases", {name: str(wanted(environment, name)) for name in names})
        composed.unlink(missing_ok=True)
        endings = [_end(place, name) for name in (POSTGRES, MONGO)]
    print(
        "The databases have stopped; their data is removed."
        if was_composed or any(ending != "not running" for ending in endings)
        else "The databases were not running."
    )
    return 0


def _postgres(place: Place, environment: Mapping[str, str]) -> int:
    """PostgreSQL of this machine on a scratch directory. Gives its port."""
    if local_process.running(place.pid_file(POSTGRES)) is not None:
        return int(_note(place, POSTGRES, "port").read_text())
    programs = _programs(environment)
    if programs is None:
        raise LocalError(
            "There is neither a container engine with Compose nor a PostgreSQL here.\n"
            "Debian has it: apt-get install postgresql"
        )
    port = wanted(environment, "POSTGRES_PORT")
    require_free("POSTGRES_PORT", port)
    scratch = _scratch(place, POSTGRES)
    owner: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam(OWNER)
        os.chown(scratch, user.pw_uid, user.pw_gid)
        # It becomes the program itself, so the pid is the program's.
        prefix = shutil.which("setpriv") or "/usr/bin/setpriv"
        owner = [prefix, f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", "--"]
    plain = {"PATH": environment.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    data = str(scratch / "data")
    _run(
        [*owner, str(programs / "initdb"), "-D", data, "-A", "trust", "-U", "runwatch"],
        cwd=scratch,
        environment=plain,
    )
    _launch(
        place,
        POSTGRES,
        [
            *(*owner, str(programs / "postgres"), "-D", data, "-p", str(port)),
            *("-c", f"listen_addresses={HOST}", "-c", f"unix_socket_directories={scratch}"),
        ],
        port=port,
        environment=plain,
        # It listens before it takes anybody in.
        ready=lambda: _does([str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]),
    )
    database = ["-h", HOST, "-p", str(port), "-U", "runwatch", "runwatch"]
    _run([*owner, str(programs / "createdb"), *database], cwd=scratch, environment=plain)
    return port


def _mongo(place: Place, environment: Mapping[str, str]) -> int | None:
    """MongoDB of this machine on a scratch directory; None where there is none."""
    if local_process.running(place.pid_file(MONGO)) is not None:
        return int(_note(place, MONGO, "port").read_text())
    path = shutil.which("mongod", path=environment.get("PATH", os.defpath))
    if path is None:
        return None
    port = wanted(environment, "MONGO_PORT")
    require_free("MONGO_PORT", port)
    scratch = _scratch(place, MONGO)
    command = [path, "--dbpath", str(scratch), "--bind_ip", HOST, "--port", str(port)]
    _launch(
        place,
        MONGO,
        command,
        port=port,
        environment=dict(environment),
        ready=lambda: answers(port),
    )
    return port


def _launch(
    place: Place,
    name: str,
    command: list[str],
    *,
    port: int,
    environment: Mapping[str, str],
    ready: Callable[[], bool],
) -> None:
    """Start a database and wait until it is ready."""
    identity = local_process.start(
        command,
        pid_file=place.pid_file(name),
        log_file=place.log_file(name),
        environment=environment,
    )
    _note(place, name, "port").write_text(str(port))

    def alive() -> bool:
        return local_process.identity_of(identity.pid) == identity

    if not wait_until(ready, alive, READY_S):
        said = log_tail(place, name)
        _end(place, name)
        raise LocalError(f"{name} did not start:\n{said}")


def _end(place: Place, name: str) -> local_process.Ending:
    # By SIGTERM PostgreSQL would wait for its clients.
    ending = local_process.stop(place.pid_file(name), grace_s=GRACE_S, asking=signal.SIGINT)
    scratch = _note(place, name, "folder")
    if scratch.exists():
        shutil.rmtree(scratch.read_text(), ignore_errors=True)
    for file in (scratch, _note(place, name, "port"), place.log_file(name)):
        file.unlink(missing_ok=True)
    return ending


def _scratch(place: Place, name: str) -> Path:
    """A new directory outside the data directory, which only its owner may enter; noted first, so
    that it is removed whatever becomes of the start.
    """
    _end(place, name)  # what a killed one left
    scratch = Path(tempfile.mkdtemp(prefix=f"runwatch-{name}-"))
    _note(place, name, "folder").write_text(str(scratch))
    return scratch


def _note(place: Place, name: str, what: str) -> Path:
    return place.folder / f"{name}.{what}"


def _programs(environment: Mapping[str, str]) -> Path | None:
    """Where PostgreSQL's programs are: on the PATH, or where Debian puts them."""
    found = shutil.which("initdb", path=environment.get("PATH", os.defpath))
    if found is not None:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    return None if newest is None else newest.parent


def _migrate(environment: Mapping[str, str], url: str) -> None:
    _run(
        [program("monitor-server"), "migrate", "--database", url],
        cwd=Path.cwd(),
        environment=environment,
    )


def _run(command: list[str], *, cwd: Path, environment: Mapping[str, str]) -> None:
    ran = subprocess.run(
        command,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if ran.returncode:
        raise LocalError(f"{' '.join(command)} failed:\n{(ran.stderr or ran.stdout).strip()}")


def _does(command: list[str]) -> bool:
    """Whether a program of this machine ends well."""
    asked = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    return asked.returncode == 0
