"""Transfer: a head trained on the embeddings of a body, and a part of that body too."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import Field
from torch import Tensor

from meta_core.backbone import Backbone
from meta_core.body_part import Part, before, finished, moving
from meta_core.config import Config
from meta_core.inner_loop import BODY, DescentConfig, descend
from meta_core.learner import Learner, learners
from meta_core.learners.ridge import LEAST_VARIANCE, root_mean_square
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
Visit = Callable[[State], None]
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
    body: Part = Field("frozen", description="what moves after the head: nothing, the body's last block, all of it")
    body_rates: tuple[Annotated[float, Field(gt=0, le=10)], ...] = Field(
        (0.01, 0.1), min_length=1, max_length=16, description="learning rates tried where the body moves"
    )
    body_steps: int = Field(10, ge=1, le=200, description="most steps of body and head; every number is tried")


class Choice(NamedTuple):
    """What the held-out examples were answered best with; no steps are the start."""

    scale: float
    steps: int
    rate: float


class Frame(NamedTuple):
    """The units in which a head is fitted: embeddings (z − centre) / size, targets (y − mean) / deviation."""

    centre: Tensor
    size: Tensor
    mean: Tensor
    deviation: Tensor

    def embeddings(self, z: Tensor) -> Tensor:
        """Of mean 0 and size 1 over the support."""
        return (z - self.centre) / self.size


class Move(NamedTuple):
    """Head and moved weights of the body, by their names after `BODY`; squared error on the held-out, [K]."""

    state: State
    squared: Tensor


class Examples(NamedTuple):
    """Embeddings `x` [N, D] of mean 0 and size 1, and `y` [N, K]: one-hot classes or standardised targets.

    No gradient leaves the span of the examples: where those are fewer than D, `x` [N, N] are coordinates in a `basis`
    [D, N] of it. `hidden` [H, D] are the weights a hidden layer starts with, also in those coordinates.
    """

    x: Tensor
    y: Tensor
    hidden: Tensor | None = None
    basis: Tensor | None = None

    def spanned(self) -> Self:
        """In coordinates of their span, where that is less work."""
        if len(self.x) >= self.x.shape[1] or self.x.requires_grad:
            return self
        basis = torch.linalg.qr(self.x.double().T)[0].to(self.x)  # [D, N]
        return self._replace(x=self.x @ basis, hidden=None if self.hidden is None else self.hidden @ basis, basis=basis)

    def back(self, head: State, whole: Self) -> State:
        """The head for embeddings as they were in the `whole`, where it starts as it does there."""
        if self.basis is None:
            return head
        raw = head | {"head.weight": head["head.weight"] @ self.basis.T}
        if self.hidden is not None and whole.hidden is not None:
            raw["hidden.weight"] = whole.hidden + (head["hidden.weight"] - self.hidden) @ self.basis.T
        return raw


@learners.register("finetune")
class Finetune(Learner):
    """θ_new = θ_start + θ_update: gradient descent of a head, and of the body if asked, as far as it pays.

    The start is the nearest class mean, logits −s ‖z − c‖², or the mean of the targets; a hidden layer is added to it
    with a zero output. s, then rate and number of steps, are those under which held-out parts of the support are most
    likely; none, where nothing beats the start. All F folds at all R rates are descended together. Then the last block
    of the body, or all of it, moves together with the head in the same way; the state keeps it only where that beats
    the head alone (arXiv:1411.1792). Running statistics stay as they are.
    """

    Config = FinetuneConfig
    config: FinetuneConfig
    tasks = frozenset({"classification", "regression"})
    most_left_out = 8

    def __init__(self, backbone: Backbone, config: FinetuneConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        if task == "regression":
            self.without_gradient = "a task best answered by the mean of its targets has no use for the body"

    @property
    def only_embeds(self) -> bool:
        """Where the body stays."""
        return self.config.body == "frozen"

    def train(self, mode: bool = True) -> Self:
        """Meta-train; the statistics of a body that moves stay as they are."""
        super().train(mode)
        if not self.only_embeds:
            self.backbone.eval()
        return self

    def inference(self) -> Self:
        """As it is where weights of the body are changed one by one."""
        return super().inference() if self.only_embeds else self

    def encode(self, x: Tensor) -> Tensor:
        """Inputs as far as nothing moves: embeddings [N, D] by a frozen body."""
        return before(self.backbone, self.config.body, x)

    def adapt(self, support: Support) -> State:
        """Head on raw embeddings, weights of the body that moved; for regression the variance of the answers, [T]."""
        z = self._embed({}, support.x)
        frame = _frame(z, support)
        y = support.one_hot() if support.ways is not None else (support.y - frame.mean) / frame.deviation
        names = moving(self.backbone, self.config.body)
        whole = Examples(frame.embeddings(z), y, self._hidden(z))
        examples = whole if names else whole.spanned()
        held = folds(whole.x, replace(support, x=z, unlabelled=None), self.config.folds)  # [F, N]
        choice = self._choose(examples, held)
        fitted = self._fit(examples, held, choice)
        fitted = fitted._replace(state=examples.back(fitted.state, whole))
        if names and len(held):
            body: State = {BODY + name: self.backbone.get_parameter(name) for name in names}
            fitted = self._move(support.x, examples, frame, held=held, choice=choice, fitted=fitted, body=body)
        head = {name: value for name, value in fitted.state.items() if not name.startswith(BODY)}
        moved = {name: value for name, value in fitted.state.items() if name.startswith(BODY)}
        if support.ways is not None:
            return unframed(head, frame.centre, frame.size) | moved
        head = unframed(head, frame.centre, frame.size, frame.deviation)
        head["head.bias"] = head["head.bias"] + frame.mean
        return head | moved | {"variance": fitted.squared.clamp(min=LEAST_VARIANCE) * frame.deviation.square()}

    def predict(self, state: State, z: Tensor) -> Prediction:
        """The head's answers."""
        answer = output(state, self._embed(state, z))
        if self.task == "classification":
            return Categorical(answer.log_softmax(-1))
        return Gaussian(answer, state["variance"].expand_as(answer))

    def _embed(self, state: State, h: Tensor) -> Tensor:
        if self.only_embeds:
            return h  # a member of a combination has no body
        weights = {name.removeprefix(BODY): value for name, value in state.items() if name.startswith(BODY)}
        return finished(self.backbone, self.config.body, h, weights)

    def _fit(self, examples: Examples, held: Tensor, choice: Choice) -> Move:
        """The head alone."""
        head = self._descend(examples, torch.ones_like(examples.x[:, 0]), choice)
        if not len(held) or self.task == "classification":
            return Move(head, torch.ones_like(examples.y[0]))
        answers = output(self._descend(examples, (~held).to(examples.x), choice), examples.x)  # [F, N, K]
        return Move(head, (answers - examples.y).square()[held].mean(0))

    def _move(
        self, h: Tensor, examples: Examples, frame: Frame, *, held: Tensor, choice: Choice, fitted: Move, body: State
    ) -> Move:
        """Body and head after the steps that answer held-out examples best; the head as it was, if that is none."""

        def answers(leaves: State, chosen: Tensor) -> Tensor:
            return output(leaves, frame.embeddings(self._embed(leaves, h[chosen])))

        def descended(head: State, kept: Tensor, config: DescentConfig, visit: Visit | None = None) -> State:
            y = examples.y[kept]
            return descend(lambda leaves: self._of(answers(leaves, kept), y).mean(), head | body, config, None, visit)

        steps, rates = self.config.body_steps, self.config.body_rates
        runs: list[list[list[Tensor]]] = []  # [F][R][1 + steps] of [held out, K]
        with torch.no_grad():
            for fold in held:
                head = self._descend(examples, (~fold).to(examples.x), choice)
                alone = answers(head | body, fold)
                told: list[list[Tensor]] = [[alone] for _ in rates]
                for rate, row in zip(rates, told, strict=True):
                    config = DescentConfig(steps=steps, rate=rate)
                    descended(head, ~fold, config, lambda leaves, row=row, fold=fold: row.append(answers(leaves, fold)))  # type: ignore[misc]
                runs.append(told)
            y = torch.cat([examples.y[fold] for fold in held])
            table = torch.stack(
                [self._of(_joined(runs, r, step), y).mean() for step in range(steps + 1) for r in range(len(rates))]
            )
            best = int(table.nan_to_num(nan=torch.inf).argmin())  # the first of equals: the fewest steps
            step, r = divmod(best, len(rates))
        if not step:
            return fitted
        config = DescentConfig(steps=step, rate=rates[r])
        everything = torch.ones(len(h), dtype=torch.bool, device=h.device)
        state = descended(fitted.state, everything, config)
        return Move(state, (_joined(runs, r, step) - y).square().mean(0))

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
        if examples.hidden is None:
            return linear
        *runs, targets, _ = linear["head.weight"].shape
        zeros = torch.zeros(*runs, targets + 1, self.config.hidden).to(weight)
        return linear | {
            "hidden.weight": examples.hidden.expand(*runs, -1, -1),
            "hidden.bias": zeros[..., -1, :],
            "output.weight": zeros[..., :-1, :],
        }

    def _hidden(self, z: Tensor) -> Tensor | None:
        """Weights [H, D] of a hidden layer, if there is one: the same random ones for every task."""
        if self.config.head == "linear":
            return None
        rng = torch.Generator().manual_seed(0)
        return torch.randn(self.config.hidden, z.shape[1], generator=rng).to(z)

    def _losses(self, head: State, examples: Examples) -> Tensor:
        """Of each example, [..., N]."""
        return self._of(output(head, examples.x), examples.y)

    def _of(self, answer: Tensor, y: Tensor) -> Tensor:
        """The loss of each answer [..., N, K] to what is right [N, K], [..., N]."""
        if self.task == "classification":
            return -(answer.log_softmax(-1) * y).sum(-1)
        return 0.5 * (answer - y).square().sum(-1)


def _frame(z: Tensor, support: Support) -> Frame:
    centre = z.mean(0)
    size = root_mean_square((z - centre).norm(dim=-1, keepdim=True))
    if support.ways is not None:
        return Frame(centre, size, torch.zeros_like(size), torch.ones_like(size))
    mean = support.y.mean(0)
    return Frame(centre, size, mean, root_mean_square(support.y - mean))


def _joined(runs: list[list[list[Tensor]]], rate: int, step: int) -> Tensor:
    """Answers to all that was held out, one fold after the other."""
    return torch.cat([told[rate][step] for told in runs])


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
