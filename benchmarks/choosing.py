"""`auto` against every fixed learner, and how far what a model says of itself is true.

Tasks are draws from Omniglot, spoken digits, tables, texts, series and grouped regressions that the base model was not
trained on; of speech, those are trained in 300 steps on two of three speakers, and kept in the home. What is expected
of each learner is learned anew for each dataset, from all datasets but that one and from some thirty others.

python -m benchmarks.choosing [--repeats 10] [--home FOLDER]
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.choosing_tasks import past_sources, sources
from benchmarks.choosing_trials import Said, Trial, chosen, fixed, hits, score, tried
from benchmarks.choosing_trust import fusion, trust
from benchmarks.choosing_unknowns import rejections
from benchmarks.record import write
from meta_core.expectations import learn
from meta_core.experience import Experience
from meta_core.past_tasks import drawn, gathered
from meta_core.process import prepare_process
from meta_core.selection import unscored

PAST_TASKS = 6
"""Of each dataset that is only learned from."""


def main() -> None:
    """Measure all of it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=10, help="draws of each dataset and number of shots")
    arguments.add_argument("--home", type=Path, default=Path(".shotput/choosing"), help="for recordings and bodies")
    given = arguments.parse_args()
    prepare_process(1)
    trials: list[Trial] = []
    for source in sources(given.home):
        trials += tried(source, given.repeats)
        print(source.dataset, len(trials), flush=True)
    past: list[Experience] = []
    for source in past_sources():
        tasks = drawn(source, PAST_TASKS, torch.Generator().manual_seed(0))
        past += gathered(
            source.dataset, tasks, costly_every=PAST_TASKS + 1, report=lambda done: None, shape=source.shape
        )
        print(source.dataset, len(past), flush=True)
    rows = [*choices(trials, past), *rejections()]
    for row in rows:
        print(row, flush=True)
    write("choosing", f"python -m benchmarks.choosing --repeats {given.repeats}", rows)


def choices(trials: Sequence[Trial], past: Sequence[Experience]) -> Iterator[dict[str, Any]]:
    """Ranks and regrets, combinations beside members, and how far what models say of themselves is true."""
    said: list[tuple[Trial, dict[str, Said]]] = []
    for dataset in dict.fromkeys(dataset_of(trial) for trial in trials):
        print("without", dataset, flush=True)
        own = [trial for trial in trials if dataset_of(trial) == dataset]
        others = [one for trial in trials if dataset_of(trial) != dataset for one in trial.found]
        task = own[0].episode.support.task
        selection = learn([one for one in (*past, *others) if one.task == task], {})
        said += [(trial, {**fixed(trial, selection), "auto": chosen(trial, selection)}) for trial in own]
    for task in ("classification", "regression"):
        of_task = [(trial, by) for trial, by in said if trial.episode.support.task == task]
        yield from comparison(task, of_task)
        yield from fusion(task, of_task)
        yield from trust(task, of_task)


def dataset_of(trial: Trial) -> str:
    """All speakers are of one."""
    return trial.source.dataset.split(" by ", 1)[0]


def comparison(task: str, said: Sequence[tuple[Trial, dict[str, Said]]]) -> Iterator[dict[str, Any]]:
    """Mean rank and regret of every learner, what an oracle of settings would regret, and how often `auto` took which.

    The oracle of settings takes the learner that was best on the other draws of the same dataset and number of shots.
    """
    names = [name for name in said[0][1] if all(name in by for _, by in said)]
    table = np.array([[score(by[name], trial) for name in names] for trial, by in said])  # [T, L]
    is_fixed = np.array([name != "auto" for name in names])
    best = table[:, is_fixed].min(1)
    for i, name in enumerate(names):
        ranks = 1 + (table < table[:, i : i + 1] - 1e-9).sum(1)
        row = {"task": task, "learner": name, "rank": float(ranks.mean()), "tasks": len(table)}
        row["regret"] = float((table[:, i] - best).mean())
        losses = [
            [unscored(value, trial.episode.support.task) for value in (mine, least)]
            for mine, least, (trial, _) in zip(table[:, i], best, said, strict=True)
        ]
        row["regret in nats"] = float(np.mean([mine - least for mine, least in losses]))
        if task == "classification":
            row["accuracy"] = torch.cat([hits(by[name].sure, t.episode.y) for t, by in said]).mean().item()
        yield row
    yield {
        "task": task,
        "oracle of settings": settings_regret(table[:, is_fixed], [(t.source.dataset, t.shots) for t, _ in said]),
    }
    taken: dict[str, int] = defaultdict(int)
    for _, by in said:
        taken[by["auto"].learner] += 1
    yield {"task": task, "auto took": dict(taken)}


def settings_regret(table: np.ndarray, settings: Sequence[Any]) -> float:
    """Of the learner with the least mean on the other tasks of a setting, a mean over tasks [T, L] that have such."""
    regrets = []
    for i, setting in enumerate(settings):
        others = [j for j, one in enumerate(settings) if one == setting and j != i]
        if others:
            regrets.append(table[i, table[others].mean(0).argmin()] - table[i].min())
    return float(np.mean(regrets))


if __name__ == "__main__":
    main()
