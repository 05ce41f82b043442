"""The state that goes on is the whole session's; the gradient ends where a stretch begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from tidegate.data.batches import Batches
from tidegate.data.lanes import Lanes
from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, RNN, MinLSTM, Network
from tidegate.spec import LayerSpec, ModelSpec
from tidegate.train.tbptt import Carry

LAYERS: dict[str, Any] = {
    "gru": lambda: GRU(2, 3),
    "lstm": lambda: LSTM(2, 3),
    "rnn": lambda: RNN(2, 3),
    "stack": lambda: GRU(2, 3, num_layers=2, layer_norm=True, learned_initial_state=True),
    "minimal": lambda: MinLSTM(2, 3, num_layers=2),
    "network": lambda: Network(
        ModelSpec(2, (LayerSpec("lstm", 3), LayerSpec("gru", 3, learned_initial_state=True)), 2)
    ),
    "lstm stack": lambda: LSTM(2, 3, num_layers=2, residual=True, learned_initial_state=True),
}


def layer_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    layer: nn.Module = LAYERS[name]().double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))  # no beginning is 0
    return layer


def sessions_of(lengths: list[int]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.random.default_rng(1).standard_normal((offsets[-1], 2), dtype=np.float32)
    return rows, offsets


def outputs_of(layer: nn.Module, plan: Lanes | Batches) -> Tensor:
    """The outputs of an epoch in the order of the rows, with their graph."""
    carry = Carry(layer)
    found, events = [], []
    for batch in plan.epoch(1):
        found.append(carry(batch)[torch.from_numpy(batch.real)])
        events.append(torch.from_numpy(batch.events))
    return torch.cat(found)[torch.cat(events).argsort()]


def gradients_of(layer: nn.Module, outputs: Tensor) -> list[Tensor]:
    weights = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).reshape(outputs.shape)
    loss = (weights * outputs.square()).sum()
    return list(torch.autograd.grad(loss, list(layer.parameters())))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(LAYERS)),
    st.lists(st.integers(1, 12), min_size=1, max_size=12),
    st.integers(1, 5),
    st.integers(1, 14),
    st.integers(0, 3),
)
def test_carried_is_whole_and_cut_where_the_chunk_says(
    name: str, lengths: list[int], lanes: int, chunk: int, seed: int
) -> None:
    layer = layer_of(name)
    rows, offsets = sessions_of(lengths)
    labels = np.zeros(len(rows))
    found = outputs_of(layer, Lanes(rows, offsets, labels, lanes, chunk, seed))
    whole = outputs_of(layer, Batches(rows, offsets, labels, 40))
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-6)

    # What truncation means, session by session: the state goes on without its gradient.
    expected = []
    for begin, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        state = None
        for start in range(begin, end, chunk):
            x = torch.from_numpy(rows[None, start : min(start + chunk, end)]).double()
            y, state = layer(x, state)
            state = state.detach() if torch.is_tensor(state) else tuple(p.detach() for p in state)
            expected.append(y[0])
    gradients = gradients_of(layer, found)
    for one, other in zip(gradients, gradients_of(layer, torch.cat(expected)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    if chunk >= max(lengths):
        for one, other in zip(gradients, gradients_of(layer, whole), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_a_short_chunk_has_another_gradient() -> None:
    """Else the test above would hold for a loop that never detaches."""
    layer = layer_of("gru")
    rows, offsets = sessions_of([12, 7])
    short, whole = (
        gradients_of(layer, outputs_of(layer, Lanes(rows, offsets, np.zeros(19), 2, chunk)))
        for chunk in (3, 12)
    )
    assert (short[0] - whole[0]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_the_loss_does_not_depend_on_the_number_of_lanes(name: str) -> None:
    layer = layer_of(name)
    rows, offsets = sessions_of([5, 9, 1, 3, 7, 2])
    labels = np.random.default_rng(2).standard_normal(len(rows))
    losses = []
    for lanes in (1, 2, 3, 6, 50):
        outputs = outputs_of(layer, Lanes(rows, offsets, labels, lanes, 100, seed=lanes))
        losses.append(
            float((outputs.detach().sum(dim=1) - torch.from_numpy(labels)).square().sum())
        )
    assert losses == pytest.approx([losses[0]] * 5, rel=1e-12)


def test_float32_is_carried_to_a_millionth() -> None:
    torch.manual_seed(0)
    layer = GRU(2, 16, num_layers=2)
    rows, offsets = sessions_of([200, 150, 170])
    found = outputs_of(layer, Lanes(rows, offsets, np.zeros(520), 2, 13))
    whole = outputs_of(layer, Batches(rows, offsets, np.zeros(520), 10_000))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-6)


def test_a_session_that_is_no_longer_finite_costs_the_others_nothing() -> None:
    layer = layer_of("lstm")
    rows, offsets = sessions_of([9, 8, 6])
    plan = Lanes(rows, offsets, np.zeros(23), 2, 2)
    expected = outputs_of(layer, plan).detach()
    rows[3] = np.nan
    found = outputs_of(layer, plan).detach()
    assert torch.equal(found[9:], expected[9:])
    assert found[3].isnan().all()
    anew, _ = layer(torch.from_numpy(rows[None, 4:9]).double())  # the chunk after the bad one
    torch.testing.assert_close(found[4:9], anew[0], rtol=0, atol=1e-12)


def test_what_reads_backward_is_refused_where_it_would_go_on() -> None:
    rows, offsets = sessions_of([3, 2])
    carry = Carry(GRU(2, 3, bidirectional=True))
    first, second = Lanes(rows, offsets, np.zeros(5), 2, 2).epoch()
    assert carry(first).shape == (2, 2, 6)
    with pytest.raises(InputError) as caught:
        carry(second)
    assert (caught.value.code, caught.value.field) == ("bad_layer", "bidirectional")


def test_the_state_goes_on_through_batches_that_are_skipped() -> None:
    layer = layer_of("lstm")
    rows, offsets = sessions_of([9, 8, 6])
    plan = Lanes(rows, offsets, np.zeros(23), 2, 2)
    carry = Carry(layer)
    expected = [carry(batch) for batch in plan.epoch()]
    calls = []
    layer.register_forward_hook(lambda _, given, __: calls.append(given[0].shape[1]))
    carry = Carry(layer)
    for epoch in range(2):  # what the first one leaves behind is no matter in the second
        for place, batch in enumerate(plan.epoch()):
            if place in (0, 1, 4, 6):
                carry.skip(batch)
            else:
                torch.testing.assert_close(carry(batch), expected[place], rtol=0, atol=1e-12)
        # All are run but the last, which nothing goes on from.
        assert len([steps for steps in calls if steps]) == (epoch + 1) * (len(expected) - 1)


def test_a_batch_out_of_order_is_refused() -> None:
    rows, offsets = sessions_of([9, 8, 6])
    first, second, third, *_ = Lanes(rows, offsets, np.zeros(23), 2, 2).epoch()
    carry = Carry(layer_of("gru"))
    with pytest.raises(InputError, match="not_next"):
        carry(second)
    carry(first)
    with pytest.raises(InputError, match="not_next"):
        carry(third)
    carry(second)  # what was refused changed nothing


def test_batches_can_be_run_once_more() -> None:
    rows, offsets = sessions_of([9, 8, 6])
    first, second, third, fourth, *_ = Lanes(rows, offsets, np.zeros(23), 2, 2).epoch()
    carry = Carry(layer_of("gru"))
    carry(first)
    carry.skip(second)
    mark = carry.mark()
    expected = [carry(third), carry(fourth)]
    for _ in range(2):
        carry.rewind(mark)
        assert torch.equal(carry(third), expected[0])
        assert torch.equal(carry(fourth), expected[1])
