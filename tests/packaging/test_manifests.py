"""Compose and Kubernetes: forms that their programs take, names that lead somewhere, no rights."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import compose_spec
import kubernetes_validate
import pytest
import yaml

from runwatch_server.setting_checks import findings_of
from runwatch_shared.layers import load_settings
from runwatch_shared.setting_lines import unknown_variables
from runwatch_shared.settings import NodeSettings, ServerSettings

DEPLOYMENTS: Final = Path(__file__).resolve().parents[2] / "deployments"
KUBERNETES: Final = sorted((DEPLOYMENTS / "kubernetes").glob("*.yaml"))
COMPOSE: Final = DEPLOYMENTS / "docker/compose.yaml"
KUBERNETES_VERSION: Final = "1.30"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return read


def objects() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in KUBERNETES:
        for each in yaml.safe_load_all(file.read_text()):
            if "namespace" not in each and each["kind"] != "Kustomization":
                yield f"{each['kind']}/{each['metadata']['name']}", each


OBJECTS: Final = dict(objects())


@pytest.mark.parametrize("name", ["docker/compose.yaml"])
def test_a_compose_file_has_the_form_of_its_specification(name: str) -> None:
    # Anchors and merges are YAML's, variables are Compose's: both are gone when it is looked at.
    text = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", (DEPLOYMENTS / name).read_text())
    read = yaml.safe_load(text)
    compose_spec.PyCompose.from_json(json.dumps(read)).validate()


def test_compose_names_only_what_is_there(compose: dict[str, Any]) -> None:
    used: dict[str, set[str]] = {"volumes": set(), "networks": set(), "secrets": set()}
    for name, service in compose["services"].items():
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        used["networks"] |= set(service.get("networks", ()))
        for secret in service.get("secrets", ()):
            used["secrets"].add(secret if isinstance(secret, str) else secret["source"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), volume
            else:
                used["volumes"].add(source)
    assert used == {kind: set(compose[kind]) for kind in used}


def test_each_secret_of_compose_is_made_once_by_its_script(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    script = tmp_path / "secrets.sh"
    script.write_bytes((COMPOSE.parent / "secrets.sh").read_bytes())
    first: dict[str, str] = {}
    for _ in range(2):
        subprocess.run(["bash", str(script)], check=True, capture_output=True, timeout=20)
        made = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
        assert first in ({}, made)
        first = made
    wanted = {each["file"].removeprefix("secrets/") for each in compose["secrets"].values()}
    assert set(first) == wanted
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert first["postgres_password"].strip() in first["database_url"]


def test_the_settings_of_compose_are_settings_and_a_server_could_work_with_them(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    for name, kind, table in (
        ("server", ServerSettings, "server"),
        ("migrate", ServerSettings, "server"),
        ("node", NodeSettings, "node"),
    ):
        environment: dict[str, str] = {}
        for variable, value in compose["services"][name]["environment"].items():
            text = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
            if text.startswith("/run/secrets/"):
                assert Path(text).name in compose["services"][name]["secrets"]
                secret = tmp_path / Path(text).name
                secret.write_text("postgresql://u@h/d" if "url" in text else "s" * 40)
                text = str(secret)
            environment[variable] = text
        assert unknown_variables(environment) == []
        environment["RUNWATCH_DATA_DIR"] = str(tmp_path / "data")
        settings = load_settings(kind, table, environment=environment)
        if isinstance(settings, ServerSettings):
            assert findings_of(settings) == []


def test_services_of_ours_have_no_rights_in_compose(compose: dict[str, Any]) -> None:
    for name in ("server", "node"):
        service = compose["services"][name]
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
    assert not any("docker.sock" in line for line in COMPOSE.read_text().splitlines())
    published = [port for each in compose["services"].values() for port in each.get("ports", ())]
    assert all("127.0.0.1" in port for port in published), "beyond this machine is a decision"


@pytest.mark.parametrize("name", OBJECTS)
def test_each_object_of_kubernetes_fits_the_schema_of_its_kind(name: str) -> None:
    kubernetes_validate.validate(OBJECTS[name], KUBERNETES_VERSION, strict=True)


def test_the_schema_would_find_a_wrong_word() -> None:
    wrong = json.loads(json.dumps(OBJECTS["Deployment/runwatch-server"]))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSION, strict=True)


def test_kustomize_names_every_file() -> None:
    read = yaml.safe_load((DEPLOYMENTS / "kubernetes/kustomization.yaml").read_text())
    assert set(read["resources"]) == {file.name for file in KUBERNETES} - {"kustomization.yaml"}
    images = {each["name"] for each in read["images"]}
    assert {each["image"] for name in OBJECTS for each in containers(name)} == images


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = OBJECTS[name].get("spec", {}).get("template", {}).get("spec", {})
    return found


def containers(name: str) -> list[dict[str, Any]]:
    return [*pod(name).get("initContainers", ()), *pod(name).get("containers", ())]


@pytest.mark.parametrize("name", ["Deployment/runwatch-server", "StatefulSet/runwatch-node"])
def test_pods_have_no_rights_and_mount_what_they_name(name: str) -> None:
    spec = pod(name)
    claims = OBJECTS[name]["spec"].get("volumeClaimTemplates", ())
    volumes = {each["name"] for each in spec["volumes"]} | {
        each["metadata"]["name"] for each in claims
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in containers(name):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {each["name"] for each in container["volumeMounts"]} <= volumes
        names = {each["name"]: each.get("value", "x") for each in container["env"]}
        assert unknown_variables(names) == []
        ports = {each["name"] for each in container.get("ports", ())}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {}).get("httpGet")
            assert asked is None or asked["port"] in ports


def test_the_pods_of_servers_are_stopped_as_slowly_as_they_drain(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(OBJECTS["ConfigMap/runwatch-server"]["data"]["config.toml"])
    settings = load_settings(ServerSettings, "server", config=file, environment={})
    spec = pod("Deployment/runwatch-server")
    assert spec["terminationGracePeriodSeconds"] > settings.stop_s
    probe = spec["containers"][0]["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": "https", "scheme": "HTTPS"}
    # Nobody is sent to a server any more before it closes its listener.
    assert probe["periodSeconds"] * probe["failureThreshold"] < settings.drain_s
    live = spec["containers"][0]["livenessProbe"]["httpGet"]
    assert live["path"] == "/livez"
    budget = OBJECTS["PodDisruptionBudget/runwatch-server"]["spec"]
    replicas = OBJECTS["Deployment/runwatch-server"]["spec"]["replicas"]
    assert budget["minAvailable"] < replicas
    labels = OBJECTS["Deployment/runwatch-server"]["spec"]["selector"]["matchLabels"]
    assert budget["selector"]["matchLabels"] == labels
    assert OBJECTS["Service/runwatch-server"]["spec"]["selector"] == labels
