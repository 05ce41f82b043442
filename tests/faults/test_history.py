"""The checker, on histories of which it is known what is wrong with them."""

from __future__ import annotations

import copy
import random

import msgspec
import numpy as np
import pytest
from faults.history import Attempt, History, Sent, check
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import answers
from tidegate.engine import Engine


class Gate:
    """A gate without a network or a disk, whose answers go into a history."""

    def __init__(self, bundle):
        self.bundle = bundle
        self.engine = Engine.open(bundle, replay=False)
        self.words = answers.open(bundle.task)
        self.history = History()
        self.at = {}
        self.last = {}

    def step(self, session, sent):
        schema = self.bundle.schema
        columns = schema.stack([schema.type_event(sent.event)])
        stepped = self.engine.step_events([session], columns, np.array([sent.time or 0.0]))
        self.at[session] = self.at.get(session, 0) + 1
        return msgspec.json.encode(*self.words.answer(stepped.outputs))

    def send(self, session, sent, *, answered=True, applied=True):
        attempt = self.history.began(session, sent)
        told = {"session": session, "seq": sent.seq, "time": sent.time or 0.0}
        expected = self.at.get(session, 0) + 1
        if sent.seq == expected:
            if applied:
                self.last[session] = sent, self.step(session, sent)
            if answered and applied:
                self.history.answered(attempt, self.last[session][1], told)
        elif sent.seq > expected:
            self.history.told(attempt, {"code": "seq_gap", "expected": expected})
        elif self.last[session][0] == sent:
            self.history.answered(attempt, self.last[session][1], {**told, "duplicate": True})
        elif self.last[session][0].seq == sent.seq:
            self.history.told(attempt, {"code": "payload_conflict", "expected": expected})
        else:
            self.history.told(attempt, {"code": "seq_stale", "expected": expected})
        return attempt


def event(seq, speed=50.0):
    fields = {"speed": speed, "load": 3.0, "road": "A1", "wet": True, "driver": "ann"}
    return Sent(seq, fields, 1000.0 + 30.0 * seq)


def play(bundle, seed, events=12):
    """A history in which all is as promised: answers lost, events lost, repeats, wrong ones."""
    rng = random.Random(seed)
    gate = Gate(bundle)
    for session in ("a", "b"):
        for seq in range(1, events + 1):
            sent = event(seq, rng.uniform(10, 90))
            if rng.random() < 0.2:
                gate.send(session, sent, answered=False, applied=rng.random() < 0.5)
            if rng.random() < 0.1 and gate.at.get(session, 0) < seq:
                gate.send(session, event(seq + 1, 1.0))
            if gate.at.get(session, 0) < seq:
                gate.send(session, sent)
            if rng.random() < 0.2:
                gate.send(session, sent)
            if rng.random() < 0.2:
                gate.send(session, event(seq, 99.0))
            if rng.random() < 0.2:
                gate.history.looked(session, gate.at[session])
    return gate


@pytest.fixture(scope="module")
def bundle(make_bundle):
    return make_bundle()


def kinds(gate, bundle, **changed):
    return set(check(gate.history, bundle, {**gate.at, **changed}).counts())


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32))
def test_what_is_as_promised_passes(seed):
    bundle = _bundle()
    gate = play(bundle, seed)
    report = check(gate.history, bundle, gate.at)
    assert report.breaks == []
    assert report.events == gate.history.acknowledged > 0


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.data())
def test_an_answer_that_is_changed_anywhere_is_found(seed, data):
    bundle = _bundle()
    gate = play(bundle, seed, events=6)
    answered = [a for a in gate.history.attempts if a.answer is not None]
    attempt = data.draw(st.sampled_from(answered))
    attempt.answer = attempt.answer.replace(b"0.", b"0.0", 1)
    assert "mismatch" in kinds(gate, bundle)


def test_a_loss_is_found(bundle):
    gate = play(bundle, 1)
    assert kinds(gate, bundle, a=gate.at["a"] - 1) == {"lost"}


def test_a_loss_in_between_is_found(bundle):
    gate = Gate(bundle)
    for seq in (1, 2, 3):
        gate.send("a", event(seq))
    gate.history.told(gate.history.began("a", event(4)), {"code": "seq_gap", "expected": 3})
    gate.send("a", event(4))
    assert kinds(gate, bundle) == {"lost"}


