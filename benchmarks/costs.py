"""What a learner costs: time of one core, and bytes kept."""

import statistics
import time
from dataclasses import replace

import torch

from meta_core.episodes import Size, TaskSource
from meta_core.learner import Learner

TIMED_TASKS = 15


def measure_costs(learner: Learner, source: TaskSource, size: Size) -> dict[str, float]:
    """Milliseconds of one core to adapt, with encoding, and to answer one input, in the median; bytes of state."""
    rng = torch.Generator().manual_seed(0)
    adapting, answering, kept = [], [], 0
    with torch.no_grad():
        for _ in range(TIMED_TASKS):
            episode = source.draw(size, rng)
            started = time.process_time()
            support = episode.support
            state = learner.adapt(replace(support, x=learner.encode(support.x)))
            adapted = time.process_time()
            learner.predict(state, learner.encode(episode.x[:1]))
            answering.append(1000 * (time.process_time() - adapted))
            adapting.append(1000 * (adapted - started))
            kept = sum(value.nbytes for value in state.values())
    medians = {"adapt_ms": statistics.median(adapting), "predict_ms": statistics.median(answering)}
    return {**medians, "state_bytes": kept}
