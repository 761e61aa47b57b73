"""Transfer: a head trained on the embeddings of a frozen body."""

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.config import Config
from meta_core.inner_loop import DescentConfig, descend
from meta_core.learner import Learner, learners
from meta_core.learners.ridge import LEAST_VARIANCE, root_mean_square
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
UNTRIED_SCALE = 4.0
"""Of the squared distances to class means; what serves when no example can be held out."""


class FinetuneConfig(Config):
    """The head, and what is tried on examples held out of the support."""

    head: Literal["linear", "mlp"] = Field("linear", description="mlp: a hidden layer is added to the linear head")
    hidden: int = Field(64, ge=1, le=4096, description="width of the hidden layer")
    rates: tuple[Annotated[float, Field(gt=0, le=100)], ...] = Field(
        (0.1, 0.3, 1.0), min_length=1, max_length=16, description="learning rates tried"
    )
    steps: int = Field(100, ge=1, le=1000, description="most gradient steps; every number up to it is tried")
    folds: int = Field(5, ge=2, le=32, description="parts of the support held out in turn")


class Choice(NamedTuple):
    """What the held-out examples were answered best with; no steps are the start."""

    scale: float
    steps: int
    rate: float


class Examples(NamedTuple):
    """Embeddings `x` [N, D] of mean 0 and size 1, and `y` [N, K]: one-hot classes or standardised targets."""

    x: Tensor
    y: Tensor


