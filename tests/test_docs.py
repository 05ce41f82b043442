"""The README and the docs are true: their blocks run, in order, as a newcomer would run them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def pumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page about training leaves behind, from which others go on."""
    folder = tmp_path_factory.mktemp("docs")
    walk(ROOT / "docs" / "train.md", folder)
    return folder


@pytest.fixture
def trained(pumps: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(pumps, tmp_path, dirs_exist_ok=True))


def test_the_page_of_checks(trained: Path) -> None:
    said = walk(ROOT / "docs" / "check-data.md", trained)
    assert "clean: nothing was found" in said
    found = ["target_among_fields", "future_field", "identifier_among_fields"]
    assert [f"warning {name}" in said for name in found] == [False, True, True]
    assert "serious target_among_fields\nwarning future_field" in said  # the Python block


def test_the_page_of_mlflow(trained: Path) -> None:
    said = walk(ROOT / "docs" / "mlflow.md", trained)
    assert "'probabilities.true'] True" in said


def test_the_page_of_large_data(trained: Path) -> None:
    assert "train.rows.npy" in walk(ROOT / "docs" / "large-data.md", trained)


def test_the_page_of_tuning(trained: Path) -> None:
    said = walk(ROOT / "docs" / "tune.md", trained)
    assert "trials: 4 finished, 0 ended early, 0 failed" in said
    assert "next: tidegate train train-tune/best.toml" in said


def test_the_page_of_the_doctor(trained: Path) -> None:
    said = walk(ROOT / "docs" / "doctor.md", trained)
    assert "healthy: nothing is wrong" in said
    assert "serious learning_rate_too_high" in said
    assert len(list((trained / "pictures").iterdir())) == 6


def test_the_page_of_reports(trained: Path) -> None:
    said = walk(ROOT / "docs" / "report.md", trained)
    assert "report: pumps.html" in said
    assert "What each field is worth: The model leans most on noise" in said
    assert "<h2" in (trained / "mine.html").read_text()


def test_the_page_of_comparisons(trained: Path) -> None:
    said = walk(ROOT / "docs" / "compare.md", trained)
    assert "GRU or LSTM: " in said
    assert "NOTHING WAS MEASURED" in said
    assert said.splitlines()[-1] in {"gru", "lstm"}  # the Python block, which trains nothing anew
    assert (trained / "train.compare" / "comparison.html").is_file()


def test_the_page_of_compression(trained: Path) -> None:
    assert "1-bf16 bf16" in walk(ROOT / "docs" / "compress.md", trained)


def test_the_pages_of_the_server(trained: Path) -> None:
    assert "port = 8711 " in walk(ROOT / "docs" / "operate.md", trained)
    said = walk(ROOT / "docs" / "serve.md", trained)
    assert '"seq":4' in said
    assert 'tidegate_events_total{model="pumps",outcome="answered"} 5.0' in said
    assert '"answer":{"state":[' in walk(ROOT / "docs" / "embed.md", trained)
    said = walk(ROOT / "docs" / "client.md", trained)
    assert "3 True" in said
    assert "100 sessions, each with 3 answers" in said
    assert "7500 answers, 0 errors" in said


def test_the_page_of_the_layers(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "layers.md", tmp_path)
    assert "(2, 32, 64) fused" in said
    assert "['n', 'r', 'z']" in said
    assert said.count("True") == 2
    assert "(8, 1000, 64) False" in said


def test_the_page_of_forecasts(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "forecast.md", tmp_path)
    assert "['unique_id', 'ds', 'y', 'sale+6', 'sale+12']" in said.replace("'sale', ", "")
    assert "coverage" in said
    assert "2 cutoffs" in said
    assert "['forecast', 'high', 'low'] 12" in said


def test_the_page_of_anomalies(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "anomaly.md", tmp_path)
    assert "anomalies 3" in said
    assert (tmp_path / "surprise.parquet").exists()


def test_the_page_of_tags(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "tag.md", tmp_path)
    assert "f1 PER" in said
    assert re.search(r"^(PER|LOC) \w+", said, re.MULTILINE)


def test_the_page_of_language(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "language.md", tmp_path)
    assert "bits_per_character" in said
    assert re.search(r"^two c\w+$", said, re.MULTILINE)
    assert "[48 tokens]" in said


def test_the_page_of_the_estimators(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "estimators.md", tmp_path)
    first, *_, piped = said.split()
    assert float(first) > 0.7  # half is chance
    assert float(piped) > 0.7
    (odd,) = re.findall(r"odd: \[(.*)\]", said)
    assert "25" in odd.split()
    assert (tmp_path / "ups" / "bundle.json").is_file()


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


def test_the_page_of_the_next_item(tmp_path: Path) -> None:
    said = walk(ROOT / "docs" / "next-item.md", tmp_path)
    assert "page" in (tmp_path / "next.csv").read_text()
    found = re.search(r"recall │ (0\.\d+)", said)
    assert found
    assert float(found[1]) > 0.6
