"""The container engine's API, Docker's or Podman's: the only place that knows its client library.

Every call blocks; a client belongs to one thread.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import docker
import docker.errors
import docker.tls
import docker.utils
import requests.exceptions

from runwatch_nodemanager.runtimes.engine_address import (
    EngineAddress,
    EngineError,
    EngineUnreachableError,
)
from runwatch_nodemanager.runtimes.workplace import SHELL
from runwatch_shared.text import clean

TIMEOUT_S: Final = 60.0
ENDED: Final = frozenset({"exited", "stopped", "dead"})
KNOCK_S: Final = 10.0
ANY_VERSION: Final = "1.41"
"""To ask which one the engine has."""
PULL_TIMEOUT_S: Final = 900.0
SHOWN_ERROR_CHARS: Final = 500
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NotThereError(EngineError):
    """No such container or image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How a container is. ``exit_code`` has a meaning only where it has ended."""

    ended: bool
    """Not before its exit code is known; one that is being removed does not tell it any more."""
    exit_code: int
    out_of_memory: bool
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A container of a list."""

    id: str
    name: str
    labels: Mapping[str, str]
    state: str = ""
    """As the engine words it: ``created``, ``running``, ``exited``."""
    started_at: str = ""
    """RFC 3339; only of one that was asked for by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A program started in a container that runs already. ``exit_code`` once it has ended."""

    running: bool
    exit_code: int
    pid: int
    """On the engine's machine; 0 once it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is to be started in a container that runs already."""

    argv: list[str]
    env: list[str]
    workdir: str
    user: str


