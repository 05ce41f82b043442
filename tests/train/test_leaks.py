"""The proof holds for what is right, and finds what is planted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tidegate.data.batches import Batch, Batches
from tidegate.data.lanes import Lanes
from tidegate.data.truncate import Windows
from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, Network
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec
from tidegate.train.leaks import LeakReport, check_leaks
from tidegate.train.tbptt import Carry

LENGTHS = [4, 7, 2, 5, 1, 6]
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)


def lanes(kind: type[Lanes] = Lanes, *, count: int = 2, chunk: int = 3, **options: Any) -> Lanes:
    rows = np.random.default_rng(0).standard_normal((OFFSETS[-1], 2), dtype=np.float32)
    return kind(rows, OFFSETS, np.zeros(len(rows)), count, chunk, **options)


def gru(**options: Any) -> GRU:
    torch.manual_seed(0)
    return GRU(2, 4, **options)


def kinds(report: LeakReport) -> set[str]:
    return {leak.kind for leak in report.leaks}


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 7), st.integers(1, 8), st.integers(0, 3))
def test_any_plan_of_lanes_is_clean(count: int, chunk: int, seed: int) -> None:
    report = check_leaks(gru(), lanes(count=count, chunk=chunk, seed=seed))
    assert report.clean
    assert report.leaks == report.unseen == ()
    assert report.sessions == len(LENGTHS)
    assert report.carry_error < 1e-6


@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 2, "layer_norm": True, "learned_initial_state": True},
        {"zoneout": 0.2, "recurrent_dropout": 0.2, "weight_dropout": 0.2, "dropout": 0.1},
    ],
)
def test_options_and_noise_are_clean(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    random = torch.get_rng_state()
    network = LSTM(2, 8, **options)
    torch.set_rng_state(random)
    assert check_leaks(network, lanes()).clean
    assert network.training
    assert torch.equal(torch.get_rng_state(), random)


def test_whole_sessions_and_windows_are_clean() -> None:
    plan = lanes()
    assert check_leaks(gru(), Batches(plan.rows, OFFSETS, plan.labels, 12, seed=0)).clean
    report = check_leaks(gru(), lanes(windows=Windows(3, "random", curriculum=3)), epoch=2)
    assert report.clean
    assert report.sessions == 4


def test_many_windows_of_a_session_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        check_leaks(gru(), lanes(windows=Windows(3, "windows", stride=2)))
    assert (caught.value.code, caught.value.field) == ("many_windows", "plan")


class NeverReset(Lanes):
    """A session that begins in a lane goes on from the state of the one before it there."""

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        plan = self.plan(epoch)
        before: dict[int, int] = {}
        for chunk, batch in enumerate(super().epoch(epoch)):
            at = plan.lanes[plan.bounds[chunk] : plan.bounds[chunk + 1]].tolist()
            carried = [before.get(lane, -1) for lane in at]
            yield replace(batch, carried=np.array(carried))
            before = {lane: place for place, lane in enumerate(at)}


class Trusting(Carry):
    """Takes what the plan says for true."""

    def check(self, batch: Batch) -> None:
        pass


def test_a_lane_that_is_not_reset_is_found() -> None:
    with pytest.raises(InputError, match="not_next"):
        check_leaks(gru(), lanes(NeverReset, count=1))
    report = check_leaks(gru(), lanes(NeverReset, count=1), carry=Trusting)
    assert not report.clean
    assert kinds(report) == {"state", "carry"}
    first = min(leak.row for leak in report.leaks)
    second = [leak for leak in report.leaks if leak.session == 1]
    assert first == OFFSETS[1]  # the session that took the lane after the first, from its beginning
    assert {leak.row for leak in second} == {int(OFFSETS[1])}
    assert all(leak.session != 0 for leak in report.leaks)


class AlwaysReset(Lanes):
    """The state is lost at the end of each chunk."""

    def epoch(self, epoch: int = 0) -> Iterator[Batch]:
        for batch in super().epoch(epoch):
            yield replace(batch, carried=np.full_like(batch.carried, -1))


def test_a_state_that_is_lost_is_found() -> None:
    report = check_leaks(gru(), lanes(AlwaysReset))
    assert kinds(report) == {"carry"}
    long = {session for session, length in enumerate(LENGTHS) if length > 3}
    assert {leak.session for leak in report.leaks} == long
    assert all(leak.row == OFFSETS[leak.session] + 3 for leak in report.leaks)
    assert report.carry_error > 1e-3


class Attached(Trusting):
    """Keeps the graph of the state, and so of the whole past."""

    def keep(self, state: Any) -> Any:
        return state


def test_a_gradient_that_goes_on_is_found() -> None:
    report = check_leaks(gru(), lanes(), carry=Attached)
    assert kinds(report) == {"cut"}
    both = check_leaks(gru(), lanes(NeverReset), carry=Attached)
    assert kinds(both) == {"state", "gradient", "cut", "carry"}


class Mixed(nn.Module):
    """Adds to each output what the batch has in common."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.layer, self.how = gru(), how

    def forward(self, x: Tensor, state: Any, lengths: Tensor) -> tuple[Tensor, Any]:
        y, state = self.layer(x, state, lengths)
        if len(y) == 0 or y.shape[1] == 0:
            return y, state
        common = y.mean(dim=(0, 1))
        return y + 1e-3 * (common.detach() if self.how == "state" else common), state


