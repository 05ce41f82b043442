"""What tidegate's own ``/metrics`` say of a load."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable, Mapping

__all__ = ["between", "read", "samples"]

_WANTED = re.compile(r"tidegate_(store_|sessions|\w*stall)")
_BUCKET = re.compile(r'(\w+)_bucket\{.*\ble="([^"]+)"')
_COUNTERS = ("_total", "_sum", "_count")


def read(port: int) -> dict[str, float]:
    """Ask a server on this machine, and return what `samples` finds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return samples(connection.getresponse().read().decode().splitlines())
    finally:
        connection.close()


def samples(lines: Iterable[str]) -> dict[str, float]:
    """Add up the samples of the store, the sessions and stalls, labels but ``le`` left out.

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
        if _WANTED.match(name) is None or name.endswith("_created"):
            continue
        bucket = _BUCKET.match(line)
        if bucket is not None:
            name = f'{bucket[1]}_bucket{{le="{bucket[2]}"}}'
        found[name] = found.get(name, 0.0) + float(line.rpartition(" ")[2])
    return found


def between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return what samples say of the time between two readings.

    Counters are differences, gauges are as they were last. Of a histogram there is ``_p99`` and
    ``_most`` instead of its buckets: the upper bounds of those that hold the 99th percentile and
    the largest value.

    Parameters
    ----------
    before, after : mapping of str to float
        From `samples`.

    Examples
    --------
    >>> buckets = ['s_bucket{le="0.1"}', 's_bucket{le="1.0"}', 's_bucket{le="+Inf"}']
    >>> between({}, dict(zip(buckets, (98.0, 100.0, 100.0))))
    {'s_p99': 1.0, 's_most': 1.0}
    """
    found: dict[str, float] = {}
    buckets: dict[str, list[tuple[float, float]]] = {}
    for name, value in after.items():
        change = value - before.get(name, 0.0)
        if (bucket := _BUCKET.match(name)) is not None:
            buckets.setdefault(bucket[1], []).append((float(bucket[2]), change))
        else:
            found[name] = change if name.endswith(_COUNTERS) else value
    for name, bounds in buckets.items():
        bounds.sort()
        total = bounds[-1][1]
        for suffix, share in (("p99", 0.99), ("most", 1.0)):
            within = (bound for bound, count in bounds if total and count >= share * total)
            found[f"{name}_{suffix}"] = next(within, 0.0)
    return found
