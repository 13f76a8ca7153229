"""Where clients of a fault test come in: any of several servers, by one token and all their CAs."""

import json
import ssl
from collections.abc import Iterable
from typing import Final, NamedTuple

from tests.processes import ServerProcess

PATIENCE: Final = json.dumps(
    dict.fromkeys(("reads_per_s", "reads_burst", "writes_per_s", "writes_burst"), 1_000_000)
)
"""``RUNWATCH_LIMITS`` of a server whose clients all have one token and come again at once."""


class Doors(NamedTuple):
    """Ports of loopback behind which is the same fleet; a client takes them in turn."""

    ports: tuple[int, ...]
    trusted: ssl.SSLContext
    token: str

    def host(self, turn: int) -> str:
        return f"127.0.0.1:{self.ports[turn % len(self.ports)]}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def doors_of(servers: Iterable[ServerProcess], *ports: int) -> Doors:
    """The servers' own ports, or others in front of them. They share a store, and so a token."""
    servers = list(servers)
    trusted = ssl.create_default_context(cafile=servers[0].data_dir / "tls" / "ca.pem")
    for server in servers[1:]:
        trusted.load_verify_locations(server.data_dir / "tls" / "ca.pem")
    return Doors(ports or tuple(server.port for server in servers), trusted, servers[0].token)
