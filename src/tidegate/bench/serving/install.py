"""The peers' packages: in a venv of their own, pinned, never among tidegate's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tidegate.errors import TidegateError

__all__ = ["install", "install_redis", "pinned", "redis_version"]


def install(requirements: Path, venv: Path) -> Path:
    """Make the venv, unless it is there with these requirements.

    Parameters
    ----------
    requirements : Path
        Exact versions.
    venv : Path
        Folder of the venv.

    Returns
    -------
    Path
        Its Python.

    Raises
    ------
    TidegateError
        ``cannot_install``.
    """
    python, mark = venv / "bin" / "python", venv / "installed"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text() == wanted:
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(venv)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run([*pip, "install", "-r", str(requirements)])
    mark.write_text(wanted)
    return python


def install_redis() -> None:
    """Install redis-server from Debian when it is missing and this process is root's.

    Raises
    ------
    TidegateError
        ``cannot_install``.
    """
    if shutil.which("redis-server"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise _cannot("redis-server is not installed", "apt-get install redis-server")
    _run(["apt-get", "update", "-qq"])
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "redis-server"])


def redis_version() -> str:
    """Return what the redis-server that would run says of itself."""
    words = subprocess.run(
        ["redis-server", "--version"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return next(word[2:] for word in words if word.startswith("v="))


def pinned(requirements: Path) -> dict[str, str]:
    """Return the versions of a requirements file."""
    lines = (line.partition("==") for line in requirements.read_text().splitlines())
    return {name: version for name, found, version in lines if found and name[0] != "#"}


def _run(command: Sequence[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, check=False, text=True, env=environment
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise _cannot(f"{' '.join(command[:6])} ...: {' | '.join(said)}", "see what it says")


def _cannot(what: str, hint: str) -> TidegateError:
    return TidegateError("cannot_install", what, hint=hint)
