"""A local Apache Kafka for as long as a command runs, or until Ctrl-C.

    python -m deploy.local                                      prints the broker's address and keeps it up
    python -m deploy.local -- COMMAND [ARG...]                  runs COMMAND beside it, then ends it
    python -m deploy.local -- watchkeeper check --config w.yaml
    python -m deploy.local -- watchkeeper demo --bootstrap-servers {bootstrap}

COMMAND finds the address in the variable WATCHKEEPER_KAFKA__BOOTSTRAP_SERVERS, which every watchkeeper command reads,
and in place of {bootstrap} in its arguments. SIGINT, SIGTERM and SIGHUP are passed on to it. The exit code is its own.
The broker's data is removed at the end.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from deploy.local.broker import Broker
from detector.errors import WatchkeeperError

VARIABLE = "WATCHKEEPER_KAFKA__BOOTSTRAP_SERVERS"
PLACEHOLDER = "{bootstrap}"
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NOT_FOUND, INTERRUPTED = 127, 130  # a shell's exit codes
LOOK_S = 0.5  # a command's end is noticed at once by SIGCHLD; this covers one that ended before we listened


def run_beside(broker: Broker, command: Sequence[str]) -> int:
    """Runs a command beside a running broker; gives its exit code, 128 + N where signal N ended it. Blocks."""
    environment = os.environ | {VARIABLE: broker.bootstrap}
    filled = [argument.replace(PLACEHOLDER, broker.bootstrap) for argument in command]
    with subprocess.Popen(filled, env=environment) as process:
        # Blocked only now: a child inherits what is blocked. From here on signals wait until they are asked for.
        signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD})
        while (code := process.poll()) is None:
            caught = signal.sigtimedwait({*PASSED_ON, signal.SIGCHLD}, LOOK_S)
            # A sender of 0 is the terminal, whose Ctrl-C the command has got as well: twice would mean "at once".
            if caught is not None and caught.si_signo in PASSED_ON and caught.si_pid:
                process.send_signal(caught.si_signo)
    return code if code >= 0 else 128 - code


def keep_up(broker: Broker) -> int:
    """Prints the address and waits for a signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    print(f"Kafka answers at {broker.bootstrap}; its log is {broker.log}.")
    print("Ctrl-C stops it and removes its data.", flush=True)
    signal.sigwait(PASSED_ON)
    print("stopped")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Runs the program; gives its exit code."""
    if arguments and arguments[0] != "--":
        wanted = arguments[0] in ("-h", "--help")
        print(__doc__.strip() if wanted else "usage: python -m deploy.local [-- COMMAND [ARG...]]", file=sys.stderr)
        return 0 if wanted else 2
    command = arguments[1:]
    if command and shutil.which(command[0]) is None:
        print(f"deploy.local: there is no command {command[0]}: check its spelling and the PATH", file=sys.stderr)
        return NOT_FOUND
    for number in PASSED_ON:  # a broker that is just starting is closed by the way out of `with`
        signal.signal(number, signal.default_int_handler)
    try:
        with Broker() as broker:
            return run_beside(broker, command) if command else keep_up(broker)
    except KeyboardInterrupt:
        return INTERRUPTED
    except WatchkeeperError as error:
        print(f"deploy.local: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
