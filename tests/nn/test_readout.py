"""What a network's events are answered with, against the reference; and what the head learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernel_models import random_rows, random_weights, walk
from msgspec.structs import replace
from readouts import EVERY, READOUTS, mark_missing, with_readout

from tidegate.engine.reference import ReferenceModel
from tidegate.nn import Network, load_bundle, named_weights, to_bundle
from tidegate.nn.readout import nats, numbers
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec, SurprisePart

CATEGORIES = (CategoryInput(1, 7, 3), CategoryInput(4, 4, 2))
LENGTHS = (9, 0, 4, 1)


def network_of(readout: str, layers: str = "stack") -> Network:
    plain = ModelSpec(5, EVERY[layers], 1, CATEGORIES)
    spec = with_readout(plain, readout)
    network = Network(spec).eval()
    load_bundle(network, random_weights(spec, 1))
    return network


def rows_of(spec: ModelSpec, sessions: int = 4, steps: int = 9) -> torch.Tensor:
    rows = mark_missing(spec, random_rows(spec, sessions * steps, 2))
    return torch.from_numpy(rows.reshape(sessions, steps, -1))


@pytest.mark.parametrize("layers", EVERY)
@pytest.mark.parametrize("readout", READOUTS)
def test_answers_are_the_references(readout: str, layers: str) -> None:
    network = network_of(readout, layers)
    spec, weights = network.spec, to_bundle(network)
    rows, lengths = rows_of(spec), torch.tensor(LENGTHS)
    with torch.inference_mode():
        found = numbers(spec, network(rows, lengths=lengths)[0], rows)
    assert found.shape == (4, 9, spec.answer_size)
    model = ReferenceModel(spec, weights)
    for session, length in enumerate(LENGTHS):
        mine = rows[session, :length].numpy()
        expected = walk(model, spec, mine, [0] * length, model.initial[None].copy())
        np.testing.assert_allclose(found[session, :length], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("readout", ["skip", "surprise"])
def test_a_session_goes_on_from_its_state(readout: str) -> None:
    network = network_of(readout)
    rows = rows_of(network.spec)
    with torch.inference_mode():
        whole, end = network(rows)
        first, state = network(rows[:, :5])
        second, last = network(rows[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-6)
    for found, expected in zip(last, end, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("layers", EVERY)
def test_gradients_of_a_surprise_are_those_of_single_steps(layers: str) -> None:
    network = network_of("surprise", layers).double()
    rows = rows_of(network.spec).double()
    lengths = torch.tensor(LENGTHS)
    real = torch.arange(9) < lengths[:, None]
    padded = torch.where(real[..., None], rows, torch.nan)
    weights = list(named_weights(network).values())
    answers = numbers(network.spec, network(padded, lengths=lengths)[0], rows)
    whole = torch.autograd.grad(answers[real].square().sum(), weights)
    total = torch.zeros((), dtype=torch.float64)
    for session, length in enumerate(LENGTHS):
        state = None
        for t in range(length):
            row = rows[session : session + 1, t : t + 1]
            outputs, state = network(row, state)
            total = total + numbers(network.spec, outputs, row).square().sum()
    for found, expected in zip(whole, torch.autograd.grad(total, weights), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert all(gradient.any() for gradient in whole)


def test_a_surprise_reads_no_event_of_its_own_or_of_others() -> None:
    network = network_of("surprise")
    rows, lengths = rows_of(network.spec), torch.tensor(LENGTHS)
    changed = rows.clone()
    changed[0, 6, 0] += 1.0
    with torch.inference_mode():
        before, after = (network(x, lengths=lengths)[0] for x in (rows, changed))
    assert torch.equal(before[0, :7], after[0, :7])
    assert (before[0, 7:] != after[0, 7:]).any(dim=-1).all()
    assert torch.equal(before[1:], after[1:])
    assert not before[1].any()
    assert not before[2, 4:].any()


def test_a_traced_network_gives_the_same_surprises() -> None:
    network = network_of("surprise", "gru")
    rows, lengths = rows_of(network.spec), torch.tensor(LENGTHS)
    traced = torch.export.export(network, (rows, None, lengths)).module()
    with torch.no_grad():
        torch.testing.assert_close(traced(rows, None, lengths)[0], network(rows, None, lengths)[0])


def test_a_skip_begins_as_nothing_and_learns() -> None:
    spec = with_readout(ModelSpec(5, EVERY["gru"], 1, CATEGORIES), "skip")
    torch.manual_seed(0)
    network = Network(spec)
    torch.manual_seed(0)
    plain = Network(replace(spec, skip=False))
    rows = rows_of(spec)
    outputs = network(rows)[0]
    torch.testing.assert_close(outputs, plain(rows)[0])
    weight = named_weights(network)["head.skip"]
    (gradient,) = torch.autograd.grad(outputs.sum(), [weight])
    expected = rows[..., spec.number_columns].sum(dim=(0, 1)).expand(5, -1)
    torch.testing.assert_close(gradient, expected)
    load_bundle(network, {**to_bundle(network), "head.skip": np.ones((5, 3), np.float32)})
    added = rows[..., spec.number_columns].sum(dim=-1, keepdim=True)
    torch.testing.assert_close(network(rows)[0], plain(rows)[0] + added)


def test_what_has_no_likelihood_spoils_its_event_alone() -> None:
    spec = ModelSpec(
        2,
        (LayerSpec("gru", 4),),
        4,
        readout="surprise",
        parts=(SurprisePart("gaussian", 0, 0), SurprisePart("categorical", 1, 2)),
    )
    outputs = torch.zeros(4, 4)
    outputs[3, 3] = torch.inf
    rows = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 0.5], [0.0, 1.0]])
    found = numbers(spec, outputs, rows)
    assert found[0].isfinite().all()
    assert found[1:, 0].isnan().all()
    assert found[3].isnan().all()


def test_a_missing_value_gives_no_gradient() -> None:
    part = SurprisePart("gaussian", 0, 0, missing=1)
    outputs = torch.zeros(2, 2, requires_grad=True)
    found = nats(part, outputs, torch.tensor([[3.0, 0.0], [3.0, 1.0]]))
    (gradient,) = torch.autograd.grad(found.sum(), [outputs])
    torch.testing.assert_close(gradient, torch.tensor([[-3.0, -8.0], [0.0, 0.0]]))
