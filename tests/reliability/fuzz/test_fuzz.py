"""What fuzzing found stays found: seeds, findings and some hundred mutations of them, without the fuzzer."""

from pathlib import Path
from random import Random

import pytest

from tests.reliability.fuzz.bundles import run
from tests.reliability.fuzz.register import FINDINGS, NAMES, findings, target

MUTATIONS = 400  # a target; the long form is `make fuzz`


@pytest.mark.parametrize("name", NAMES)
def test_valid_cases_are_accepted(name: str) -> None:
    """Where a target refused its own seeds, the fuzzer would only ever look at the outermost door."""
    chosen = target(name)
    seeds = chosen.seeds()
    assert sum(map(chosen.one, seeds)) >= 0.8 * len(seeds)
    assert max(map(len, seeds)) <= chosen.longest


@pytest.mark.parametrize(("name", "case"), [(name, case) for name in NAMES for case in findings(name)])
def test_a_finding_keeps_its_promise_now(name: str, case: str) -> None:
    """Each of these raised, hung or broke a promise once."""
    target(name).one(findings(name)[case])


@pytest.mark.parametrize("name", NAMES)
def test_mutated_cases_keep_the_promise(name: str) -> None:
    """A few hundred structural mutations, the same ones in every run."""
    chosen, rng = target(name), Random(5)
    seeds = chosen.seeds()
    for _ in range(MUTATIONS):
        case = rng.choice(seeds)
        for _ in range(rng.randint(1, 3)):
            case = chosen.mutate(case, rng) or case
        chosen.one(case)


def test_every_finding_belongs_to_a_target() -> None:
    """A folder with another name would never be replayed."""
    assert {path.name for path in FINDINGS.iterdir() if path.is_dir()} <= set(NAMES)


def test_no_damaged_bundle_is_accepted(tmp_path: Path) -> None:
    """The short form of tests.reliability.fuzz.bundles; who can rewrite everything needs no hash, and is told apart."""
    rows = run(300, 7, tmp_path)
    assert {row.harm for row in rows if row.must_refuse and row.accepted} == set()
    assert sum(row.refused for row in rows if row.must_refuse) == 300
    (rewritten,) = [row for row in rows if row.harm == "everything rewritten consistently" and not row.must_refuse]
    assert rewritten.accepted > 0
