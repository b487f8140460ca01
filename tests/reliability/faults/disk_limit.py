"""A Python program on a disk that is full: no file of it may grow past so many bytes. Needs no rights and no disk.

    python -m tests.reliability.faults.disk_limit BYTES -m MODULE ARGUMENTS

A write past the limit fails, after a part of it was written, as it does where no room is left.
"""

import os
import resource
import sys

PROGRAM = ("-m", "tests.reliability.faults.disk_limit")


def main() -> None:
    """Becomes the program."""
    most = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])


if __name__ == "__main__":
    main()
