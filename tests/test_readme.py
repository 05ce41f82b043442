"""The README is true: its blocks run, in order, as a newcomer would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_its_blocks_run(tmp_path: Path) -> None:
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    (make,) = (text for kind, text in blocks if kind == "console")
    for line in make.strip().splitlines():  # `make demo`, `make test`: targets that exist
        target = re.fullmatch(r"\$ make (\w+) .*", line)
        assert target, line
        assert re.search(rf"^{target[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (python,) = (text for kind, text in blocks if kind == "python")
    (shell,) = (text for kind, text in blocks if kind == "sh")
    assert len(python.strip().splitlines()) <= 15
    assert len(shell.strip().splitlines()) <= 5
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run(sys.executable, "-W", "error", "-c", python)
    assert "probabilities" in said
    answered = run("bash", "-euo", "pipefail", "-c", shell)
    assert '"seq":1' in answered
    assert '"duplicate":true' in answered
