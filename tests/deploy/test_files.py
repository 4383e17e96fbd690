"""What `deploy/` starts exists, and what it mounts is made."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from gateway.cli import command_parser

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS = [
    document
    for path in sorted((DEPLOY / "k8s").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
PODS = [document["spec"]["template"]["spec"] for document in MANIFESTS if "template" in document["spec"]]
SETTINGS = (DEPLOY / "config" / "production.toml").read_text(encoding="utf-8")


def test_compose_and_kubernetes_run_the_same_roles_and_the_command_knows_them():
    ours = [service["command"] for service in COMPOSE["services"].values() if service["image"].startswith("crossdock")]
    theirs = [container["args"] for pod in PODS for container in pod["containers"]]
    assert sorted(ours) == sorted(theirs) == [["console"], ["gateway"], ["migrate"], ["worker"]]
    for words in ours:
        assert command_parser().parse_args(words).run


def test_the_secrets_of_compose_are_those_that_are_made_and_that_the_settings_read():
    made = set(
        re.findall(r"keep ([a-z0-9-]+)$", (DEPLOY / "make_secrets.sh").read_text(encoding="utf-8"), re.MULTILINE)
    )
    read = set(re.findall(r"file:/run/secrets/([a-z0-9-]+)", SETTINGS))
    assert set(COMPOSE["secrets"]) == made
    assert set(COMPOSE["x-crossdock"]["secrets"]) == read


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["containers"][0]["name"])
def test_pods_run_without_privileges_on_a_file_system_that_they_cannot_change(pod):
    for container in pod["containers"]:
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_the_gateway_is_probed_where_it_answers():
    gateway = next(pod["containers"][0] for pod in PODS if pod["containers"][0]["name"] == "gateway")
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize(("role", "setting"), [("gateway", "port"), ("worker", "worker_port")])
def test_figures_are_scraped_where_the_settings_put_them_and_by_no_service(role, setting):
    port = tomllib.loads(SETTINGS)["metrics"][setting]
    [deployment] = [
        each for each in MANIFESTS if each["metadata"]["name"] == f"crossdock-{role}" and "template" in each["spec"]
    ]
    template = deployment["spec"]["template"]
    assert {"name": "metrics", "containerPort": port} in template["spec"]["containers"][0]["ports"]
    assert template["metadata"]["annotations"]["prometheus.io/port"] == str(port)
    services = [each for each in MANIFESTS if each["kind"] == "Service"]
    assert port not in {open_port["targetPort"] for service in services for open_port in service["spec"]["ports"]}
