"""Alert rules and dashboard ask only for metrics that the daemon has, by labels that those metrics have."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.daemon.metrics import Metrics
from tests.support.tools import require_tool

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "watchkeeper.rules.yaml"
RULE_TESTS = ROOT / "tests" / "deploy" / "watchkeeper.rules.test.yaml"
DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "watchkeeper.json").read_text(encoding="utf-8"))
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
SCRAPED = {"instance", "job", "le"}  # labels that Prometheus itself or a histogram adds


def _known() -> dict[str, set[str]]:
    """Every sample name that the daemon exposes -> its labels."""
    found: dict[str, set[str]] = {}
    for name, metric in vars(Metrics()).items():
        if name == "registry":
            continue
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[metric._type]
        found |= {f"{metric._name}{suffix}": set(metric._labelnames) for suffix in suffixes}
    return found


KNOWN = _known()


def _expressions() -> list[tuple[str, str]]:
    """(where it stands, PromQL) of all rules, panels and annotations."""
    panels = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    notes = [(note["name"], note["expr"]) for note in DASHBOARD["annotations"]["list"]]
    return [(rule["alert"], rule["expr"]) for rule in ALERTS] + panels + notes


@pytest.mark.parametrize(("where", "expression"), _expressions())
def test_an_expression_uses_what_the_daemon_exposes(where: str, expression: str) -> None:
    """A renamed metric or label would leave an empty panel, or an alert that never fires."""
    names = re.findall(r"\bwatchkeeper_\w+", expression)
    assert names, where
    labels = set().union(*(KNOWN.get(name, set()) for name in names)) | SCRAPED
    assert set(names) <= set(KNOWN), f"{where} asks for {set(names) - set(KNOWN)}"
    asked = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    asked |= set(re.findall(r"[{,]\s*(\w+)\s*=~?", expression))
    assert asked <= labels, f"{where} asks for the labels {asked - labels}"


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    """Somebody is woken by it: a summary, an action, and how bad it is."""
    assert {"summary", "action"} <= set(rule["annotations"])
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}


def test_every_metric_is_looked_at_somewhere() -> None:
    """A metric that neither rules nor dashboard use is not worth its name."""
    used = set(re.findall(r"\bwatchkeeper_\w+", " ".join(expression for _, expression in _expressions())))
    families = {name.removesuffix("_bucket") for name in KNOWN if not name.endswith(("_sum", "_count"))}
    assert {name.removesuffix("_bucket") for name in used} == families


def test_the_panels_lie_side_by_side() -> None:
    """No two panels cover each other, and none leaves the 24 columns."""
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize(
    "arguments", [("check", "rules", str(RULES)), ("test", "rules", RULE_TESTS.name)], ids=lambda a: a[0]
)
def test_promtool_takes_the_rules(arguments: tuple[str, ...]) -> None:
    """Syntax, and what fires when, by Prometheus' own tool."""
    promtool = require_tool("promtool", "prometheus")
    ran = subprocess.run([promtool, *arguments], cwd=RULE_TESTS.parent, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
