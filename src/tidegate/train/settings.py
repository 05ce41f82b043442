"""What a training run may be told: the model's size and how to fit it."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import msgspec

from tidegate.data.augment import NOTHING, Augment
from tidegate.data.truncate import Truncate, Windows
from tidegate.errors import InputError
from tidegate.nn import Network
from tidegate.nn.model import Init
from tidegate.spec import Activation, Bias, CategoryInput, Cell, LayerSpec, ModelSpec

__all__ = [
    "Architecture",
    "Mode",
    "ModelSettings",
    "Optimizer",
    "Order",
    "Precision",
    "Schedule",
    "TrainSettings",
]

Mode = Literal["sessions", "lanes"]
Order = Literal["shuffled", "time"]

Optimizer = Literal["adamw", "rmsprop", "sgd"]
Schedule = Literal["constant", "cosine", "exponential", "step", "plateau"]
Precision = Literal["fp32", "bf16", "fp16"]


class Architecture(Protocol):
    """What makes a network of a size: `ModelSettings`, or settings of another kind of layers."""

    def spec(
        self, row_size: int, categories: tuple[CategoryInput, ...], output_size: int
    ) -> ModelSpec:
        """Return the model spec for a schema's rows and a task's outputs."""

    def network(self, spec: ModelSpec) -> Network:
        """Return a network of such a spec, with weights as they begin."""


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The model's size, the options of its layers, and what training does to them at random.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        The kind of every layer.
    hidden_size : int
        Units of every layer.
    num_layers : int
        Layers.
    reset_after, bias, activation, layer_norm, bidirectional, peephole, learned_initial_state
        Of every layer, as `LayerSpec` has them.
    zoneout : float
        Of every layer's h.
    zoneout_cell : float, optional
        Of an LSTM's c; as `zoneout` if left out.
    residual : bool
        Add each layer's input to its output, where both have the same size; the first layer goes
        without where they have not.
    dropout : float
        Share of the values that training sets to zero behind each layer.
    recurrent_dropout : float
        Share of h that does not enter the recurrent product in training, the same units at all
        steps of a session.
    weight_dropout : float
        Share of recurrent weights that are zero for a batch in training.
    embedding_dropout : float
        Share of the embeddings' values that training sets to zero.
    init : {"default", "chrono"}
        How weights begin. ``chrono`` sets the biases of the gates that keep the past for
        dependencies of up to `longest` steps.
    longest : int, optional
        ``chrono``: steps, 3 or more.
    recompute : bool
        Keep less for the backward pass, and make it again there.
    """

    cell: Cell = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    reset_after: bool = True
    bias: Bias = "double"
    activation: Activation = "tanh"
    layer_norm: bool = False
    residual: bool = False
    bidirectional: bool = False
    peephole: bool = False
    learned_initial_state: bool = False
    zoneout: float = 0.0
    zoneout_cell: float | None = None
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    embedding_dropout: float = 0.0
    init: Init = "default"
    longest: int | None = None
    recompute: bool = False

    def __post_init__(self) -> None:
        for name, choices in {
            "cell": get_args(Cell),
            "bias": get_args(Bias),
            "activation": get_args(Activation),
            "init": get_args(Init),
        }.items():
            _check(self, name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        _check(self, "hidden_size", self.hidden_size >= 1, "1 or more")
        _check(self, "num_layers", self.num_layers >= 1, "1 or more")
        for name in (
            "dropout",
            "recurrent_dropout",
            "weight_dropout",
            "embedding_dropout",
            "zoneout",
            "zoneout_cell",
        ):
            value = getattr(self, name)
            _check(self, name, value is None or 0 <= value < 1, "0 or more, less than 1")
        gru, lstm, rnn = (self.cell == cell for cell in ("gru", "lstm", "rnn"))
        _check(self, "reset_after", gru or self.reset_after, 'it with cell = "gru" alone')
        _check(self, "activation", rnn or self.activation == "tanh", 'it with cell = "rnn" alone')
        _check(self, "peephole", lstm or not self.peephole, 'it with cell = "lstm" alone')
        _check(self, "zoneout_cell", lstm or not self.zoneout_cell, 'it with cell = "lstm" alone')
        chrono = self.init == "chrono"
        fits = not rnn and self.bias != "none"
        _check(self, "init", fits or not chrono, '"default" without such a gate, or its bias')
        long = self.longest is not None and self.longest >= 3
        _check(self, "longest", long if chrono else self.longest is None, _LONGEST[chrono])

    def spec(
        self, row_size: int, categories: tuple[CategoryInput, ...], output_size: int
    ) -> ModelSpec:
        """Return the model spec for a schema's rows and a task's outputs."""
        kept = self.zoneout if self.zoneout_cell is None else self.zoneout_cell
        layer = LayerSpec(
            self.cell,
            self.hidden_size,
            reset_after=self.reset_after,
            bias=self.bias,
            activation=self.activation,
            layer_norm=self.layer_norm,
            residual=self.residual,
            bidirectional=self.bidirectional,
            peephole=self.peephole,
            learned_initial_state=self.learned_initial_state,
            zoneout=self.zoneout,
            zoneout_cell=kept if self.cell == "lstm" else 0.0,
        )
        adds = self.residual and not categories and row_size == layer.output_size
        first = msgspec.structs.replace(layer, residual=adds)
        layers = (first, *[layer] * (self.num_layers - 1))
        return ModelSpec(row_size, layers, output_size, categories)

    def network(self, spec: ModelSpec) -> Network:
        """Return a network of a spec as `spec` makes it, with weights as they begin."""
        return Network(
            spec,
            self.dropout,
            recurrent_dropout=self.recurrent_dropout,
            weight_dropout=self.weight_dropout,
            embedding_dropout=self.embedding_dropout,
            recompute=self.recompute,
            init=self.init,
            longest=self.longest,
        )


_LONGEST = {True: '3 or more with init = "chrono"', False: 'it with init = "chrono" alone'}


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to fit a network.

    Parameters
    ----------
    epochs : int
        Passes over the training part at most; the learning rate decays over all of them.
    mode : {"sessions", "lanes"}
        What a batch is: whole sessions, or a chunk of lanes, whose state goes on into the next one.
    batch_tokens : int
        ``sessions``: events of one batch at most, padding included; a longer session is a batch of
        its own.
    lanes, chunk : int
        ``lanes``: sessions side by side, and steps of each in one batch; see `Lanes`.
    order : {"shuffled", "time"}
        ``lanes``: in which order sessions are taken; by the time of their first event it is the
        same in all epochs.
    max_length : int, optional
        Events of a session at most; of longer ones, an epoch trains on a window alone.
    truncate : {"tail", "head", "random", "windows"}
        Which window: a session's last events, its first, others in each epoch, or all of them, one
        after the other.
    stride : int, optional
        ``windows``: events from the beginning of one to that of the next; of as many events as a
        window has, unless told otherwise.
    curriculum : int
        Epochs over which longer and longer sessions enter; see `Windows`. 0: all from the first on.
    augment : Augment
        How the training part's sessions vary from epoch to epoch.
    accumulate : int
        Batches of one step: their gradients are added up, each labelled event weighing the same.
    optimizer : {"adamw", "rmsprop", "sgd"}
        The rule of the updates.
    momentum : float
        ``rmsprop`` and ``sgd``: share of the last update that the next goes on with.
    learning_rate : float
        The optimiser's, after the warm-up.
    warmup_steps : int
        Steps over which the learning rate rises to its full value.
    schedule : {"cosine", "constant", "exponential", "step", "plateau"}
        What the learning rate does after that; see `schedules.learning_rate`.
    schedule_factor : float
        ``exponential``, ``step`` and ``plateau``: what is left of the rate when it falls.
    schedule_epochs : int
        ``exponential`` and ``step``: epochs in which it falls by that factor. ``plateau``: epochs
        without improvement of the watched metric after which it falls.
    weight_decay : float
        Of weight matrices alone, never of biases, gains or initial states. Decoupled from the
        gradient with ``adamw``, added to it with the others.
    decay_embeddings : bool
        Whether the embedding tables decay too.
    clip_norm : float
        A step's gradient is scaled down to this norm.
    weight_noise : float
        Standard deviation of the noise that each step adds to the weight matrices for its forward
        and backward pass (0.075 is usual).
    ema_decay : float
        Also keep a moving average of the weights, of which each step keeps this share; it is what
        is validated and saved. 0: none.
    precision : {"fp32", "bf16", "fp16"}
        Of the matrix products in training; weights, loss and validation are fp32.
    max_bad_batches : int
        Batches in a row whose loss or gradient is not finite, and which are skipped, after which
        training goes back to the weights of the epoch's beginning, at half the learning rate.
    max_returns : int
        Times that it goes back before it gives up.
    diagnostics : bool
        Measure at each epoch's end what gradients, weights and gates do, on a small sample.
    patience : int
        Epochs without improvement of the watched metric after which training stops.
    watch : str or None
        Metric of the validation part that decides which epoch is best; None takes the task's
        (``log_loss``, ``rmse``).
    seed : int
        Of the weights, the order of batches, augmentation and dropout. With the same number of
        threads a CPU run repeats to the bit.
    threads : int or None
        Threads of torch; None leaves its own choice. More help on an idle machine, and cost a lot
        on a busy one, where they wait for each other after every product. One is the default
        because a run repeats to the bit only with the same number.
    """

    epochs: int = 20
    mode: Mode = "sessions"
    batch_tokens: int = 8192
    lanes: int = 64
    chunk: int = 64
    order: Order = "shuffled"
    max_length: int | None = None
    truncate: Truncate = "tail"
    stride: int | None = None
    curriculum: int = 0
    augment: Augment = NOTHING
    accumulate: int = 1
    optimizer: Optimizer = "adamw"
    momentum: float = 0.0
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    schedule: Schedule = "cosine"
    schedule_factor: float = 0.5
    schedule_epochs: int = 3
    weight_decay: float = 0.0
    decay_embeddings: bool = False
    clip_norm: float = 1.0
    weight_noise: float = 0.0
    ema_decay: float = 0.0
    precision: Precision = "fp32"
    max_bad_batches: int = 3
    max_returns: int = 3
    diagnostics: bool = True
    patience: int = 5
    watch: str | None = None
    seed: int = 0
    threads: int | None = 1

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_tokens",
            "lanes",
            "chunk",
            "accumulate",
            "schedule_epochs",
            "max_bad_batches",
            "patience",
        ):
            _check(self, name, getattr(self, name) >= 1, "1 or more")
        for name in ("learning_rate", "clip_norm"):
            _check(self, name, 0 < getattr(self, name) < float("inf"), "a number above 0")
        for name in ("warmup_steps", "max_returns"):
            _check(self, name, getattr(self, name) >= 0, "0 or more")
        _check(self, "seed", 0 <= self.seed < 2**63, "0 or more, less than 2**63")
        for name in ("weight_decay", "weight_noise"):
            _check(self, name, 0 <= getattr(self, name) < float("inf"), "0 or more")
        for name in ("momentum", "ema_decay"):
            _check(self, name, 0 <= getattr(self, name) < 1, "0 or more, less than 1")
        _check(self, "schedule_factor", 0 < self.schedule_factor < 1, "more than 0, less than 1")
        if self.augment.warp and self.truncate == "windows":  # each event has one place
            raise InputError(
                "out_of_range",
                f'{self.augment.warp!r} is not allowed with truncate = "windows"',
                field="augment.warp",
                hint="warp whole sessions, or leave one of the two out",
            )
        _check(self, "threads", self.threads is None or self.threads >= 1, "1 or more")
        rule = f"0 to epochs ({self.epochs}), or the longest sessions never enter"
        _check(self, "curriculum", 0 <= self.curriculum <= self.epochs, rule)
        for name, choices in {
            "mode": get_args(Mode),
            "order": get_args(Order),
            "optimizer": get_args(Optimizer),
            "schedule": get_args(Schedule),
            "precision": get_args(Precision),
        }.items():
            _check(self, name, getattr(self, name) in choices, f"one of {', '.join(choices)}")
        _ = self.windows  # which checks what it is made of
        if self.momentum and self.optimizer == "adamw":
            raise InputError(
                "unused_key", "is given", field="momentum", hint="adamw has no use for it"
            )
        if self.schedule == "plateau":
            rule = f"less than patience ({self.patience}), or training stops before the rate falls"
            _check(self, "schedule_epochs", self.schedule_epochs < self.patience, rule)

    @property
    def windows(self) -> Windows:
        """What an epoch takes of each session."""
        return Windows(self.max_length, self.truncate, self.curriculum, self.seed, self.stride)


def _check(settings: msgspec.Struct, name: str, holds: bool, rule: str) -> None:
    if not holds:
        raise InputError(
            "out_of_range",
            f"{getattr(settings, name)!r} is not allowed",
            field=name,
            hint=f"use {rule}",
        )
