"""The images are pinned, run as nobody, and the daemon's is free of torch; the compose file fits them."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.config import load_settings
from schemas.config import Http, Limits

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy" / "docker"
DETECTOR, TRAINER = DOCKER / "Dockerfile.detector", DOCKER / "Dockerfile.trainer"
IMAGES = pytest.mark.parametrize("path", [DETECTOR, TRAINER], ids=lambda path: path.suffix[1:])
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
OURS = {name: each for name, each in COMPOSE["services"].items() if each["image"].startswith("watchkeeper")}
EXACT = re.compile(r":\d+\.\d+\.\d+(-[\w.-]+)?$")


def _instructions(path: Path) -> list[tuple[str, str]]:
    """(word, rest) of every instruction, continued lines joined, comments left out."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(word.upper(), rest) for word, rest in words]


def _of(path: Path, word: str) -> list[str]:
    return [rest for found, rest in _instructions(path) if found == word]


def _last_stage(path: Path) -> list[tuple[str, str]]:
    instructions = _instructions(path)
    begin = max(n for n, (word, _) in enumerate(instructions) if word == "FROM")
    return instructions[begin:]


@IMAGES
def test_base_images_are_pinned_to_a_patch_version(path: Path) -> None:
    """The same file builds the same image next year; both stages have the same Python."""
    bases = [rest.split()[0] for rest in _of(path, "FROM")]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert EXACT.search(bases[0])


@IMAGES
def test_the_libraries_are_those_of_the_constraints_file(path: Path) -> None:
    """Exact versions, and nothing is installed beside them."""
    installs = [run for run in _of(path, "RUN") if "install" in run and "pip" in run]
    assert len(installs) == 1
    assert "--constraint constraints.txt" in installs[0]
    assert not any("apt-get" in run or "curl" in run or "wget" in run for run in _of(path, "RUN"))


@IMAGES
def test_the_image_runs_as_nobody(path: Path) -> None:
    """A numeric user, which Kubernetes can check to be none of root's, set before the entry point."""
    words = [word for word, _ in _last_stage(path)]
    (user,) = [rest for word, rest in _last_stage(path) if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert words.index("USER") < words.index("ENTRYPOINT")
    assert "sudo" not in path.read_text(encoding="utf-8")


@IMAGES
def test_the_build_tools_stay_behind(path: Path) -> None:
    """The last stage gets the installed environment and nothing of the source or of pip's caches."""
    copies = [rest for word, rest in _last_stage(path) if word == "COPY"]
    assert copies == ["--from=build /opt/watchkeeper /opt/watchkeeper"]
    assert not any("pip" in rest for word, rest in _last_stage(path) if word == "RUN")


@IMAGES
def test_what_is_copied_is_there_and_let_through(path: Path) -> None:
    """Each source exists in the repository and in the list that the builder may see."""
    ignore = path.with_name(f"{path.name}.dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore
    for copy in _of(path, "COPY"):
        if not copy.startswith("--from"):
            *sources, _ = copy.split()
            assert set(sources) <= let_through
            assert all((ROOT / source).exists() for source in sources)


def test_the_daemons_image_has_no_torch() -> None:
    """It is installed without the trainer extra, and the build itself fails if torch came along."""
    runs = " ".join(_of(DETECTOR, "RUN"))
    assert "[trainer]" not in runs
    assert "assert u.find_spec('torch') is None" in runs
    assert '".[trainer]"' in " ".join(_of(TRAINER, "RUN"))


def test_the_daemons_image_says_whether_it_is_alive() -> None:
    """The health check asks the daemon's own page, and waits longer than a slow delivery."""
    (check,) = _of(DETECTOR, "HEALTHCHECK")
    assert f"http://127.0.0.1:{Http().port}/healthz" in check
    interval, retries = re.search(r"interval=(\d+)s", check), re.search(r"retries=(\d+)", check)
    assert interval is not None
    assert retries is not None
    assert int(interval[1]) * int(retries[1]) >= Limits().delivery_timeout_s
    assert _of(DETECTOR, "EXPOSE") == [str(Http().port)]


def test_the_compose_file_pins_every_image_and_builds_ours() -> None:
    """No 'latest', and the Dockerfiles that it names are here."""
    for service in COMPOSE["services"].values():
        assert EXACT.search(service["image"]), service["image"]
    dockerfiles = {each["build"]["dockerfile"] for each in OURS.values() if "build" in each}
    assert {ROOT / name for name in dockerfiles} == {DETECTOR, TRAINER}
    assert all((DOCKER / each["build"]["context"]).resolve() == ROOT for each in OURS.values() if "build" in each)


@pytest.mark.parametrize("service", OURS.values(), ids=OURS.keys())
def test_our_containers_have_no_rights(service: dict[str, Any]) -> None:
    """Read-only, without capabilities, and unable to gain any."""
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged", False)


def test_ports_are_published_on_localhost_only() -> None:
    """Trying things out opens nothing to the network."""
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_compose_files_configuration_fits_its_services() -> None:
    """It is read by the daemon's own reader; broker and store are those of the compose file."""
    settings = load_settings(DOCKER / "watchkeeper.yaml", {})
    broker, _, port = settings.kafka.bootstrap_servers.partition(":")
    assert f"PLAINTEXT://{broker}:{port}" in COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert broker in COMPOSE["services"]
    for name in ("detector", "worker"):
        mounts = [volume.split(":")[1] for volume in OURS[name]["volumes"]]
        assert any(settings.store.startswith(mount) for mount in mounts)
    assert OURS["detector"]["volumes"][1].endswith(":ro")
    grace = int(OURS["detector"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.limits.drain_s


def test_no_secret_stands_in_the_deployment_files() -> None:
    """Neither a password nor a key, in any file that git keeps below deploy/."""
    files = subprocess.run(["git", "ls-files", "deploy"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in files.stdout.splitlines():
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        assert "BEGIN " + "PRIVATE KEY" not in text, name
        assert not re.search(r"(?i)sasl[_-]?password\s*[:=]\s*['\"]?\w", text.replace("PASSWORD_FILE=%d", "")), name
