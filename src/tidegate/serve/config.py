"""The settings of a server.

Each is declared once, here: its name, type, default, bounds and meaning. Its key in a TOML file,
its environment variable, its flag and its line in ``tidegate config`` are made of that: `sources`.
"""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

from tidegate.errors import InputError

__all__ = ["About", "ServeSettings", "about"]

_MIB = 1024 * 1024
_DAYS = 10 * 365


@dataclass(frozen=True)
class About:
    """What there is to say of a setting.

    Parameters
    ----------
    meaning : str
        One sentence; also the help of its flag.
    least, most : float
        Bounds of a number, both allowed.
    unit : str
        Of a number.
    is_path : bool
        A path; in a file, it is relative to the file's folder.
    """

    meaning: str
    least: float = -math.inf
    most: float = math.inf
    unit: str = ""
    is_path: bool = False


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a server listens, what it bounds and what it says of itself.

    What each setting means stands in its annotation; ``tidegate config`` prints it.

    Raises
    ------
    InputError
        ``bad_setting``, with the setting's name as the field.

    Examples
    --------
    >>> ServeSettings(store="memory:", port=70000)
    Traceback (most recent call last):
        ...
    tidegate.errors.InputError: port: 70000 is not allowed (bad_setting); use 0 to 65535
    """

    store: Annotated[
        str,
        About("Folder of the sessions' memory, or 'memory:' to forget it at exit.", is_path=True),
    ]
    on_new_model: Annotated[
        Literal["refuse", "reset"],
        About("Sessions of another bundle: refuse to start, or begin each anew at its next event."),
    ] = "refuse"

    host: Annotated[str, About("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, About("Port; 0 takes a free one.", 0, 65_535)] = 8700
    tls_cert: Annotated[
        str, About("PEM file of the certificate and its chain; '' is no TLS.", is_path=True)
    ] = ""
    tls_key: Annotated[str, About("PEM file of the certificate's key.", is_path=True)] = ""
    api_keys: Annotated[
        str, About("File of the API keys; '' asks for none. See 'tidegate key'.", is_path=True)
    ] = ""
    insecure: Annotated[
        bool, About("Listen beyond this machine without TLS or without API keys.")
    ] = False
    max_connections: Annotated[
        int, About("Connections served at once; further ones wait.", 1, 2**20)
    ] = 1024
    grace_seconds: Annotated[
        float,
        About("How long requests in flight may take to end after SIGTERM.", 0, 3600, "s"),
    ] = 10.0

    commit: Annotated[
        Literal["every", "interval"],
        About(
            "When answers leave: after they are on disk, or before: a power cut then loses up to "
            "commit_interval_ms of them."
        ),
    ] = "every"
    commit_interval_ms: Annotated[
        float, About("Longest time between two syncs of commit = 'interval'.", 1, 60_000, "ms")
    ] = 50.0
    segment_mb: Annotated[int, About("Size of one file of the store.", 1, 4096, "MiB")] = 64
    store_space: Annotated[
        float, About("Size of the store in multiples of its live bytes.", 1.5, 100)
    ] = 3.0

    body_bytes: Annotated[
        int, About("Size of a request's body that is read whole.", 1, 2**40, "bytes")
    ] = 16 * _MIB
    line_bytes: Annotated[
        int,
        About("Size of one line of NDJSON, or of one frame of a WebSocket.", 64, 2**30, "bytes"),
    ] = _MIB
    max_body_memory_mb: Annotated[
        int, About("Bodies in memory at once, over all requests.", 1, 2**20, "MiB")
    ] = 256
    body_seconds: Annotated[
        float, About("How long a body may take to arrive.", 0.001, 3600, "s")
    ] = 30.0
    queue_events: Annotated[
        int,
        About("Events accepted and not yet answered; beyond it new ones are refused.", 1, 2**31),
    ] = 65_536
    batch_events: Annotated[
        int,
        About(
            "Events stepped together, at most; lines and tables in bulk are stepped by themselves.",
            1,
            2**20,
        ),
    ] = 512
    batch_wait_us: Annotated[
        int, About("How long a batch waits for more; 0 never waits.", 0, 1_000_000, "us")
    ] = 0
    deadline_ms: Annotated[
        float,
        About("An event that waited longer is refused, not applied; 0 is never.", 0, 3.6e6, "ms"),
    ] = 0.0

    kept_answers: Annotated[
        int, About("K: answers of a session that are kept for retries.", 1, 1024)
    ] = 8
    kept_answer_bytes: Annotated[
        int, About("Size of a session's kept answers; the last one always is.", 0, 2**31, "bytes")
    ] = 16_384
    reorder_ms: Annotated[
        float, About("How long an early event waits for those before it.", 0, 60_000, "ms")
    ] = 0.0
    reorder_max: Annotated[int, About("Early events of a session that may wait.", 1, 4096)] = 16
    tombstone_hours: Annotated[
        float,
        About("How long an ended, deleted or expired session answers 410.", 0, 24 * _DAYS, "h"),
    ] = 24.0
    session_ttl_days: Annotated[
        float, About("A session without events expires after that; 0 is never.", 0, _DAYS, "days")
    ] = 0.0
    cached_sessions: Annotated[int, About("Sessions held in memory.", 1, 2**31)] = 100_000
    memory_mb: Annotated[
        int,
        About(
            "Memory of the sessions held, above which the coldest are evicted; 0 is no bound.",
            0,
            2**24,
            "MiB",
        ),
    ] = 0

    log_format: Annotated[
        Literal["json", "text"], About("Log lines for machines or for people.")
    ] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], About("The least that is logged.")
    ] = "info"
    stall_meter: Annotated[
        bool, About("Measure how long the interpreter's lock is held; costs some CPU.")
    ] = False

    def __post_init__(self) -> None:
        for name, kind in _kinds().items():
            _check(name, getattr(self, name), kind, _about()[name])
        if bool(self.tls_cert) != bool(self.tls_key):
            missing, given = ("tls_key", "tls_cert") if self.tls_cert else ("tls_cert", "tls_key")
            raise _bad(missing, "is missing", f"{given} needs it")
        if self.body_bytes > self.max_body_memory_mb * _MIB:
            raise _bad(
                "body_bytes",
                f"{self.body_bytes} is not allowed",
                f"max_body_memory_mb is {self.max_body_memory_mb}: one body must fit into it",
            )
        if self.batch_events > self.queue_events:
            raise _bad(
                "batch_events",
                f"{self.batch_events} is not allowed",
                f"queue_events is {self.queue_events}: a batch must fit into the queue",
            )


def _bad(name: str, what: str, hint: str) -> InputError:
    return InputError("bad_setting", what, field=name, hint=hint)


def _check(name: str, value: Any, kind: Any, said: About) -> None:
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise _bad(name, f"{value!r} is not allowed", "use " + " or ".join(map(repr, choices)))
    elif kind in (int, float):
        if type(value) is bool or not isinstance(value, (int, kind)):
            what = "number" if kind is float else "whole number"
            raise _bad(name, f"{value!r} is not a {what}", f"use {_bounds(said)}")
        if not said.least <= value <= said.most:
            raise _bad(name, f"{value} is not allowed", f"use {_bounds(said)}")
    elif type(value) is not kind:
        raise _bad(name, f"{value!r} has a wrong type", f"use a {kind.__name__}")


def _bounds(said: About) -> str:
    unit = f" {said.unit}" if said.unit else ""
    return f"{said.least} to {said.most}{unit}"


@functools.cache
def _hints() -> dict[str, Any]:
    return typing.get_type_hints(ServeSettings, include_extras=True)


@functools.cache
def _kinds() -> dict[str, Any]:
    return {name: typing.get_args(hint)[0] for name, hint in _hints().items()}


@functools.cache
def _about() -> dict[str, About]:
    return {name: typing.get_args(hint)[1] for name, hint in _hints().items()}


@functools.cache
def about() -> Mapping[str, tuple[Any, Any, About]]:
    """Return type, default and meaning of each setting, in the order in which they are shown.

    A setting that must be given has `msgspec.NODEFAULT` as its default.
    """
    return {
        field.name: (_kinds()[field.name], field.default, _about()[field.name])
        for field in msgspec.structs.fields(ServeSettings)
    }
