import torch

from tidegate.nn.model import Headless, Network
from tidegate.spec import LayerSpec, ModelSpec


def test_the_head_of_what_goes_up_is_what_the_network_says() -> None:
    torch.manual_seed(0)
    network = Network(ModelSpec(3, (LayerSpec("gru", 5), LayerSpec("lstm", 4)), 2)).eval()
    rows, lengths = torch.randn(2, 6, 3), torch.tensor([6, 3])
    outputs, state = network(rows, lengths=lengths)
    states, same = Headless(network)(rows, lengths=lengths)
    assert states.shape == (2, 6, 4)
    real = torch.arange(6) < lengths[:, None]
    torch.testing.assert_close(network.head(states)[real], outputs[real], rtol=0, atol=0)
    for one, other in zip(state, same, strict=True):
        assert torch.equal(one, other)
