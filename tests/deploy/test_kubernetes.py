"""The Kubernetes base is valid, passes the restricted Pod Security Standard, and fits the daemon."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from detector.config import load_settings
from schemas.config import Http, Limits
from tests.support.tools import require_tool

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base"
Document = dict[str, Any]
VERSIONS = ["1.33", kubernetes_validate.latest_version()]
SECRET_FREE_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected"}


def _documents() -> list[Document]:
    """The base's resources as they lie in the files."""
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    return [each for name in names for each in yaml.safe_load_all((BASE / name).read_text())]


DOCUMENTS = _documents()
BY_NAME = {(each["kind"], each["metadata"]["name"]): each for each in DOCUMENTS}
DEPLOYMENTS = [each for each in DOCUMENTS if each["kind"] == "Deployment"]
PODS = {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in DEPLOYMENTS}
DAEMON = BY_NAME["Deployment", "watchkeeper"]
PEOPLE = pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())


@pytest.fixture(scope="module")
def built() -> list[Document]:
    """What kustomize makes of the base, alone or within kubectl."""
    kustomize = shutil.which("kustomize")
    command = [kustomize, "build"] if kustomize else [require_tool("kubectl", "kubectl or kustomize"), "kustomize"]
    ran = subprocess.run([*command, str(BASE)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [each for each in yaml.safe_load_all(ran.stdout) if each]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
@pytest.mark.parametrize("version", VERSIONS)
def test_each_resource_is_valid(document: Document, version: str) -> None:
    """Strictly: an unknown field is an error, in an older Kubernetes and in the newest known."""
    kubernetes_validate.validate(document, version, strict=True)


def test_kustomize_builds_valid_resources(built: list[Document]) -> None:
    """All resources and the generated configuration come out, in one namespace, valid, with a pinned image."""
    for document in built:
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)
        if document["kind"] != "Namespace":
            assert document["metadata"]["namespace"] == "watchkeeper"
        if document["kind"] == "Deployment":
            for container in document["spec"]["template"]["spec"]["containers"]:
                assert container["image"].rpartition(":")[2][0].isdigit(), container["image"]
    assert len(built) == len(DOCUMENTS) + 1


def test_a_changed_configuration_rolls_the_pods(built: list[Document]) -> None:
    """The configuration's name carries a hash, and both deployments mount that name."""
    (config,) = [each for each in built if each["kind"] == "ConfigMap"]
    name = config["metadata"]["name"]
    assert name != "watchkeeper-config"
    for deployment in (each for each in built if each["kind"] == "Deployment"):
        mounted = [
            v["configMap"]["name"] for v in deployment["spec"]["template"]["spec"]["volumes"] if "configMap" in v
        ]
        assert mounted == [name]


@PEOPLE
def test_the_pod_passes_the_restricted_standard(pod: Document) -> None:
    """Every control of the Pod Security Standard 'restricted', which the namespace enforces."""
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"]["type"] == "RuntimeDefault"
    assert "sysctls" not in security
    for volume in pod["volumes"]:
        assert set(volume) - {"name"} <= SECRET_FREE_VOLUMES
    for container in pod["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert not own.get("privileged", False)
        assert all("hostPort" not in port for port in container.get("ports", []))
    assert (
        BY_NAME["Namespace", "watchkeeper"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    )


@PEOPLE
def test_the_pod_goes_beyond_the_standard(pod: Document) -> None:
    """A read-only file system, no token for the API, requests and a memory limit, no variables from services."""
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "WATCHKEEPER_METRICS_PORT would be read as configuration"
    for container in pod["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]


@PEOPLE
def test_every_mount_has_its_volume(pod: Document) -> None:
    """Names agree, and what is mounted from a claim or an account exists."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    claims = [v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v]
    assert all(("PersistentVolumeClaim", claim) in BY_NAME for claim in claims)
    assert ("ServiceAccount", pod["serviceAccountName"]) in BY_NAME


@PEOPLE
def test_a_secret_comes_by_reference(pod: Document) -> None:
    """The password is read from a secret, and a broker without one needs no secret."""
    (container,) = pod["containers"]
    (password,) = [each for each in container["env"] if "PASSWORD" in each["name"]]
    assert "value" not in password
    assert password["valueFrom"]["secretKeyRef"]["optional"] is True
    load_settings(BASE / "watchkeeper.yaml", {password["name"]: "secret"})


@PEOPLE
def test_the_configuration_is_valid_and_where_the_pod_looks(pod: Document) -> None:
    """The file in the base is read by the daemon's own reader, and its store lies on the mounted claim."""
    settings = load_settings(BASE / "watchkeeper.yaml", {})
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert settings.store.startswith(mounts["store"])
    assert container["args"][1:] == ["--config", f"{mounts['config']}/watchkeeper.yaml"]
    assert settings.http.host == "0.0.0.0"


def test_the_probes_ask_the_daemon_and_give_it_time() -> None:
    """Alive and ready are its own pages; a tick that waits for delivery, and a broker that is slow, are no death."""
    (container,) = DAEMON["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "metrics", "containerPort": Http().port}]
    paths = {probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe: page["path"] for probe, page in paths.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {page["port"] for page in paths.values()} == {"metrics"}
    start, live = container["startupProbe"], container["livenessProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] > Limits().broker_wait_s
    assert live["periodSeconds"] * live["failureThreshold"] >= Limits().delivery_timeout_s
    assert DAEMON["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > Limits().drain_s


def test_the_worker_is_asked_whether_it_lives_and_can_be_scraped() -> None:
    """The configuration switches its pages on, for probes from outside the pod; its service finds it alone."""
    (worker,) = [each for each in DEPLOYMENTS if each is not DAEMON]
    (container,) = worker["spec"]["template"]["spec"]["containers"]
    http = load_settings(BASE / "watchkeeper.yaml", {}).worker.http
    assert (http.enabled, http.host) == (True, "0.0.0.0")
    assert container["ports"] == [{"name": "metrics", "containerPort": http.port}]
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/healthz"}
    service = BY_NAME["Service", "watchkeeper-worker-metrics"]["spec"]
    assert service["selector"] == worker["spec"]["selector"]["matchLabels"]
    assert service["ports"][0]["port"] == http.port


def test_a_rollout_never_waits_for_a_member_without_a_partition() -> None:
    """No surplus pod; the others keep the partitions."""
    assert DAEMON["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_selectors_find_the_daemon_and_only_it() -> None:
    """Service, disruption budget and spread look for the daemon's labels; the worker does not have them."""
    wanted = DAEMON["spec"]["selector"]["matchLabels"]
    assert BY_NAME["Service", "watchkeeper-metrics"]["spec"]["selector"] == wanted
    assert BY_NAME["PodDisruptionBudget", "watchkeeper"]["spec"]["selector"]["matchLabels"] == wanted
    for deployment in DEPLOYMENTS:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert (wanted.items() <= labels.items()) == (deployment is DAEMON)
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_a_drain_takes_one_daemon_at_a_time() -> None:
    """The budget lets a node drain go on and keeps the other replicas."""
    assert BY_NAME["PodDisruptionBudget", "watchkeeper"]["spec"]["maxUnavailable"] == 1
    assert DAEMON["spec"]["replicas"] >= 2
