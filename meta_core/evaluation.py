"""How good a learner is on tasks it has not seen."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from meta_core.episodes import Size, TaskSource
from meta_core.learner import Learner
from meta_core.types import Categorical, Episode, Prediction

BINS = 15


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Means over tasks; `interval` is the half-width of the 95 % interval of the first score.

    Classification has `accuracy` and `ece` (15 bins); regression has `mse`. `nll` is in nats per query, and
    `episode_hash` tells whether two evaluations saw the same tasks.
    """

    tasks: int
    accuracy: float | None = None
    mse: float | None = None
    interval: float
    nll: float
    ece: float | None = None
    episode_hash: str


@torch.no_grad()
def evaluate(
    learner: Learner,
    source: TaskSource,
    size: Size,
    tasks: int,
    rng: torch.Generator,
    *,
    report: Callable[[int], None] = lambda done: None,
    watch: Callable[[Episode, Prediction], None] = lambda episode, prediction: None,
) -> Evaluation:
    """Adapt to and grade `tasks` episodes, each by itself, inductively; `watch` sees each with its answers."""
    device = next(iter([*learner.parameters(), *learner.buffers()]), torch.empty(0)).device
    digest = hashlib.sha256()
    scores: list[float] = []
    nll: list[float] = []
    confidence: list[Tensor] = []
    correct: list[Tensor] = []
    for done in range(1, tasks + 1):
        episode = source.draw(size, rng)
        _add_to_hash(digest, episode)
        episode = episode.to(device)
        prediction = answer(learner, episode)
        watch(episode, prediction)
        nll.append(prediction.nll(episode.y).mean().item())
        if isinstance(prediction, Categorical):
            best, label = prediction.log_probabilities.max(-1)
            confidence.append(best.exp())
            correct.append((label == episode.y).float())
            scores.append(correct[-1].mean().item())
        else:
            scores.append((prediction.mean - episode.y).square().mean().item())
        report(done)
    mean, interval = mean_and_interval(scores)
    classification = bool(correct)
    return Evaluation(
        tasks=tasks,
        accuracy=mean if classification else None,
        mse=None if classification else mean,
        interval=interval,
        nll=sum(nll) / tasks,
        ece=expected_calibration_error(torch.cat(confidence), torch.cat(correct)) if classification else None,
        episode_hash=digest.hexdigest()[:16],
    )


def answer(learner: Learner, episode: Episode) -> Prediction:
    """What a learner says to the queries of one episode."""
    encoded = learner.encode_episode(episode)
    return learner.predict(learner.adapt(encoded.support), encoded.x)


def mean_and_interval(scores: list[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval, 1.96 · s / √n."""
    values = torch.tensor(scores, dtype=torch.float64)
    spread = values.std().item() if len(values) > 1 else 0.0
    return values.mean().item(), 1.96 * spread / math.sqrt(len(values))


def expected_calibration_error(confidence: Tensor, correct: Tensor) -> float:
    """Mean distance of confidence and accuracy over 15 equal bins, weighted by how many fall in each."""
    bins = calibration_bins(confidence)
    gap = torch.zeros(BINS, device=confidence.device).index_add_(0, bins, confidence - correct)
    return (gap.abs().sum() / len(confidence)).item()


def calibration_bins(confidence: Tensor) -> Tensor:
    """Which of the equal bins each confidence falls in."""
    return (confidence * BINS).long().clamp(max=BINS - 1)


def _add_to_hash(digest: "hashlib._Hash", episode: Episode) -> None:
    for tensor in (episode.support.x, episode.support.y, episode.x, episode.y):
        digest.update(tensor.contiguous().numpy().tobytes())
