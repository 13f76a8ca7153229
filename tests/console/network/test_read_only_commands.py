from pathlib import Path

from runwatch_console.headless.exits import ExitCode
from tests.console.network.scripted import ScriptedServer
from tests.console.network.test_cli import environment, monitor

__all__ = ["environment"]


async def test_with_read_only_a_command_that_changes_something_is_never_sent(
    environment: dict[str, str], server: ScriptedServer, tmp_path: Path
) -> None:
    for command in (["cancel", "run-1"], ["start", "--", "true"]):
        code, out, err = await monitor(environment, "--read-only", "--server", server.url, *command)
        assert (code, out) == (ExitCode.AUTH, "")
        assert "--read-only" in err
    assert server.seen == []
