"""A real server process and a real receiver: a run fails and somebody is told, once."""

import subprocess
import sys
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


def test_an_alert_outlives_a_killed_server_and_the_end_of_the_trouble_is_told(
    tmp_path: Path,
) -> None:
    with Receiver(lambda came: (500, {})) as receiver:
        server = ServerProcess(tmp_path)
        server.environment["RUNWATCH_WEBHOOK_URL"] = receiver.url
        server.environment["RUNWATCH_WEBHOOK_SECRET"] = SECRET
        server.environment["RUNWATCH_HEALTH"] = '{"slow_s": 1}'
        server.environment["RUNWATCH_WEBHOOK_KINDS"] = "slow,recovered"
        go_on = tmp_path / "go on"
        waiting = (
            "import pathlib, time\n"
            f"while not pathlib.Path({str(go_on)!r}).exists(): time.sleep(0.05)"
        )
        with server, NodeProcess(server):
            try:
                run = server.make_run([sys.executable, "-c", waiting])
                wait_until(lambda: receiver.came, "the first try", 15)
                told = receiver.came[0].alert
                server.kill()
                receiver.came.clear()
                receiver.reply = lambda came: (204, {})
                server.start()
                wait_until(lambda: receiver.came, "the alert of the killed server", 15)
                assert receiver.came[0].alert == told
            finally:
                go_on.touch()
            server.wait_for_run(run, "done", limit_s=30)
            wait_until(lambda: receiver.types == ["run.slow", "run.recovered"], "the end", 15)


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
