"""Fuzz targets: bundles, calls of the core and stores that nobody should have made.

Each target draws one input from a `random.Random` and runs it. A short form runs in tests/fuzz,
where hypothesis is the random; a long one from the command line, where input number K is that of
``Random(K)``, so that a failure can be repeated::

    python tests/support/fuzz.py bundle --seconds 60
    python tests/support/fuzz.py log --seconds 60
    python tests/support/fuzz.py model --first 4711 --count 1
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
from fuzz_calls import ModelTarget, SchemaTarget, WordsTarget
from logs import killed

from tidegate import answers, core
from tidegate import bundle as bundles
from tidegate.bundle import Bundle
from tidegate.bundle import bundle as format_
from tidegate.engine import Engine, offline, vectors
from tidegate.engine.compress import compress
from tidegate.errors import TidegateError
from tidegate.schema import Schema
from tidegate.spec import AnomalySpec, ForecastSpec, ItemsSpec, SurprisePart, TaskSpec
from tidegate.store import LogStore
from tidegate.store.verify import verify

# -- Values that break things ---------------------------------------------------------------------

SCALARS: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 15, 16, 17, 255, 2**16, 2**24, 2**31 - 1, 2**31, 2**32),
    *(2**53, 2**63 - 1, -(2**63), 2**64 - 1, 0.5, -0.0, 1e-320, 1e38, 1e308, -1e308),
    *("", "x", "gru", "lstm", "float32", "F32", "é", "\0", "../up", "x" * 600, "1970-01-01"),
]


def value(random: Random) -> Any:
    kind = random.randrange(8)
    if kind == 0:
        return []
    if kind == 1:
        return {}
    if kind == 2:
        return [value(random) for _ in range(random.randrange(4))]
    return random.choice(SCALARS)


def broken_tree(random: Random, document: Any) -> Any:
    """Return a JSON document with one place of it changed."""
    if isinstance(document, dict | list) and document and random.random() < 0.85:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = random.choice(keys)
        copy = document.copy()
        action = random.randrange(12)
        if action == 0:
            del copy[key]
        elif action == 1 and isinstance(copy, dict):
            copy[random.choice(["extra", "", "layers", *copy])] = copy[key]
        elif action == 2 and isinstance(copy, list):
            copy.insert(key, copy[random.randrange(len(copy))])
        else:
            copy[key] = broken_tree(random, copy[key])
        return copy
    if isinstance(document, int | float) and random.random() < 0.5:
        return document + random.choice([-1, 1, 1000, -0.5, 2**31])
    return value(random)


def broken_bytes(random: Random, content: bytes) -> bytes:
    """Return bytes that are a little different."""
    spoiled = bytearray(content)
    for _ in range(random.randrange(1, 4)):
        at = random.randrange(len(spoiled) + 1)
        action = random.randrange(7)
        if action == 0:
            del spoiled[at:]
        elif action == 1:
            del spoiled[at : at + random.randrange(1, 9)]
        elif action == 2:
            spoiled[at:at] = random.randbytes(random.randrange(1, 9))
        elif action == 3:
            spoiled[at:at] = random.choice([b"[", b"{", b'{"a":']) * random.choice([1, 20_000])
        elif action == 4:  # a NaN or an infinity, wherever it falls
            spoiled[at : at + 4] = random.choice([b"\0\0\xc0\x7f", b"\0\0\x80\x7f"])
        elif at < len(spoiled):
            spoiled[at] ^= 1 << random.randrange(8)
    return bytes(spoiled)


def broken_tensors(random: Random, content: bytes) -> bytes:
    """Return a safetensors file with a header or data that are a little different."""
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size], content[8 + size :]
    kind = random.randrange(5)
    if kind == 0:
        return broken_bytes(random, content)
    if kind == 1:
        data = broken_bytes(random, data)
    elif kind == 2:
        header = broken_bytes(random, header)
    elif kind == 3:
        places = random.randrange(len(data) // 4) * 4
        data = (
            data[:places]
            + np.float32(random.choice([np.nan, np.inf, 3e38])).tobytes()
            + data[places + 4 :]
        )
    else:
        header = msgspec.json.encode(broken_tree(random, msgspec.json.decode(header)))
    length = (
        len(header) if random.random() < 0.95 else random.choice([0, 1, 2**31, 2**63, 2**64 - 1])
    )
    return length.to_bytes(8, "little") + header + data


# -- Bundles --------------------------------------------------------------------------------------


ROADS = ("", "A1", "B2", "C3")
PARTS = (SurprisePart("gaussian", 0, 0, missing=1), SurprisePart("categorical", 7, 2, 4))
TASKS = {
    "next_item": TaskSpec("next_item", "road", classes=ROADS, items=ItemsSpec(top=2)),
    "language": TaskSpec("language", "road", classes=ROADS, items=ItemsSpec()),
    "anomaly": TaskSpec("anomaly", "a", anomaly=AnomalySpec(("speed", "road"), PARTS, 3.0)),
    "forecast": TaskSpec(
        "forecast",
        "speed",
        forecast=ForecastSpec((1, 3), (0.1, 0.5, 0.9), "pinball", coverage=0.8, margins=(0.1, 0.2)),
    ),
}


def of_tasks(whole: Bundle) -> dict[str, Bundle]:
    """Return bundles of a schema with clipped numbers and of answers that are not all outputs."""
    found = msgspec.json.decode(msgspec.json.encode(whole.schema.to_dict()))
    for field in found["fields"]:
        if field["config"]["kind"] == "numeric":
            field["config"]["clip"], field["statistics"]["bounds"] = [0.01, 0.99], [-1.0, 90.0]
    schema = Schema.from_dict(found)
    made = {}
    for name, task in TASKS.items():
        spec = msgspec.structs.replace(
            whole.spec,
            output_size=task.output_size,
            readout={"next_item": "top", "anomaly": "surprise"}.get(name, "outputs"),
            top=task.items.top if name == "next_item" and task.items is not None else 0,
            parts=PARTS if name == "anomaly" else (),
            skip=name == "forecast",
        )
        rng = np.random.default_rng(1)
        weights = {
            name: rng.normal(0, 0.3, shape).astype(np.float32)
            for name, shape in spec.weight_shapes().items()
        }
        bundle = replace(whole, spec=spec, schema=schema, task=task, weights=weights, vectors={})
        reference = offline.open(bundle, "reference", replay=False)
        made[name] = replace(bundle, vectors=vectors.make(reference, bundle.baseline, seed=1))
    return made


class BundleTarget:
    """A folder of which something is wrong makes an engine that works, or a `TidegateError`.

    Most of what is broken is sealed again, as a program would that writes bundles and is wrong, so
    that the checks behind the hashes are reached.
    """

    def __init__(self, whole: Bundle, folder: Path) -> None:
        made = {precision: compress(whole, precision) for precision in ("bf16", "int8")}
        made |= {"fp32": whole} | of_tasks(whole)
        self._contents = []
        for name, bundle in made.items():
            bundles.save(bundle, folder / name)
            files = (folder / name).iterdir()
            self._contents.append({file.name: file.read_bytes() for file in files})
        self._folder = folder / "spoiled"
        self._folder.mkdir()

    def __call__(self, random: Random) -> str:
        contents = random.choice(self._contents).copy()
        name = random.choice(["weights.safetensors", *contents])
        sealed = random.random() < 0.9
        if name.endswith(".safetensors"):
            contents[name] = broken_tensors(random, contents[name])
        elif name.endswith(".json") and random.random() < 0.8:
            document = msgspec.json.decode(contents[name])
            for _ in range(random.randrange(1, 3)):
                document = broken_tree(random, document)
            contents[name] = format_._json(document)
        else:
            contents[name] = broken_bytes(random, contents[name])
        if sealed:
            self._seal(contents)
        for name, content in contents.items():
            (self._folder / name).write_bytes(content)
        try:
            bundle = bundles.load(self._folder)
            engine = Engine.open(bundle)
            rows = np.zeros((3, bundle.spec.row_size), dtype=np.float32)
            outputs = engine.step(["a", "b", "a"], rows)
            half = answers.open(bundle.task)
            worded, words = half.answer(outputs), half.json("1")
        except TidegateError as error:
            str(error), error.to_dict()
            return error.code
        assert np.isfinite(outputs).all()
        if words is not None:
            assert words.answers(outputs) == [msgspec.json.encode(answer) for answer in worded]
        return "works"

    @staticmethod
    def _seal(contents: dict[str, bytes]) -> None:
        """Make the hashes right again, where there is still something to make right."""
        try:
            document = msgspec.json.decode(contents["bundle.json"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if not isinstance(document, dict):
            return
        files = {name: format_._sha256(content) for name, content in contents.items()}
        files.pop("bundle.json")
        if isinstance(document.get("files"), dict):
            document["files"] = files
        if {"spec", "schema", "task", "fingerprint"} <= document.keys():
            document["fingerprint"] = format_._fingerprint(
                document, contents["weights.safetensors"]
            )
        contents["bundle.json"] = format_._sealed(document)


# -- Stores ---------------------------------------------------------------------------------------


def sealed_header(content: bytes) -> bytes:
    """Return the bytes of a file of a store with the checksum of its header made right."""
    if len(content) < 64:
        return content
    head = bytearray(content[:64])
    head[12:16] = bytes(4)
    head[12:16] = core.crc32c(bytes(head)).to_bytes(4, "little")
    return bytes(head) + content[64:]


def sealed_entries(content: bytes) -> bytes:
    """Return an index file with both checksums made right."""
    crc = core.crc32c(content[64:]).to_bytes(4, "little")
    return sealed_header(content[:56] + crc + content[60:])


def broken_frame(random: Random, content: bytes) -> bytes:
    """Return a segment with a frame whose header is wrong, but not its checksum."""
    places, at = [], 64
    while at + 40 <= len(content):
        size = int.from_bytes(content[at + 8 : at + 12], "little")
        key = int.from_bytes(content[at + 12 : at + 14], "little")
        places.append((at, 40 + key))
        at += (40 + key + size + 7) // 8 * 8
    if not places:
        return content
    start, length = random.choice(places)
    frame = bytearray(content[start : start + length])
    for _ in range(random.randrange(1, 3)):
        frame[random.randrange(4, len(frame))] = random.choice([0, 1, 2, 64, 255])
    crc = core.crc32c(bytes(frame[4:]), core.crc32c(content[48:64]))
    frame[:4] = crc.to_bytes(4, "little")
    return content[:start] + bytes(frame) + content[start + length :]


class LogTarget:
    """Files of a store that was closed or killed, one or two of them spoiled.

    Most are sealed again, so that what is behind the checksums is reached.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "spoiled"
        self._contents = []
        with closing(LogStore(folder / "whole", segment_size=1024)) as store:
            for number in range(12):
                puts = [(b"%d" % (k % 5), b"%d" % number * 30) for k in range(number % 4 + 1)]
                store.commit(puts, [b"%d" % number])
            self._keep(killed(folder / "whole", folder / "killed"))
        self._keep(folder / "whole")

    def _keep(self, path: Path) -> None:
        files = {file.name: file.read_bytes() for file in path.iterdir()}
        del files["spare"], files["tidegate.lock"]
        self._contents.append(files)

    def __call__(self, random: Random) -> str:
        contents = random.choice(self._contents).copy()
        for _ in range(random.randrange(1, 3)):
            name = random.choice(list(contents))
            contents[name] = self._spoiled(random, name, contents[name])
        if random.random() < 0.1:
            del contents[random.choice(list(contents))]
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for name, content in contents.items():
            (self._folder / name).write_bytes(content)
        try:
            verify(self._folder)
            with closing(LogStore(self._folder, segment_size=1024)) as store:
                store.get([b"%d" % number for number in range(6)])
                found = dict(store.scan())
                store.cut()
                assert dict(store.scan()) == found
                store.commit([(b"after", b"wards")])
        except TidegateError as error:
            str(error), error.to_dict()
            return error.code
        return "works"

    @staticmethod
    def _spoiled(random: Random, name: str, content: bytes) -> bytes:
        if name.endswith(".log") and random.random() < 0.5:
            return broken_frame(random, content)
        head = random.random() < 0.5
        front, rest = (content[:64], content[64:]) if head else (b"", content)
        spoiled = front + broken_bytes(random, rest) if rest else broken_bytes(random, front)
        if random.random() < 0.2:
            return spoiled
        return sealed_entries(spoiled) if name.endswith(".idx") else sealed_header(spoiled)


