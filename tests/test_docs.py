"""The README and the docs are true: their blocks run, in order, as a newcomer would run them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tidegate.metrics import GateMetrics, StoreFigures
from tidegate.serve.config import about

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+\.\w+)")


def blocks(page: Path) -> list[tuple[str, str]]:
    return BLOCK.findall(page.read_text())


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def walk(page: Path, folder: Path) -> str:
    """Run a page's Python and shell blocks, and write its files, in order; return what was said."""
    said = []
    for kind, text in blocks(page):
        if kind == "python":
            said.append(run(folder, sys.executable, "-W", "error", "-c", text))
        elif kind == "sh":
            said.append(run(folder, "bash", "-euo", "pipefail", "-c", text))
        elif kind in {"toml", "json"} and (name := FILE.match(text)):
            (folder / name[1]).write_text(text)
    return "\n".join(said)


def test_the_readme(tmp_path: Path) -> None:
    readme = ROOT / "README.md"
    kinds = [kind for kind, _ in blocks(readme)]
    assert kinds == ["console", "python", "sh"]
    console, python, shell = (text.strip().splitlines() for _, text in blocks(readme))
    assert len(python) <= 15
    assert len(shell) <= 5
    makefile = (ROOT / "Makefile").read_text()
    for line in console:  # `$ make demo   # ...`: targets that exist
        target = re.fullmatch(r"\$ make (\w+) .*", line)
        assert target, line
        assert re.search(rf"^{target[1]}:", makefile, re.MULTILINE)
    said = walk(readme, tmp_path)
    assert "'label': 'true'" in said
    assert '"seq":2' in said
    assert '"duplicate":true' in said


def test_the_pages_of_the_docs(tmp_path: Path) -> None:
    walk(ROOT / "docs" / "train.md", tmp_path)  # the others go on from it
    said = walk(ROOT / "docs" / "check-data.md", tmp_path)
    assert "clean: nothing was found" in said
    found = ["target_among_fields", "future_field", "identifier_among_fields"]
    assert [f"warning {name}" in said for name in found] == [False, True, True]
    assert "serious target_among_fields\nwarning future_field" in said  # the Python block
    said = walk(ROOT / "docs" / "large-data.md", tmp_path)
    assert "train.rows.npy" in said
    said = walk(ROOT / "docs" / "tune.md", tmp_path)
    assert "trials: 4 finished, 0 ended early, 0 failed" in said
    assert "next: tidegate train train-tune/best.toml" in said
    said = walk(ROOT / "docs" / "doctor.md", tmp_path)
    assert "healthy: nothing is wrong" in said
    assert "serious learning_rate_too_high" in said
    assert len(list((tmp_path / "pictures").iterdir())) == 6
    said = walk(ROOT / "docs" / "report.md", tmp_path)
    assert "report: pumps.html" in said
    assert "What each field is worth: The model leans most on noise" in said
    assert "<h2" in (tmp_path / "mine.html").read_text()
    said = walk(ROOT / "docs" / "compare.md", tmp_path)
    assert "GRU or LSTM: " in said
    assert "NOTHING WAS MEASURED" in said
    assert said.splitlines()[-1] in {"gru", "lstm"}  # the Python block, which trains nothing anew
    assert (tmp_path / "train.compare" / "comparison.html").is_file()
    assert "1-bf16 bf16" in walk(ROOT / "docs" / "compress.md", tmp_path)
    assert "port = 8711 " in walk(ROOT / "docs" / "operate.md", tmp_path)
    said = walk(ROOT / "docs" / "serve.md", tmp_path)
    assert '"seq":4' in said
    assert 'tidegate_events_total{model="pumps",outcome="answered"} 5.0' in said
    said = walk(ROOT / "docs" / "client.md", tmp_path)
    assert "3 True" in said
    assert "100 sessions, each with 3 answers" in said
    assert "7500 answers, 0 errors" in said


def test_the_page_of_the_layers(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "layers.md", tmp_path)
    assert "(2, 32, 64) fused" in said
    assert "['n', 'r', 'z']" in said
    assert said.count("True") == 2
    assert "(8, 1000, 64) False" in said


def test_the_operators_page_names_what_there_is() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    metrics = GateMetrics("0", {"pumps": "1"}, memory_bound=1)
    metrics.watch_port(1)
    metrics.ask_store = StoreFigures
    shown = set(re.findall(r"^# TYPE (\w+)", metrics.render().decode(), re.MULTILINE))
    named = {name.removesuffix("_bucket") for name in re.findall(r"tidegate_\w+", page)}
    assert len(named) > 20
    assert named <= shown
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (?:none|0|\d|`\W)", page, re.MULTILINE)
    settings = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(settings) > 20
    assert settings <= {*about()}


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
