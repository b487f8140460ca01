"""systemd's notification protocol (sd_notify(3)): ready, alive, stopping. Silent where there is no systemd.

Twenty lines of our own: the packages that do this have not moved for years, and the protocol is one datagram.
"""

import os
import socket
import time


class Notifier:
    """Sends states to $NOTIFY_SOCKET and keeps the watchdog fed at half its interval."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        interval_us = int(os.environ.get("WATCHDOG_USEC", "0") or 0)
        self._every_s = interval_us / 2e6
        self._next = 0.0

    def send(self, state: str) -> None:
        """READY=1, RELOADING=1, STOPPING=1, STATUS=..."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto(state.encode(), address)
            except OSError:
                self._address = ""  # nobody listens any more

    def alive(self) -> None:
        """Called at least twice a second while all is well."""
        if self._every_s and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every_s
            self.send("WATCHDOG=1")
