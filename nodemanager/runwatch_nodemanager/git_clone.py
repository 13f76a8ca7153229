"""Fetching a repository: which addresses are taken, and git without hooks, questions or helpers."""

import asyncio
import base64
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from runwatch_shared.errors import RunwatchError
from runwatch_shared.models import GitSource

CLONE_TIMEOUT_S: Final = 900.0
COMMIT: Final = re.compile(r"[0-9a-fA-F]{7,64}")
SCP_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+:(?!//).+")
"""``user@host:path``, which is ssh."""
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
SAFE_OPTIONS: Final = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "submodule.recurse=false"),
    *("-c", "credential.interactive=false"),
    *("-c", "advice.detachedHead=false"),
)
GIT_ENVIRONMENT: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GCM_INTERACTIVE": "never",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "LC_ALL": "C",
}
"""No question may wait for an answer nobody gives; no filter fetches on its own account."""
SHOWN_ERROR_CHARS: Final = 300


class GitError(RunwatchError):
    """No clone; the message says why, without credentials of an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a repository is. ``header`` proves who asks and must be seen by nobody."""

    url: str
    protocol: str
    header: str | None = None
    path: Path | None = None
    """Of a repository on this machine."""

    @classmethod
    def of(cls, text: str) -> Self:
        """
        Raises:
            GitError: It is no address.
        """
        if not text or text.startswith("-") or CONTROL.search(text):
            raise GitError("git: this is no address")
        if "://" not in text:
            if "::" in text:
                raise GitError("git: addresses that name a helper are refused")
            if text.startswith(("/", ".")) or not SCP_ADDRESS.fullmatch(text):
                return cls(url=text, protocol="file", path=Path(text))
            return cls(url=text, protocol="ssh")
        try:
            parts = urlsplit(text)
            host = parts.hostname or ""
        except ValueError as error:
            raise GitError("git: this is no address") from error
        if host.startswith("-"):
            raise GitError("git: this is no address")
        if parts.scheme == "file":
            # As git reads it: neither `?` nor `#` ends the path.
            path = "/" + unquote(text.partition("://")[2].partition("/")[2])
            return cls(url=text, protocol="file", path=Path(path))
        user_info, _, place = parts.netloc.rpartition("@")
        user, _, password = user_info.partition(":")
        if parts.scheme not in ("http", "https") or not user_info:
            if password:
                # It would stand in a command line and in the clone's settings.
                raise GitError("git: a password is taken in http and https addresses only")
            return cls(url=text, protocol=parts.scheme)
        pair = f"{unquote(user)}:{unquote(password)}".encode()
        header = f"Authorization: Basic {base64.b64encode(pair).decode()}"
        return cls(
            url=urlunsplit(parts._replace(netloc=place)), protocol=parts.scheme, header=header
        )

    def environment(self, protocols: Sequence[str]) -> dict[str, str]:
        """For git: credentials stand neither in an argument nor in the clone's own settings."""
        allowed = {"GIT_ALLOW_PROTOCOL": ":".join(protocols)}
        if self.header is None:
            return allowed
        parts = urlsplit(self.url)
        return allowed | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
            "GIT_CONFIG_VALUE_0": self.header,
        }


async def clone(
    source: GitSource,
    address: Address,
    target: Path,
    *,
    protocols: Sequence[str],
    environment: Mapping[str, str],
) -> None:
    """Clone into ``target``, which must not exist or be empty; submodules are left out.

    Args:
        environment: To which what git must not do is added.

    Raises:
        GitError: There is none.
    """
    if address.protocol not in protocols:
        raise GitError(f"git: this node does not fetch by {address.protocol or 'that'}")
    branch = source.branch
    if branch is not None and (not branch or branch.startswith("-") or CONTROL.search(branch)):
        raise GitError("git: this is no branch")
    if source.commit is not None and not COMMIT.fullmatch(source.commit):
        raise GitError("git: a commit is 7 to 64 hexadecimal digits")
    own = {name: value for name, value in environment.items() if not name.startswith("GIT_")}
    own |= GIT_ENVIRONMENT | address.environment(protocols)
    shallow = source.depth is not None and source.depth > 0
    depth = ["--depth", str(source.depth)] if shallow else []
    # An empty template has no hooks; over a path nothing is shared with the source.
    arguments = ["clone", "--quiet", "--template=", "--no-local", "--no-recurse-submodules", *depth]
    if branch is not None:
        arguments += ["--branch", branch]
    if address.path is not None and shallow:
        # By its path git would copy all of it.
        address = Address(url=address.path.absolute().as_uri(), protocol="file")
    try:
        async with asyncio.timeout(CLONE_TIMEOUT_S):
            await _git([*arguments, "--", address.url, str(target)], own)
            if source.commit is None:
                return
            at = ["-C", str(target)]
            if shallow:
                await _git([*at, "fetch", "--quiet", *depth, "origin", source.commit], own)
            await _git([*at, "checkout", "--quiet", "--detach", source.commit], own)
    except TimeoutError as error:
        raise GitError(f"git took more than {CLONE_TIMEOUT_S:.0f} s") from error


async def _git(arguments: list[str], environment: Mapping[str, str]) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *SAFE_OPTIONS,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed on this node") from error
    try:
        _, complaint = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise
    if process.returncode != 0:
        lines = complaint.decode("utf-8", "replace").strip().splitlines()
        last = lines[-1] if lines else f"exit code {process.returncode}"
        raise GitError(f"git: {last[:SHOWN_ERROR_CHARS]}")
