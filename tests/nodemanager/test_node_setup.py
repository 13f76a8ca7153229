"""Who a node is, how it finds its server, what it measures, what its command says."""

import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import disable_created_metrics, enable_created_metrics
from typer.testing import CliRunner

from runwatch_nodemanager.assignment import Assignment, Kept, save_assignment, save_kept
from runwatch_nodemanager.cli import app
from runwatch_nodemanager.credentials import find_access
from runwatch_nodemanager.identity import NodeFolder, find_node, new_process_id, own_addresses
from runwatch_nodemanager.metrics import NodeMetrics
from runwatch_nodemanager.metrics_listener import served
from runwatch_nodemanager.sweep import sweep
from runwatch_shared.errors import SettingsError
from runwatch_shared.models import Agent, Snapshot, TaskId
from runwatch_shared.settings import NodeSettings
from runwatch_shared.timestamps import format_time
from tests.packaging.test_docs import documented_metrics

CONTRACT = Path(__file__).resolve().parents[3] / "shared" / "contract.md"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    for name in ("RUNWATCH_NODE_TOKEN", "NODE_TOKEN", "RUNWATCH_TOKEN", "RUNWATCH_SERVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNWATCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_a_node_keeps_the_id_it_was_given_at_its_first_start(tmp_path):
    first, folder = find_node(tmp_path, "")
    again, _ = find_node(tmp_path, "")
    assert first == again
    assert folder.path == tmp_path / "node" / first
    assert new_process_id() != new_process_id()
    assert re.fullmatch(r"[0-9a-f:.]*", own_addresses())


@pytest.mark.parametrize("node_id", ["../x", "a b", "-x", "x" * 129])
def test_an_id_with_other_characters_is_refused(tmp_path, node_id):
    with pytest.raises(SettingsError):
        find_node(tmp_path, node_id)


def test_a_second_node_manager_is_kept_out(tmp_path):
    folder = NodeFolder(tmp_path / "n")
    folder.create()
    assert folder.holder() is None
    with folder.held():
        assert folder.holder() is not None
        with pytest.raises(SettingsError), folder.held():
            pass
    assert folder.holder() is None


def settings_for(tmp_path, **changes):
    return NodeSettings(**({"data_dir": str(tmp_path)} | changes))


def test_on_loopback_the_servers_files_are_found(tmp_path):
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("pem")
    (tmp_path / "node-token").write_text("tok\n")
    access = find_access(settings_for(tmp_path, server="https://127.0.0.1:8080/"))
    assert access.url == "https://127.0.0.1:8080"
    assert access.ca == tmp_path / "tls" / "ca.pem"
    assert access.token == "tok"
    assert access.loopback


def test_beyond_loopback_token_and_authority_count_only_together_and_over_tls(tmp_path):
    (tmp_path / "node-token").write_text("tok\n")
    access = find_access(settings_for(tmp_path, server="https://server.example"))
    assert (access.ca, access.token, access.loopback) == (None, None, False)
    (tmp_path / "tls").mkdir()
    authority = tmp_path / "tls" / "ca.pem"
    authority.write_text("pem")
    access = find_access(settings_for(tmp_path, server="https://server.example"))
    assert (access.ca, access.token) == (authority, "tok")
    access = find_access(settings_for(tmp_path, server="http://server.example"))
    assert (access.ca, access.token) == (None, None)
    other = tmp_path / "other.pem"
    other.write_text("pem")
    given = settings_for(tmp_path, server="https://server.example", ca=str(other))
    assert (find_access(given).ca, find_access(given).token) == (other, None)


def test_what_is_given_wins_over_what_is_found(tmp_path):
    (tmp_path / "node-token").write_text("found")
    (tmp_path / "given").write_text("given")
    given = settings_for(tmp_path, token_file=str(tmp_path / "given"), token="setting")
    assert find_access(given).token == "given"
    assert find_access(settings_for(tmp_path, token="setting")).token == "setting"


@pytest.mark.parametrize(
    "changes",
    [
        {"server": "ftp://x"},
        {"server": "nonsense"},
        {"server": "https://x:99999"},
        {"ca": "/no/such/file"},
        {"token_file": "/no/such/file"},
    ],
)
def test_access_that_cannot_be_used_is_a_settings_error(tmp_path, changes):
    with pytest.raises(SettingsError):
        find_access(settings_for(tmp_path, **changes))


def exposition(metrics):
    disable_created_metrics()
    try:
        with served(metrics.registry, "127.0.0.1", 0) as port:
            address = f"http://127.0.0.1:{port}/metrics"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return answer.read().decode()
    finally:
        enable_created_metrics()


def test_the_metrics_have_the_documented_names_and_the_node_id():
    text = exposition(NodeMetrics(node_id="n1", version="1.2.3"))
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    assert all(name.startswith("executor_") for name in names)
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all('node_id="n1"' in line for line in samples)
    assert 'executor_tasks_total{driver="command",node_id="n1",status="done"} 0.0' in text
    assert "executor_build_info" in names
    if not CONTRACT.exists():
        pytest.skip(f"no contract at {CONTRACT}")
    document = CONTRACT.read_text()
    part = document[document.index("**Node manager**") : document.index("## 5. Records")]
    documented = {
        f"executor_{name}" for name in re.findall(r"`([a-z_]+)(?:\{[a-z,]+\})?`", part)
    } - {"executor_executor_", "executor_node_id"}
    assert names >= documented
    assert names == set(documented_metrics("Node manager"))


def test_a_thousand_runs_of_any_agent_make_no_more_series():
    def series(metrics):
        lines = exposition(metrics).splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    metrics = NodeMetrics(node_id="n1", version="1.2.3")
    before = series(metrics)
    for number in range(1000):
        metrics.ended(f"agent-{number}", "done", 1.0)
        metrics.container_started(f"agent-{number}", ok=True)
        metrics.reported({f"x_type_{number}": 1})
        metrics.report_failed(f"code_{number}")
    assert series(metrics) == before


def test_promtool_finds_nothing_to_say():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    metrics = NodeMetrics(node_id="n1", version="1.2.3")
    metrics.ended("command", "done", 1.0)
    metrics.reported({"message": 2, "x_claude_odd": 1})
    told = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposition(metrics),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def keep(folder, run_id, ended_us):
    path = folder.ended / run_id
    path.mkdir(parents=True)
    ended_at = format_time(ended_us)
    save_kept(path, Kept(run_id=run_id, epoch=1, outcome="done", ended_at=ended_at))
    (folder.workspaces / run_id).mkdir(parents=True)


def test_the_sweeper_takes_what_was_kept_long_enough_with_its_workspace(tmp_path):
    folder = NodeFolder(tmp_path / "n")
    folder.create()
    now_us = 1_000_000_000_000
    keep(folder, "run-old", now_us - 101 * 1_000_000)
    keep(folder, "run-new", now_us - 99 * 1_000_000)
    (folder.ended / "no-kept-file").mkdir()
    assert sweep(folder, now_us, 100) == 1
    assert sorted(path.name for path in folder.ended.iterdir()) == ["no-kept-file", "run-new"]
    assert [path.name for path in folder.workspaces.iterdir()] == ["run-new"]


def test_an_assignment_on_disk_has_no_secret(tmp_path):
    folder = NodeFolder(tmp_path).run("run-1")
    folder.create()
    agent = Agent(type="command")
    env = {"KEY": "hush"}
    snapshot = Snapshot(task_id=TaskId("t"), name="n", agent=agent, prompt="", labels={}, env=env)
    save_assignment(folder, Assignment(run_id="run-1", phase="claimed", snapshot=snapshot))
    assert b"hush" not in folder.assignment.read_bytes()
    assert b"KEY" in folder.assignment.read_bytes()


runner = CliRunner()


def test_help_tells_how_a_node_ends():
    told = runner.invoke(app, ["run", "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert told.exit_code == 0
    for word in ("--server", "--label", "--capacity", "--stop-agents", "SIGTERM"):
        assert word in told.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--capacity", "0"],
        ["--server", "https://server.example"],
        ["--server", "nonsense"],
        ["--node-id", "a b"],
        ["--config", "/no/such/file.toml"],
    ],
)
def test_a_setting_that_cannot_be_used_ends_with_one_line_on_stderr(arguments):
    told = runner.invoke(app, ["run", *arguments])
    assert told.exit_code == 2
    assert told.stderr.startswith("nodemanager: ")
    assert "Traceback" not in told.output


def test_stop_and_runs_say_so_where_there_is_nothing():
    assert "no node manager runs here" in runner.invoke(app, ["stop"]).output
    assert runner.invoke(app, ["runs"]).output == ""