@learners.register("finetune")
class Finetune(Learner):
    """θ_new = θ_start + θ_update: gradient descent of a head on a frozen body, as far as it pays (arXiv:1411.1792).

    The start is the nearest class mean, logits −s ‖z − c‖², or the mean of the targets; a hidden layer is added to it
    with a zero output. s, then rate and number of steps, are those under which held-out parts of the support are most
    likely; none, where nothing beats the start. All F folds at all R rates are descended together.
    """

    Config = FinetuneConfig
    config: FinetuneConfig
    tasks = frozenset({"classification", "regression"})
    most_left_out = 8

    def __init__(self, backbone: Backbone, config: FinetuneConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        if task == "regression":
            self.without_gradient = "a task best answered by the mean of its targets has no use for the body"

    def adapt(self, support: Support) -> State:
        """The head on raw embeddings; for regression the variance of the answers too, [T]."""
        centre, size = support.x.mean(0), root_mean_square((support.x - support.x.mean(0)).norm(dim=-1, keepdim=True))
        x = (support.x - centre) / size
        held = folds(x, support, self.config.folds)  # [F, N]
        if support.ways is not None:
            head = self._fit(Examples(x, support.one_hot()), held)[0]
            return unframed(head, centre, size)
        mean, deviation = support.y.mean(0), root_mean_square(support.y - support.y.mean(0))
        head, variance = self._fit(Examples(x, (support.y - mean) / deviation), held)
        head = unframed(head, centre, size, deviation)
        return head | {"head.bias": head["head.bias"] + mean, "variance": variance * deviation.square()}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The head's answers."""
        answer = output(state, z)
        if self.task == "classification":
            return Categorical(answer.log_softmax(-1))
        return Gaussian(answer, state["variance"].expand_as(answer))

    def _fit(self, examples: Examples, held: Tensor) -> tuple[State, Tensor]:
        """The head, and the mean squared error on held-out examples, [K]."""
        choice = self._choose(examples, held)
        head = self._descend(examples, torch.ones_like(examples.x[:, 0]), choice)
        if not len(held) or self.task == "classification":
            return head, torch.ones_like(examples.y[0])
        answers = output(self._descend(examples, (~held).to(examples.x), choice), examples.x)  # [F, N, K]
        squared = (answers - examples.y).square()[held].mean(0)  # [K]
        return head, squared.clamp(min=LEAST_VARIANCE)

    def _descend(self, examples: Examples, weight: Tensor, choice: Choice) -> State:
        """Heads fitted to examples weighted by [..., N]."""
        start = self._start(examples, weight, choice.scale)
        if not choice.steps:
            return start
        config = DescentConfig(steps=choice.steps, rate=choice.rate)
        return descend(lambda head: (self._losses(head, examples) * share(weight)).sum(), start, config)

    @torch.no_grad()
    def _choose(self, examples: Examples, held: Tensor) -> Choice:
        if not len(held):
            return Choice(UNTRIED_SCALE, 0, self.config.rates[0])
        weight, told = (~held).to(examples.x), share(held.flatten().to(examples.x)).view(held.shape)
        scale = self._choose_scale(examples, weight, told) if self.task == "classification" else 1.0
        rates = torch.tensor(self.config.rates).to(examples.x)[:, None, None]  # [R, 1, 1]
        start = self._start(examples, weight, scale)
        runs = {name: value.expand(len(rates), *value.shape) for name, value in start.items()}  # [R, F, ...]
        table = [self._held_out(runs, examples, told)]

        def rate(step: int, name: str) -> Tensor:
            return rates[..., None] if runs[name].dim() > rates.dim() else rates

        descend(
            lambda heads: (self._losses(heads, examples) * share(weight)).sum(),
            runs,
            DescentConfig(steps=self.config.steps),
            rate,
            lambda heads: table.append(self._held_out(heads, examples, told)),
        )
        best = int(torch.stack(table).nan_to_num(nan=torch.inf).argmin())  # the first of equals: the fewest steps
        return Choice(scale, best // len(rates), self.config.rates[best % len(rates)])

    def _choose_scale(self, examples: Examples, weight: Tensor, told: Tensor) -> float:
        losses = [self._held_out(self._start(examples, weight, scale), examples, told) for scale in SCALES]
        return SCALES[int(torch.stack(losses).argmin())]

    def _held_out(self, heads: State, examples: Examples, told: Tensor) -> Tensor:
        return (self._losses(heads, examples).detach() * told).nan_to_num(nan=torch.inf).sum((-2, -1))

    def _start(self, examples: Examples, weight: Tensor, scale: float) -> State:
        """A head for each row of weights [..., N]."""
        members = weight[..., None] * examples.y  # [..., N, K]
        if self.task == "classification":
            c = members.mT @ examples.x / members.sum(-2)[..., None]  # [..., K, D]
            linear = {"head.weight": 2 * scale * c, "head.bias": -scale * c.square().sum(-1)}
        else:
            bias = members.sum(-2) / weight.sum(-1, keepdim=True)  # [..., K]
            linear = {"head.weight": torch.zeros(*bias.shape, examples.x.shape[1]).to(bias), "head.bias": bias}
        return linear if self.config.head == "linear" else linear | self._hidden(linear["head.weight"])

    def _hidden(self, like: Tensor) -> State:
        """A hidden layer, the same random one for every task, whose output is zero."""
        *runs, targets, dimension = like.shape
        rng = torch.Generator().manual_seed(0)
        weight = torch.randn(self.config.hidden, dimension, generator=rng).to(like)
        zeros = torch.zeros(*runs, targets + 1, self.config.hidden).to(like)
        return {
            "hidden.weight": weight.expand(*runs, -1, -1),
            "hidden.bias": zeros[..., -1, :],
            "output.weight": zeros[..., :-1, :],
        }

    def _losses(self, head: State, examples: Examples) -> Tensor:
        """Of each example, [..., N]."""
        answer = output(head, examples.x)  # [..., N, K]
        if self.task == "classification":
            return -(answer.log_softmax(-1) * examples.y).sum(-1)
        return 0.5 * (answer - examples.y).square().sum(-1)


def output(head: State, x: Tensor) -> Tensor:
    """Wx + b, and V · relu(Ux + a) where there is a hidden layer, [..., N, K]."""
    linear = x @ head["head.weight"].mT + head["head.bias"][..., None, :]
    if "hidden.weight" not in head:
        return linear
    hidden = (x @ head["hidden.weight"].mT + head["hidden.bias"][..., None, :]).relu()  # [..., N, H]
    return linear + hidden @ head["output.weight"].mT


def folds(x: Tensor, support: Support, most: int) -> Tensor:
    """Which examples are held out in each fold, [F, N]: of each class in turn, and none that is alone in its class.

    Dealt out by content, so that their order does not matter. No folds where nothing can be held out.
    """
    classes = torch.zeros(len(x), dtype=torch.long, device=x.device) if support.ways is None else support.y
    place = x @ torch.arange(1, x.shape[1] + 1).to(x).cos()  # [N]: any projection would do
    before = (classes == classes[:, None]) & (place < place[:, None])  # [N, N]
    alone = (classes == classes[:, None]).sum(-1) == 1
    fold = torch.where(alone, -1, before.sum(-1) % most)  # [N]
    held = fold == torch.arange(most, device=x.device)[:, None]
    return held[held.any(-1)]


def share(weight: Tensor) -> Tensor:
    """Weights [..., N] that sum to one."""
    return weight / weight.sum(-1, keepdim=True)


def unframed(head: State, centre: Tensor, size: Tensor, deviation: Tensor | float = 1.0) -> State:
    """The head that answers raw embeddings as the given one does (z − centre) / size, times `deviation`."""
    raw = dict(head)
    for layer in {"head", "hidden"} & {name.split(".")[0] for name in head}:
        raw[f"{layer}.weight"] = head[f"{layer}.weight"] / size
        raw[f"{layer}.bias"] = head[f"{layer}.bias"] - raw[f"{layer}.weight"] @ centre
    for name in {"head.weight", "head.bias", "output.weight"} & raw.keys():
        factor = torch.as_tensor(deviation).to(centre)
        raw[name] = raw[name] * (factor[:, None] if factor.dim() and raw[name].dim() == 2 else factor)
    return raw
