"""Every example as it stands, on all of its data: ``make examples``, or some by name.

    PYTHONPATH=tests/support .venv/bin/python -m prove_examples [NAME ...]

Each is trained, evaluated, reported on, scored and served; a server's answers to some sessions must
be those that `tidegate score` writes, to the bit. Ends with a table, and with 1 if one failed.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples_of import EXAMPLES
from proof import prove, sample

OUT = EXAMPLES.parent / "build" / "examples"
SESSIONS, LONGEST = 40, 1000


@dataclass(frozen=True)
class Example:
    """A configuration, and the metric that stands for it in the table."""

    path: str
    metric: str
    streams: bool = True

    @property
    def config(self) -> dict[str, Any]:
        return tomllib.loads((EXAMPLES / self.path).read_text())

    def file(self, section: str, key: str) -> Path:
        return ((EXAMPLES / self.path).parent / self.config[section][key]).resolve()


ALL = (
    Example("flights/flights.toml", "auc"),
    Example("vowels/train.toml", "accuracy"),
    Example("flights/delay.toml", "mae"),
    Example("forecast/electricity.toml", "mase"),
    Example("forecast/pollution.toml", "mase"),
    Example("forecast/traffic.toml", "mase"),
    Example("next_item/train.toml", "recall"),
    Example("anomaly/train.toml", "auc"),
    Example("tagging/train.toml", "accuracy", streams=False),
    Example("tagging/stream.toml", "accuracy"),
    Example("language/train.toml", "bits_per_character"),
    Example("chorales/train.toml", "perplexity"),
)
EMBEDDED = "flights/flights.toml"
"""Whose state is served as well."""

HEAD = ("example", "task", "training, s", "CPU s", "metric", "doctor", "served = scored")


class FailedError(Exception):
    """A verb did not end as it should."""


def tidegate(*arguments: Any, status: tuple[int, ...] = (0,)) -> str:
    """Run a verb; return what it said."""
    command = [sys.executable, "-m", "tidegate", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in status:
        raise FailedError(f"{' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}")
    return done.stdout or done.stderr


def cpu_seconds() -> float:
    """Return what the processes that have ended took of the processors."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def run(example: Example) -> list[tuple[str, ...]]:
    """Prove one example; return its rows of the table."""
    bundle, name = example.file("bundle", "out"), example.path.removesuffix(".toml")
    out = OUT / name.replace("/", "-")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    began, used = time.perf_counter(), cpu_seconds()
    trained = json.loads(tidegate("train", EXAMPLES / example.path, "--fresh", "--json"))
    seconds, used = time.perf_counter() - began, cpu_seconds() - used
    part = "test" if "test" in trained["metrics"] else "valid"
    metric = trained["metrics"][part][example.metric]

    data = example.config["data"]
    events = out / "events.parquet"
    some = sample(
        example.file("data", "events"), data["session"], data.get("time"), SESSIONS, LONGEST
    )
    some.write_parquet(events)
    tidegate("evaluate", bundle, events)
    tidegate("report", bundle, events, "--out", out / "report.html")
    found = json.loads(tidegate("doctor", bundle, "--json", status=(0, 6)))["findings"]
    tidegate("compress", bundle, "--int8", "--out", out / "int8")
    task = example.config["task"]["name"]
    doctor = ", ".join(each["name"] for each in found) or "healthy"
    times = f"{seconds:,.0f}", f"{used:,.0f}"
    row = (name, task, *times, f"{example.metric} {metric:.4g} ({part})", doctor)
    if not example.streams:
        tidegate("score", bundle, events, "--out", out / "scored.parquet")
        said = tidegate("serve", bundle, "--store", out / "store", "--port", 0, status=(4,))
        if "unsupported_spec" not in said:
            raise FailedError(said)
        return [(*row, "cannot be served")]
    rows = [(*row, served(bundle, events, out))]
    if example.path == EMBEDDED:
        state = out / "state"
        tidegate("embed", bundle, "--save", state)
        same = served(state, events, out)
        rows.append((f"{name}, its state", "embed", "", "", "", "", same))
    return rows


def served(bundle: Path, events: Path, out: Path) -> str:
    """Compare what is served with what is scored; return how much was."""
    shutil.rmtree(out / "store", ignore_errors=True)
    tidegate("score", bundle, events, "--out", out / "scored.parquet")
    try:
        proof = prove(bundle, events, out / "scored.parquet", out / "store")
    except AssertionError as error:
        raise FailedError(f"{bundle}: what is served is not what is scored: {error}") from error
    return f"yes: {proof.events:,} events of {proof.sessions} sessions"


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the examples and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="such as language/train; all without one")
    names = parser.parse_args().names
    chosen = [each for each in ALL if not names or each.path.removesuffix(".toml") in names]
    rows, wrong = [HEAD, ("---", "---", "--:", "--:", "---", "---", "---")], []
    for script in dict.fromkeys(each.path.rpartition("/")[0] for each in chosen):
        subprocess.run([sys.executable, EXAMPLES / script / "events.py"], check=True)
    for example in chosen:
        say(f"-- {example.path}")
        try:
            rows += run(example)
        except FailedError as error:
            say(f"error: {error}")
            wrong.append(example.path)
    say("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return 1 if wrong or len(rows) == 2 else 0


if __name__ == "__main__":
    sys.exit(main())
