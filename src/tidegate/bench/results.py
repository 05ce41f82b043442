"""What a run leaves: rows, every contestant's times, and the machine they hold for."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from tidegate import files
from tidegate.bench.cases import Case
from tidegate.errors import InputError
from tidegate.spec import Cell

__all__ = [
    "Machine",
    "Results",
    "Row",
    "Settings",
    "Timing",
    "kind",
    "load",
    "read",
    "save",
    "significant",
]

_T = TypeVar("_T")


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of tidegate in one case, beside its peers in the same run.

    Parameters
    ----------
    entry : {"kernel", "engine"}
        The caller's arrays through `Model.step`, or string ids through `Engine.step`.
    cell, input_size, hidden_size, layers, batch
        The case.
    precision, isa : str
        Of the entry. The peers compute in fp32, with the instructions that they choose.
    us_per_step : float
        Median microseconds of one call: one step of the whole batch.
    torch_us, onnxruntime_us : float
        Likewise; torch's module or its cell, whichever is faster.
    ratio_torch, ratio_onnxruntime : float
        Their medians divided by `us_per_step`.
    roofline_fraction : float
        Least possible time divided by `us_per_step`.
    sessions : int
        Live sessions that the batches were taken from in random order; absent: those of the batch.
    times_kernel : float
        With `sessions`: `us_per_step` divided by that of the kernel over contiguous states.
    """

    entry: Literal["kernel", "engine"]
    cell: Cell
    input_size: int
    hidden_size: int
    layers: int
    batch: int
    precision: str
    isa: str
    us_per_step: float
    torch_us: float
    onnxruntime_us: float
    ratio_torch: float
    ratio_onnxruntime: float
    roofline_fraction: float
    sessions: int = 0
    times_kernel: float | None = None

    @property
    def case(self) -> str:
        """The case, as the command line names it."""
        sizes = self.input_size, self.hidden_size, self.layers, self.batch, self.sessions
        return str(Case(self.cell, *sizes))

    @property
    def model(self) -> str:
        """The model, for people."""
        layers = f", {self.layers} layers" if self.layers > 1 else ""
        return f"{self.cell} {self.input_size} -> {self.hidden_size}{layers}"


class Timing(msgspec.Struct, frozen=True):
    """Microseconds a call of one contestant in one case: the median of its rounds and quartiles."""

    case: str
    contestant: str
    median_us: float
    first_quartile_us: float
    third_quartile_us: float


class Machine(msgspec.Struct, frozen=True):
    """Where a run took place.

    Parameters
    ----------
    processor : str
        As the system names it.
    cores : int
        Those that this process may use.
    isas : list of str
        Instruction sets of the core that run here.
    flags : list of str
        The processor's extensions that recurrent steps profit from.
    peak_gops : dict
        By instruction set and precision: 1e9 operations a second, one thread.
    read_gbps : dict
        By bytes read again and again: 1e9 bytes a second, one thread.
    versions : dict
        Of Python and the packages.
    """

    processor: str
    architecture: str
    cores: int
    system: str
    isas: list[str]
    flags: list[str]
    peak_gops: dict[str, dict[str, float]]
    read_gbps: dict[int, float]
    versions: dict[str, str]
    date: str

    @property
    def when(self) -> str:
        """The date, the system and the versions, for people."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.date}, {self.system}, {self.architecture}; {versions}."


class Settings(msgspec.Struct, frozen=True):
    """How a run measured.

    Parameters
    ----------
    seconds : float
        Of each contestant in each round; in training at least one step.
    rounds : int
        Rounds of each case.
    threads : int
        Of each contestant.
    """

    seconds: float
    rounds: int
    threads: int = 1


class Results(msgspec.Struct, frozen=True):
    """A whole run."""

    machine: Machine
    settings: Settings
    rows: list[Row]
    timings: list[Timing]


def significant(value: float) -> float:
    """Round to four digits: more would only look exact."""
    return float(f"{value:.4g}")


def save(path: Path, results: msgspec.Struct) -> None:
    """Write results as JSON, whole or not at all."""
    data = msgspec.json.format(msgspec.json.encode(results), indent=1)
    files.write_file(path, data + b"\n")


class _Kind(msgspec.Struct):
    bench: str = ""


def kind(path: Path) -> str:
    """Say which command's results a file claims to be: "serve", "train", or "" of the engine."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kind).bench
    except (OSError, msgspec.DecodeError):
        return ""


def load(path: Path) -> Results:
    """Read results that `save` wrote.

    Raises
    ------
    InputError
        ``bad_results``: the file is missing or is not one of these.
    """
    return read(path, Results, "engine")


def read(path: Path, of: type[_T], command: str) -> _T:
    """Read results of a type, which a command of `tidegate bench` wrote; raises as `load`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=of)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(
            "bad_results",
            f"{str(path)!r} cannot be read: {error}",
            field="FILE",
            hint=f"give a file that `tidegate bench {command} --json FILE` wrote",
        ) from error
