"""A trainer's last step as a process of its own: one version into the store, with a report that takes a while.

python -m tests.reliability.faults.publisher STORE MODEL VERSION REPORT_MIB
"""

import sys

from detector.bundles.store import Store
from detector.errors import WatchkeeperError
from tests.support.tiny_bundle import tiny


def main() -> None:
    """Publishes; a refusal is one line and its exit code, as of every command."""
    store, model, version, report_mib = sys.argv[1:]
    bundle = tiny(version, model=model)
    try:
        Store(store).publish(bundle.manifest, bundle.files, {"report.html": bytes(int(report_mib) << 20)})
    except WatchkeeperError as error:
        print(f"watchkeeper: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
