"""`tidegate generate`: what it writes, and what it refuses."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from command import tidegate
from texts import language_bundle

from tidegate import bundle as bundles
from tidegate.answers.sampling import Sampling
from tidegate.engine import generation


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("letters") / "bundle"
    bundles.save(language_bundle(tuple("eta o\nin")), path)
    return path


def test_it_goes_on_with_the_prompt(letters: Path) -> None:
    rules = ("--temperature", "0.8", "--top-k", "4", "--top-p", "0.9", "--seed", "3")
    done = tidegate("generate", letters, "--prompt", "tez", "--tokens", "40", *rules)
    assert done.returncode == 0, done.stderr
    drawn = generation.generate(bundles.load(letters), "tez", Sampling(0.8, 4, 0.9), seed=3)
    assert done.stdout == "tez" + "".join(islice(drawn, 40)) + "\n"
    assert done.stderr == "note: not in the vocabulary: 'z'\n"


def test_words_are_parted(tmp_path: Path) -> None:
    bundles.save(language_bundle(("the", "end", "of")), tmp_path / "words")
    done = tidegate("generate", tmp_path / "words", "--prompt", "the end", "--tokens", "5")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 7


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--prompt", ""), "prompt: there is nothing to go on with (empty_prompt)"),
        (("--prompt", "e", "--temperature", "-1"), "temperature: -1.0 draws nothing"),
        (("--prompt", "e", "--top-p", "2"), "top_p: 2.0 draws nothing"),
    ],
)
def test_what_is_refused(options: tuple[str, ...], said: str, letters: Path) -> None:
    done = tidegate("generate", letters, *options)
    assert done.returncode == 3
    assert said in done.stderr
    assert done.stdout == ""


def test_another_task_is_refused(saved_bundle: Path) -> None:
    done = tidegate("generate", saved_bundle, "--prompt", "e")
    assert (done.returncode, done.stdout) == (3, "")
    assert "small 1 is a model to classify (wrong_task)" in done.stderr
