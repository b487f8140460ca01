"""The configuration is read strictly, names what is wrong and what to write instead, and never prints a secret."""

from pathlib import Path

import pytest

from detector.config import load_settings
from detector.errors import ConfigError
from schemas.config import Settings

SECRET = "hunter2-do-not-print"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the configuration of a test stands."""
    return tmp_path / "watchkeeper.yaml"


def _fault(path: Path | None, text: str | bytes | None = None, environment: dict[str, str] | None = None) -> str:
    """The one line that a person sees."""
    if path is not None and text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environment or {})
    assert caught.value.exit_code == 2
    assert caught.value.remedy
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    return line


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "version: 1\n", "kafka:\nalarms:\n  # on_delay_s: 5\n"])
def test_an_empty_file_or_section_means_the_defaults(path: Path, text: str) -> None:
    """What is not written is the default, also where only a section's name is left."""
    path.write_text(text)
    assert load_settings(path, {}) == Settings() == load_settings(None, {})


def test_values_of_all_depths_are_read(path: Path) -> None:
    """Sections, lists, mappings by name, and sections inside those."""
    path.write_text(
        "transport: files\n"
        "watch:\n  - {model: pumps, assets: [pump-*]}\n  - {model: fans}\n"
        "feed: {values: {flow: reading.flow}}\n"
        "training:\n  pumps:\n    window: 32\n    sensors: {flow: {unit: l/min}}\n    threshold: {k: 3}\n"
    )
    settings = load_settings(path, {})
    assert settings.transport == "files"
    assert [(rule.model, rule.assets) for rule in settings.watch] == [("pumps", ("pump-*",)), ("fans", ("*",))]
    assert settings.feed.values == {"flow": "reading.flow"}
    pumps = settings.training["pumps"]
    assert (pumps.window, pumps.threshold.k) == (32, 3.0)
    assert pumps.sensors is not None
    assert pumps.sensors["flow"].unit == "l/min"


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("transprot: files\n", "transprot", "did you mean transport?"),
        ("kafka: {bootstrap_server: x}\n", "kafka.bootstrap_server", "did you mean kafka.bootstrap_servers?"),
        ("watch: [{model: a}, {model: b, asset: [x]}]\n", "watch.1.asset", "did you mean watch.1.assets?"),
        ("training: {pumps: {windows: 3}}\n", "training.pumps.windows", "did you mean training.pumps.window?"),
        (
            "training: {pumps: {sensors: {flow: {units: bar}}}}\n",
            "training.pumps.sensors.flow.units",
            "did you mean training.pumps.sensors.flow.unit?",
        ),
        ("http: {zzzz: 1}\n", "http.zzzz", "known keys here: enabled, host, port"),
        ("1: 2\n", "1", "known keys here: "),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(path: Path, text: str, key: str, nearest: str) -> None:
    """A slip of the pen is never dropped in silence; the line says where it is and what was probably meant."""
    line = _fault(path, text)
    assert f"has the unknown key {key}: " in line
    assert nearest in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http: {port: 70000}\n", "http.port"),
        ("http: {port: often}\n", "http.port"),
        ("transport: pigeon\n", "transport"),
        ("watch: []\n", "watch"),
        ("watch: [{model: ../../etc}]\n", "watch.0.model"),
        ("alarms: {major_factor: 5, critical_factor: 2}\n", "critical_factor must not be below"),
        ("kafka: {sasl_mechanism: PLAIN}\n", "kafka.sasl_username is missing"),
        ("alarms: {on_delay_s: .nan}\n", "alarms.on_delay_s"),
        ("limits: {drain_s: .inf}\n", "limits.drain_s"),
        ("kafka: [1, 2]\n", "kafka"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(path: Path, text: str, says: str) -> None:
    """The first wrong value, by its dotted name."""
    assert says in _fault(path, text)


def test_a_renamed_key_is_read_under_its_old_name(path: Path) -> None:
    """`parts` of a training is `components` today: in the file, in the environment, and beside an unknown key."""
    score = "score: sum, parts: [{name: values}]"
    given = {"WATCHKEEPER_TRAINING__PUMPS": f"{{{score}}}"}
    assert load_settings(None, given).training["pumps"].components[0].name == "values"
    line = _fault(path, f"training: {{pumps: {{{score}, colour: red}}}}\n")
    assert "has the unknown key training.pumps.colour" in line


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("training: {pumps: {score: sum, parts: [{name: values}]}}\n", "training.pumps.parts", "components"),
        (
            "training: {pumps: {sensors: {flow: {min_deviation: 2}}}}\n",
            "training.pumps.sensors.flow.min_deviation",
            "deadband",
        ),
    ],
)
def test_an_old_key_is_named_once_with_its_name_of_today(
    path: Path, capsys: pytest.CaptureFixture[str], text: str, old: str, new: str
) -> None:
    """One line on standard error, however often a process reads the file; standard output is for programs."""
    path.write_text(text)
    for _ in range(2):
        load_settings(path, {})
    line = f"watchkeeper: {path}: {old} is called {new} now; the old name is still read\n"
    assert capsys.readouterr() == ("", line)
    path.write_text(text.replace(old.rsplit(".", 1)[-1], new))
    load_settings(path, {})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("names", [("deadband", "MIN_DEVIATION"), ("min_deviation", "DEADBAND")])
