"""What a service manager is told, and that a loop that stands still falls silent."""

import asyncio
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runwatch_shared.notify import Notifier
from runwatch_shared.tasks import TaskOwner

LIMIT_S = 20.0


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """A fake service manager; its name is short, as those of sockets must be."""
    with (
        tempfile.TemporaryDirectory(prefix="rw-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made,
    ):
        made.bind(str(Path(folder) / "notify"))
        made.settimeout(LIMIT_S)
        yield made


def test_facts_are_lines_of_one_datagram(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    notifier.ready("serving")
    notifier.stopping("draining")
    assert manager.recv(4096) == b"READY=1\nSTATUS=serving"
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=draining"
    notifier.reloading()
    assert manager.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(f"\0runwatch-test-{os.getpid()}")
        made.settimeout(LIMIT_S)
        Notifier(f"@runwatch-test-{os.getpid()}").ready("here")
        assert made.recv(4096) == b"READY=1\nSTATUS=here"


def test_its_variables_are_taken_so_that_no_program_we_start_has_them() -> None:
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "500000", "HOME": "/"}
    assert Notifier.taken(environment).watchdog_s == 0.5
    assert environment == {"HOME": "/"}
    other = {"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid() + 1)}
    assert Notifier.taken(other).watchdog_s == 0


def test_nobody_to_tell_and_a_manager_that_is_gone_are_no_errors() -> None:
    Notifier().ready("alone")
    Notifier("/nowhere/notify").ready("alone")


async def test_the_watchdog_is_fed_from_the_loop_and_not_while_it_stands_still(
    manager: socket.socket,
) -> None:
    arrived: list[float] = []

    def listen() -> None:
        while manager.recv(4096) == b"WATCHDOG=1":
            arrived.append(time.monotonic())

    listener = threading.Thread(target=listen)
    listener.start()
    notifier = Notifier(manager.getsockname(), watchdog_s=0.1)
    async with TaskOwner("test") as owner:
        notifier.start(owner)
        async with asyncio.timeout(LIMIT_S):
            while len(arrived) < 4:
                await asyncio.sleep(0.01)
        began = time.monotonic()
        time.sleep(0.5)  # noqa: ASYNC251 - the loop stands still
        ended = time.monotonic()
        fed = len(arrived)
        async with asyncio.timeout(LIMIT_S):
            while len(arrived) < fed + 2:
                await asyncio.sleep(0.01)
    notifier.tell(END=1)
    listener.join(LIMIT_S)
    assert not [at for at in arrived if began + 0.1 < at < ended]
