"""The C core's sequences: each instruction set and size, threads, precisions, torch's tracing."""

from __future__ import annotations

import copy
import platform
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from layer_grid import Case, batch, build, cases, each_part, enliven
from torch import Tensor

from tidegate import _core, core
from tidegate.errors import InputError
from tidegate.nn import GRU, LSTM, RNN, composed, cudnn, fused
from tidegate.nn.noise import Noise, bernoulli
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.rows import Rows
from tidegate.nn.sequence import operator

LENGTHS = (9, 3, 0, 5, 9, 1, 2, 2, 7, 4, 4, 4, 8, 1, 3, 6, 6, 9, 2)  # tiles of 8, 4, 2 and 1
KINDS = {
    "gru": (GRU, {}),
    "gru_before": (GRU, {"reset_after": False}),
    "lstm": (LSTM, {}),
    "lstm_peephole": (LSTM, {"peephole": True, "zoneout_cell": 0.3}),
    "rnn_tanh": (RNN, {}),
    "rnn_relu": (RNN, {"activation": "relu"}),
}
REGIMES = {
    "plain": {},
    "layer_norm": {"layer_norm": True},
    "noisy": {"zoneout": 0.2, "recurrent_dropout": 0.3, "bidirectional": True},
    "all": {"layer_norm": True, "zoneout": 0.2, "recurrent_dropout": 0.3, "weight_dropout": 0.2},
}


PLAIN = ("scalar", "amx-emulated")  # plain C, for processors without FMA


def on_set(name: str, call: Callable[[], list[Tensor]]) -> list[Tensor]:
    """What a call gives on an instruction set."""
    before = core.isa()
    core.use_isa(name)
    try:
        return call()
    finally:
        core.use_isa(before)


