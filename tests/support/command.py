"""The command line in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def tidegate(*arguments: Any, cwd: Any = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=240,
    )


def said(*arguments: Any) -> dict[str, Any]:
    """What a verb that succeeds says with ``--json``."""
    done = tidegate(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
