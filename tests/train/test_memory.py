"""What a probe tells of states that remember exactly so much."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tidegate.errors import InputError
from tidegate.nn import Network, named_weights
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec
from tidegate.train.memory import MAX_EVENTS, probe


def sessions(lengths: list[int], width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = 0.1 * rng.standard_normal((sum(lengths), width)).astype(np.float32)
    return rows, np.concatenate([[0], np.cumsum(lengths)])


def delay_line(units: int) -> Network:
    """Unit k holds the input of k events ago, all but unchanged."""
    network = Network(ModelSpec(1, (LayerSpec("rnn", units, bias="none"),), 1)).eval()
    weights = named_weights(network)
    with torch.no_grad():
        weights["layers.0.forward.input"].copy_(torch.eye(units)[:, :1])
        weights["layers.0.forward.recurrent"].copy_(torch.eye(units).roll(1, 0).tril(-1))
    return network


def test_a_delay_line_remembers_as_many_events_as_it_has_units() -> None:
    rows, offsets = sessions([40] * 30, 1)
    found = probe(delay_line(6), rows, offsets, ("speed",))
    assert found.lags[:7] == (0, 1, 2, 3, 4, 6, 8)
    assert found.sessions == 30
    r2 = dict(zip(found.lags, found.r2["speed"], strict=True))
    assert min(r2[lag] for lag in (0, 1, 2, 3, 4)) > 0.99
    assert max(r2[lag] for lag in (6, 8, 12)) < 0.1


def test_states_are_those_of_the_session_alone() -> None:
    """Padding, and other sessions, tell nothing: sessions of many lengths give the same."""
    rng = np.random.default_rng(1)
    rows, offsets = sessions(rng.integers(1, 60, 60).tolist(), 1)
    found = probe(delay_line(6), rows, offsets)
    assert found.r2["column 0"][4] > 0.99
    assert found.r2["column 0"][5] < 0.1


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_every_cell_and_categories(cell: str) -> None:
    torch.manual_seed(0)
    spec = ModelSpec(4, (LayerSpec(cell, 6),), 1, (CategoryInput(1, 4, 2),))  # type: ignore[arg-type]
    rows, offsets = sessions([20] * 60, 4)
    rows *= 10
    rows[:, 1] = np.random.default_rng(0).integers(0, 4, len(rows))
    rows[:, 2] = np.repeat(np.arange(60) / 60, 20)  # never changes within a session
    found = probe(Network(spec).eval(), rows, offsets, ("speed", "lane", "site", "fuel"))
    assert list(found.r2) == ["speed", "fuel", "lane"]
    for r2 in found.r2.values():
        assert len(r2) == len(found.lags)
        assert r2[0] > max(0.3, *r2[3:])


def test_long_sessions_are_cut() -> None:
    rows, offsets = sessions([MAX_EVENTS + 300] * 3, 1)
    rows[MAX_EVENTS:][:300] = np.nan  # nobody reads it
    rows[offsets[1] + MAX_EVENTS :][:300] = np.nan
    rows[offsets[2] + MAX_EVENTS :][:300] = np.nan
    assert probe(delay_line(4), rows, offsets).r2["column 0"][0] > 0.99


@pytest.mark.parametrize("lengths", [[], [500], [4, 4, 4]])
def test_too_few_sessions(lengths: list[int]) -> None:
    with pytest.raises(InputError) as caught:
        probe(delay_line(4), *sessions(lengths, 1))
    assert caught.value.code == "too_few_sessions"


def test_two_directions_have_no_state() -> None:
    network = Network(ModelSpec(1, (LayerSpec("gru", 4, bidirectional=True),), 1)).eval()
    with pytest.raises(InputError) as caught:
        probe(network, *sessions([40] * 30, 1))
    assert caught.value.code == "unsupported_spec"
