"""Training on files beside training in memory: events a second, and what each needs of memory.

    .venv/bin/python benchmarks/out_of_memory.py
    .venv/bin/python benchmarks/out_of_memory.py --events 200_000 --rounds 1 --out /tmp/quick.json

One table, its sessions shuffled, 32 numbers an event, sessions of 20 to 60 events; a GRU of 64
units learns it. Each run is a process of its own, and runs take turns: in memory (``load``), on
files (``map``), and on files of which the system has nothing in its cache when an epoch begins
(``cold``): what a table much larger than the memory would be read like. The events a second are
those of training alone, the median of all epochs of all rounds; the peak is the process's largest
resident memory, and `growth` what of it came after the libraries were loaded. The first run on
files also makes them. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import runs

from tidegate.bench import results
from tidegate.train import Listener, load_config, run
from tidegate.train.history import Epoch

HERE = Path(__file__).parent
FIELDS = 32
WAYS = ("load", "map", "cold")
CONFIG = """
[data]
events = "events"
session = "session"
time = "at"
label = "label"
memory = "{memory}"
[task]
name = "classify"
[split]
by = "session"
fractions = [0.9, 0.05, 0.05]
[schema.fields]
{fields}
[model]
hidden_size = 64
[train]
epochs = {epochs}
batch_tokens = 4096
threads = 1
[bundle]
name = "bench"
version = "1"
out = "{memory}"
overwrite = true
"""


class Measured(msgspec.Struct, frozen=True):
    """One run.

    Parameters
    ----------
    way : str
        One of `WAYS`.
    events_per_s : list of float
        Of each epoch's training.
    seconds_before : float
        Until training began: reading, encoding, or finding the files.
    peak_mb, growth_mb : float
        Largest resident memory, and what of it came after the libraries.
    """

    way: str
    events_per_s: list[float]
    seconds_before: float
    peak_mb: float
    growth_mb: float


class Results(msgspec.Struct, frozen=True):
    """All runs.

    Parameters
    ----------
    events, fields : int
        Of the table.
    rows_mb : float
        Of its encoded rows.
    ratio, ratio_cold : float
        Median events a second on files over those in memory.
    load_average : list of float
        How busy the machine was at the end, over 1, 5 and 15 minutes.
    """

    events: int
    fields: int
    rows_mb: float
    ratio: float
    ratio_cold: float
    load_average: list[float]
    place: runs.Place
    measured: list[Measured]


class Watch(Listener):
    """Notes how fast each epoch was; empties the system's cache of files."""

    def __init__(self, cache: Path | None) -> None:
        self.cache, self.rates, self.began = cache, list[float](), 0.0

    def begin(self, epochs: int, done: int, events: int) -> None:  # noqa: ARG002
        """Note the time."""
        self.began = time.perf_counter()
        self._empty()

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:  # noqa: ARG002
        """Note the speed."""
        self.rates.append(epoch.events_per_s)
        self._empty()

    def _empty(self) -> None:
        for path in self.cache.glob("*.npy") if self.cache else ():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make(folder: Path, events: int) -> int:
    """Write the table, and return how many events it has."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(20, 61, max(events // 40, 20))
    names = rng.permutation(len(lengths))
    (folder / "events").mkdir()
    for number, chosen in enumerate(np.array_split(np.arange(len(lengths)), 8)):
        count = int(lengths[chosen].sum())
        numbers = rng.normal(size=(FIELDS, count)).astype(np.float32)
        place = np.concatenate([np.arange(n) for n in lengths[chosen]])
        columns = {f"x{i}": values for i, values in enumerate(numbers)}
        of = np.repeat(names[chosen], lengths[chosen])
        about = {"session": of, "at": of * 1e4 + place * 60.0, "label": numbers[:2].sum(0) > 0}
        path = folder / "events" / f"part-{number}.parquet"
        pl.DataFrame({**about, **columns}).write_parquet(path, row_group_size=50_000)
    return int(lengths.sum())


def measure(folder: Path, way: str) -> Measured:
    """Train in this process."""
    memory = "load" if way == "load" else "map"
    config = load_config(folder / f"{memory}.toml")
    pl.read_parquet(next((folder / "events").iterdir()), n_rows=1)
    watch = Watch(folder / "map.cache" if way == "cold" else None)
    loaded, began = _peak(), time.perf_counter()
    run(config, quiet=True, listeners=[watch])
    return Measured(way, watch.rates, watch.began - began, _peak(), _peak() - loaded)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each way in turn, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, default=HERE / "results" / "out-of-memory-amd-epyc.json"
    )
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        folder, way = options.run
        sys.stdout.buffer.write(msgspec.json.encode(measure(Path(folder), way)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = make(folder, options.events)
        fields = "\n".join(f'x{i} = {{kind = "numeric"}}' for i in range(FIELDS))
        for memory in ("load", "map"):
            text = CONFIG.format(memory=memory, fields=fields, epochs=options.epochs)
            (folder / f"{memory}.toml").write_text(text)
        measured = [_apart(folder, way) for _ in range(options.rounds) for way in WAYS]
        rows = sum(path.stat().st_size for path in folder.glob("map.cache/*.rows.npy"))
    speed = {way: statistics.median(_rates(measured, way)) for way in WAYS}
    found = Results(
        events,
        FIELDS,
        round(rows / 1e6, 1),
        round(speed["map"] / speed["load"], 3),
        round(speed["cold"] / speed["load"], 3),
        [round(load, 1) for load in os.getloadavg()],
        runs.Place.here(),
        measured,
    )
    results.save(options.out, found)
    table = [
        (
            way,
            f"{speed[way]:,.0f}",
            f"{speed[way] / speed['load']:.2f}",
            f"{max(each.growth_mb for each in measured if each.way == way):,.0f}",
            ", ".join(f"{each.seconds_before:.0f}" for each in measured if each.way == way),
        )
        for way in WAYS
    ]
    header = ("way", "events/s", "ratio", "memory, MB", "seconds before training")
    print(runs.markdown(header, table, 1))


def _rates(measured: list[Measured], way: str) -> list[float]:
    return [rate for each in measured if each.way == way for rate in each.events_per_s]


def _apart(folder: Path, way: str) -> Measured:
    command = [sys.executable, __file__, "--run", str(folder), way]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Measured)


if __name__ == "__main__":
    runs.script(main)
