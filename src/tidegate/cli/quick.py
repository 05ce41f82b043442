"""``tidegate serve`` without the library that parses every other verb: a server starts sooner.

That library and what it needs take a third of the time from a server's start to its first answer.
What is not plainly right here, and every question for help, is left to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tidegate.cli import exits
from tidegate.errors import TidegateError
from tidegate.serve.config import about

__all__ = ["Words", "parse", "run"]


class Words(NamedTuple):
    """What ``tidegate serve`` was given."""

    bundle: str
    config: str | None
    flags: dict[str, Any]


def parse(words: Sequence[str]) -> Words | None:
    """Read the words that follow ``tidegate serve``.

    Returns
    -------
    Words or None
        None: something is not plainly right.

    Examples
    --------
    >>> parse(["bundle", "--store=state", "--port", "9000", "--insecure"])
    Words(bundle='bundle', config=None, flags={'store': 'state', 'port': 9000, 'insecure': True})
    >>> parse(["bundle", "--port", "many"]) is None, parse(["bundle", "--help"]) is None
    (True, True)
    """
    kinds = {name.replace("_", "-"): (name, kind) for name, (kind, _, _) in about().items()}
    kinds["config"] = "config", str
    bundles: list[str] = []
    flags: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            bundles.append(word)
            continue
        flag, given, value = word.removeprefix("--").partition("=")
        negated = flag.removeprefix("no-")
        if not word.startswith("--") or negated not in kinds:
            return None
        name, kind = kinds[negated]
        if kind is bool:
            if given:
                return None
            flags[name] = flag == negated
            continue
        if not given:
            value = next(rest, "-")
        if flag != negated or value.startswith("-"):
            return None
        try:
            flags[name] = msgspec.convert(value, kind, strict=False)
        except msgspec.ValidationError:
            return None
    if len(bundles) != 1:
        return None
    return Words(bundles[0], flags.pop("config", None), flags)


def run(words: Words) -> None:
    """Serve; the process ends with a documented exit code."""
    # NumPy's BLAS begins a thread for each processor when it is loaded, which a start on a busy
    # machine waits for. A server multiplies no matrices with it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from tidegate import serve
    from tidegate.serve.sources import gather

    try:
        serve.serve(words.bundle, gather(words.config, flags=words.flags).settings())
    except (TidegateError, KeyboardInterrupt) as error:
        sys.exit(exits.told(error))
    serve.leave()
