"""The transports there are. A new one is a package (see package.TransportPackage) and a line here."""

from importlib import import_module
from typing import cast

from detector.transports.package import TransportPackage
from schemas.config import Settings

# name in the configuration -> package; imported when it is used
TRANSPORTS: dict[str, str] = {
    "kafka": "detector.transports.kafka",
    "files": "detector.transports.files",
    "memory": "detector.transports.memory",  # not a name of the contract: there is nothing in it for a person's feed
}


def transport_of(settings: Settings) -> TransportPackage:
    """The package of the transport that the configuration names."""
    return cast("TransportPackage", import_module(TRANSPORTS[settings.transport]))
