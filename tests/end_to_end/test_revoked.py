"""A token that a command revokes beside the server closes its open sockets."""

import asyncio
import subprocess
import sys
from pathlib import Path

from websockets.asyncio.client import connect

from runwatch_server.hub import RECHECK_S
from tests.processes import ServerProcess

SERVER = Path(sys.executable).with_name("monitor-server")
PROMISED_S = 5.0


def command(server: ServerProcess, *words: str) -> str:
    said = subprocess.run(
        [str(SERVER), *words, "--data-dir", str(server.data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return said.stdout.strip()


def test_a_socket_is_closed_once_its_token_is_revoked_and_others_stay(tmp_path: Path) -> None:
    async def watch(server: ServerProcess) -> None:
        token = command(server, "token", "create", "--scope", "viewer", "--name", "gone")
        url = server.url.replace("https:", "wss:") + "/ws/monitor?mode=delta"
        async with (
            connect(
                url,
                ssl=server.tls(),
                proxy=None,
                additional_headers={"Authorization": f"Bearer {token}"},
            ) as gone,
            connect(
                url,
                ssl=server.tls(),
                proxy=None,
                additional_headers={"Authorization": f"Bearer {server.token}"},
            ) as stays,
        ):
            await asyncio.to_thread(command, server, "token", "revoke", token.split("_")[2])
            async with asyncio.timeout(30):
                await gone.wait_closed()
            assert gone.close_code == 1008
            await stays.ping()

    with ServerProcess(tmp_path) as server:
        asyncio.run(watch(server))
        listed = command(server, "audit", "list")
        assert "token revoke" in listed
        assert "whole" in command(server, "audit", "verify")


def test_it_is_looked_often_enough_for_what_is_promised() -> None:
    assert RECHECK_S < PROMISED_S
