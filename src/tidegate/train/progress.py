"""What a person sees of training: Rich on a terminal, a line an epoch elsewhere, TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from tidegate.errors import InputError
from tidegate.train.history import Epoch

__all__ = ["Listener", "TensorBoard", "Terminal", "scalars"]


class Listener:
    """Is told what training does. This one does nothing with it."""

    def begin(self, epochs: int, done: int, events: int) -> None:
        """Hear of a beginning: epochs in all, epochs already done, events of an epoch at most."""

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:
        """Hear that a step was made: its events, loss and gradient norm."""

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        """Hear that an epoch ended; `best`: the best so far by the metric `watch`."""

    def note(self, text: str) -> None:
        """Hear something that a person should know."""

    def close(self) -> None:
        """Hear that it ended, well or not: training, and then a whole run."""


class Terminal(Listener):
    """A line an epoch, and on a terminal a bar with loss, metric, gradient, speed and time left.

    Parameters
    ----------
    console : rich.console.Console, optional
        By default standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TextColumn("{task.fields[metric]}"),
            TextColumn("gradient {task.fields[gradient]:.2f}"),
            TextColumn("{task.fields[speed]:,.0f} events/s"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(
            "", total=None, epoch=1, epochs=0, loss=0.0, metric="", gradient=0.0, speed=0.0
        )
        self._epochs = self._events = self._of_epoch = 0
        self._began = 0.0

    def begin(self, epochs: int, done: int, events: int) -> None:
        """Show the bar."""
        self._epochs, self._events, self._began = epochs, 0, time.perf_counter()
        self._of_epoch = events
        total, completed, epoch = epochs * events, done * events, min(done + 1, epochs)
        self._bar.update(self._task, total=total, completed=completed, epoch=epoch, epochs=epochs)
        self._bar.start()

    def batch(self, events: int, loss: float, gradient_norm: float) -> None:
        """Move the bar."""
        self._events += events
        speed = self._events / (time.perf_counter() - self._began)
        self._bar.update(self._task, advance=events, loss=loss, gradient=gradient_norm, speed=speed)

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:
        """Print a line."""
        skipped = f"; {epoch.bad_batches} batches skipped" if epoch.bad_batches else ""
        names = dict.fromkeys([watch, *epoch.metrics])
        metrics = [f"{name} {epoch.metrics[name]:.4f}" for name in names if name != "n"]
        following = min(epoch.epoch + 1, self._epochs)
        done = epoch.epoch * self._of_epoch  # of sessions that waited, no batch was heard of
        self._bar.update(self._task, completed=done, epoch=following, metric=metrics[0])
        self.note(
            f"epoch {epoch.epoch}/{self._epochs}: loss {epoch.train_loss:.4f}; valid "
            f"{', '.join(metrics)}; gradient {epoch.gradient_norm:.2f}; "
            f"{epoch.events_per_s:,.0f} events/s; {epoch.seconds:.1f} s{skipped}"
            f"{'; best' if best else ''}"
        )

    def note(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()


class TensorBoard(Listener):
    """Writes each epoch's numbers for TensorBoard.

    Parameters
    ----------
    folder : str or Path
        Where the logs go.

    Raises
    ------
    InputError
        ``missing_extra``: the package is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "missing_extra",
                f"TensorBoard is not installed: {error}",
                field="tensorboard",
                hint="pip install 'tidegate[tensorboard]', or leave the option out",
            ) from error
        self._writer = SummaryWriter(str(folder))

    def epoch(self, epoch: Epoch, watch: str, best: bool) -> None:  # noqa: ARG002
        """Write the numbers."""
        for name, value in scalars(epoch).items():
            self._writer.add_scalar(name, value, epoch.epoch)

    def close(self) -> None:
        """Close the logs."""
        self._writer.close()


def scalars(epoch: Epoch) -> dict[str, float]:
    """Return an epoch's numbers by name, as loggers show them: ``loss/train`` and so on."""
    return {
        "loss/train": epoch.train_loss,
        "loss/valid": epoch.valid_loss,
        "gradient_norm/mean": epoch.gradient_norm,
        "gradient_norm/max": epoch.gradient_norm_max,
        "learning_rate": epoch.learning_rate,
        "events_per_s": epoch.events_per_s,
        **{f"valid/{name}": value for name, value in epoch.metrics.items()},
        **_health(epoch),
    }


def _health(epoch: Epoch) -> dict[str, float]:
    """Return what an epoch tells of gradients, weights and gates; what is not finite is missing."""
    found: dict[str, float | None] = {
        "clipped/share": epoch.clipping.share,
        "clipped/ratio_mean": epoch.clipping.ratio_mean,
        "clipped/ratio_max": epoch.clipping.ratio_max,
        "bad_batches": epoch.bad_batches,
        **{f"update_ratio/{name}": value for name, value in epoch.updates.items()},
    }
    if epoch.diagnosis is not None:
        for kind, norms in {
            "gradient": epoch.diagnosis.gradients,
            "weight": epoch.diagnosis.weights,
        }.items():
            found |= {f"{kind}_norm/{name}": value for name, value in norms.items()}
        for index, layer in enumerate(epoch.diagnosis.layers):
            for lag, value in zip(epoch.diagnosis.lags, layer.by_lag, strict=True):
                found[f"vanishing/layers.{index}/lag_{lag}"] = value
            for gate, (low, high) in layer.saturated.items():
                found[f"saturated/layers.{index}.{gate}/low"] = low
                found[f"saturated/layers.{index}.{gate}/high"] = high
            found[f"dead_units/layers.{index}"] = layer.dead
            found[f"activation/layers.{index}/smallest"] = layer.smallest
            found[f"activation/layers.{index}/largest"] = layer.largest
    return {name: value for name, value in found.items() if value is not None}