@pytest.fixture(params=core.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    before = core.isa()
    core.use_isa(request.param)
    yield request.param
    core.use_isa(before)


def layer_of(kind: str, regime: str, hidden_size: int) -> Recurrent:
    make, options = KINDS[kind]
    layer = make(5, hidden_size, **options, **REGIMES[regime])
    enliven(layer, seed=3)
    return layer


def run(layer: Recurrent, *, seed: int = 5, training: bool = True) -> list[Tensor]:
    """Outputs, states and all gradients of one pass."""
    layer.train(training)
    layer.zero_grad()
    x, state, lengths = batch(layer, LENGTHS)
    leaves = [x, *each_part(state)]
    for leaf in leaves:
        leaf.requires_grad_()
    torch.manual_seed(seed)
    y, after = layer(x, state, lengths)
    (y.sin().sum() + sum(part.cos().sum() for part in each_part(after))).backward()
    found = [y, *each_part(after), *(leaf.grad for leaf in leaves)]
    return [each.detach() for each in found] + [p.grad.clone() for p in layer.parameters()]


def kept_bytes(forward: Callable[[], object]) -> int:
    """Bytes that a call keeps for its backward pass."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = forward()
    assert result is not None  # it holds the graph, and with it the storages, until here
    return sum(storages.values())


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden_size", [16, 70])
def test_every_set_gives_the_numbers_of_the_loop_in_float64(
    isa: str, kind: str, regime: str, hidden_size: int
) -> None:
    layer = layer_of(kind, regime, hidden_size)
    assert layer.path(torch.zeros(1, 1, 5)) == "fused"
    truth = copy.deepcopy(layer).double()
    assert truth.path(torch.zeros(1, 1, 5, dtype=torch.float64)) == "composed"
    for training in (True, False):
        for found, wanted in zip(
            run(layer, training=training), run(truth, training=training), strict=True
        ):
            scale = max(1.0, float(wanted.abs().max()))
            torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("kind", KINDS)
def test_sets_with_fma_give_equal_bits_in_float32(kind: str, regime: str) -> None:
    fused_sets = [name for name in core.isas() if name not in PLAIN]
    layer = layer_of(kind, regime, 33)
    found = {name: on_set(name, lambda: run(layer)) for name in (*fused_sets, "scalar")}
    for name in fused_sets[1:]:
        for one, other in zip(found[name], found[fused_sets[0]], strict=True):
            assert torch.equal(one, other)
    # a processor without FMA rounds twice in the sums of a product
    for one, other in zip(found["scalar"], found[core.isas()[-1]], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_no_bit_of_a_session(kind: str) -> None:
    layer = layer_of(kind, "all", 24)
    torch.set_num_threads(1)
    alone = run(layer)
    torch.set_num_threads(2)
    together, again = run(layer), run(layer)
    own = 2 + 2 * (layer.cell == "lstm") + 1  # y, states, gradients of x and of states
    for one, other in zip(alone[:own], together[:own], strict=True):
        assert torch.equal(one, other)
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(together, again, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_close_and_leaves_float32(isa: str, kind: str) -> None:
    layer = layer_of(kind, "layer_norm", 40).eval()  # draws would differ
    x, state, lengths = batch(layer, LENGTHS)

    def grads() -> list[Tensor]:
        layer.zero_grad()
        y, after = layer(x, state, lengths)
        (y.sum() + each_part(after)[0].square().sum()).backward()
        return [y.detach(), *(p.grad.clone() for p in layer.parameters())]

    wanted = grads()
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.path(x) == "fused"
        found = grads()
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype == torch.float32
        assert 0 < float((one - other).norm() / other.norm()) < 0.06


def test_bf16_is_the_same_for_one_session_in_any_company() -> None:
    layer = layer_of("gru", "plain", 40).eval()
    x, _, lengths = batch(layer, LENGTHS)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        whole, _ = layer(x, lengths=lengths)
        alone, _ = layer(x[4:5], lengths=lengths[4:5])
    torch.testing.assert_close(whole[4:5], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", cases(1), ids=str)
def test_recomputing_gives_the_same_bits_and_keeps_less(case: Case) -> None:
    def gradients(layer: Recurrent) -> list[Tensor]:
        torch.manual_seed(7)
        layer.zero_grad()
        layer(x, state, lengths)[0].sum().backward()
        return [p.grad for p in layer.parameters() if p.grad is not None]

    layer = build(case, torch.float32, training=True)
    x, state, lengths = batch(layer, (60, 50, 7, 60))
    other = copy.deepcopy(layer)
    for each in other.layers:
        each.recompute = True
    whole, less = (
        kept_bytes(lambda layer=layer: layer(x, state, lengths)) for layer in (layer, other)
    )
    assert less < whole
    for one, two in zip(gradients(other), gradients(layer), strict=True):
        assert torch.equal(one, two)


def test_what_is_kept_is_no_more_than_torch_keeps() -> None:
    x = torch.randn(16, 50, 8)
    ours, torchs, less = (
        kept_bytes(lambda layer=layer: layer(x))
        for layer in (
            GRU(8, 32),
            torch.nn.GRU(8, 32, batch_first=True),
            GRU(8, 32, recompute=True),
        )
    )
    assert ours <= torchs
    assert less <= ours / 2


@pytest.mark.parametrize("kind", KINDS)
def test_torch_can_trace_and_differentiate_the_operator(kind: str) -> None:
    cell = layer_of(kind, "layer_norm", 6).layers[0].cells[0]
    h = torch.randn(3, 6, requires_grad=True)
    arguments = (
        fused._kind(cell),
        "fp32",
        torch.randn(7, len(cell.input), requires_grad=True),
        cell.recurrent,
        fused._vectors(cell).detach().requires_grad_(),
        h,
        torch.randn(3, 6, requires_grad=True) if cell.cell == "lstm" else None,
        *(bernoulli(0.5, 2.0, (3, 6), h), bernoulli(0.2, 1.0, (7, 6), h), None, 0.0, 0.1),
        *(torch.tensor([4, 1, 2]), torch.tensor([0, 4, 5])),
        *(True, kind == "lstm_peephole", False, False, True),
    )
    torch.library.opcheck(operator, arguments)


def test_a_layer_compiles_whole_and_exports() -> None:
    layer = GRU(3, 8, num_layers=2, bidirectional=True, layer_norm=True, zoneout=0.1).eval()
    x, lengths = torch.randn(4, 6, 3), torch.tensor([6, 2, 0, 1])
    wanted, _ = layer(x, lengths=lengths)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    found, _ = compiled(x, lengths=lengths)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    found.sum().backward()
    grad = layer.layers[0].cells[0].recurrent.grad.clone()
    layer.zero_grad()
    layer(x, lengths=lengths)[0].sum().backward()
    torch.testing.assert_close(grad, layer.layers[0].cells[0].recurrent.grad)
    exported = torch.export.export(layer, (x,), {"lengths": lengths}).module()
    torch.testing.assert_close(exported(x, lengths=lengths)[0], wanted, rtol=0, atol=1e-6)


def test_what_vanishes_is_nothing_and_only_there() -> None:
    """Numbers below 2^-126 take a processor a hundred times as long."""
    layer = GRU(3, 16)
    x = torch.randn(2, 4, 3, requires_grad=True)
    y, _ = layer(x)
    (y * 1e-40).sum().backward()
    if platform.machine() == "x86_64":
        assert not x.grad.any()
        assert not layer.layers[0].cells[0].recurrent.grad.any()
    assert (torch.tensor([1e-30]) * 1e-10).any()  # torch goes on as it was
    (y,) = layer(x.detach())[:1]
    assert torch.isfinite(y).all()


def test_torchs_threads_are_found() -> None:
    assert _core.finds_threads()


def test_lengths_may_change_once_the_forward_pass_is_over() -> None:
    layer, x, given = GRU(3, 8), torch.randn(3, 5, 3), np.array([5, 2, 3])
    layer(x, lengths=torch.tensor([5, 2, 3]))[0].square().sum().backward()
    wanted = layer.layers[0].cells[0].recurrent.grad.clone()
    layer.zero_grad()
    y, _ = layer(x, lengths=torch.from_numpy(given))
    given[:] = 1  # torch does not see it
    y.square().sum().backward()
    assert torch.equal(layer.layers[0].cells[0].recurrent.grad, wanted)


def test_there_is_no_second_derivative_and_it_says_so() -> None:
    layer = GRU(3, 4)
    x = torch.randn(2, 5, 3, requires_grad=True)
    with pytest.raises(InputError, match="no_second_derivative"):
        torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    x = x.double().detach().requires_grad_()
    (grad,) = torch.autograd.grad(layer.double()(x)[0].sum(), x, create_graph=True)
    grad.sum().backward()
    assert x.grad.any()


def test_an_operator_refuses_what_does_not_fit() -> None:
    cell = GRU(3, 4).layers[0].cells[0]
    good = {
        "cell": "gru",
        "precision": "fp32",
        "a": torch.zeros(5, 12),
        "weight": cell.recurrent,
        "vectors": fused._vectors(cell),
        "h": torch.zeros(2, 4),
        "c": None,
        **dict.fromkeys(("mask", "keep", "keep_cell")),
        **dict.fromkeys(("keep_rate", "keep_cell_rate"), 0.0),
        "lengths": torch.tensor([3, 2]),
        "offsets": torch.tensor([0, 3]),
        **dict.fromkeys(("norm", "peephole", "reverse", "padded", "save"), False),
    }
    operator(**good)
    lstm = {"a": torch.zeros(5, 16), "weight": torch.zeros(16, 4), "vectors": torch.zeros(16)}
    with pytest.raises(ValueError, match="c: missing"):
        operator(**{**good, **lstm, "cell": "lstm"})
    for name, wrong in {
        "a": torch.zeros(5, 11),
        "weight": torch.zeros(12, 4, dtype=torch.float64),
        "vectors": torch.zeros(15),
        "h": torch.zeros(4, 2).T,
        "lengths": torch.tensor([3, 2], dtype=torch.int32),
        "offsets": torch.tensor([0]),
        "mask": torch.zeros(2, 5),
        "keep": torch.zeros(4, 4),
    }.items():
        with pytest.raises(ValueError, match=name):
            operator(**{**good, name: wrong})
    whole = 2**63 - 1
    for name, numbers in {
        "lengths": ([3, 3], [4, 1], [-1, 2], [whole, 2], [3, whole]),
        "offsets": ([-1, 3], [3, 0], [0, 6], [-whole, whole], [whole, 0]),
    }.items():
        for each in numbers:
            with pytest.raises(ValueError, match=name):
                operator(**{**good, name: torch.tensor(each)})


def test_an_exported_layer_refuses_lengths_that_do_not_fit() -> None:
    """What is traced looks at no numbers: the C core does."""
    x, lengths = torch.randn(2, 5, 3), torch.tensor([5, 2])
    exported = torch.export.export(GRU(3, 4), (x,), {"lengths": lengths}).module()
    for wrong in ([6, 2], [5, 6], [-1, 5]):
        with pytest.raises(ValueError, match="lengths"):
            exported(x, lengths=torch.tensor(wrong))


def test_relu_passes_nothing_at_a_zero_of_either_sign(isa: str) -> None:
    """A product of -1e-60 becomes -0, and a NaN may have a sign."""
    del isa
    a = torch.tensor([[0.0], [torch.nan], [-torch.nan], [2.0]], requires_grad=True)
    y, *_ = operator(
        cell="rnn_relu",
        precision="fp32",
        a=a,
        weight=torch.tensor([[-1e-30]]),
        vectors=torch.zeros(1),
        h=torch.full((4, 1), 1e-30),
        c=None,
        **dict.fromkeys(("mask", "keep", "keep_cell")),
        **dict.fromkeys(("keep_rate", "keep_cell_rate"), 0.0),
        lengths=torch.ones(4, dtype=torch.int64),
        offsets=torch.arange(4),
        **dict.fromkeys(("norm", "peephole", "reverse", "padded"), False),
        save=True,
    )
    assert y[0].item() == 0
    assert not y[0].signbit().item()
    y.backward(torch.full((4, 1), 3.0))
    assert a.grad is not None
    assert a.grad.flatten().tolist() == [0, 3, 3, 3]


@pytest.mark.parametrize("lengths", [[3, 6, 0, 2], [0, 0, 0, 0]])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("make", "options"),
    [
        (GRU, {}),
        (GRU, {"bias": "single"}),
        (LSTM, {"bias": "none"}),
        (RNN, {}),
        (RNN, {"activation": "relu"}),
    ],
)
def test_torchs_own_kernel_gives_the_same(
    make: type[Recurrent], options: dict[str, str], reverse: bool, lengths: list[int]
) -> None:
    """What runs by cuDNN on a GPU runs by torch's kernel here."""
    cell = make(3, 5, **options).layers[0].cells[0]
    assert cudnn.fits(cell)
    x = torch.randn(4, 6, 3)
    rows = Rows.of(x, torch.tensor(lengths))
    state = tuple(torch.randn(4, 5) for _ in range(2 if cell.cell == "lstm" else 1))
    noise = Noise(weight=bernoulli(0.5, 2.0, tuple(cell.recurrent.shape), x))
    wanted = composed.run(cell, rows.pack(x), state, rows, noise, reverse=reverse)
    y, after = cudnn.run(cell, rows.pack(x), state, rows, noise, reverse=reverse)
    torch.testing.assert_close(y, wanted[0], rtol=0, atol=1e-6)
    for found, part in zip(after, wanted[1], strict=True):
        torch.testing.assert_close(found, part, rtol=0, atol=1e-6)


def test_what_torchs_kernel_lacks_is_left_to_the_loop() -> None:
    for make, options in (
        (GRU, {"reset_after": False}),
        (GRU, {"layer_norm": True}),
        (LSTM, {"peephole": True}),
    ):
        assert not cudnn.fits(make(3, 4, **options).layers[0].cells[0])
    assert not cudnn.takes(GRU(3, 4).layers[0].cells[0], torch.zeros(1, 3))


def test_draws_have_their_rate_and_do_not_hang_together(isa: str) -> None:
    for rate in (0.05, 0.5, 0.9):
        torch.manual_seed(11)
        drawn = bernoulli(rate, 1.0, (1000, 1000), torch.zeros(1))
        deviation = (rate * (1 - rate)) ** 0.5
        assert abs(float(drawn.mean()) - rate) < 4 * deviation / 1000
        columns = (drawn.mean(0) - rate) * 1000**0.5 / deviation
        assert 0.9 < float(columns.std()) < 1.1
        neighbours = (drawn[1:] * drawn[:-1]).mean() - rate**2
        assert abs(float(neighbours)) < 4 * deviation / 1000
    core.use_isa("scalar")
    torch.manual_seed(11)
    assert torch.equal(bernoulli(rate, 1.0, (1000, 1000), torch.zeros(1)), drawn)
