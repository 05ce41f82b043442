"""The wheel, in an environment that has nothing else: the gate needs no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, **options) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory) -> Path:
    """A fresh virtual environment with the wheel of this checkout and what it depends on."""
    work = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    run(*pip, "wheel", ROOT, "--no-deps", "--no-build-isolation", "--wheel-dir", work)
    (wheel,) = work.glob("tidegate-*.whl")
    environment = work / "env"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    run(*pip, "--python", python, "install", "-c", ROOT / "constraints.txt", wheel)
    return environment


def clean(environment: Path) -> dict[str, str]:
    """The process's environment, without anything that leads back to this checkout."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        "PATH": f"{environment / 'bin'}:/usr/bin:/bin",
    }


@pytest.mark.timeout(1200)  # the C core is built again, with all its instruction sets
def test_it_serves_a_bundle_without_torch(empty_environment, saved_bundle, tmp_path) -> None:
    installed = run(
        empty_environment / "bin" / "python",
        "-c",
        "import importlib.metadata as m; print(*(d.name for d in m.distributions()))",
        env=clean(empty_environment),
    ).split()
    assert "tidegate" in installed
    assert not {"torch", "polars", "pandas", "scikit-learn"} & set(installed)

    tidegate = empty_environment / "bin" / "tidegate"
    report = json.loads(
        run(tidegate, "inspect", saved_bundle, "--json", env=clean(empty_environment), cwd=tmp_path)
    )
    assert report["verified"] is True
    with subprocess.Popen(
        [tidegate, "serve", saved_bundle, "--store", tmp_path / "state", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=clean(empty_environment),
        cwd=tmp_path,
    ) as server:
        try:
            ready = json.loads(server.stdout.readline())
            body = json.dumps({"event": {"driver": "ann", "speed": 50}}).encode()
            address = f"{ready['url']}/v1/models/small/sessions/one/events"
            with urllib.request.urlopen(urllib.request.Request(address, body)) as response:
                answer = json.load(response)
            assert answer["seq"] == 1
            assert set(answer["answer"]["probabilities"]) == {"no", "yes"}
        finally:
            server.terminate()
        assert server.wait(timeout=30) == 0
