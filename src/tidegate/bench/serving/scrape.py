"""What tidegate's own ``/metrics`` say of a load."""

from __future__ import annotations

import http.client
from collections.abc import Iterable

__all__ = ["read", "samples"]

_WANTED = ("tidegate_store_", "tidegate_stall", "tidegate_loop_", "tidegate_sessions")
_DETAILS = ("_bucket", "_created")


def read(port: int) -> dict[str, float]:
    """Ask a server on this machine, and return what `samples` finds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return samples(connection.getresponse().read().decode().splitlines())
    finally:
        connection.close()


def samples(lines: Iterable[str]) -> dict[str, float]:
    """Add up the samples of the store, the sessions and the event loop, labels left out.

    Parameters
    ----------
    lines : iterable of str
        Prometheus text.

    Examples
    --------
    >>> samples(["# HELP tidegate_store_bytes x", 'tidegate_store_bytes{kind="live"} 2', "up 1"])
    {'tidegate_store_bytes': 2.0}
    """
    found: dict[str, float] = {}
    for line in lines:
        name = line.partition(" ")[0].partition("{")[0]
        if name.startswith(_WANTED) and not name.endswith(_DETAILS):
            found[name] = found.get(name, 0.0) + float(line.rpartition(" ")[2])
    return found
