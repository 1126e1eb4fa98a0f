"""Ports for the servers of the suites."""

import random
import socket


def free_port():
    """A port of 127.0.0.1 that is free, below those that the system chooses, so that it stays free until the server listens."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