class Engine:
    """One client of an engine.

    Raises:
        EngineUnreachableError: No engine answers there, or its certificate is not trusted.
    """

    def __init__(self, address: EngineAddress, *, version: str | None = None) -> None:
        self.address = address
        self._knock()
        self.version = version or self._ask_version()
        """Of the API, for further clients: it saves them a question."""
        self._client = self._connect(self.version)

    def close(self) -> None:
        self._client.close()

    def has_image(self, image: str) -> bool:
        with self._told():
            try:
                self._client.inspect_image(image)
            except docker.errors.NotFound:
                return False
        return True

    def pull(self, image: str) -> None:
        """
        Raises:
            EngineError: It cannot be had.
        """
        repository, tag = docker.utils.parse_repository_tag(image)
        with self._told(), self._connect(self.version, timeout_s=PULL_TIMEOUT_S) as client:
            for step in client.pull(repository, tag=tag or "latest", stream=True, decode=True):
                if error := step.get("error"):
                    raise EngineError(_line(str(error)))

    def create(self, body: dict[str, Any], *, name: str) -> str:
        """Make a container as the API describes it; its id."""
        with self._told():
            return str(self._client.create_container_from_config(body, name=name)["Id"])

    def attach(self, container: str, *, stdin: bool, output: bool = True) -> socket.socket:
        """A connection that carries the output in frames, and what is written to it as input."""
        wanted = {"stdin": int(stdin), "stdout": int(output), "stderr": int(output), "stream": 1}
        with self._told():
            wrapped = self._client.attach_socket(container, params=wanted)
        # Over a plain connection the library gives a reader; the socket is inside of it.
        connection: socket.socket = getattr(wrapped, "_sock", wrapped)
        connection.settimeout(None)
        self._keep = wrapped
        return connection

    def has_file(self, container: str, path: str) -> bool:
        """Whether the container's image has it; a link leading nowhere counts."""
        with self._told():
            place = f"{self._client.base_url}/v{self.version}/containers/{container}/archive"
            answer = self._client.head(place, params={"path": path}, timeout=TIMEOUT_S)
            return bool(answer.status_code != HTTPStatus.NOT_FOUND)

    def search_path(self, container: str) -> list[str]:
        """The folders its programs are looked for in."""
        with self._told():
            variables = self._client.inspect_container(container)["Config"]["Env"] or []
        paths = [one.partition("=")[2] for one in variables if one.startswith("PATH=")]
        return (paths[-1] if paths else DEFAULT_PATH).split(":")

    def start(self, container: str) -> None:
        with self._told():
            self._client.start(container)

    def resize(self, container: str, *, rows: int, columns: int) -> None:
        """The terminal of one that has a terminal."""
        with self._told():
            self._client.resize(container, rows, columns)

    def state(self, container: str) -> State:
        with self._told():
            state = self._client.inspect_container(container)["State"]
        return State(
            ended=state.get("Status") in ENDED and not state.get("Running"),
            exit_code=int(state.get("ExitCode") or 0),
            out_of_memory=bool(state.get("OOMKilled")),
            pid=int(state.get("Pid") or 0),
        )

    def signal(self, container: str, number: int) -> None:
        """To its first process; SIGKILL ends all others with it."""
        with self._told():
            self._client.kill(container, number)

    def signal_others(self, container: str, number: int) -> bool:
        """To all of its processes but the first; False if the image has no shell that could."""
        return self.run_inside(container, [SHELL, "-c", f"kill -{number} -1"]) == 0

    def enter(self, container: str, call: Call) -> tuple[str, socket.socket]:
        """Start a program in a running container; its id, and a connection as `attach` gives one,
        for input and output both.
        """
        with self._told():
            made = self._client.exec_create(
                container,
                call.argv,
                stdin=True,
                environment=call.env,
                workdir=call.workdir,
                user=call.user,
            )["Id"]
            wrapped = self._client.exec_start(made, socket=True)
        connection: socket.socket = getattr(wrapped, "_sock", wrapped)
        connection.settimeout(None)
        self._keep = wrapped
        return str(made), connection

    def inner(self, call_id: str) -> Inner:
        """How a program is that `enter` started."""
        with self._told():
            state = self._client.exec_inspect(call_id)
        return Inner(
            running=bool(state.get("Running")),
            exit_code=int(state.get("ExitCode") or 0),
            pid=int(state.get("Pid") or 0),
        )

    def run_inside(self, container: str, argv: list[str]) -> int:
        """Run a program in a running container to its end; its exit code. For what ends at once."""
        with self._told():
            call = self._client.exec_create(container, argv)["Id"]
            self._client.exec_start(call)
            return int(self._client.exec_inspect(call).get("ExitCode") or 0)

    def stop(self, container: str, grace_s: int) -> None:
        """Ask its first process to end and kill it after the grace; one that ended is no error."""
        with self._told(), self._connect(self.version, timeout_s=TIMEOUT_S + grace_s) as client:
            client.stop(container, timeout=grace_s)

    def called(self, name: str) -> Found | None:
        """The container of exactly this name, whoever made it."""
        with self._told():
            try:
                seen = self._client.inspect_container(name)
            except docker.errors.NotFound:
                return None
        if seen["Name"].removeprefix("/") != name:
            return None
        return Found(
            id=seen["Id"],
            name=name,
            labels=seen["Config"].get("Labels") or {},
            state=str(seen["State"].get("Status") or ""),
            started_at=str(seen["State"].get("StartedAt") or ""),
        )

    def remove(self, container: str) -> None:
        """End it and remove it with its unnamed volumes; one that is gone is no error."""
        with self._told():
            try:
                self._client.remove_container(container, force=True, v=True)
            except docker.errors.NotFound:
                return

    def labelled(self, labels: Mapping[str, str]) -> list[Found]:
        """Containers that carry all these labels, ended ones too."""
        wanted = [f"{name}={value}" for name, value in labels.items()]
        with self._told():
            rows = self._client.containers(all=True, filters={"label": wanted})
        return [
            Found(
                id=row["Id"],
                name=next(iter(row.get("Names") or [""])).removeprefix("/"),
                labels=row.get("Labels") or {},
                state=str(row.get("State") or ""),
            )
            for row in rows
        ]

    def _knock(self) -> None:
        """See that somebody listens: the library forgets to close a socket nobody answers at."""
        path = self.address.socket
        if path is None:
            return
        with self._told(), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(KNOCK_S)
            probe.connect(str(path))

    def _ask_version(self) -> str:
        with self._told(), self._connect(ANY_VERSION) as client:
            return str(client.version(api_version=False)["ApiVersion"])

    def _connect(self, version: str, *, timeout_s: float = TIMEOUT_S) -> Any:
        """A client; asks nothing yet."""
        with self._told():
            client = docker.APIClient(
                base_url=self.address.url,
                version=version,
                timeout=timeout_s,
                tls=_tls(self.address),
                user_agent="runwatch",
            )
        # A variable such as REQUESTS_CA_BUNDLE must not put other authorities in place of ours.
        client.trust_env = False
        return client

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever the library raises, as an error of ours."""
        try:
            yield
        except docker.errors.NotFound as error:
            raise NotThereError(_line(error.explanation or str(error))) from error
        except docker.errors.APIError as error:
            raise EngineError(_line(error.explanation or str(error))) from error
        except (
            docker.errors.DockerException,
            requests.exceptions.RequestException,
            OSError,
        ) as error:
            raise EngineUnreachableError(
                f"no container engine answers at {self.address.url}: {_cause(error)}"
            ) from error


def _line(text: object) -> str:
    return clean(str(text), fold=True)[:SHOWN_ERROR_CHARS]


def _cause(error: BaseException) -> str:
    """The words of the innermost error: those around it only wrap it."""
    inner: BaseException = error
    while inner.__cause__ is not None or inner.__context__ is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    return _line(inner.strerror if isinstance(inner, OSError) and inner.strerror else inner)


def _tls(address: EngineAddress) -> Any:
    if not address.cert_path or address.socket is not None:
        return False
    folder = Path(address.cert_path)
    return docker.tls.TLSConfig(
        ca_cert=str(folder / "ca.pem"),
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
        verify=True,
    )
