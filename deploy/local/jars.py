"""Finding Java, and fetching Kafka's jars from Maven Central into the repository's cache."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from detector.errors import BrokerError, WatchkeeperError

HERE = Path(__file__).resolve().parent
# Not 4.3.0 to 4.4.0: after a broker's crash they may call a transaction complete without its markers (KAFKA-20734).
KAFKA = "4.2.2"
LIBS = HERE.parents[1] / ".kafka" / f"libs-{KAFKA}"


class JavaMissingError(WatchkeeperError):
    """Java or Maven is not on this machine; `problem` is a reason fit for a skipped test."""


def require_java() -> str:
    """The path of a Java of at least 17; raises JavaMissingError."""
    java = shutil.which("java")
    if java is None:
        raise JavaMissingError("there is no java on the PATH", "install a JDK 17")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < 17:
        raise JavaMissingError(
            f"java is version {found[1] if found else 'unknown'}, Kafka 4 needs 17", "install a JDK 17"
        )
    return java


def fetch_libs(libs: Path = LIBS) -> Path:
    """The folder of Kafka's jars, fetched by Maven the first time; raises JavaMissingError or BrokerError."""
    if libs.is_dir():
        return libs
    maven = shutil.which("mvn")
    if maven is None:
        raise JavaMissingError("there is no mvn on the PATH to fetch Kafka with", "install Maven")
    libs.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=libs.parent) as scratch:
        part = Path(scratch) / "libs"
        goal = ["dependency:copy-dependencies", f"-Dkafka.version={KAFKA}", f"-DoutputDirectory={part}"]
        done = subprocess.run(
            [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), *goal], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BrokerError("Maven could not fetch Kafka", _first_error(done.stdout + done.stderr))
        if not libs.is_dir():  # another process may have been faster
            part.rename(libs)
    return libs


def _first_error(text: str) -> str:
    return next((line[:200] for line in text.splitlines() if "ERROR" in line), "check the network and Maven's settings")
