"""Prior-fitted networks: a transformer that reads the support set and answers in one pass."""

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner, learners
from meta_core.learners.cnp import Perceptron
from meta_core.types import Categorical, Gaussian, Prediction, State, Support, Task

SMALLEST_SCALE = 1e-3
"""A column that varies less than this is shifted but not scaled."""
LEAST_DEVIATION = 0.1
"""Of an answer to a regression, in deviations of the targets in the support."""


class InContextConfig(Config):
    """Size of the transformer; its width is `heads` · `head_width`."""

    layers: int = Field(3, ge=1, le=48, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    heads: int = Field(4, ge=1, le=64, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    head_width: int = Field(
        16,
        ge=1,
        le=512,
        description="per head; any number of rows, columns and classes is read, but the state grows with "
        "rows · (classes or targets) · layers · heads · head_width, and adapting with the square of the rows",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )


@learners.register("incontext")
class InContext(Learner):
    """A transformer over rows that was fitted to a prior of tasks (arXiv:2112.10510, TabPFN: arXiv:2207.01848).

    Every class or target c is a reading of its own by the same network, with marks y_nc (member or not; the target)
    and columns x_nf standardised by the support. So neither the order of rows, of columns (features), nor of classes
    matters, any number of each works, and the weights do not depend on it (W is the width):

        column  u_cf = b(mean_n y_nc · a(x_nf))              row  t_cn = mean_f v(x_nf) ⊙ u_cf + L·y_nc  (support only)
        L times t ← t + attention(t to the support), t ← t + mlp(t)        logit_c or (μ_c, s_c) = g(t_c)

    TabPFN instead ties columns and classes to places, up to 100 and 10 of them.
    """

    Config = InContextConfig
    config: InContextConfig
    tasks = frozenset({"classification", "regression"})
    needs_meta_training = True

    def __init__(self, backbone: Backbone, config: InContextConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        width, regression = config.heads * config.head_width, task == "regression"
        self.cell = Perceptron((1,), [width, width])
        self.relevance = Perceptron((1,), [width, width])
        self.relevance.last.register_parameter("bias", None)  # marks sum to zero: it has no effect, and so no gradient
        self.column = Perceptron((width,), [width, width])
        self.mark = nn.Linear(1, width)
        self.layers = nn.ModuleList(Layer(config.heads, config.head_width) for _ in range(config.layers))
        self.answerer = nn.Sequential(nn.RMSNorm(width), nn.Linear(width, 1 + regression, bias=regression))

    def adapt(self, support: Support) -> State:
        """Columns [C or T, D, W], keys and values of the rows, each [layers, C or T, N, W], location and scale."""
        y = support.one_hot() if support.ways is not None else support.y
        scales = {"input": location_and_scale(support.x), "target": location_and_scale(y)}
        marks = standardised(y, *scales["target"])  # [N, C or T]
        x = standardised(support.x, *scales["input"])[..., None]  # [N, D, 1]
        columns = self.column(torch.einsum("nc,nfw->cfw", marks, self.relevance(x)) / len(x))
        rows = self._rows(x, columns) + self.mark(marks.T[..., None])  # [C or T, N, W]
        named = {f"{what}_{name}": v for what, pair in scales.items() for name, v in zip(NAMES, pair, strict=True)}
        return named | {"columns": columns} | self._memory(rows)

    def predict(self, state: State, z: Tensor) -> Prediction:
        """Queries attend to the support, never to each other."""
        x = standardised(z, state["input_location"], state["input_scale"])[..., None]
        rows = self._rows(x, state["columns"])  # [C or T, Q, W]
        for layer, keys, values in zip(self.layers, state["keys"], state["values"], strict=True):
            rows = layer(rows, keys, values)
        answer = self.answerer(rows).transpose(0, 1)  # [Q, C or T, 1 or 2]
        if self.task == "classification":
            return Categorical(answer.squeeze(-1).log_softmax(-1))
        mean, spread = answer.unbind(-1)  # [Q, T]
        location, scale = state["target_location"], state["target_scale"]
        return Gaussian(location + scale * mean, (scale * (LEAST_DEVIATION + F.softplus(spread))).square())

    def _rows(self, x: Tensor, columns: Tensor) -> Tensor:
        return torch.einsum("nfw,cfw->cnw", self.cell(x), columns) / x.shape[1]

    def _memory(self, rows: Tensor) -> State:
        """What each layer lets be attended to."""
        memory = []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            memory.append(layer.remember(rows))
            rows = layer(rows, *memory[-1])
        keys, values = zip(*memory, strict=True)
        return {"keys": torch.stack(keys), "values": torch.stack(values)}


class Layer(nn.Module):
    """Attention to remembered rows and a perceptron, each added to what comes in, normalised before it."""

    def __init__(self, heads: int, head_width: int) -> None:
        super().__init__()
        width = heads * head_width
        self.heads = heads
        self.before_attention, self.before_mlp = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # a bias moves all rows alike: no gradient
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def remember(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each [C, N, W]."""
        z = self.before_attention(rows)
        return self.key(z), self.value(z)

    def forward(self, rows: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """[C, Q, W] to [C, Q, W]."""
        query = self.query(self.before_attention(rows))
        split = (z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in (query, keys, values))  # [C, H, Q or N, K]
        rows = rows + self.out(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))
        added: Tensor = rows + self.mlp(self.before_mlp(rows))
        return added


NAMES = ("location", "scale")


def location_and_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each column, each [D]; 1 for the deviation of a constant."""
    location = x.mean(0)
    scale = (x - location).square().mean(0)
    return location, torch.where(scale > SMALLEST_SCALE**2, scale, torch.ones_like(scale)).sqrt()


def standardised(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """In deviations from the mean."""
    return (x - location) / scale