def test_the_environment_goes_over_a_key_of_either_name(path: Path, names: tuple[str, str]) -> None:
    """A variable sets the key, whichever of its names the file writes and whichever the variable has."""
    path.write_text(f"training: {{pumps: {{sensors: {{flow: {{{names[0]}: 2}}}}}}}}\n")
    variable = f"WATCHKEEPER_TRAINING__PUMPS__SENSORS__FLOW__{names[1]}"
    sensors = load_settings(path, {variable: "5"}, warn=lambda _: None).training["pumps"].sensors
    assert sensors is not None
    assert sensors["flow"].deadband == 5


def test_an_old_and_a_new_name_together_are_refused(path: Path) -> None:
    """Which of them was meant, nobody knows."""
    line = _fault(path, "training: {pumps: {sensors: {flow: {min_deviation: 2, deadband: 3}}}}\n")
    assert "min_deviation is the old name of deadband: keep one of them" in line


def test_a_newer_version_is_refused_before_its_keys_are_judged(path: Path) -> None:
    """A file for a newer watchkeeper says 'upgrade', not that its keys are unknown."""
    assert "upgrade watchkeeper" in _fault(path, "version: 2\nholograms: true\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kafka: {\n  group: a\nhttp: }\n", "is not YAML at line"),
        ("\tkafka: x\n", "is not YAML at line 1"),
        ("a: *nowhere\n", "is not YAML at line 1"),
        ("--- {}\n--- {}\n", "is not YAML"),
        ("!!python/object/apply:os.system ['true']\n", "is not YAML"),
        ("- just\n- a list\n", "does not hold a mapping"),
        ("just text", "does not hold a mapping"),
        (b"kafka: \xff\xfe\n", "cannot be read"),
        (b"kafka: \x00\n", "is not YAML"),
        ("[" * 5000, "is nested too deeply"),
        ("http: {port: 1}\nkafka: {group: a}\nhttp: {host: b}\n", "has the key http twice, again at line 3"),
        ("watch:\n  - model: a\n    model: b\n", "has the key model twice, again at line 3"),
    ],
)
def test_a_file_that_is_no_configuration_is_one_line(path: Path, text: str | bytes, says: str) -> None:
    """Broken YAML, another encoding, code in YAML, a list, a key that would be lost: never a traceback."""
    line = _fault(path, text)
    assert says in line
    assert str(path) in line


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path: Path) -> None:
    """The line names the path that was asked for."""
    assert "there is no configuration file" in _fault(tmp_path / "absent.yaml")
    assert "cannot be read" in _fault(tmp_path)


def test_the_environment_goes_over_the_file(path: Path) -> None:
    """WATCHKEEPER_SECTION__KEY wins; numbers and lists are read as YAML; other variables are left alone."""
    path.write_text("kafka: {group: from-file, bootstrap_servers: 'a:1'}\n")
    settings = load_settings(
        path,
        {
            "WATCHKEEPER_KAFKA__GROUP": "from-env",
            "WATCHKEEPER_HTTP__PORT": "0",
            "WATCHKEEPER_STORE": "s3://bucket/models",
            "WATCHKEEPER_WATCH": "[{model: pumps, assets: [p-1, p-2]}]",
            "WATCHKEEPER_CONFIG": "elsewhere.yaml",
            "WATCHKEEPERS_OTHER": "x",
            "HOME": "/",
        },
    )
    assert (settings.kafka.group, settings.kafka.bootstrap_servers) == ("from-env", "a:1")
    assert settings.http.port == 0
    assert settings.store == "s3://bucket/models"
    assert settings.watch[0].assets == ("p-1", "p-2")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WATCHKEEPER_KAFKA__GRUOP", "x", "did you mean kafka.group?"),
        ("WATCHKEEPER_SERVICE_HOST", "10.0.0.1", "known keys here"),
        ("WATCHKEEPER_STORE__X", "1", "which is not a section"),
        ("WATCHKEEPER_HTTP__PORT", "{", "the value of WATCHKEEPER_HTTP__PORT cannot be read"),
    ],
)
def test_a_variable_that_fits_nowhere_is_named_itself(path: Path, name: str, value: str, says: str) -> None:
    """The line names the variable, not the file that has no part in it."""
    line = _fault(path, "store: models\n", {name: value})
    assert name in line
    assert says in line


