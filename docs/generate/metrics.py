"""The daemon's metrics as a table: name, type, labels and one line of meaning."""

from prometheus_client.metrics import MetricWrapperBase

from detector.daemon.metrics import Metrics


def metrics_page() -> str:
    """Markdown, in the order in which `detector/daemon/metrics.py` has them."""
    head = [
        "# Metrics",
        "",
        "Written by `make reference` from `detector/daemon/metrics.py`. The daemon serves them at `/metrics` in",
        "Prometheus' text format; [Watch the watch](../how-to/watch-the-watch.md) says where, and has rules and a",
        "dashboard. A counter begins at 0 with each start of the daemon, and is there before its first event.",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    return "\n".join(head + [_row(metric) for metric in metrics()]) + "\n"


def metrics() -> list[MetricWrapperBase]:
    """Every metric of the daemon."""
    return [each for each in vars(Metrics()).values() if isinstance(each, MetricWrapperBase)]


def _row(metric: MetricWrapperBase) -> str:
    family = next(iter(metric.describe()))
    name = family.name + ("_total" if family.type == "counter" else "")
    labels = ", ".join(metric._labelnames)  # the client has no public way to ask for them
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"
