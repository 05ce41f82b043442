"""The search space: what may be tuned, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import optuna
import pytest

from tidegate import toml
from tidegate.errors import InputError
from tidegate.train import load_config
from tidegate.train.config import TrainConfig
from tidegate.train.tune.search import Search
from tidegate.train.tune.space import Range, check_key, default_space

Write = Callable[..., Path]
TASKS = ("classify", "regress", "forecast", "next_item", "anomaly", "tag", "language", "embed")


def search_of(path: Path) -> Search:
    return Search.of(toml.read(path), path.parent)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("mode", ["sessions", "lanes"])
def test_the_defaults_name_keys_that_there_are(task: str, mode: str) -> None:
    space = default_space(task, mode)
    for key, values in space.items():
        kind = check_key(key, TrainConfig)
        if key == "model.cell":
            assert set(values) <= set(get_args(kind))
    sizes = {"train.lanes", "train.chunk", "train.batch_tokens"} & space.keys()
    assert sizes == (
        {"train.batch_tokens"} if mode == "sessions" else sizes - {"train.batch_tokens"}
    )
    assert {"model.cell", "model.hidden_size", "train.learning_rate"} <= space.keys()


def test_what_the_configuration_says_goes_before_the_defaults(write: Write) -> None:
    path = write(
        '[tune.space]\n"model.hidden_size" = [3]\n"train.ema_decay" = [0.0, 0.9]', defaults="true"
    )
    search = search_of(path)
    assert search.space["model.hidden_size"] == (3,)
    assert search.fixed == {"model.hidden_size": 3}
    assert search.drawn["train.ema_decay"] == (0.0, 0.9)
    assert search.drawn["model.cell"] == ("gru", "lstm")


def test_what_the_configuration_rules_out_is_no_default(write: Write) -> None:
    path = write("[model]\npeephole = true\ncell = 'lstm'", defaults="true")
    assert search_of(path).space["model.cell"] == ("lstm",)


def test_a_value_may_need_one_of_another_key(write: Write) -> None:
    """Peepholes are refused beside a GRU, but not always drawn beside one."""
    both = '[tune.space]\n"model.peephole" = [true, false]\n"model.cell" = ["gru", "lstm"]'
    assert set(search_of(write(both)).space) == {"model.peephole", "model.cell"}
    with pytest.raises(InputError) as refused:
        search_of(write('[tune.space]\n"model.peephole" = [true, false]'))
    assert refused.value.field == "tune.space.model.peephole"


def test_draws_have_the_types_of_their_keys(write: Write) -> None:
    space = (
        '[tune.space]\n"model.num_layers" = { low = 1, high = 3 }\n'
        '"model.dropout" = { low = 0, high = 0.5 }\n"train.curriculum" = [0, 2]\n'
        '"schema.fields.lane.embedding_size" = [1, 2]\n'
        '"train.augment.jitter" = { low = 0, high = 1 }'
    )
    search = search_of(write(space))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(5):
        config = search.config(search.draw(study.ask()))
        assert type(config.model.num_layers) is int
        assert type(config.model.dropout) is float
        assert config.schema.fields["lane"].embedding_size in (1, 2)
        assert 0 < config.train.augment.jitter < 1
    assert search.space["model.dropout"] == Range(0.0, 0.5)


@pytest.mark.parametrize(
    ("entry", "code", "field"),
    [
        ('"train.learning_rat" = [0.1, 0.2]', "unknown_key", "train.learning_rat"),
        ('"model.hidden_size.x" = [1, 2]', "unknown_key", "model.hidden_size.x"),
        ('"train.augment" = [1, 2]', "not_tunable", "train.augment"),
        ('"train.seed" = [1, 2]', "not_tunable", "train.seed"),
        ('"data.events" = ["a", "b"]', "not_tunable", "data.events"),
        ('"schema.fields.lane.kind" = ["a", "b"]', "not_tunable", "schema.fields.lane.kind"),
        ('"schema.fields.road.embedding_size" = [1, 2]', "missing_key", "schema.fields.road"),
        ('"model.hidden_size" = [0, 4]', "out_of_range", "model.hidden_size"),
        ('"model.hidden_size" = ["4", "8"]', "wrong_type", "model.hidden_size"),
        ('"model.hidden_size" = { low = 2.5, high = 8.0 }', "wrong_type", "model.hidden_size"),
        ('"model.cell" = ["gru", "lstn"]', "wrong_type", "model.cell"),
        ('"model.cell" = { low = 0, high = 1 }', "wrong_type", "model.cell"),
        ('"model.dropout" = { low = 0.0, high = 1.0 }', "out_of_range", "model.dropout"),
        ('"model.dropout" = { low = 0.5, high = 0.1 }', "out_of_range", "model.dropout.low"),
        (
            '"model.dropout" = { low = 0, high = 0.1, log = true }',
            "out_of_range",
            "model.dropout.low",
        ),
        ('"model.dropout" = { low = 0, hi = 0.1 }', "unknown_key", "model.dropout.hi"),
        ('"model.dropout" = 0.1', "wrong_type", "model.dropout"),
        ('"model.dropout" = []', "wrong_type", "model.dropout"),
        ('"model.dropout" = [0.1, 0.1]', "wrong_type", "model.dropout"),
        ('"model.dropout" = [0.1]', "empty_space", ""),
    ],
)
def test_refusals_name_the_key(write: Write, entry: str, code: str, field: str) -> None:
    path = write(f"[tune.space]\n{entry}")
    with pytest.raises(InputError) as refused:
        search_of(path)
    assert refused.value.code == code
    assert (refused.value.field or "").startswith(f"tune.space.{field}".rstrip("."))


@pytest.mark.parametrize(("key", "value"), [("startup", "0"), ("seed", "-1"), ("defaults", "1")])
def test_refused_settings(write: Write, key: str, value: str) -> None:
    with pytest.raises(InputError) as refused:
        load_config(write(**{key: value}))
    assert refused.value.field in (key, f"tune.{key}")


def test_training_checks_the_space_too(write: Write) -> None:
    with pytest.raises(InputError, match="learning_rate"):
        load_config(write('[tune.space]\n"train.learning_rat" = [0.1, 0.2]'))
