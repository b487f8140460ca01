"""Alert rules and dashboard ask only for metrics that the daemon has, by labels that those metrics have."""

import json
import re
import subprocess
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.daemon.metrics import RELOAD_RESULTS, Metrics
from docs.generate.metrics import metrics
from schemas.alert import AlertKind, AlertState, Severity
from schemas.feed import Reason, RowFlag
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
    for metric in metrics():
        assert metric._type is not None
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


def test_a_counter_is_there_before_its_first_event() -> None:
    """Prometheus' increase() knows no value before the first one that it saw: born with 1, an event would not show."""
    made = Metrics()
    made.begin_model("pumps")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in made.registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }
    known: set[tuple[str, ...]] = {
        (f"watchkeeper_{word}_total", "pumps") for word in ("retrain_requests", "model_swaps", "model_refusals")
    }
    known |= {("watchkeeper_incidents_open", "pumps", kind.value) for kind in AlertKind}
    known |= {("watchkeeper_config_reloads_total", result) for result in RELOAD_RESULTS}
    known |= {("watchkeeper_rows_flagged_total", str(flag.name).lower()) for flag in RowFlag}
    known |= {("watchkeeper_dead_letters_total", reason.value) for reason in Reason}
    labels = product(AlertState, AlertKind, Severity)
    known |= {("watchkeeper_alerts_total", *(label.value for label in each)) for each in labels}
    assert known <= samples.keys()
    assert not any(samples.values())
    counters = {family.name for family in made.registry.collect() if family.type == "counter"}
    assert counters == {name.removesuffix("_total") for name, *_ in samples if name.endswith("_total")}


def test_lag_is_shown_of_the_partitions_in_hand() -> None:
    """A partition that went to another member is that member's to show."""
    made = Metrics()
    for lags in ({0: 7, 1: 0}, {1: 3, 2: 5}):
        made.show_lag(lags)
        shown = {sample.labels["partition"]: sample.value for sample in next(iter(made.lag.collect())).samples}
        assert shown == {str(partition): records for partition, records in lags.items()}


def test_every_rule_is_tested_in_both_directions() -> None:
    """A rule that never fires is a false comfort, one that always does is a noise."""
    tests = yaml.safe_load(RULE_TESTS.read_text())["tests"]
    asked = [(each["alertname"], bool(each["exp_alerts"])) for test in tests for each in test["alert_rule_test"]]
    assert {rule["alert"] for rule in ALERTS} == {name for name, _ in asked}
    assert set(asked) == {(rule["alert"], fires) for rule in ALERTS for fires in (True, False)}


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
