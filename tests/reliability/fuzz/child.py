"""One target under atheris, in a process of its own: libFuzzer ends the process with its first finding.

`python -m tests.reliability.fuzz.child TARGET FOLDER [libFuzzer's flags]`. FOLDER gets `facts.json` (accepted cases,
slowest case) and libFuzzer's findings. Our packages and PyYAML are instrumented when imported; pydantic and msgspec are
native.
"""

import json
import sys
import time
import warnings
from pathlib import Path
from random import Random

import atheris

from tests.reliability.fuzz.register import target

# Where PyYAML spends its time and has no surprises: what raises bare exceptions is its constructor.
_NOT_OURS = ["yaml.reader", "yaml.scanner", "yaml.parser", "yaml.emitter", "yaml.serializer", "yaml.representer"]
_BYTES_SHARE = 0.35  # of the mutations are libFuzzer's own, on bytes: structural ones never break a parser
_SEED_SHARE = 0.4  # of the mutations begin at a valid case: what is new to libFuzzer is mostly broken beyond repair
_WRITE_EVERY = 5000  # cases


class Case:
    """Runs cases, and keeps what libFuzzer does not tell: how many were accepted, and which took longest."""

    def __init__(self, name: str, folder: Path) -> None:
        with atheris.instrument_imports(include=["detector", "schemas", "yaml"], exclude=_NOT_OURS):
            self._target = target(name)
        self._seeds = self._target.seeds()
        self._facts = folder / "facts.json"
        self._slowest_file = folder / "slowest"
        self._cases = self._accepted = 0
        self._slowest_s = 0.0

    def run(self, data: bytes) -> None:
        """Called by libFuzzer; what this raises is a finding."""
        begun = time.perf_counter()
        self._accepted += self._target.one(data)
        took_s = time.perf_counter() - begun
        self._cases += 1
        if took_s > self._slowest_s:
            self._slowest_s = took_s
            self._slowest_file.write_bytes(data)
        elif self._cases % _WRITE_EVERY:
            return
        self.write()

    def write(self) -> None:
        """The facts so far; there is no moment after the last case at which libFuzzer asks us."""
        facts = {"cases": self._cases, "accepted": self._accepted, "slowest_s": round(self._slowest_s, 4)}
        self._facts.write_text(json.dumps(facts))

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        """A structural mutation, or one of libFuzzer's."""
        rng = Random(seed)
        if rng.random() < _SEED_SHARE:
            data = rng.choice(self._seeds)
        changed = None if rng.random() < _BYTES_SHARE else self._target.mutate(data, rng)
        if changed is None or len(changed) > most:
            return bytes(atheris.Mutate(data, most))
        return changed


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, folder, *flags = sys.argv[1:]
    case = Case(name, Path(folder))
    # Numbers that overflow in silence are findings too. Not before: libraries warn while they are imported.
    warnings.simplefilter("error")
    atheris.Setup([sys.argv[0], *flags], case.run, custom_mutator=case.mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
