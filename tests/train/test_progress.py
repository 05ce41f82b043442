from __future__ import annotations

import io
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tidegate.errors import InputError
from tidegate.train.diagnostics import Diagnosis, LayerDiagnosis
from tidegate.train.history import Clipping, Epoch
from tidegate.train.progress import TensorBoard, Terminal

EPOCH = Epoch(1, 0.7, 0.6, {"n": 9.0, "brier": 0.2, "auc": 0.51}, 1.25, 2.0, 0.1, 100, 5000.0, 2.0)
LAYER = LayerDiagnosis((0.5, None), {"forward.z": (0.1, 0.2)}, 8, 1, -0.5, 0.5)
MEASURED = msgspec.structs.replace(
    EPOCH,
    clipping=Clipping(0.25, 2.0, 3.0),
    bad_batches=3,
    updates={"head.weight": 0.001},
    diagnosis=Diagnosis(4, 30, {"head.weight": None}, {"head.weight": 2.0}, (0, 1), (LAYER,)),
)


def shown(terminal: bool) -> str:
    file = io.StringIO()
    listener = Terminal(Console(file=file, force_terminal=terminal, width=160))
    listener.begin(epochs=2, done=0, events=100)
    listener.batch(60, 0.71, 1.5)
    listener.epoch(EPOCH, "auc", best=True)
    listener.batch(60, 0.69, 0.5)
    listener.note("a [note]")
    listener.close()
    return file.getvalue()


def test_without_a_terminal_there_is_a_line_an_epoch() -> None:
    assert shown(terminal=False).splitlines() == [
        "epoch 1/2: loss 0.7000; valid auc 0.5100, brier 0.2000; gradient 1.25; 5,000 events/s; "
        "2.0 s; best",
        "a [note]",
    ]


def test_skipped_batches_are_told() -> None:
    file = io.StringIO()
    Terminal(Console(file=file, width=160)).epoch(MEASURED, "auc", best=False)
    assert file.getvalue().endswith("; 2.0 s; 3 batches skipped\n")


def test_a_terminal_shows_a_bar_too() -> None:
    text = shown(terminal=True)
    assert "epoch 1/2: loss 0.7000" in text
    for part in ("epoch 2/2", "loss 0.6900", "auc 0.5100", "gradient 0.50", "events/s"):
        assert part in text


def test_a_missing_tensorboard_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(InputError, match=r"tidegate\[tensorboard\]") as caught:
        TensorBoard(tmp_path)
    assert caught.value.code == "missing_extra"


def test_tensorboard_gets_each_epochs_numbers(tmp_path: Path) -> None:
    listener = TensorBoard(tmp_path)
    listener.epoch(MEASURED, "auc", best=True)
    listener.close()
    (log,) = tmp_path.iterdir()
    content = log.read_bytes()
    for name in (
        *(b"loss/train", b"gradient_norm/max", b"learning_rate", b"valid/auc"),
        *(b"clipped/ratio_max", b"bad_batches", b"update_ratio/head.weight"),
        *(b"weight_norm/head.weight", b"vanishing/layers.0/lag_0", b"dead_units/layers.0"),
        *(b"saturated/layers.0.forward.z/high", b"activation/layers.0/smallest"),
    ):
        assert name in content
    for name in (b"lag_1", b"gradient_norm/head.weight"):  # not finite
        assert name not in content
