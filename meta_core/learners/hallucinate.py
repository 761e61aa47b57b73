"""Learning from examples that were never seen."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.learner import Learner, learners
from meta_core.learners.cnp import Perceptron
from meta_core.learners.ridge import Ridge, RidgeConfig
from meta_core.types import Episode, State, Support, Task


class HallucinateConfig(RidgeConfig):
    """Ridge regression with a learned penalty, and the generator with its judge."""

    penalty: float = Field(0.3, ge=1e-6, le=1e6, description="start of the meta-learned penalty")
    samples: int = Field(
        8, ge=1, le=200, description="generated for each class", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    noise: int = Field(16, ge=1, le=1024, description="size of the noise", json_schema_extra=MADE_WITH_THE_WEIGHTS)
    width: int = Field(
        128, ge=4, le=4096, description="of generator and judge", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )
    adversarial: float = Field(0.1, gt=0, le=100, description="weight of the adversarial losses in the meta-loss")


@learners.register("hallucinate")
class Hallucinate(Ridge):
    """A generator adds examples to each class, and `ridge` learns from real and generated ones (arXiv:1801.05401).

        ẑ_cs = μ_c + ρ · G(μ_c / ρ, ε_s),  s = 1…S          μ_c the mean of class c, ρ the size of the support
        W_c = (1 − w_c) · ridge(real)_c + w_c · ridge(real and generated)_c,      w_c = σ(a) / n_c²

    G is meta-trained by how well the queries are told, as in the paper, and against a judge D that learns to tell the
    generated from the queries of the class, given its mean: a conditional GAN (arXiv:1711.04340), with the
    non-saturating losses −log D(z | μ) − log(1 − D(ẑ | μ)) for D and −log D(ẑ | μ) for G, on embeddings that are taken
    as given. The share w_c, with a learned, vanishes with the number of shots n_c: what is real then says more.

    The noise ε is drawn once, and kept with the weights: adapting is deterministic. The paper varies single examples;
    from the mean the order of the support cannot matter.
    """

    Config = HallucinateConfig
    config: HallucinateConfig
    tasks = frozenset({"classification"})
    needs_meta_training = True
    size_limits = "made for few shots: with more, what is generated counts for less and less"
    first_order = (
        "generator and judge pull the adversarial loss in opposite directions, so that it is the slope of none"
    )
    most_left_out = Learner.most_left_out
    leave_one_out = Learner.leave_one_out  # what is generated changes with what is left out
    adapt_and_leave_out = Learner.adapt_and_leave_out
    noise: Tensor

    def __init__(self, backbone: Backbone, config: HallucinateConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        d = backbone.dimension
        self.generator = Perceptron((d, config.noise), [config.width, config.width, d])
        self.judge = Perceptron((d, d), [config.width, config.width, 1])
        self.share = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("noise", torch.randn(config.samples, config.noise))  # [S, noise]
        with torch.no_grad():  # start close to the mean itself
            self.generator.last.weight.mul_(0.1)

    def adapt(self, support: Support) -> State:
        """Weights [D + 1, C] of embedding and constant."""
        return self._learned(support, self.generated(support))

    def generated(self, support: Support) -> Tensor:
        """Examples of each class, [C, S, D]."""
        means = support.class_means()[:, None] / size_of(support)  # [C, 1, D]
        generated: Tensor = size_of(support) * (means + self.generator(means, self.noise))
        return generated

    def meta_loss(self, episode: Episode) -> Tensor:
        """Negative log-likelihood of the queries, and the losses of the judge and of who is to deceive it."""
        encoded = self.encode_episode(episode)
        fake = self.generated(encoded.support)
        told = self.predict(self._learned(encoded.support, fake), encoded.x).nll(episode.y).mean()
        return told + self.config.adversarial * self._adversarial(encoded, self.generated(_as_given(encoded.support)))

    def _learned(self, support: Support, generated: Tensor) -> State:
        ways, samples = generated.shape[:2]
        labels = torch.arange(ways, device=support.y.device).repeat_interleave(samples)
        both = Support(torch.cat([support.x, generated.flatten(0, 1)]), torch.cat([support.y, labels]), support.ways)
        real = super().adapt(support)["weight"]  # [D + 1, C]
        share = self.share.sigmoid() / support.counts().square()  # [C]
        return {"weight": real + share * (super().adapt(both)["weight"] - real)}

    def _adversarial(self, encoded: Episode, fake: Tensor) -> Tensor:
        """Both losses, each with a gradient for its own network alone."""
        size = size_of(encoded.support).detach()
        means = encoded.support.class_means().detach() / size  # [C, D]
        real, fake = encoded.x.detach() / size, fake / size
        is_real = self.judge(real, means[encoded.y])
        judged = F.softplus(-is_real).mean() + F.softplus(self.judge(fake.detach(), means[:, None])).mean()
        as_it_is = {name: value.detach() for name, value in self.judge.named_parameters()}
        deceived: Tensor = functional_call(self.judge, as_it_is, (fake, means[:, None]))
        return judged + F.softplus(-deceived).mean()


def size_of(support: Support) -> Tensor:
    """Root mean square of the embeddings' numbers, a scalar."""
    return support.x.square().mean().clamp(min=1e-12).sqrt()


def _as_given(support: Support) -> Support:
    return Support(support.x.detach(), support.y, support.ways)
