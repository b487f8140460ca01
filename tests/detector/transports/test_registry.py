"""The one table of transports: what stands in it can do everything that is asked of a transport."""

from typing import get_args, get_type_hints

import pytest

from detector.transports import files, kafka, memory
from detector.transports.package import TransportPackage
from detector.transports.registry import TRANSPORTS, transport_of
from schemas.config import TRANSACTIONAL, Settings

# The type checker compares each package with the protocol, function by function.
PACKAGES: dict[str, TransportPackage] = {"kafka": kafka, "files": files, "memory": memory}


@pytest.mark.parametrize("name", TRANSPORTS)
def test_a_transport_is_a_package_and_a_line(name: str) -> None:
    """The line leads to the package, and the package has every function of the protocol."""
    settings = Settings().model_copy(update={"transport": name})
    package = transport_of(settings)
    assert package is PACKAGES[name]
    wanted = {word for word in vars(TransportPackage) if not word.startswith("_")} | get_type_hints(
        TransportPackage
    ).keys()
    assert {word for word in wanted if not word.startswith("_") and not hasattr(package, word)} == set()


def test_every_transport_that_a_person_may_name_is_in_the_table() -> None:
    """The configuration's words, and those of them that deliver exactly once."""
    named = set(get_args(Settings.model_fields["transport"].annotation))
    assert named <= TRANSPORTS.keys()
    assert set(TRANSACTIONAL) <= named
