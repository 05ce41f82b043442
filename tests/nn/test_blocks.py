"""The memory that steps of training share."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from tidegate import _core
from tidegate.nn import GRU, LSTM, RNN
from tidegate.nn import sequence as sequence_module

MIB = 1 << 20
PATIENCE = 1024
"""Blocks taken before one that nobody wants goes back to the system (native/blocks.c)."""


def forget() -> None:
    """Let all blocks go back to the system, but for one of 1 GiB that is never touched."""
    for _ in range(PATIENCE + 2):
        _core.block(1024 * MIB)


def step(layer: Any, x: Tensor, lengths: Tensor | None) -> list[Tensor]:
    layer.zero_grad()
    y, _ = layer(x, lengths=lengths)
    y.square().sum().backward()
    return [y.detach(), *(p.grad.clone() for p in layer.parameters())]


def test_a_block_that_was_given_back_is_taken_again() -> None:
    first = _core.block(3 * MIB)
    address = first.data_ptr()
    del first
    assert _core.block(3 * MIB - 5).data_ptr() == address


def test_a_block_has_one_owner() -> None:
    held = [_core.block(2 * MIB) for _ in range(3)]
    part = held.pop()[MIB:]
    for number, block in enumerate([*held, part]):
        block.fill_(number)
    assert [int(block.amax()) for block in (*held, part)] == [0, 1, 2]
    assert len({block.data_ptr() for block in (*held, part)}) == 3


def test_a_block_is_no_more_than_twice_what_is_wanted() -> None:
    forget()
    big = _core.block(256 * MIB)
    address = big.data_ptr()
    del big
    small = _core.block(2 * MIB)
    assert small.data_ptr() != address


def test_blocks_that_nobody_wants_go_back_to_the_system() -> None:
    blocks = [_core.block(size * MIB) for size in (2, 16, 64)]
    before = _core.blocks_waiting()
    del blocks
    assert _core.blocks_waiting() >= before + 82 * MIB
    forget()
    assert _core.blocks_waiting() <= 1024 * MIB


def test_threads_share_no_block() -> None:
    wrong: list[str] = []

    def work(mark: int) -> None:
        for turn in range(200):
            block = _core.block((1 + turn % 5) * MIB)
            block[::4096].fill_(mark)
            if not bool((block[::4096] == mark).all()):
                wrong.append(f"thread {mark}, turn {turn}")

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("cell", [GRU, LSTM, RNN])
def test_what_is_left_in_a_block_changes_nothing(
    cell: Any, options: dict[str, bool], ragged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer, x = cell(3, 64, **options), torch.randn(24, 180, 3)
    lengths = torch.randint(0, 181, (24,)) if ragged else None
    with monkeypatch.context() as own:
        own.setattr(sequence_module, "_LARGE", 1 << 40)
        expected = step(layer, x, lengths)
    for size in range(2, 12):
        _core.block(size * MIB).view(torch.float32).fill_(float("nan"))
    assert all(
        torch.equal(found, wanted)
        for found, wanted in zip(step(layer, x, lengths), expected, strict=True)
    )


def test_a_graph_that_is_kept_keeps_its_block() -> None:
    torch.manual_seed(0)
    layer, x = GRU(3, 64), torch.randn(24, 180, 3)
    first = layer(x)[0].square().sum()
    others = [layer(torch.randn(24, 180, 3))[0].square().sum() for _ in range(3)]
    sum(others[1:], others[0]).backward()
    layer.zero_grad()
    first.backward(retain_graph=True)
    once = [p.grad.clone() for p in layer.parameters()]
    first.backward()
    again = [p.grad for p in layer.parameters()]
    assert all(torch.allclose(2 * a, b) for a, b in zip(once, again, strict=True))
