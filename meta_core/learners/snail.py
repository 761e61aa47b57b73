"""A simple neural attentive learner: causal convolutions and attention over the support as a sequence."""

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner, learners
from meta_core.row_order import canonical_order
from meta_core.types import Categorical, State, Support, Task


class SNAILConfig(Config):
    """How far back the convolutions reach, and how wide each layer is."""

    reach: int = Field(
        32,
        ge=2,
        le=4096,
        description="examples (ways · shots) that the convolutions see; those further back are seen by attention only",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )
    filters: int = Field(16, ge=1, le=1024, description="of a convolution", json_schema_extra=MADE_WITH_THE_WEIGHTS)
    attention: int = Field(
        32, ge=1, le=1024, description="width of keys and values", json_schema_extra=MADE_WITH_THE_WEIGHTS
    )


@learners.register("snail")
class SNAIL(Learner):
    """Attention and dilated causal convolutions, in turn, over the examples and then the query (arXiv:1707.03141).

    With W the width so far, each layer adds its columns to what it reads, [x_t, new], of the rows up to t:

        convolution, dilation d = 1, 2, 4 … reach / 2     tanh(F[x_{t−d}, x_t]) ⊙ σ(G[x_{t−d}, x_t])
        attention                                         softmax_{s ≤ t}(q(x_t) · k(x_s) / √K) · v(x_s)

    The paper's order: attention, convolutions, attention, convolutions, attention. Every class is a sequence of its
    own for the same network, with labels ±1 (0 for the query), so that any number works in any order; and the examples
    come in the order of a fixed projection of their embeddings, so that theirs does not matter either (of examples
    with equal embeddings and different labels it does). A query comes after the last example and sees no other.
    """

    Config = SNAILConfig
    config: SNAILConfig
    needs_meta_training = True
    size_limits = "meta-train with `reach` ≥ ways · shots: the convolutions see no further back, only attention does"

    def __init__(self, backbone: Backbone, config: SNAILConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        dilations = [2**i for i in range(math.ceil(math.log2(config.reach)))]
        width = backbone.dimension + 1
        self.layers = nn.ModuleList()
        for dilation in (0, *dilations, 0, *dilations, 0):
            layer = Convolution(width, config.filters, dilation) if dilation else Attention(width, config.attention)
            self.layers.append(layer)
            width += config.filters if dilation else config.attention
        self.answerer = nn.Linear(width, 1, bias=False)

    def adapt(self, support: Support) -> State:
        """What each layer needs of the examples to read one more: a past row [C, W], or keys and values [C, N, K]."""
        order = canonical_order(support.x)
        marks = 2 * support.one_hot()[order].T - 1  # [C, N]
        rows = torch.cat([support.x[order].expand(len(marks), -1, -1), marks[..., None]], -1)  # [C, N, D + 1]
        state: State = {}
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, Convolution | Attention)
            state |= {f"{i}.{name}": value for name, value in layer.remember(rows).items()}
            rows = layer(rows)
        return state

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Each query as the row after the last example, in every class."""
        ways = len(state["0.keys"])
        rows = torch.cat([z, torch.zeros_like(z[:, :1])], -1).expand(ways, -1, -1)  # [C, Q, D + 1]
        for i, layer in enumerate(self.layers):
            assert isinstance(layer, Convolution | Attention)
            rows = layer.next(rows, {name: state[f"{i}.{name}"] for name in layer.remembers})
        return Categorical(self.answerer(rows).squeeze(-1).T.log_softmax(-1))


class Convolution(nn.Module):
    """A gated causal convolution over two rows, `dilation` apart; zeros before the first."""

    remembers = ("past",)

    def __init__(self, width: int, filters: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.filter, self.gate = nn.Linear(2 * width, filters), nn.Linear(2 * width, filters)

    def remember(self, rows: Tensor) -> State:
        """The row that the next one looks back to, [C, W]."""
        return {"past": self._padded(rows)[:, rows.shape[1]]}

    def forward(self, rows: Tensor) -> Tensor:
        """[C, N, W] to [C, N, W + filters]."""
        return self._joined(self._padded(rows)[:, : rows.shape[1]], rows)

    def next(self, rows: Tensor, memory: State) -> Tensor:
        """The same for rows [C, Q, W] that would each come next."""
        return self._joined(memory["past"][:, None].expand_as(rows), rows)

    def _padded(self, rows: Tensor) -> Tensor:
        return F.pad(rows, (0, 0, self.dilation, 0))  # row t is the one at t − dilation

    def _joined(self, past: Tensor, rows: Tensor) -> Tensor:
        both = torch.cat([past, rows], -1)
        return torch.cat([rows, self.filter(both).tanh() * self.gate(both).sigmoid()], -1)


class Attention(nn.Module):
    """Attention of each row to itself and those before it."""

    remembers = ("keys", "values")

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner, bias=False)  # a bias moves all rows alike: no gradient
        self.value = nn.Linear(width, inner)

    def remember(self, rows: Tensor) -> State:
        """Keys and values, each [C, N, K]."""
        return {"keys": self.key(rows), "values": self.value(rows)}

    def forward(self, rows: Tensor) -> Tensor:
        """[C, N, W] to [C, N, W + K]."""
        query, key, value = self.query(rows), self.key(rows), self.value(rows)
        return torch.cat([rows, F.scaled_dot_product_attention(query, key, value, is_causal=True)], -1)

    def next(self, rows: Tensor, memory: State) -> Tensor:
        """The same for rows [C, Q, W] that would each come next."""
        query, own_key, own_value = self.query(rows), self.key(rows), self.value(rows)
        logits = torch.cat([query @ memory["keys"].mT, (query * own_key).sum(-1, keepdim=True)], -1)  # [C, Q, N + 1]
        weights = (logits / math.sqrt(query.shape[-1])).softmax(-1)
        read = weights[..., :-1] @ memory["values"] + weights[..., -1:] * own_value
        return torch.cat([rows, read], -1)