def test_a_secret_comes_from_the_environment_as_it_is(path: Path) -> None:
    """A password is text, whatever YAML would make of it, and no printout of the settings shows it."""
    for secret in (SECRET, "12345", "no", "{a: 1", " spaced "):
        settings = load_settings(None, {"WATCHKEEPER_KAFKA__SASL_PASSWORD": secret})
        assert settings.kafka.sasl_password is not None
        assert settings.kafka.sasl_password.get_secret_value() == secret
    settings = load_settings(None, {"WATCHKEEPER_KAFKA__SASL_PASSWORD": SECRET})
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert SECRET not in shown


def test_a_secret_comes_from_a_file(path: Path, tmp_path: Path) -> None:
    """The last newline of the file is not part of the password; a password in the environment goes before it."""
    secret = tmp_path / "password"
    secret.write_text(f"{SECRET}\n")
    path.write_text(f"kafka: {{sasl_password_file: {secret}}}\n")
    found = load_settings(path, {}).kafka.sasl_password
    assert found is not None
    assert found.get_secret_value() == SECRET
    assert SECRET not in repr(load_settings(path, {}))
    found = load_settings(path, {"WATCHKEEPER_KAFKA__SASL_PASSWORD": "other"}).kafka.sasl_password
    assert found is not None
    assert found.get_secret_value() == "other"


@pytest.mark.parametrize(
    ("data", "says"), [(None, "cannot be read"), (b"\xff\xfe", "cannot be read"), (b"\n", "empty")]
)
def test_a_password_file_that_holds_none_is_named(path: Path, tmp_path: Path, data: bytes | None, says: str) -> None:
    """Absent, not text, or empty: said at the start, not as a refused login later."""
    secret = tmp_path / "password"
    if data is not None:
        secret.write_bytes(data)
    assert says in _fault(path, f"kafka: {{sasl_password_file: {secret}}}\n")


def test_a_secret_in_the_file_is_refused_without_printing_it(path: Path) -> None:
    """A configuration goes into repositories and tickets; the line says where the secret belongs."""
    line = _fault(path, f"kafka: {{sasl_password: {SECRET}}}\n")
    assert "WATCHKEEPER_KAFKA__SASL_PASSWORD" in line


@pytest.mark.parametrize(
    "text",
    [
        f"kafka: {{sasl_passwort: {SECRET}}}\n",
        f"kafka: {{security_protocol: {SECRET}}}\n",
        f"http: {{port: {SECRET}}}\n",
        f"kafka: {{sasl_username: [{SECRET}]}}\n",
        f"kafka: {{group: '{SECRET}\n",
        f"kafka: {SECRET}\n",
    ],
)
def test_no_fault_prints_a_value(path: Path, text: str) -> None:
    """Whatever key a secret landed in by mistake, the line names keys only."""
    _fault(path, text)


@pytest.mark.parametrize(
    "text",
    ["a: 2026-13-45", "a: !!int x", "a: !!bool x", "a: !!timestamp x", "a: !!float x", "a: 0b_", "a: " + "9" * 5000],
)
def test_a_value_that_yaml_takes_for_another_is_one_line(path: Path, text: str) -> None:
    """PyYAML lets out bare exceptions for a thirteenth month and for wrong tags; nobody gets to see a traceback."""
    assert "not what it looks like" in _fault(path, text)
    assert "cannot be read" in _fault(None, environment={"WATCHKEEPER_STORE": text[3:]})


def test_aliases_of_aliases_are_refused_before_they_are_followed(path: Path) -> None:
    """Ten lines that stand for ten thousand million entries end in a line, not in a hang."""
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10))
    assert "aliases" in _fault(path, bomb)
    assert "too deeply" in _fault(path, "a: &a [*a]\n")


def test_an_alias_that_is_used_as_it_should_be_is_read(path: Path) -> None:
    """Two models that are trained alike need not be written out twice."""
    path.write_text("training:\n  a: &a {window: 7}\n  b: *a\n")
    assert load_settings(path, {}).training["b"].window == 7


@pytest.mark.parametrize("key", ['"wat\\nch"', '"\\e[31m"', "x" * 5000])
def test_a_key_that_is_repeated_stays_in_its_line(path: Path, key: str) -> None:
    """Whatever the key, the line ends where it should and steers no terminal."""
    line = _fault(path, f"{key}: 1\n")
    assert line.isprintable()
    assert len(line) < 2100


def test_a_password_file_with_a_zero_byte_in_its_name_is_one_line(path: Path) -> None:
    """The operating system has no such path; Python says so with a bare ValueError."""
    assert "cannot be read" in _fault(path, 'kafka: {sasl_password_file: "a\\0b"}')
