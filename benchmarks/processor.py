"""Events a second of the server's heart, without HTTP: JSON lines, events and columns to results.

    .venv/bin/python benchmarks/processor.py

Sixteen numeric fields, one GRU layer. Batches of events of distinct sessions, drawn at random,
after each session has filled its list of kept answers. "lines": from NDJSON to NDJSON, as the bulk
route does it; "columns": from NumPy arrays to arrays, as the Arrow route does. With
``--store FOLDER`` the changes are written there, and the last of them is waited for. Seconds are
wall time of one thread.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import time
from contextlib import nullcontext

import numpy as np

from tidegate import store
from tidegate.bundle import Bundle
from tidegate.engine import Engine
from tidegate.metrics import GateMetrics
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.serve import wire
from tidegate.serve.block import Block
from tidegate.serve.limits import Limits
from tidegate.serve.operations import Part
from tidegate.serve.processor import Processor
from tidegate.spec import LayerSpec, ModelSpec, TaskSpec

FIELDS = [f"x{i}" for i in range(16)]


def main() -> None:
    """Measure, and print events a second as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16, 512])
    parser.add_argument("--events", type=int, default=50_000, help="timed, a case")
    parser.add_argument("--store", default="memory:")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    bundle = random_bundle(options.hidden)
    records = store.open(options.store)
    metrics = GateMetrics("0", {bundle.name: bundle.version})
    limits = Limits(cached_sessions=2 * options.sessions)
    engine = Engine.open(bundle, replay=False)
    processor = Processor(bundle, engine, records, metrics, time.time, limits)
    columns(processor, options.sessions, 4096, 9 * options.sessions)
    found = {}
    for way, name in ((lines, "lines"), (columns, "columns")):
        for size in options.batches:
            n = min(options.events, size * 4096)
            with cProfile.Profile() if options.profile else nullcontext() as profile:
                found[f"{name}, {size} a batch"] = round(way(processor, options.sessions, size, n))
            if profile is not None:
                print(name, size)
                pstats.Stats(profile).sort_stats("tottime").print_stats(14)
    print(json.dumps(found, indent=1))


def lines(processor: Processor, sessions: int, size: int, events: int) -> float:
    """Return events a second from lines to lines."""
    rng = np.random.default_rng(1)
    bodies = []
    for _ in range(min(-(-events // size), 64)):
        names = rng.choice(sessions, size, replace=False)
        rows = rng.normal(0.0, 1.0, (size, 16)).round(4).tolist()
        bodies.append(
            b"\n".join(
                json.dumps(
                    {"session": f"session-{name:07}", "event": dict(zip(FIELDS, row, strict=True))}
                ).encode()
                for name, row in zip(names.tolist(), rows, strict=True)
            )
        )
    began = time.perf_counter()
    done, ticket, written = 0, 0, 0
    while done < events:
        parsed, numbers = wire.parse_lines(bodies[done // size % len(bodies)], 1)
        results, ticket = processor.process([Part(parsed)])
        written += len(wire.encode_lines(results, numbers))
        done += size
    processor.wait(ticket)
    return done / (time.perf_counter() - began)


def columns(processor: Processor, sessions: int, size: int, events: int) -> float:
    """Return events a second from arrays to arrays."""
    rng = np.random.default_rng(2)
    size = min(size, sessions)
    blocks = []
    for _ in range(min(-(-events // size), 64)):
        names = rng.choice(sessions, size, replace=False)
        text = "".join(f"session-{name:07}" for name in names.tolist()).encode()
        ids = np.arange(0, 15 * (size + 1), 15, dtype=np.int32), np.frombuffer(text, np.uint8)
        values = rng.normal(0.0, 1.0, (16, size))
        blocks.append(Block(ids, size, dict(zip(FIELDS, values, strict=True))))
    began = time.perf_counter()
    done, ticket = 0, 0
    while done < events:
        _, _, ticket = processor.process_block(blocks[done // size % len(blocks)])
        done += size
    processor.wait(ticket)
    return done / (time.perf_counter() - began)


def random_bundle(hidden_size: int) -> Bundle:
    """Return a bundle whose weights are random and whose schema has sixteen numbers."""
    rng = np.random.default_rng(7)
    raw = {name: rng.normal(0.0, 1.0, 400) for name in FIELDS}
    config = SchemaConfig({name: Field("numeric") for name in FIELDS})
    schema = Schema.fit(config, raw, np.arange(400.0), np.arange(0, 401, 40))
    task = TaskSpec("classify", "late", classes=("no", "yes"))
    layers = (LayerSpec("gru", hidden_size),)
    spec = ModelSpec(schema.width, layers, task.output_size, schema.categories)
    weights = {
        name: rng.normal(0.0, 0.1, shape).astype(np.float32)
        for name, shape in spec.weight_shapes().items()
    }
    return Bundle("bench", "1", spec, schema, task, weights, {}, {}, fingerprint=b"b" * 32)


if __name__ == "__main__":
    main()