def test_a_double_step_is_found(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    gate.send("a", event(2))
    gate.step("a", event(2))
    gate.at["a"] = 2
    gate.send("a", event(3))
    assert kinds(gate, bundle) == {"mismatch"}


def test_an_event_that_is_answered_as_new_twice_is_found(bundle):
    gate = Gate(bundle)
    first = gate.send("a", event(1))
    again = gate.history.began("a", event(1))
    gate.history.answered(again, first.answer, first.told)
    assert kinds(gate, bundle) == {"doubled"}


def test_an_event_that_nobody_sent_is_found(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    assert kinds(gate, bundle, a=2) == {"doubled"}


def test_a_repeat_of_what_was_never_sent_is_found(bundle):
    gate = Gate(bundle)
    first = gate.send("a", event(1))
    first.told = {**first.told, "duplicate": True}
    assert kinds(gate, bundle) == {"doubled"}


@pytest.mark.parametrize("told", [False, True])
def test_swapped_answers_are_found(bundle, told):
    gate = Gate(bundle)
    one, two = gate.send("a", event(1, 20.0)), gate.send("b", event(1, 80.0))
    one.answer, two.answer = two.answer, one.answer
    if told:
        one.told, two.told = two.told, one.told
    assert kinds(gate, bundle) == {"mismatch"}


def test_a_stale_read_is_found(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    gate.send("a", event(2), answered=False)
    gate.history.looked("a", 2)
    gate.history.looked("a", 1)
    assert kinds(gate, bundle) == {"stale"}


def test_a_read_that_began_before_is_not_stale(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    look = gate.history.began("a", None)
    gate.send("a", event(2))
    gate.history.told(look, {"seq": 1})
    assert kinds(gate, bundle) == set()


def test_an_event_taken_out_of_order_is_found(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    attempt = gate.history.began("a", event(3))
    gate.history.answered(
        attempt, gate.step("a", event(3)), {"session": "a", "seq": 3, "time": event(3).time}
    )
    gate.at["a"] = 3
    assert kinds(gate, bundle) == {"reordered"}


def test_an_altered_payload_is_found(bundle):
    gate = Gate(bundle)
    attempt = gate.send("a", event(1, 20.0))
    attempt.answer = Gate(bundle).step("a", event(1, 21.0))
    assert kinds(gate, bundle) == {"mismatch"}
    gate = Gate(bundle)
    first = gate.send("a", event(1, 20.0))
    wrong = gate.history.began("a", event(1, 21.0))
    gate.history.answered(wrong, first.answer, {**first.told, "duplicate": True})
    assert kinds(gate, bundle) == {"altered"}
    gate = Gate(bundle)
    gate.send("a", event(1))
    retry = gate.history.began("a", event(1))
    gate.history.told(retry, {"code": "payload_conflict", "expected": 2})
    assert kinds(gate, bundle) == {"altered"}


def test_an_answer_that_was_not_kept_is_found(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    gate.send("a", event(2), answered=False)
    retry = gate.history.began("a", event(2))
    gate.history.told(retry, {"code": "seq_stale", "expected": 3})
    assert kinds(gate, bundle) == {"unanswered"}


def test_a_changed_time_is_found(bundle):
    gate = Gate(bundle)
    attempt = gate.send("a", event(1))
    attempt.told = {**attempt.told, "time": 5.0}
    assert kinds(gate, bundle) == {"mismatch"}


def test_two_events_of_one_number_without_an_answer_are_not_judged(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1, 20.0), answered=False)
    gate.history.attempts.append(Attempt("a", event(1, 21.0), 99))
    with pytest.raises(ValueError, match="which of two"):
        check(copy.copy(gate.history), bundle, {"a": 1})


_made = []


def _bundle():
    """The bundle of tests that hypothesis runs: it takes no fixtures of a module."""
    return _made[0]


@pytest.fixture(autouse=True, scope="module")
def _remember(bundle):
    _made[:] = [bundle]


def test_a_session_that_goes_on_after_its_end_is_found(bundle):
    for ends in ("end", "delete"):
        gate = Gate(bundle)
        gate.send("a", event(1))
        if ends == "end":
            gate.send("a", msgspec.structs.replace(event(2), end=True))
        else:
            gate.history.told(gate.history.began("a", None, deletes=True), {"seq": 1})
        assert kinds(gate, bundle, a=None) == set()
        assert kinds(gate, bundle) == {"lost"}  # at the last look it was live
        gate.send("a", event(gate.at["a"] + 1))
        assert kinds(gate, bundle, a=None) == {"lost"}


def test_a_session_that_nobody_ended_and_that_is_over_is_found(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    gate.history.told(gate.history.began("a", event(2)), {"code": "session_deleted"})
    assert kinds(gate, bundle, a=None) == {"lost"}


def test_a_life_that_is_mixed_with_the_one_before_is_found(bundle):
    gate = Gate(bundle)
    gate.send("a", event(1))
    first = gate.history.began("a#1", msgspec.structs.replace(event(1, 80.0), start=True))
    told = {"session": "a", "seq": 1, "time": event(1).time}
    gate.history.answered(first, gate.step("a", event(1, 80.0)), told)  # not from the beginning
    assert kinds(gate, bundle, **{"a": None, "a#1": 1}) == {"mismatch"}


def test_an_end_whose_retry_is_refused_is_found(bundle):
    gate = Gate(bundle)
    last = msgspec.structs.replace(event(1), end=True)
    gate.send("a", last, answered=False)
    gate.history.told(gate.history.began("a", last), {"code": "session_ended"})
    assert kinds(gate, bundle, a=None) == {"unanswered"}
