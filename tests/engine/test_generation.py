"""Texts that go on: each token is drawn from what the engine answers to those before it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from texts import language_bundle

from tidegate.answers.sampling import Sampling
from tidegate.engine import Engine, offline
from tidegate.engine.generation import generate, joined, split
from tidegate.errors import InputError
from tidegate.spec import ItemsSpec, TaskSpec

LETTERS = tuple("eta o\nin")
ROADS = TaskSpec("language", "road", classes=("", "A1", "B2", "C3"), items=ItemsSpec())


@pytest.fixture(scope="module")
def bundle():
    return language_bundle(LETTERS)


@pytest.mark.parametrize("rules", [Sampling(), Sampling(0.5, top_k=3), Sampling(top_p=0.6)])
def test_each_token_is_drawn_from_the_answer_to_all_before_it(bundle, rules) -> None:
    text = [*"tea", *islice(generate(bundle, "tea", rules, seed=4), 30)]
    assert len(set(text[3:])) > 1
    columns = {"token": np.array(text, dtype=object)}
    offsets = np.array([0, len(text)])
    outputs = offline.outputs(offline.open(bundle), columns, np.zeros(len(text)), offsets)
    rng = np.random.default_rng(4)
    for before, token in zip(outputs[2:-1].astype(np.float64), text[3:], strict=True):
        before[0] = -np.inf
        assert bundle.task.classes[rules.draw(before, rng)] == token


def test_without_temperature_it_is_the_likeliest_whatever_the_seed(bundle) -> None:
    texts = {
        "".join(islice(generate(bundle, "te", Sampling(0.0), seed=seed), 40)) for seed in range(3)
    }
    assert len(texts) == 1


def test_the_unknown_is_read_and_never_written(bundle) -> None:
    bias = bundle.weights["head.bias"].copy()
    bias[0] = 50.0  # the likeliest by far
    changed = replace(bundle, weights={**bundle.weights, "head.bias": bias})
    engine = Engine.open(changed, replay=False)
    text = list(islice(generate(changed, ["e", "never seen"], seed=0, engine=engine), 60))
    assert set(text) <= {*LETTERS}


def test_sessions_of_the_engine_are_left_alone(bundle) -> None:
    engine = Engine.open(bundle)
    engine.step(["generated"], np.ones((1, 1), np.float32))
    before = engine.export_state("generated").hidden.copy()
    list(islice(generate(bundle, "e", seed=0, engine=engine), 3))
    np.testing.assert_array_equal(engine.export_state("generated").hidden, before)
    assert len(engine) == 1


def test_texts_become_tokens_and_text_again(bundle) -> None:
    assert split("a te", bundle.task.classes) == list("a te")
    words = ("", "to", "be", "\n")
    assert split("to be  unknown\n", words) == ["to", "be", "unknown"]
    assert "".join(joined(iter(["be", "\n", "to", "be"]), words)) == " be\nto be"


def test_what_cannot_go_on_is_refused(bundle, make_bundle) -> None:
    for wrong, prompt, code in (
        (bundle, "", "empty_prompt"),
        (make_bundle(), "a", "wrong_task"),
        (make_bundle(task=ROADS), "a", "needs_fields"),
        (bundle, "e\udcff", "bad_prompt"),
    ):
        with pytest.raises(InputError) as refused:
            generate(wrong, list(prompt))
        assert refused.value.code == code
    with pytest.raises(InputError, match="seed: -1 is less than 0"):
        generate(bundle, "e", seed=-1)
