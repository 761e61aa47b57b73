"""Memory-augmented networks."""

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.learner import Learner, learners
from meta_core.row_order import canonical_orders
from meta_core.types import Categorical, State, Support, Task


class MANNConfig(Config):
    """Size of the controller and of its memory, and how often the examples are read."""

    width: int = Field(64, ge=4, le=4096, description="of the controller", json_schema_extra=MADE_WITH_THE_WEIGHTS)
    slots: int = Field(
        32,
        ge=2,
        le=1024,
        description="places in the memory: with more examples than that the least used are overwritten",
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
    )
    slot_width: int = Field(32, ge=1, le=1024, json_schema_extra=MADE_WITH_THE_WEIGHTS)
    orders: int = Field(4, ge=1, le=64, description="orders in which the examples are read, each into its own memory")
    decay: float = Field(0.95, ge=0, lt=1, description="of how much a slot was used, per example")


class Memory(NamedTuple):
    """Controller [R, C, W] twice, slots [R, C, S, M], how much they were used and last read, each [R, C, S]."""

    hidden: Tensor
    cell: Tensor
    slots: Tensor
    used: Tensor
    read: Tensor


@learners.register("mann")
class MANN(Learner):
    """A recurrent controller writes the examples into an external memory, one by one (arXiv:1605.06065).

    At each example, with its embedding z and the label y of the one before ("one step late"):

        h = LSTM([z, y]),  k = tanh(K[h, z])
        M[least used] ← 0,  w = σ(α)·(last read) + (1 − σ(α))·(least used),  M ← M + w kᵀ
        read = softmax_i(β · cos(k, M_i)),  used ← decay · used + read + w,  logit = g([h, read · M])

    Every class is a memory of its own, written by the same network with labels ±1 (0 before the first), so that any
    number works in any order. The examples are read in R orders, along fixed projections of their embeddings, and the
    mean of the R answers counts, so that theirs does not matter either (of examples with equal embeddings and
    different labels it does). Queries read and do not write. The sharpness β and the embedding in the key are ours: a
    softmax over bare cosines cannot be sharper than e² to 1, and a key from h alone is learned four times more slowly.
    """

    Config = MANNConfig
    config: MANNConfig
    needs_meta_training = True
    size_limits = "with more examples (ways · shots) than `slots`, the least used are forgotten"

    def __init__(self, backbone: Backbone, config: MANNConfig, task: Task) -> None:
        super().__init__(backbone, config, task)
        self.controller = nn.LSTMCell(backbone.dimension + 1, config.width)
        self.key = nn.Linear(config.width + backbone.dimension, config.slot_width)
        self.gate = nn.Parameter(torch.zeros(()))
        self.log_sharpness = nn.Parameter(torch.tensor(8.0).log())
        self.answerer = nn.Linear(config.width + config.slot_width, 1, bias=False)

    def adapt(self, support: Support) -> State:
        """Controllers, slots, and the labels that are still late, [R, C]."""
        orders = canonical_orders(support.x, self.config.orders)  # [R, N]
        marks = (2 * support.one_hot() - 1)[orders]  # [R, N, C]
        late = torch.cat([torch.zeros_like(marks[:, :1]), marks[:, :-1]], 1)
        memory = self._blank(marks[:, 0])
        for z, label in zip(support.x[orders].unbind(1), late.unbind(1), strict=True):
            memory = self._write(memory, z, label)
        return {"hidden": memory.hidden, "cell": memory.cell, "slots": memory.slots, "label": marks[:, -1]}

    def predict(self, state: State, z: Tensor) -> Categorical:
        """Each query as the next example of every class, the mean of what is said after each order."""
        label = state["label"].expand(len(z), -1, -1)  # [Q, R, C]
        shown = z[:, None, None].expand(*label.shape, -1)  # [Q, R, C, D]
        before = [state[name].expand(*label.shape, -1) for name in ("hidden", "cell")]
        hidden, _ = self._control(shown, label, before[0], before[1])
        read = self._read(self._key(hidden, shown), state["slots"])  # [Q, R, C, S]
        recalled = torch.einsum("qrcs,rcsm->qrcm", read, state["slots"])
        logits = self.answerer(torch.cat([hidden, recalled], -1)).squeeze(-1)  # [Q, R, C]
        return Categorical(logits.mean(1).log_softmax(-1))

    def _write(self, memory: Memory, z: Tensor, label: Tensor) -> Memory:
        """The memory after an example [R, D] of each order, and the late labels [R, C]."""
        shown = z[:, None].expand(*label.shape, -1)  # [R, C, D]
        hidden, cell = self._control(shown, label, memory.hidden, memory.cell)
        key = self._key(hidden, shown)  # [R, C, M]
        least = F.one_hot(memory.used.detach().argmin(-1), self.config.slots).to(z)  # [R, C, S]
        share = self.gate.sigmoid()
        written = share * memory.read + (1 - share) * least
        slots = memory.slots * (1 - least)[..., None] + written[..., None] * key[..., None, :]
        read = self._read(key, slots)
        return Memory(hidden, cell, slots, self.config.decay * memory.used + read + written, read)

    def _control(self, shown: Tensor, label: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """The controller's next state, [..., W] twice."""
        inputs = torch.cat([shown, label[..., None]], -1)
        after = self.controller(inputs.flatten(0, -2), (hidden.flatten(0, -2), cell.flatten(0, -2)))
        return after[0].view_as(hidden), after[1].view_as(cell)

    def _key(self, hidden: Tensor, shown: Tensor) -> Tensor:
        key: Tensor = self.key(torch.cat([hidden, shown], -1)).tanh()
        return key

    def _read(self, key: Tensor, slots: Tensor) -> Tensor:
        likeness = torch.einsum("...rcm,rcsm->...rcs", F.normalize(key, dim=-1), F.normalize(slots, dim=-1))
        return (self.log_sharpness.exp() * likeness).softmax(-1)

    def _blank(self, like: Tensor) -> Memory:
        c = self.config
        sizes = ((c.width,), (c.width,), (c.slots, c.slot_width), (c.slots,), (c.slots,))
        return Memory(*(like.new_zeros(*like.shape, *size) for size in sizes))
