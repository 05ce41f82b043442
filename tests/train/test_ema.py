from __future__ import annotations

import pytest
import torch

from tidegate.train.ema import MovingAverage


def moving(layer: torch.nn.Module, average: MovingAverage, steps: int) -> list[torch.Tensor]:
    """Change a layer at random; return its weight after each step."""
    found = []
    for _ in range(steps):
        with torch.no_grad():
            layer.get_parameter("weight").add_(torch.randn(2, 3))
        average.update()
        found.append(layer.get_parameter("weight").detach().clone())
    return found


def test_it_is_what_a_loop_by_hand_finds() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    expected = layer.weight.detach().clone()
    average = MovingAverage(layer, 0.7)
    weights = moving(layer, average, 40)
    for step, weight in enumerate(weights, start=1):
        decay = min(0.7, step / (step + 9))
        expected = decay * expected + (1 - decay) * weight
    with average.swapped():
        torch.testing.assert_close(layer.weight, expected)
    assert torch.equal(layer.weight, weights[-1])


def test_swapping_is_undone_after_an_error() -> None:
    layer = torch.nn.Linear(3, 2)
    average = MovingAverage(layer, 0.9)
    (weight,) = moving(layer, average, 1)
    seen = []

    def interrupted() -> None:
        with average.swapped():
            seen.append(layer.weight.detach().clone())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not torch.equal(seen[0], weight)
    assert torch.equal(layer.weight, weight)


def test_it_goes_on_from_its_tensors() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 2)
    average = MovingAverage(layer, 0.9)
    moving(layer, average, 3)
    other = MovingAverage(layer, 0.9)
    other.restore({name: tensor.clone() for name, tensor in average.tensors().items()})
    moving(layer, average, 1)
    other.update()
    for name, tensor in average.tensors().items():
        assert torch.equal(other.tensors()[name], tensor)


def test_without_a_decay_there_is_none() -> None:
    layer = torch.nn.Linear(3, 2)
    average = MovingAverage(layer, 0.0)
    (weight,) = moving(layer, average, 1)
    assert average.tensors() == {}
    average.restore({})
    with average.swapped():
        assert torch.equal(layer.weight, weight)