ITEMS = CategoryInput(column=0, size=4, embedding_size=4)


@pytest.mark.parametrize("numbers", [0, 1])
def test_categories_are_changed_and_followed(numbers: int) -> None:
    """Also of a model of categories alone, which has no number to follow a gradient to."""
    torch.manual_seed(0)
    layers = (LayerSpec("gru", 8), LayerSpec("lstm", 8))
    network = Network(ModelSpec(1 + numbers, layers, 3, (ITEMS,)))
    plan = lanes()
    items = np.random.default_rng(1).integers(0, 4, len(plan.rows)).astype(np.float32)
    rows = np.column_stack([items, plan.rows[:, :numbers]])
    right = replace(plan, rows=rows)
    assert check_leaks(network, right).clean
    wrong = NeverReset(rows, OFFSETS, plan.labels, 2, 3)
    assert kinds(check_leaks(network, wrong, carry=Attached)) == {
        "state",
        "gradient",
        "cut",
        "carry",
    }


@pytest.mark.parametrize("how", ["state", "gradient"])
def test_sessions_that_meet_in_a_batch_are_found(how: str) -> None:
    report = check_leaks(Mixed(how), lanes())
    assert {"state", "carry"} <= kinds(report)
    assert ("gradient" in kinds(report)) == (how == "gradient")


class Remembers(nn.Module):
    """Begins a session with what it saw last, whosever that was."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = gru()
        self.last: Tensor | None = None

    def forward(self, x: Tensor, state: Any, lengths: Tensor) -> tuple[Tensor, Any]:
        if state is None and self.last is not None:
            state = self.last.expand(-1, len(x), -1).contiguous()
        y, after = self.layer(x, state, lengths)
        if x.shape[1]:
            self.last = after[:, :1].detach()
        return y, after


def test_a_network_that_does_not_forget_is_found() -> None:
    assert "state" in kinds(check_leaks(Remembers(), lanes()))


class Silent(nn.Module):
    """Has the same output whatever comes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = gru()

    def forward(self, x: Tensor, state: Any, lengths: Tensor) -> tuple[Tensor, Any]:
        y, state = self.layer(torch.zeros_like(x) * x.nan_to_num(), state, lengths)
        return y, state


def test_a_network_that_shows_nothing_proves_nothing() -> None:
    report = check_leaks(Silent(), lanes())
    assert report.leaks == ()
    assert report.unseen == tuple(range(len(LENGTHS)))
    assert not report.clean


def test_outputs_that_are_not_finite_are_refused() -> None:
    plan = lanes()
    plan.rows[3] = np.nan
    with pytest.raises(InputError) as caught:
        check_leaks(gru(), plan)
    assert (caught.value.code, caught.value.field) == ("not_finite", "network")


class Diverging(nn.Module):
    """Gives no number for a whole session at once, and its layer's for chunks."""

    def __init__(self) -> None:
        super().__init__()
        self.network = gru()

    def forward(self, x: Tensor, state: Any, lengths: Tensor) -> tuple[Tensor, Any]:
        y, state = self.network(x, state, lengths)
        return (y * float("nan") if x.shape[1] > 3 else y), state


def test_a_difference_that_is_no_number_is_one() -> None:
    report = check_leaks(Diverging(), lanes())
    assert not math.isfinite(report.carry_error)
    assert not report.clean


def test_a_plan_without_sessions_is_refused() -> None:
    nothing = Lanes(np.zeros((0, 2), np.float32), np.zeros(1, np.int64), np.zeros(0), 2, 3)
    with pytest.raises(InputError) as caught:
        check_leaks(gru(), nothing)
    assert (caught.value.code, caught.value.field) == ("empty_plan", "plan")
