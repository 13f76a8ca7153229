"""What `config check`, `check` and each start say of settings that cannot be used."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from runwatch_server.cli import app
from runwatch_server.setting_checks import RANGES, findings_of
from runwatch_shared.findings import out_of_range
from runwatch_shared.settings import HealthThresholds, Limits, ServerSettings
from tests.server.http.listener import certificates_in


def findings(tmp_path: Path, **changes: Any) -> list[str]:
    settings = ServerSettings(**({"data_dir": str(tmp_path / "new")} | changes))
    return [str(each) for each in findings_of(settings)]


def test_the_defaults_are_fine(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


def test_every_number_has_bounds_and_no_default_is_outside_them() -> None:
    assert {"port", "limits.sockets", "retention.events_s", "lease.ttl_s"} <= set(RANGES)
    assert list(out_of_range(ServerSettings(), RANGES)) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"port": 70_000}, "port: 70000 is out of range; set 0 to 65535"),
        ({"commit_works": 0}, "commit_works: 0 is out of range; set at least 1"),
        ({"host": "no such host"}, "host: 'no such host' is no address of a machine"),
        ({"host": "0.0.0.0", "auth": "local"}, "auth: local needs a loopback address"),
        ({"time_zone": "Mars/Base"}, "time_zone: time_zone 'Mars/Base' is no IANA time zone"),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "trusted_proxies: '10.0.0.0/99' does not"),
        ({"allowed_hosts": ["https://x"]}, "allowed_hosts: 'https://x' is no host name"),
        ({"allowed_origins": ["https://x/"]}, "allowed_origins: 'https://x/' is no web origin"),
        ({"allowed_origins": ["x.example"]}, "allowed_origins: 'x.example' is no web origin"),
        ({"allowed_origins": ["https://a:b"]}, "allowed_origins: 'https://a:b' is no web origin"),
        ({"tls_cert": "/c.pem"}, "tls_cert: tls_cert and tls_key go together"),
        ({"tls_cert": "/c.pem", "tls_key": "/k.pem"}, "tls_cert: cannot read /c.pem"),
        ({"database": "mysql://x"}, "database: there is no store 'mysql'; use sqlite:///"),
        ({"database": "postgresql://u:p/w@h/d"}, "database: the URL cannot be read"),
        ({"ready_file": "/nowhere/file"}, "ready_file: /nowhere cannot be written to"),
        ({"jwt_secret": "short"}, "jwt_secret: it has less than 32 characters"),
        ({"node_token": "short"}, "node_token: it has less than 16 characters"),
        ({"admin_email": "a@b"}, "admin_email: it goes with admin_password"),
        ({"admin_email": "ab", "admin_password": "long enough"}, "it is no e-mail address"),
        ({"admin_email": "a@b", "admin_password": "short"}, "admin_password: its length"),
        ({"webhook_kinds": ["nothing"]}, "webhook_kinds: nothing is none of"),
        ({"webhook_url": "https://x"}, "webhook_url: webhook_secret: alerts are signed"),
        ({"trace_endpoint": "http://[x"}, "trace_endpoint: expected a URL like"),
        ({"trace_endpoint": "http://x:99999/"}, "trace_endpoint: expected a URL like"),
        ({"trace_endpoint": "http://u:p@x/"}, "trace_endpoint: expected a URL like"),
        ({"data_dir": "/a\0b"}, "data_dir: it holds a NUL character; take it out"),
        ({"tls_cert": "/a\0b", "tls_key": "/k"}, "tls_cert: it holds a NUL character"),
        ({"allowed_hosts": ["a\0b"]}, "allowed_hosts: it holds a NUL character"),
        ({"drain_s": 31.0}, "drain_s: 31 is more than stop_s, 30; raise stop_s"),
        ({"limits": Limits(reads_burst=1)}, "limits.reads_per_s: 50 is more than"),
        ({"health": HealthThresholds(looping_window=2)}, "health.looping_calls: 4 is more than"),
    ],
)
def test_what_cannot_be_used_is_told_with_how_to_mend_it(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    found = findings(tmp_path, **changes)
    assert any(told in each for each in found), found
    assert len(found) == 1, found


def test_a_data_directory_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (told,) = findings(tmp_path, data_dir=str(tmp_path / "file" / "data"))
    assert told == f"data_dir: {tmp_path / 'file'} is no directory; name another"


def test_own_certificates_that_fit_are_fine(tmp_path: Path) -> None:
    files = certificates_in(tmp_path / "tls")
    assert findings(tmp_path, tls_cert=str(files.cert_pem), tls_key=str(files.key_pem)) == []


@pytest.mark.parametrize("command", [["config", "check"], ["check"], ["serve"]])
def test_all_that_is_wrong_is_told_at_once_with_exit_status_78(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    config = tmp_path / "runwatch.toml"
    config.write_text("[server]\nport = 99999\ntime_zone = 'Mars'\n")
    monkeypatch.setenv("RUNWATCH_DATA_DIR", str(tmp_path / "data"))
    outcome = CliRunner().invoke(app, [*command, "--config", str(config)])
    assert outcome.exit_code == 78
    assert "port: 99999 is out of range; set 0 to 65535" in outcome.stderr
    assert "time_zone 'Mars' is no IANA time zone" in outcome.stderr
    assert not (tmp_path / "data").exists()


def test_config_show_says_value_and_origin_and_covers_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "runwatch.toml"
    config.write_text("[server]\nport = 1\n[server.limits]\nsockets = 3\n")
    monkeypatch.setenv("RUNWATCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RUNWATCH_JWT_SECRET", "canary-" * 6)
    arguments = ["config", "show", "--config", str(config)]
    told = CliRunner().invoke(app, [*arguments, "--origin"]).stdout
    lines = dict(line.split("  # ") for line in told.splitlines())
    assert {name.strip(): origin for name, origin in lines.items()} | {
        "port = 1": str(config),
        "limits.sockets = 3": str(config),
        'jwt_secret = "***"': "RUNWATCH_JWT_SECRET",
        'log_level = "info"': "default",
    } == {name.strip(): origin for name, origin in lines.items()}
    shown = msgspec.json.decode(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert shown["limits.sockets"]["value"] == 3
    assert "canary" not in told


def test_config_check_names_a_variable_that_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNWATCH_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RUNWATCH_LOG_LEVLE", "debug")
    outcome = CliRunner().invoke(app, ["config", "check"])
    assert outcome.exit_code == 0
    assert "did you mean RUNWATCH_LOG_LEVEL?" in outcome.stderr
