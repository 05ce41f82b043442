"""Entities are those of seqeval, on label sequences that no scheme would allow too."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.scheme import IOB2, Entities

from tidegate.answers.spans import Bio, decode, entity_metrics, is_bio

CLASSES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-MISC", "B-x-y", "I-x-y")
LABELS = st.sampled_from(CLASSES)
SENTENCE = st.lists(LABELS, min_size=1, max_size=9)
PAIR = SENTENCE.flatmap(
    lambda truth: st.tuples(
        st.just(truth), st.lists(LABELS, min_size=len(truth), max_size=len(truth))
    )
)


def joined(sentences: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, sentences)])
    return np.array([CLASSES.index(name) for s in sentences for name in s], np.int64), offsets


@given(SENTENCE)
@settings(max_examples=300, deadline=None)
def test_lenient_is_what_seqeval_does_by_default(labels: list[str]) -> None:
    expected = [(kind, start, stop + 1) for kind, start, stop in get_entities(labels)]
    assert [tuple(span) for span in decode(labels)] == expected


@given(SENTENCE)
@settings(max_examples=300, deadline=None)
def test_strict_is_its_iob2(labels: list[str]) -> None:
    (entities,) = Entities([labels], IOB2).entities
    expected = sorted((each.start, each.end, each.tag) for each in entities)
    assert [(s.start, s.stop, s.type) for s in decode(labels, strict=True)] == expected


@given(st.lists(PAIR, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_measures_are_those_of_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    truth, said = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    bio = Bio.of(CLASSES)
    measured = entity_metrics(bio.spans(*joined(said)), bio.spans(*joined(truth)), bio.types)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of shares of nothing
        expected = precision_recall_fscore_support(truth, said, average="micro")[:3]
        report = classification_report(truth, said, output_dict=True, zero_division=0)
    assert [measured[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    of_types = {name[3:]: value for name, value in measured.items() if name[:3] == "f1 "}
    theirs = {name: each["f1-score"] for name, each in report.items() if " " not in name}
    assert of_types == pytest.approx(theirs)


def test_no_entity_goes_over_the_end_of_a_session() -> None:
    sentences = [["B-PER"], ["I-PER", "I-PER"], ["O", "B-LOC"], ["I-LOC"]]
    found = Bio.of(CLASSES).spans(*joined(sentences))
    assert found[:, 1:].tolist() == [[0, 1], [1, 3], [4, 5], [5, 6]]
    strict = Bio.of(CLASSES).spans(*joined(sentences), strict=True)
    assert strict[:, 1:].tolist() == [[0, 1], [4, 5]]


def test_a_session_without_events_is_none() -> None:
    labels = np.array([CLASSES.index("B-PER"), CLASSES.index("I-PER")])
    found = Bio.of(CLASSES).spans(labels, np.array([0, 0, 1, 1, 2, 2]))
    assert found[:, 1:].tolist() == [[0, 1], [1, 2]]
    none = Bio.of(CLASSES).spans(np.zeros(0, np.int64), np.array([0]))
    assert none.shape == (0, 3)
    assert entity_metrics(none, none, ()) == {
        "entities": 0,
        "precision": 0.0,
        "recall": 0.0,
        "f1": 0.0,
    }


@pytest.mark.parametrize("classes", [("O", "B-"), ("B-PER", "X"), ("I-PER", "O"), ("NN", "VB"), ()])
def test_what_is_no_bio(classes: tuple[str, ...]) -> None:
    assert not is_bio(classes)
