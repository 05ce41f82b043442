from dataclasses import replace

import msgspec
import pytest
import torch

from tidegate.errors import InputError
from tidegate.train import ModelSettings, TrainConfig
from tidegate.train.compare import NAMES, PeerSettings, line_up
from tidegate.train.parts import prepare


@pytest.mark.parametrize("hidden_size", [16, 40])
def test_layers_have_about_as_many_parameters(config: TrainConfig, hidden_size: int) -> None:
    prepared = prepare(config)
    model = ModelSettings(cell="lstm", hidden_size=hidden_size, num_layers=2, peephole=True)
    line = line_up(NAMES, model, prepared.schema, prepared.task)
    assert [each.name for each in line] == list(NAMES)
    goal = next(each for each in line if each.name == "lstm")
    assert goal.model == model
    for each in line:
        # A unit more or less of two layers; a transformer's units come in eights.
        assert abs(each.body / goal.body - 1) < (0.45 if each.name == "transformer" else 0.15)
        spec = each.model.spec(prepared.schema.width, prepared.schema.categories, 1)
        with torch.device("meta"):
            network = each.model.network(spec)
        assert each.parameters == sum(p.numel() for p in network.parameters())
    streams = {each.name for each in line if each.streams}
    assert streams == {"gru", "lstm", "rnn"}


def test_what_a_kind_does_not_have_is_left_out(config: TrainConfig) -> None:
    prepared = prepare(config)
    model = ModelSettings(
        reset_after=False, layer_norm=True, init="chrono", longest=9, dropout=0.3, num_layers=2
    )
    line = line_up(("lstm", "rnn", "mingru"), model, prepared.schema, prepared.task)
    lstm, rnn, mingru = (each.model for each in line)
    assert isinstance(lstm, ModelSettings)
    assert (lstm.reset_after, lstm.layer_norm, lstm.init, lstm.dropout) == (
        True,
        True,
        "chrono",
        0.3,
    )
    assert isinstance(rnn, ModelSettings)
    assert (rnn.init, rnn.longest, rnn.layer_norm) == ("default", None, True)
    assert mingru == PeerSettings("mingru", mingru.hidden_size, 2, 0.3)


def test_an_unknown_kind_is_named(config: TrainConfig) -> None:
    prepared = prepare(config)
    with pytest.raises(InputError, match="'gro' is none") as caught:
        line_up(("gru", "gro"), config.model, prepared.schema, prepared.task)
    assert caught.value.code == "unknown_model"


def test_peers_have_settings_of_their_own(config: TrainConfig) -> None:
    assert msgspec.json.decode(msgspec.json.encode(PeerSettings("mingru", 4)), type=PeerSettings)
    assert replace(prepare(config), notes=()).task.classes == ("0", "1")
