"""The load generator, compiled once, and servers for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tidegate.bench.serving import generator, model, systems
from tidegate.bench.serving.generator import Generator
from tidegate.bench.serving.systems import Running

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """With sanitizers: what it does wrong with memory ends it."""
    flags = ("-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Werror")
    return generator.build(ROOT / "benchmarks" / "load", tmp_path_factory.mktemp("load"), flags)


@pytest.fixture(scope="session")
def bench_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / model.NAME
    model.save(path)
    return path


@pytest.fixture(scope="module")
def gate(bench_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A real server with a real store; each test uses ids of its own."""
    with systems.running(systems.tidegate(bench_bundle), tmp_path_factory.mktemp("gate")) as found:
        found.wait()
        yield found


@pytest.fixture
def echo(load: Generator) -> Iterator[Callable[..., int]]:
    """Start the generator's echo; returns its port."""
    with contextlib.ExitStack() as started:

        def start(*options: object) -> int:
            process = subprocess.Popen(
                [str(load.path), "echo", *map(str, options)], stdout=subprocess.PIPE, text=True
            )
            started.callback(process.communicate)
            started.callback(process.kill)
            assert process.stdout is not None
            return int(json.loads(process.stdout.readline())["port"])

        yield start
