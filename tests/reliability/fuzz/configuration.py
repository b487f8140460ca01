"""Configurations, with a variable of the environment over them: settings that can be used, or a ConfigError."""

import atexit
import json
import tempfile
from pathlib import Path
from random import Random

from detector.config import PREFIX, load_settings
from detector.core.settings import WatchSettings
from detector.core.watch import Watch
from detector.daemon.swaps import check_feed
from detector.errors import BundleError, ConfigError
from tests.reliability.fuzz.target import Target, assert_plain
from tests.reliability.fuzz.trees import json_mutated
from tests.reliability.fuzz.usable import is_deep, run_rows, scorer_of, small_manifest
from tests.support.plant import START_S

_GOLDEN = Path(__file__).parents[2] / "golden" / "v1" / "settings.json"
_FILE = tempfile.NamedTemporaryFile(prefix="fuzz-", suffix=".yaml")  # noqa: SIM115 opening it is half of a case's time
_PLACE = Path(_FILE.name)
atexit.register(_FILE.close)
_FACTS = small_manifest()


def one(data: bytes) -> bool:
    """The first line is `NAME=value` for the environment, or empty; the rest is the file."""
    line, _, text = data.partition(b"\n")
    _FILE.seek(0)
    _FILE.truncate()
    _FILE.write(text)
    _FILE.flush()
    try:
        settings = load_settings(_PLACE, _environment(line))
    except ConfigError as error:
        assert_plain(error.problem)
        assert_plain(error.remedy or "no remedy\n")
        return False
    scorer = scorer_of(_FACTS)
    try:
        check_feed(settings, scorer)
    except BundleError as error:
        assert_plain(str(error))
        return False
    if is_deep(data):
        watch = Watch(WatchSettings.of(settings), {"m": scorer}, by_feed=True, topic=settings.topics.input)
        run_rows(watch, "m", "a", 0, START_S)
    return True


def _environment(line: bytes) -> dict[str, str]:
    """What an operating system would let through: names without '=', nothing with a zero byte."""
    name, equals, value = line.replace(b"\0", b"").decode("utf-8", "surrogateescape").partition("=")
    return {PREFIX + name: value} if equals else {}


def mutate(data: bytes, rng: Random) -> bytes | None:
    """One field changed where the file is JSON (which is YAML too), or a line doubled, moved or indented."""
    line, _, text = data.partition(b"\n")
    changed = json_mutated(text, rng)
    if changed is not None:
        return line + b"\n" + changed
    lines = text.split(b"\n")
    chosen, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(4)
    if kind == 0:
        lines.insert(chosen, lines[other])
    elif kind == 1:
        lines[chosen], lines[other] = lines[other], lines[chosen]
    elif kind == 2:
        lines[chosen] = rng.choice([b"  ", b"- ", b"&a ", b"? "]) + lines[chosen]
    else:
        del lines[chosen]
    return line + b"\n" + b"\n".join(lines)


def seeds() -> list[bytes]:
    """Files as people write them, and each section of the golden configuration by itself."""
    golden = json.loads(_GOLDEN.read_bytes())
    golden["kafka"] |= {"sasl_password_file": None}
    golden["training"] = {"m": {"window": 32, "hidden": [32, 16], "threshold": {"k": 2.5}}}
    parts = [
        (key, dict(list(value.items())[begin : begin + 5]) if isinstance(value, dict) else value)
        for key, value in golden.items()
        for begin in range(0, len(value) if isinstance(value, dict) else 1, 5)
    ]
    sections = [b"\n" + json.dumps({key: value}).encode() for key, value in parts]
    return [
        *sections,
        b"",
        b"KAFKA__GROUP=night\nversion: 1\nkafka:\n  group: day # the shift\n",
        b"LIMITS__POLL_RECORDS=50\ntransport: files\nfiles: {directory: feed, follow: no}\n",
        b"WATCH=[{model: m}]\nwatch:\n- {model: m, assets: ['pump-*', \"fan\"]}\n- model: n\n",
        b"\nfeed: &f {values: {s0: a.b, s1: a.c, s2: d}}\nalarms: {on_delay_s: 5, off_delay_s: .5, top_sensors: 0x3}\n",
        b"\ntraining:\n  m: &base\n    window: 32\n    hidden: [64, 16]\n    threshold: {k: 3}\n  n: *base\n",
        b"\nkafka:\n  sasl_password_file: /nowhere\n  sasl_username: |\n    me\n",
    ]


TARGET = Target(
    name="configuration",
    promise="settings that can be watched with, or a ConfigError in one plain line with a remedy",
    one=one,
    seeds=seeds,
    mutate=mutate,
    tokens=(
        b"!!timestamp ", b"!!int ", b"!!float ", b"!!binary ", b"!!bool ", b"!!set ", b"!!omap ", b"!!python/object:x ",
        b"<<: *a", b"&a ", b"*a", b"2026-13-45", b"0b_", b"0x_", b"1:99:99", b"? [a]\n: b", b"---\n", b"...\n",
        b"feed: {", b"asset: ", b"timestamp: ", b"values: ", b"watch: ", b"limits: ", b"alarms: ", b"version: 2",
        b"a.b.c.d.e.f.g.h.i.j.k", b".inf", b".nan", b"1e400", b"\xef\xbb\xbf", b'"\\0"', b'"\\ud800"', b"[[[[[[[[",
        b"SASL_PASSWORD", b"KAFKA__", b"TRAINING__M__", b"~", b"{a: {a: ",
        b"%YAML 9.9\n",
    ),
    longest=448,
)  # fmt: skip
