"""What is searched: a configuration's document, and the values that its keys may take."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import tomli_w

from tidegate.errors import InputError
from tidegate.train.config import TrainConfig, parse_config
from tidegate.train.tune.space import Range, Space, Value, check_key, default_space, is_whole

if TYPE_CHECKING:
    import optuna

__all__ = ["Search"]


@dataclass(frozen=True)
class Search:
    """A configuration and the space around it.

    Parameters
    ----------
    document : mapping
        The configuration as TOML has it.
    folder : Path
        What its relative paths are relative to.
    space : mapping
        The values of each key that is tuned.
    """

    document: Mapping[str, Any]
    folder: Path
    space: Space

    @classmethod
    def of(cls, document: Mapping[str, Any], folder: Path) -> Search:
        """Take the space from the section ``[tune]`` and the defaults of the task.

        What the configuration itself rules out, such as a GRU where it has peepholes, is left out
        of the defaults.

        Raises
        ------
        InputError
            From the configuration; ``unknown_key``, ``not_tunable``, ``wrong_type`` or
            ``out_of_range``, naming the key of the space; ``empty_space``.
        """
        bare = cls(document, folder, {})
        config = bare.config({})
        own = config.tune.own
        given = {key: _typed(key, values) for key, values in own.items()}
        defaults = (
            default_space(config.task.name, config.train.mode) if config.tune.defaults else {}
        )
        common = {key: bare._possible(key, v) for key, v in defaults.items() if key not in own}
        made = cls(document, folder, {**{k: v for k, v in common.items() if v}, **given})
        made._check(given)
        if not made.drawn:
            raise InputError(
                "empty_space",
                "no key has more than one value",
                field="tune.space",
                hint="give ranges or values to choose from, or leave out `defaults = false`",
            )
        return made

    @property
    def drawn(self) -> Space:
        """The part of the space where there is something to choose."""
        return {
            key: values
            for key, values in self.space.items()
            if isinstance(values, Range) or len(values) > 1
        }

    @property
    def fixed(self) -> dict[str, Value]:
        """The values of the keys where there is nothing to choose."""
        return {
            key: values[0]
            for key, values in self.space.items()
            if not isinstance(values, Range) and len(values) == 1
        }

    def draw(self, trial: optuna.Trial) -> dict[str, Value]:
        """Return a trial's value of each key that is tuned."""
        values = self.fixed
        for key, found in self.drawn.items():
            if not isinstance(found, Range):
                chosen: Value | None = trial.suggest_categorical(key, found)
                assert chosen is not None  # Optuna would take it, TOML has none
                values[key] = chosen
            elif isinstance(found.low, int):
                values[key] = trial.suggest_int(key, found.low, int(found.high), log=found.log)
            else:
                values[key] = trial.suggest_float(key, found.low, found.high, log=found.log)
        return values

    def with_values(self, values: Mapping[str, Value]) -> dict[str, Any]:
        """Return the document with other values, and without the section ``[tune]``."""
        changed = copy.deepcopy(dict(self.document))
        changed.pop("tune", None)
        for key, value in values.items():
            table = changed
            *path, name = key.split(".")
            for part in path:
                table = table.setdefault(part, {})
            table[name] = value
        return changed

    def config(self, values: Mapping[str, Value]) -> TrainConfig:
        """Return the configuration with other values, as `parse_config` reads and checks it."""
        changed = self.with_values(values)
        if not values and "tune" in self.document:
            changed["tune"] = self.document["tune"]
        return parse_config(tomli_w.dumps(changed), self.folder)

    def _possible(self, key: str, values: Range | tuple[Value, ...]) -> Range | tuple[Value, ...]:
        """Return of a key's default values those that go with the configuration."""
        if isinstance(values, Range):
            return values
        return tuple(value for value in values if self._refusal({key: value}) is None)

    def _refusal(self, values: Mapping[str, Value]) -> InputError | None:
        try:
            self.config(values)
        except InputError as error:
            return error
        return None

    def _check(self, given: Space) -> None:
        """Refuse a value that goes with no value of any other key."""
        for key, values in given.items():
            for value in _ends(values):
                refusal = self._refusal({key: value})
                if refusal is not None and not self._saved(key, value):
                    raise InputError(
                        refusal.code,
                        refusal.message,
                        field=f"tune.space.{key}",
                        hint=f"{refusal.field}: {refusal.hint}",
                    ) from refusal

    def _saved(self, key: str, value: Value) -> bool:
        """Say whether a refused value is accepted beside some value of another key."""
        return any(
            self._refusal({key: value, other: beside}) is None
            for other, beside in self._others(key)
        )

    def _others(self, key: str) -> Iterator[tuple[str, Value]]:
        for other, values in self.space.items():
            if other != key:
                yield from ((other, value) for value in _ends(values))


def _ends(values: Range | tuple[Value, ...]) -> tuple[Value, ...]:
    return (values.low, values.high) if isinstance(values, Range) else values


def _typed(key: str, values: Range | tuple[Value, ...]) -> Range | tuple[Value, ...]:
    """Return a range with ends of its key's type, by which the type of what is drawn is told."""
    whole = is_whole(check_key(key, TrainConfig))
    if not isinstance(values, Range):
        return values
    if not whole:
        return msgspec.structs.replace(values, low=float(values.low), high=float(values.high))
    if isinstance(values.low, float) or isinstance(values.high, float):
        raise InputError(
            "wrong_type",
            f"{values.low} to {values.high} are no whole numbers",
            field=f"tune.space.{key}",
            hint="give whole numbers for low and high",
        )
    return values
