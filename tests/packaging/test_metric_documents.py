"""What a running server and a running node expose is what docs/metrics.md says."""

import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

import local_process
import local_stack
from runwatch_shared.tls import client_context
from tests.packaging.test_docs import documented_metrics
from tests.packaging.test_local_targets import own_environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
RUNTIME = ("process_", "python_")


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The text of both listeners, after a node has come online."""
    data_dir = tmp_path_factory.mktemp("metrics")
    place = local_stack.Place(data_dir=data_dir, environment=own_environment(data_dir))
    try:
        url = local_stack.start_server(place)
        local_stack.start_node(place)
        assert local_stack.wait_for_node(place, url)
        node = f"http://127.0.0.1:{place.environment['RUNWATCH_METRICS_PORT']}"
        context = client_context(data_dir / "tls" / "ca.pem")
        yield {
            "Server": fetch(f"{url}/metrics", context),
            "Node manager": fetch(f"{node}/metrics", None),
        }
    finally:
        for identity in local_process.processes_of(data_dir):
            local_process.end(identity, grace_s=5)


def fetch(url: str, context: ssl.SSLContext | None) -> str:
    with urllib.request.urlopen(url, timeout=5, context=context) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize("part", ["Server", "Node manager"])
def test_the_metrics_are_those_documented(exposed: dict[str, str], part: str) -> None:
    found = {}
    for family in text_string_to_metric_families(exposed[part]):
        if not family.name.startswith(RUNTIME):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            kind = "untyped" if family.type == "unknown" else family.type
            labels = {label for sample in family.samples for label in sample.labels}
            found[name] = (kind, labels - {"le", "node_id"})
    documented = documented_metrics(part)
    assert {name: kind for name, (kind, _) in found.items()} == {
        name: kind for name, (kind, _) in documented.items()
    }
    for name, (_, label_names) in found.items():
        assert label_names <= documented[name][1], name


@pytest.mark.parametrize("part", ["Server", "Node manager"])
def test_promtool_finds_nothing(exposed: dict[str, str], part: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (make test installs it)")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=exposed[part],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
