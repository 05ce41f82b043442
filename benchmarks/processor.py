"""Events a second of the server's heart, `Processor.process`, without HTTP and without a disk.

    .venv/bin/python benchmarks/processor.py

Batches of single events of distinct sessions, drawn at random, over the memory store, after each
session has filled its list of kept answers. "warm": every session is in memory. "cold": a tenth
is; the others' records are read and made live in the batch. One GRU layer. Seconds are those that
the thread has the processor, so neighbours disturb less. ``--profile``: where they go, by sampling.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType

import numpy as np

from tidegate import store
from tidegate.bundle import Bundle
from tidegate.engine import Engine
from tidegate.metrics import GateMetrics
from tidegate.schema import Field, Schema, SchemaConfig, Time
from tidegate.serve.operations import Event
from tidegate.serve.processor import Processor
from tidegate.serve.sessions import Limits
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec

NOW = 1_700_000_000.0
CONFIG = SchemaConfig(
    {
        "speed": Field("numeric", missing="carry", indicator=True),
        "load": Field("numeric", scale="log1p", missing="zero"),
        "road": Field("category", missing="carry"),
        "wet": Field("boolean", missing="mean"),
    },
    Time(("delta", "hour")),
)


def main() -> None:
    """Measure, and print events a second as JSON, or a profile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--events", type=int, default=20_000, help="timed, a case")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    bundle = random_bundle(options.hidden)
    found = {}
    for name, share in (("warm", 1), ("cold", 10)):
        rng = np.random.default_rng(0)
        processor = filled(bundle, options.sessions, options.sessions // share, rng)
        for size in options.batches:
            batches = list(events(options.sessions, size, options.events, rng))
            samples: Counter[str] = Counter()
            with sampling(samples) if options.profile else nullcontext():
                rate = measure(processor, batches)
            found[f"{name}, {size} a batch"] = round(rate)
            if samples:
                print(f"\n{name}, {size} a batch: us an event, by function")
                for function, count in samples.most_common(20):
                    print(f"{count / samples.total() / rate * 1e6:6.2f} {function}")
    print(json.dumps(found))


def random_bundle(hidden_size: int) -> Bundle:
    """Return a bundle whose weights are random and whose schema has a field of each kind."""
    rng = np.random.default_rng(7)
    columns = {
        "speed": rng.normal(60.0, 20.0, 400),
        "load": rng.exponential(100.0, 400),
        "road": rng.choice(["A1", "B2", "C3"], 400).astype(object),
        "wet": (rng.random(400) < 0.3).astype(np.float64),
    }
    schema = Schema.fit(CONFIG, columns, np.arange(400.0) * 30, np.arange(0, 401, 20))
    task = TaskSpec("classify", "late", classes=("no", "yes"))
    layers = (LayerSpec("gru", hidden_size),)
    spec = ModelSpec(schema.width, layers, task.output_size, schema.categories)
    weights = {
        name: rng.normal(0.0, 1.0 / np.sqrt(shape[-1]), shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }
    return Bundle("bench", "1", spec, schema, task, weights, {}, {}, fingerprint=b"b" * 32)


def filled(bundle: Bundle, sessions: int, cached: int, rng: np.random.Generator) -> Processor:
    """Return a processor of sessions that have a full list of answers each."""
    limits = Limits(cached_sessions=cached)
    processor = Processor(
        bundle,
        Engine.open(bundle, replay=False),
        store.open("memory:"),
        GateMetrics("0", {bundle.name: bundle.version}),
        lambda: NOW,
        limits,
    )
    for _ in range(limits.answers):
        processor.process([event(number, rng) for number in range(sessions)])
    return processor


def events(sessions: int, size: int, total: int, rng: np.random.Generator) -> Iterator[list[Event]]:
    """Yield batches of one event each of distinct sessions."""
    for _ in range(total // size):
        yield [event(number, rng) for number in rng.choice(sessions, size, replace=False).tolist()]


def event(number: int, rng: np.random.Generator) -> Event:
    """Return a session's next event."""
    fields = {
        "speed": float(rng.normal(60.0, 20.0)),
        "load": float(rng.exponential(100.0)),
        "road": "B2",
        "wet": True,
    }
    return Event(f"session-{number:09}", fields, NOW)


def measure(processor: Processor, batches: list[list[Event]]) -> float:
    """Return events a second of this thread's processor time, by the median batch."""
    seconds = []
    for batch in batches:
        began = time.thread_time()
        processor.process(batch)
        seconds.append(time.thread_time() - began)
    return len(batches[0]) / float(np.median(seconds))


@contextmanager
def sampling(samples: Counter[str]) -> Iterator[None]:
    """Count in which function each millisecond of processor time finds the program.

    What runs in C counts as its caller's. Unlike a tracer, this slows no function.
    """

    def note(_: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            samples[f"{Path(code.co_filename).name}: {code.co_name}"] += 1

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


if __name__ == "__main__":
    main()
