"""A machine joins a real server over TLS, held against its fingerprint, and runs something."""

import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

from runwatch_server.certificates import ensure_certificates
from runwatch_shared.clock import SystemClock
from tests.processes import ServerProcess

NODE = Path(sys.executable).with_name("nodemanager")
SERVER = Path(sys.executable).with_name("monitor-server")
LIMIT_S = 60


def made(server: ServerProcess, *words: str) -> list[str]:
    """The words of the command that is to be run on the machine."""
    said = subprocess.run(
        [
            *(str(SERVER), "node", "join-token", "--url", server.url),
            *("--data-dir", str(server.data_dir), *words),
        ],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    ).stdout.split()
    assert said[:2] == ["nodemanager", "join"]
    return said[2:]


def run(words: list[str], folder: Path, node_id: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(NODE), "join", *words, "--data-dir", str(folder), "--node-id", node_id],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_a_machine_joins_with_the_printed_command_and_only_once(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    with ServerProcess(tmp_path / "server") as server:
        words = made(server)
        said = run(words, folder, "box-1")
        assert said.returncode == 0, said.stderr
        assert "joined as box-1" in said.stdout
        assert (folder / "node-token").stat().st_mode & 0o777 == 0o600
        assert (folder / "tls" / "ca.pem").read_text() == (
            server.data_dir / "tls" / "ca.pem"
        ).read_text()
        again = run(words, tmp_path / "second", "box-2")
        assert again.returncode == 2
        assert "revoked" in again.stderr
        assert not (tmp_path / "second" / "node-token").exists()


def test_nothing_is_sent_to_a_server_that_shows_another_authority(tmp_path: Path) -> None:
    """Who stands between has a certificate for the name, of an authority of their own."""
    other = ensure_certificates(tmp_path / "other", ["127.0.0.1"], SystemClock())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other.cert_pem, other.key_pem)
    heard: list[bytes] = []
    with (
        ServerProcess(tmp_path / "server") as server,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        words = made(server)
        words[0] = f"https://127.0.0.1:{listener.getsockname()[1]}"

        listener.settimeout(LIMIT_S / 2)

        def stand_between() -> None:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.settimeout(LIMIT_S / 2)
                heard.append(tls.recv(65536))

        thread = threading.Thread(target=stand_between, daemon=True)
        thread.start()
        said = run(words, tmp_path / "node", "box-1")
        assert said.returncode == 2
        assert "another authority" in said.stderr
        assert "nothing was sent" in said.stderr
        assert not (tmp_path / "node" / "tls").exists()
        good = run(made(server), tmp_path / "node", "box-1")
        assert good.returncode == 0, good.stderr
    thread.join(LIMIT_S / 2)
    assert heard == [b""]


def test_what_a_node_had_stays_where_another_server_refuses_it(tmp_path: Path) -> None:
    folder = tmp_path / "node"
    with ServerProcess(tmp_path / "first") as first, ServerProcess(tmp_path / "other") as other:
        said = run(made(first), folder, "box-1")
        assert said.returncode == 0, said.stderr
        before = [(folder / name).read_bytes() for name in ("tls/ca.pem", "node-token")]
        words = made(other)
        words[-1] += "0"
        refused = run(words, folder, "box-1")
        assert refused.returncode == 2
        assert "unknown" in refused.stderr
        after = [(folder / name).read_bytes() for name in ("tls/ca.pem", "node-token")]
        assert after == before
        assert [path.name for path in (folder / "tls").iterdir()] == ["ca.pem"]


def test_a_servers_own_directory_is_not_given_to_a_node_of_another(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "far") as far:
        near = ensure_certificates(tmp_path / "near" / "tls", ["127.0.0.1"], SystemClock())
        before = near.ca_pem.read_bytes()
        words = made(far)
        refused = run(words, tmp_path / "near", "box-1")
        assert refused.returncode == 2
        assert "--data-dir" in refused.stderr
        assert near.ca_pem.read_bytes() == before
        assert run(words, tmp_path / "node", "box-1").returncode == 0, "the token was not sent"
