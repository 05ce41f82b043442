import pytest

from tidegate.data.profile import LengthProfile
from tidegate.train.compare.rules import RULES, Facts, read


@pytest.mark.parametrize(
    ("lengths", "text", "expected"),
    [
        ([10] * 50, False, {"length": "gru", "samples": "gru", "counting": None}),
        ([900] * 2000, False, {"length": "lstm", "samples": None, "counting": "lstm"}),
        ([10] * 50, True, {"architecture search": "lstm"}),
        ([10] * 50, False, {"architecture search": "gru", "no winner": "either"}),
    ],
)
def test_rules_are_read_on_the_data(
    lengths: list[int], text: bool, expected: dict[str, str | None]
) -> None:
    found = {each.name: each.side for each in read(Facts(LengthProfile.of(lengths), text))}
    assert expected.items() <= found.items()


def test_they_disagree_and_name_their_source() -> None:
    sides = {each.side for each in read(Facts(LengthProfile.of([300] * 10), True))}
    assert {"gru", "lstm", "either", "neither"} <= sides
    assert all(rule.source and rule.says for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
