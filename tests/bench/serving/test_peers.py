"""The peers compute what tidegate computes, and are installed from pinned versions."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tidegate.bench.serving import install, model, systems
from tidegate.engine import Engine
from tidegate.errors import TidegateError

PEERS = Path(__file__).parents[3] / "benchmarks" / "peers"


def test_the_peers_model_is_the_bundles(tmp_path, monkeypatch) -> None:
    bundle = model.make_bundle()
    model.save_weights(tmp_path / "weights.npz", bundle)
    monkeypatch.setenv("TIDEGATE_BENCH_WEIGHTS", str(tmp_path / "weights.npz"))
    # In a process of its own: it sets torch's threads for good.
    script = """
import model, numpy as np, sys
rows = np.load(sys.argv[1])
states, found, peer = model.start(), [], model.Model()
for row in rows:
    (value,), states = peer.step([row.tolist()], states)
    found.append(value)
np.save(sys.argv[2], np.array(found))
"""
    rows = np.random.default_rng(3).normal(size=(20, len(model.FIELDS)))
    np.save(tmp_path / "rows.npy", rows)
    subprocess.run(
        [sys.executable, "-c", script, tmp_path / "rows.npy", tmp_path / "found.npy"],
        check=True,
        env={**os.environ, "PYTHONPATH": str(PEERS)},
    )
    engine = Engine.open(bundle, replay=False)
    columns = {name: rows[:, place] for place, name in enumerate(model.FIELDS)}
    wanted = engine.step_events(["s"] * len(rows), columns, np.arange(len(rows)) * 1.0)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), wanted.outputs[:, 0], atol=1e-5)


def test_everything_that_a_peer_imports_is_pinned() -> None:
    pinned = {name.lower() for name in install.pinned(PEERS / "requirements.txt")}
    ours = {path.stem for path in PEERS.glob("*.py")}
    for path in PEERS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                assert top in pinned | ours | sys.stdlib_module_names, (path.name, name)


def test_requirements_are_exact() -> None:
    for line in (PEERS / "requirements.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line
    ours = install.pinned(PEERS.parents[1] / "constraints.txt")
    theirs = install.pinned(PEERS / "requirements.txt")
    both = ours.keys() & theirs.keys()
    assert {"numpy", "torch"} <= both
    assert {name: theirs[name] for name in both} == {name: ours[name] for name in both}


def test_each_peer_runs_a_file_that_is_there() -> None:
    found = systems.peers(Path("python"), PEERS, Path("weights.npz"))
    assert len({system.name for system in found}) == len(found) == 4
    for system in found:
        words = " ".join(system.command)
        file = re.search(r"(\w+)(?:\.py|:app)", words)
        assert file is not None
        assert (PEERS / f"{file[1]}.py").is_file()
        assert install.pinned(PEERS / "requirements.txt").keys() >= set(system.packages)


def test_an_echo_under_our_http_server(load, tmp_path) -> None:
    with systems.running(systems.granian_echo(PEERS), tmp_path) as running:
        running.wait()
        for mode, events in (("http", 1), ("websocket", 4)):
            report = load.load(mode, running.port, seconds=0.2, model="m", events=events)
            assert report.errors == 0, report.first_error
            assert report.events > 0


def test_a_venv_is_made_once_and_again_for_other_versions(tmp_path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    python = install.install(requirements, tmp_path / "venv")
    mark = tmp_path / "venv" / "here"
    mark.touch()
    assert install.install(requirements, tmp_path / "venv") == python
    assert mark.exists()
    requirements.write_text("# no/such/package is a path, and is not there\n./no-such-package\n")
    with pytest.raises(TidegateError) as failed:
        install.install(requirements, tmp_path / "venv")
    assert failed.value.code == "cannot_install"
    assert not mark.exists()


def test_a_server_that_ends_says_why(tmp_path) -> None:
    system = systems.System("broken", (sys.executable, "-c", "raise SystemExit('no such luck')"))
    with (
        pytest.raises(TidegateError, match="no such luck") as failed,
        systems.running(system, tmp_path) as running,
    ):
        running.wait()
    assert failed.value.code == "server_failed"
