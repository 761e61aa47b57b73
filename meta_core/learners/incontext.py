"""Prior-fitted networks: a transformer that reads the support set and answers in one pass."""

import contextlib

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from meta_core.backbone import Backbone
from meta_core.closed_readings import READINGS, fourth_moment_scale, read_queries, read_support
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner, learners
from meta_core.learners.cnp import Perceptron
from meta_core.mapped import mapped_over_tasks
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
    closed_forms: bool = Field(
        False,
        description="also read what kernel ridge regressions answer to each row, its own example left out, and how "
        "many rows, columns and classes there are; for tables, where those are hard to beat",
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

    TabPFN instead ties columns and classes to places, up to 100 and 10 of them, and averages over their orders.
    With `closed_forms` a row also holds e_cn, what R kernel ridge regressions say of it without its own mark, and
    their weighted sum is added to the answer: the network learns when to trust which, as in stacking.
    """

    Config = InContextConfig
    config: InContextConfig
    tasks = frozenset({"classification", "regression"})
    needs_meta_training = True
    batches_tasks = True

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
        if config.closed_forms:
            self.closed = nn.Linear(READINGS, width, bias=False)
            self.sizes = nn.Linear(SIZES, width)
            self.trust = nn.Parameter(torch.full((READINGS,), 1.0 / READINGS))

    def adapt(self, support: Support) -> State:
        """Columns [C or T, D, W], keys and values of the rows, each [layers, C or T, N, W], location and scale."""
        y = support.one_hot() if support.ways is not None else support.y
        scales = {"input": location_and_scale(support.x), "target": location_and_scale(y)}
        marks = standardised(y, *scales["target"])  # [N, C or T]
        x = standardised(support.x, *scales["input"])[..., None]  # [N, D, 1]
        columns = self.column(torch.einsum("nc,nfw->cfw", marks, self.relevance(x)) / len(x))
        rows = self._rows(x, columns) + self.mark(marks.T[..., None])  # [C or T, N, W]
        named = {f"{what}_{name}": v for what, pair in scales.items() for name, v in zip(NAMES, pair, strict=True)}
        state = named | {"columns": columns}
        if self.config.closed_forms:
            closed, left_out = self._read(x.squeeze(-1), marks, y)
            state |= closed
            rows = rows + self.closed(left_out) + self.sizes(closed["sizes"])[:, None]
        return state | self._memory(rows)

    def predict(self, state: State, z: Tensor) -> Prediction:
        """Queries attend to the support, never to each other."""
        x = standardised(z, state["input_location"], state["input_scale"])[..., None]
        rows = self._rows(x, state["columns"])  # [C or T, Q, W]
        trusted = torch.zeros_like(rows[..., 0])
        if self.config.closed_forms:
            readings = read_queries(state["dual"], state["examples"], x.squeeze(-1) / state["width"])  # [C or T, Q, R]
            trusted = readings @ self.trust
            rows = rows + self.closed(readings) + self.sizes(state["sizes"])[:, None]
        for layer, keys, values in zip(self.layers, state["keys"], state["values"], strict=True):
            rows = layer(rows, keys, values)
        answer = self.answerer(rows).transpose(0, 1)  # [Q, C or T, 1 or 2]
        if self.task == "classification":
            return Categorical((answer.squeeze(-1) + trusted.T).log_softmax(-1))
        mean, spread = answer[..., 0] + trusted.T, answer[..., 1]  # [Q, T]
        location, scale = state["target_location"], state["target_scale"]
        return Gaussian(location + scale * mean, (scale * (LEAST_DEVIATION + F.softplus(spread))).square())

    def _read(self, x: Tensor, marks: Tensor, y: Tensor) -> tuple[State, Tensor]:
        """What `predict` needs of the closed forms, and their answers to the rows left out, [C or T, N, R]."""
        width = fourth_moment_scale(x)
        dual, left_out = read_support(x / width, marks)
        n, d = torch.tensor(x.shape, dtype=x.dtype, device=x.device).log()
        c = torch.tensor(float(y.shape[1])).to(x).log()
        share = y.mean(0) if self.task == "classification" else torch.zeros_like(y[0])
        sizes = torch.stack([n.expand_as(share), d.expand_as(share), c.expand_as(share), share], -1)  # [C or T, 4]
        return {"dual": dual, "examples": x / width, "width": width, "sizes": sizes}, left_out

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
        split = [z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in (query, keys, values)]  # [C, H, Q or N, K]
        with sdpa_kernel(SDPBackend.MATH) if mapped_over_tasks() else contextlib.nullcontext():  # `vmap` maps no other
            read = F.scaled_dot_product_attention(*split)
        rows = rows + self.out(read.transpose(1, 2).flatten(2))
        added: Tensor = rows + self.mlp(self.before_mlp(rows))
        return added


NAMES = ("location", "scale")
SIZES = 4
"""Logarithms of the numbers of rows, columns and classes, and the share of the class."""


def location_and_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each column, each [D]; 1 for the deviation of a constant."""
    location = x.mean(0)
    scale = (x - location).square().mean(0)
    return location, torch.where(scale > SMALLEST_SCALE**2, scale, torch.ones_like(scale)).sqrt()


def standardised(x: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """In deviations from the mean."""
    return (x - location) / scale
