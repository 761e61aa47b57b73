import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from tests.learners.cases import answers, build, draw


class CosineLayer(nn.Module):
    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * F.cosine_similarity(x[:, None], self.weight[None], dim=-1)


def test_adapting_is_stochastic_gradient_descent_of_a_cosine_layer() -> None:
    values = {"steps": 4, "rate": 0.2, "scale": 3.0}
    learner, episode = build(("cosine", values, "classification"), "identity"), draw("classification")
    x, y = episode.support.x, episode.support.y
    layer = CosineLayer(torch.stack([F.normalize(x[y == c], dim=-1).mean(0) for c in range(3)]))
    optimizer = torch.optim.SGD(layer.parameters(), 0.2)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(layer(x), y).backward()
        optimizer.step()
    prediction = learner.predict(learner.adapt(episode.support), episode.x)
    assert_close(answers(prediction), layer(episode.x).log_softmax(-1), rtol=1e-5, atol=1e-5)
