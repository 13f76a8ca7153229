"""A real server process and a real receiver: a run fails and somebody is told, once."""

import subprocess
from pathlib import Path

from tests.processes import BIN, NodeProcess, ServerProcess, wait_until
from tests.server.alerts.receiver import SECRET, Receiver


def test_a_run_that_fails_is_told_once_and_signed(tmp_path: Path) -> None:
    with Receiver() as receiver:
        server = ServerProcess(tmp_path)
        server.environment["RUNWATCH_WEBHOOK_URL"] = receiver.url
        server.environment["RUNWATCH_WEBHOOK_SECRET"] = SECRET
        with server, NodeProcess(server):
            good, bad = server.make_run(["true"]), server.make_run(["false"], name="breaks")
            server.wait_for_run(good, "done")
            server.wait_for_run(bad, "failed")
            wait_until(lambda: receiver.came, "the alert")
            server.wait_for_run(server.make_run(["true"]), "done")
        assert receiver.types == ["run.failed"]
        assert receiver.came[0].is_signed_with(SECRET)
        assert receiver.came[0].alert["workflow"]["id"] == bad
        assert receiver.came[0].alert["text"].startswith(f"breaks ({bad}) failed")
        assert "very-secret" not in server.log()
        assert SECRET not in server.log()


def test_the_commands_say_where_alerts_go_and_whether_they_arrive(tmp_path: Path) -> None:
    with Receiver() as receiver:
        server = ServerProcess(tmp_path)
        with server:
            pass
        server.environment["RUNWATCH_WEBHOOK_URL"] = receiver.url

        def run(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [BIN / "monitor-server", *words],
                env=server.environment,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )

        unsigned = run("check")
        assert unsigned.returncode == 78
        assert "webhook_secret" in unsigned.stderr
        server.environment["RUNWATCH_WEBHOOK_SECRET"] = SECRET
        checked = run("check")
        assert f"to 127.0.0.1:{receiver.port}: failed" in checked.stdout
        assert "very-secret" not in checked.stdout
        sent = run("alert-test")
        assert (sent.returncode, sent.stderr) == (0, "")
        assert "204" in sent.stdout
        assert receiver.types == ["alert.test"]
        assert receiver.came[0].is_signed_with(SECRET)
        receiver.reply = lambda came: (500, {})
        failed = run("alert-test")
        assert failed.returncode == 69
        assert "500" in failed.stderr
