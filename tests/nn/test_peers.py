"""Networks to compare with: causal, blind to padding, and with the parameters that are counted."""

import pytest
import torch

from tidegate.errors import InputError
from tidegate.nn.peers import Peer
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec

SPEC = ModelSpec(
    4, (LayerSpec("gru", 16), LayerSpec("gru", 16)), 3, categories=(CategoryInput(3, 5, 2),)
)
KINDS = ("mingru", "transformer")


def rows(*lengths: int) -> torch.Tensor:
    torch.manual_seed(1)
    made = torch.randn(len(lengths), max(lengths), 4)
    made[..., 3] = torch.randint(0, 5, made.shape[:2]).float()
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_sees_a_later_one(kind: str) -> None:
    torch.manual_seed(0)
    peer = Peer(SPEC, kind).eval()  # type: ignore[arg-type]
    given = rows(7, 7)
    before, _ = peer(given)
    given[:, 5:, :3] += 1.0
    after, _ = peer(given)
    torch.testing.assert_close(after[:, :5], before[:, :5], rtol=0, atol=1e-6)
    assert not torch.allclose(after[:, 5:], before[:, 5:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_what_each_session_gives_alone(kind: str) -> None:
    torch.manual_seed(0)
    peer = Peer(SPEC, kind).eval()  # type: ignore[arg-type]
    lengths = torch.tensor([6, 1, 4])
    given = rows(6, 1, 4)
    given[1, 1:], given[2, 4:] = torch.nan, torch.nan
    given[1, 1:, 3], given[2, 4:, 3] = 0, 0
    together, _ = peer(given, lengths=lengths)
    assert not together[1, 1:].any()
    for place, length in enumerate(lengths.tolist()):
        alone, _ = peer(given[place : place + 1, :length])
        torch.testing.assert_close(together[place, :length], alone[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_its_own_layers_alone(kind: str) -> None:
    peer = Peer(SPEC, kind)  # type: ignore[arg-type]
    outputs, state = peer(rows(5, 3), lengths=torch.tensor([5, 3]))
    outputs.sum().backward()
    assert state == ()
    assert not peer.layers
    assert all(p.grad is not None for p in peer.parameters())


def test_it_carries_no_state() -> None:
    with pytest.raises(InputError, match="state"):
        Peer(SPEC, "mingru")(rows(2), (torch.zeros(1, 16),))
    with pytest.raises(InputError, match="hidden_size"):
        Peer(ModelSpec(2, (LayerSpec("gru", 6),), 1), "transformer")
