"""Network namespaces of Linux for tests: a node behind a cable of its own that can be pulled.

Making one needs root, or the rights that let `ip` do it; where it cannot be had a test skips.
"""

import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

IP_LIMIT_S: Final = 20.0
FIRST_ADDRESS: Final = ipaddress.IPv4Address("10.128.0.0")
BLOCKS: Final = 1 << 21
"""Of four addresses each, up to 10.255.255.255."""


class NoNamespacesError(Exception):
    """This machine lets us make no network namespace; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A namespace and its cable to this machine.

    Args:
        cable: The device at our end of it.
        outside: Our address, as seen from inside.
        inside: Its own.
    """

    name: str
    cable: str
    outside: str
    inside: str

    def command(self, *command: str) -> list[str]:
        """A command that runs the given one inside."""
        return [ip_program(), "netns", "exec", self.name, *command]

    def pull(self) -> None:
        """Nothing goes through the cable any more, and nobody is told: packets vanish."""
        ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """Packets go through again; again is without effect."""
        ip("link", "set", self.cable, "up")

    def _make(self) -> None:
        inner = self.cable[:-1] + "i"
        ip("link", "add", self.cable, "type", "veth", "peer", "name", inner, "netns", self.name)
        ip("addr", "add", f"{self.outside}/30", "dev", self.cable)
        self.plug()
        ip("-n", self.name, "addr", "add", f"{self.inside}/30", "dev", inner)
        for device in ("lo", inner):
            ip("-n", self.name, "link", "set", device, "up")


def ip_program() -> str:
    """The path of `ip`, which a user's PATH need not hold.

    Raises:
        NoNamespacesError: There is none.
    """
    found = shutil.which("ip", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise NoNamespacesError("the program ip is not installed (make test installs it)")
    return found


def ip(*arguments: str) -> None:
    """Run `ip`.

    Raises:
        NoNamespacesError: It failed.
    """
    done = subprocess.run(
        [ip_program(), *arguments], capture_output=True, text=True, timeout=IP_LIMIT_S, check=False
    )
    if done.returncode != 0:
        raise NoNamespacesError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextmanager
def namespaces(*names: str) -> Iterator[dict[str, Namespace]]:
    """One namespace a name, each with a cable to this machine; gone afterwards.

    Their addresses differ by this process.

    Raises:
        NoNamespacesError: They cannot be made here.
    """
    made = {}
    with ExitStack() as stack:
        for number, name in enumerate(names):
            base = f"rw{os.getpid()}{name}"
            block = FIRST_ADDRESS + (os.getpid() * len(names) + number) % BLOCKS * 4
            space = Namespace(
                name=base, cable=f"{base}o", outside=str(block + 1), inside=str(block + 2)
            )
            ip("netns", "add", space.name)
            stack.callback(ip, "netns", "del", space.name)  # takes the cable with it
            space._make()
            made[name] = space
        yield made