# -- The long form --------------------------------------------------------------------------------


CALLS = {"model": ModelTarget, "words": WordsTarget, "schema": SchemaTarget}


def small_bundle() -> Bundle:
    """Return the bundle that the tests use (tests/conftest.py)."""
    path = Path(__file__).parents[1] / "conftest.py"
    found = importlib.util.spec_from_file_location("fuzz_conftest", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.small_bundle()


def draw_many(name: str, seeds: Iterable[int], end: float, seed: Any) -> None:
    """Run inputs until `end`; `seed` says at any time which is running."""
    with tempfile.TemporaryDirectory() as folder:
        target: Callable[[Random], str]
        if name == "log":
            target = LogTarget(Path(folder))
        elif name == "bundle":
            target = BundleTarget(small_bundle(), Path(folder))
        else:
            target = CALLS[name]()
        found: Counter[str] = Counter()
        for seed.value in seeds:
            found[target(Random(seed.value))] += 1
            if time.monotonic() > end:
                break
    print(", ".join(f"{code} {n}" for code, n in found.most_common()))  # noqa: T201
    print(f"{name}: {found.total():,} inputs, {found['works']:,} of them work")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["bundle", "log", *CALLS])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2**31)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.count)
    # A process of its own: a sanitizer ends it where it stands.
    seed = multiprocessing.Value("q", options.first)
    end = time.monotonic() + options.seconds
    child = multiprocessing.Process(target=draw_many, args=(options.target, seeds, end, seed))
    child.start()
    child.join()
    if child.exitcode:
        again = f"python {' '.join(sys.argv[:2])} --first {seed.value} --count 1"
        sys.exit(f"fuzz: an input failed; run it again with: {again}")


if __name__ == "__main__":
    main()
