"""What a run of training leaves, and what is made of it."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tidegate.bench.results import Machine, Settings, kind
from tidegate.bench.training import cases, goals, markdown, plots, results
from tidegate.bench.training.cases import Case, Variant
from tidegate.bench.training.results import Row, Timing, TrainResults
from tidegate.errors import InputError

ROOT = Path(__file__).parents[3]


def row(case: Case, variant: Variant, **more: Any) -> Row:
    """A row that reaches every goal."""
    usual: dict[str, Any] = {
        "cell": case.cell,
        "path": "fused",
        "options": variant.options,
        "precision": variant.precision,
        "lengths": variant.lengths,
        "isa": "amx",
        "batch": case.batch,
        "time": case.time,
        "input_size": case.input_size,
        "hidden_size": case.hidden_size,
        "forward_ms": 4.0,
        "step_ms": 10.0,
        "torch_gru_ms": 30.0,
        "torch_lstm_ms": 15.0,
        "torch_rnn_ms": 11.0,
        "loop_ms": 100.0,
        "ratio_torch_gru": 3.0,
        "ratio_torch_lstm": 1.5,
        "ratio_torch_rnn": 1.1,
        "ratio_loop": 10.0,
        "ratio_plain": 1.2,
        "padded_ms": 25.0 if variant.lengths == "ragged" else None,
        "kept_mb": 2.0 if "recompute" in variant.options else 5.0,
        "torch_gru_kept_mb": 8.0,
        "torch_lstm_kept_mb": 8.0,
        "torch_rnn_kept_mb": 8.0,
    }
    return Row(**{**usual, **more})


@pytest.fixture
def found() -> TrainResults:
    machine = Machine("A <fast> one", "x86_64", 2, "Linux 6", [], [], {}, {}, {}, "2026-01-02")
    rows = [row(case, each) for case in cases.STANDARD for each in cases.variants(case)]
    timings = [Timing(str(rows[0].case), "plain", 4.0, 10.0, 9.0, 11.0, 5.0)]
    return TrainResults(machine, Settings(0.1, 9, 2), rows, timings)


def missed(found: TrainResults) -> list[str]:
    return [goal.case for goal in goals.check(found) if not goal.met]


def test_results_read_back(found, tmp_path) -> None:
    path = tmp_path / "new" / "results.json"
    results.save(path, found)
    assert results.load(path) == found
    assert kind(path) == "train"


def test_a_row_has_the_members_that_are_promised(found, tmp_path) -> None:
    results.save(tmp_path / "results.json", found)
    content = json.loads((tmp_path / "results.json").read_text())
    promised = {"cell", "path", "options", "precision", "lengths", "batch", "time"}
    promised |= {"input_size", "hidden_size", "forward_ms", "step_ms"}
    promised |= {"torch_gru_ms", "torch_lstm_ms", "ratio_torch_gru", "ratio_torch_lstm"}
    assert all(promised <= set(each) for each in content["rows"])


@pytest.mark.parametrize("text", [None, "", "{}", "[1]", '{"rows": []}', '{"bench": "train"}'])
def test_another_file_is_refused(text, tmp_path) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as refused:
        results.load(path)
    assert refused.value.code == "bad_results"


def test_goals_that_are_met(found) -> None:
    assert missed(found) == []
    speed = 4 * 2 + 1 + 4 * 2  # a GRU beside both, in bf16, the other cells beside their own
    options, ragged, memory, recomputed = 4 * 4, 12, 12, 12
    assert len(goals.check(found)) == speed + options + ragged + memory + recomputed


@pytest.mark.parametrize(
    ("change", "count", "says"),
    [
        ({"ratio_torch_gru": 1.0}, 5, "beside torch.nn.GRU"),
        ({"ratio_torch_lstm": 1.2}, 4, "beside torch.nn.LSTM"),
        ({"ratio_torch_lstm": 0.9}, 8, "beside torch.nn.LSTM"),
        ({"ratio_torch_rnn": 0.9}, 4, "beside torch.nn.RNN"),
        ({"ratio_plain": 1.4}, 16, "beside plain"),
        ({"step_ms": 20.0, "padded_ms": 25.0}, 12, "beside padded"),
        ({"kept_mb": 8.5}, 12 + 12, "kept"),
    ],
)
def test_goals_are_missed_by_what_is_slow_or_large(change, count, says, found) -> None:
    rows = [
        msgspec.structs.replace(
            each, **{k: v for k, v in change.items() if getattr(each, k) is not None}
        )
        for each in found.rows
    ]
    names = missed(msgspec.structs.replace(found, rows=rows))
    assert len(names) == count
    assert all(says in name for name in names)


@pytest.mark.parametrize(
    ("ratio", "isa", "met"),
    [(2.6, "amx", True), (2.4, "amx", False), (2.4, "avx512", True), (1.9, "avx512", False)],
)
def test_bf16_should_gain_more_where_there_are_tiles(ratio, isa, met, found) -> None:
    case = cases.parse("gru:64-256@64x100")
    only = row(case, Variant(precision="bf16"), ratio_torch_gru=ratio, isa=isa)
    (goal,) = goals.check(msgspec.structs.replace(found, rows=[only]))
    assert goal.met == met


@pytest.mark.parametrize(
    ("shape", "least"),
    [("16-64@64x100", 2.5), ("16-128@64x100", 2.0), ("16-128@32x500", 2.2), ("64-256@64x100", 1.3)],
)
def test_each_size_has_its_own_goal(shape, least, found) -> None:
    case = cases.parse(f"gru:{shape}")
    for ratio, met in ((least, True), (least - 0.01, False)):
        only = row(case, Variant(), ratio_torch_gru=ratio)
        goal = goals.check(msgspec.structs.replace(found, rows=[only]))[0]
        assert (goal.wanted, goal.met) == (f"≥ {least:g} ×", met)


def test_no_goals_of_what_was_not_run(found) -> None:
    empty = msgspec.structs.replace(found, rows=[], timings=[])
    assert goals.check(empty) == []
    assert plots.charts(empty) == {}
    other = row(cases.parse("gru:3-8@6x12"), Variant())
    assert goals.check(msgspec.structs.replace(found, rows=[other])) == []


def test_markdown_has_a_line_for_each_row(found) -> None:
    text = markdown.render(found)
    assert text.startswith("### A <fast> one, 2 cores\n")
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) == 2 + len(goals.check(found)) + 2 + len(found.rows)
    assert (
        "| gru:16-64@64x100 | plain | full | fp32 | fused | 4.00 | 10.0 | 30.0 | 15.0 | 100 "
        "| 3.00 | 1.50 | 10.00 | 1.20 |  | 5.00 | 8.00 |\n"
    ) in text
    assert "|  | plain | ragged | fp32 | fused |" in text
    assert "| 0.40 | 5.00 | 8.00 |\n" in text  # ragged beside padded
    assert "2 threads each; medians of 9 rounds of 0.1 s." in text


def test_pictures_and_a_page_that_needs_no_network(found, tmp_path) -> None:
    page, *pictures = plots.write(tmp_path / "out", found)
    assert page.name == "train.html"
    names = ["steps", "options", "ragged", "memory"]
    assert [picture.name for picture in pictures] == [f"train-{name}.png" for name in names]
    for picture in pictures:
        width, height = struct.unpack(">II", picture.read_bytes()[16:24])
        assert width > 600
        assert height > 150
    text = page.read_text()
    head, _, rest = text.partition("<script>")
    body = rest.rpartition("</head>")[2]
    assert not re.search(r"<(script|link|img)[^>]*\s(src|href)=", head + body)
    assert body.count("vegaEmbed(") == 4
    assert body.count("<tr>") == 1 + len(found.rows)


def test_charts_have_a_mark_for_each_figure(found) -> None:
    drawn = {
        name: next(iter(chart.to_dict()["datasets"].values()))
        for name, chart in plots.charts(found).items()
    }
    assert len(drawn["steps"]) == 4 * (5 + 4 + 5)
    assert {value["value"] for value in drawn["ragged"]} == {10.0, 25.0}
    assert len(drawn["ragged"]) == 2 * 12
    assert len(drawn["options"]) == 5 * 12 + 6
    assert len(drawn["memory"]) == 3 * 12


def test_the_docs_hold_the_results_that_are_kept() -> None:
    page = (ROOT / "docs" / "training-speed.md").read_text()
    for path in (ROOT / "benchmarks" / "results").glob("train-*.json"):
        assert markdown.render(results.load(path)).strip() in page, path.name
