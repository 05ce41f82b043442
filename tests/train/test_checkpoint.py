from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tidegate.errors import InputError
from tidegate.train import checkpoint as checkpoints
from tidegate.train.bad_batches import BadBatch, Suspect
from tidegate.train.checkpoint import Checkpoint, Position
from tidegate.train.diagnostics import Diagnosis, LayerDiagnosis
from tidegate.train.history import Clipping, Epoch
from tidegate.train.schedules import Plateau

LAYER = LayerDiagnosis((0.5, None), {"forward.z": (0.1, 0.2)}, 8, 1, -0.5, None)
EPOCH = Epoch(
    *(1, 0.7, 0.6, {"n": 9.0, "auc": 0.5}, 1.0, 2.0, 0.1, 100, 50.0, 2.0),
    clipping=Clipping(0.1, 2.0, 3.0),
    bad_batches=1,
    returns=1,
    updates={"head.weight": 0.001},
    diagnosis=Diagnosis(4, 30, {"head.weight": None}, {"head.weight": 2.0}, (0, 1), (LAYER,)),
)


def example(step: int = 7) -> Checkpoint:
    weights = {"head/odd.name": torch.rand(3, 2).T}  # a view that is not contiguous
    suspect = Suspect(3, "car", 5, True, False, 2, 0, 1e30)
    bad = BadBatch(1, 4, "gradient", 0.1, 9, (suspect,))
    return Checkpoint(
        Position("key", step, [EPOCH], 1, 0.6, Plateau(0.5, 1), 2, 1, [bad]),
        {
            "model": weights,
            "optimizer": {"0/step": torch.tensor(7.0), "0/exp_avg": torch.rand(2)},
            "ema": {".steps": torch.tensor(7), "head/odd.name": torch.rand(3, 2)},
            "scaler": {"scale": torch.tensor(1024.0), "_growth_tracker": torch.tensor(3)},
        },
        {name: tensor + 1 for name, tensor in weights.items()},
        torch.get_rng_state(),
    )


def test_a_checkpoint_comes_back_to_the_bit(tmp_path: Path) -> None:
    saved = example()
    checkpoints.save(saved, tmp_path / "deep" / "c")
    found = checkpoints.load(tmp_path / "deep" / "c", "key")
    assert found is not None
    assert found.position == saved.position
    assert torch.equal(found.rng, saved.rng)
    parts = {**found.state, "best": found.best}
    for part, tensors in {**saved.state, "best": saved.best}.items():
        assert parts[part].keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert torch.equal(parts[part][name], tensor)
            assert parts[part][name].dtype == tensor.dtype


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoints.load(tmp_path / "c", "key") is None


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    checkpoints.save(example(), tmp_path / "c")
    with pytest.raises(InputError, match="another configuration") as caught:
        checkpoints.load(tmp_path / "c", "other")
    assert caught.value.code == "checkpoint_mismatch"


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c"
    checkpoints.save(example(), path)
    content = path.read_bytes()
    path.write_bytes({"cut": content[:-8], "empty": b"", "foreign": b"x" * 100}[damage])
    with pytest.raises(InputError) as caught:
        checkpoints.load(path, "key")
    assert caught.value.code == "checkpoint_damaged"


def test_a_failed_save_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "c"
    checkpoints.save(example(), path)
    before = path.read_bytes()
    bad = Checkpoint(Position("key"), {"model": {"w": object()}}, {}, torch.get_rng_state())  # type: ignore[dict-item]
    with pytest.raises(AttributeError):
        checkpoints.save(bad, path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        checkpoints.save(example(), tmp_path / "folder")
    assert (caught.value.code, caught.value.field) == ("cannot_write", str(tmp_path / "folder"))
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "folder"]


def test_an_optimizer_gets_its_memory_back() -> None:
    def optimizer() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1)

    def step(layer: torch.nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    layer, first = optimizer()
    step(layer, first)
    other, second = optimizer()
    other.load_state_dict(layer.state_dict())
    memory = checkpoints.optimizer_tensors(first)
    checkpoints.optimizer_state(second, {name: tensor.clone() for name, tensor in memory.items()})
    step(layer, first)
    step(other, second)
    assert torch.equal(layer.weight, other.weight)
