"""`auto` against every fixed learner, and how far what a model says of itself is true.

Tasks are draws from Omniglot, spoken digits, tables, texts, series and grouped regressions that the base model was not
trained on; of speech, that is one trained in 300 steps on the other two speakers, and kept in the home. What is
expected of each learner is learned anew for each dataset, from all datasets but that one.

python -m benchmarks.choosing [--repeats 2] [--home FOLDER]
"""

import argparse
import csv
import functools
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.record import SHARED_DATA, write
from benchmarks.series import load as load_series
from benchmarks.speech import RECIPE, trained
from benchmarks.spoken_digits import write_recordings
from benchmarks.text import OUTSIDE, labelled
from meta_core import auto
from meta_core.base import Base, unpack_base
from meta_core.calibration import calibrated, calibration_of
from meta_core.catalogue import SHIPPED
from meta_core.conformal import strangeness, threshold
from meta_core.dataset import build_dataset
from meta_core.datasets.omniglot import Omniglot, OmniglotConfig
from meta_core.datasets.tables import Tables, TablesConfig
from meta_core.episodes import ClassSource, Size, TaskSource
from meta_core.errors import InvalidParameter, InvalidRequest
from meta_core.evaluation import expected_calibration_error
from meta_core.experience import Experience, experiences, learn
from meta_core.learner import Learner
from meta_core.modality import build_modality
from meta_core.past_tasks import Source, embedded, unbalanced, usable_learners
from meta_core.process import prepare_process
from meta_core.quality import HeldOut, adapt_and_leave_out, sparable
from meta_core.recipe import Recipe
from meta_core.selection import Selection, known_as, scored
from meta_core.task_features import task_features
from meta_core.types import Categorical, Episode, Gaussian, Prediction, Support, Task
from meta_core.unknown import class_means, learn_novelty, unknown_of
from meta_core.widths import width_90

SHOTS = (1, 2, 5, 10, 20)
POINTS = (5, 10, 20, 40)
TABLES = ("balance_scale", "breast_w", "cmc", "credit_approval", "glass", "ionosphere", "penguins", "vehicle", "vowel")
SERIES = ("ECG200", "GunPoint", "SwedishLeaf", "BasicMotions")
TEXTS = ("banking77", "clinc150")
GROUPED = ("sleepstudy", "oxboys", "milk", "exam_london", "gapminder", "ovary")
SPEAKER, SPEECH_STEPS = "george", 300
HALVINGS = 10
"""Of the queries of a setting, to tell the best member by one half and compare with it on the other."""
THREE: dict[Task, list[str]] = {"classification": ["ridge", "gp", "simpleshot"], "regression": ["ridge", "gp"]}
COMBINED = ("average", "stack")


@dataclass(frozen=True)
class Trial:
    """One task, embedded; what each learner did; and what combinations of three did."""

    source: Source
    shots: int
    even: bool
    episode: Episode
    shape: tuple[int, ...]
    found: list[Experience]
    combined: dict[str, tuple[HeldOut | None, Prediction]]


@dataclass(frozen=True)
class Said:
    """Calibrated answers of a learner to the queries of a task, those not calibrated, and to its left out."""

    learner: str
    plain: Prediction
    sure: Prediction
    held_out: HeldOut | None
    calibration: float
    width: float


def main() -> None:
    """Measure all of it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--repeats", type=int, default=2, help="draws of each dataset and number of shots")
    arguments.add_argument("--home", type=Path, default=Path(".shotput/choosing"), help="for recordings and a body")
    given = arguments.parse_args()
    prepare_process(1)
    trials: list[Trial] = []
    for source in sources(given.home):
        trials += tried(source, given.repeats)
        print(source.dataset, len(trials), flush=True)
    rows = [*choices(trials), *rejections()]
    for row in rows:
        print(row, flush=True)
    write("choosing", f"python -m benchmarks.choosing --repeats {given.repeats}", rows)


@functools.cache
def shipped(name: str) -> Base:
    """A base model that comes with the program."""
    return unpack_base((SHIPPED / f"{name}.safetensors").read_bytes())


def sources(home: Path) -> Iterator[Source]:
    """Where tasks come from, embedded where their inputs are always read alike."""
    characters = Omniglot(SHARED_DATA / "omniglot", OmniglotConfig(rotations=False)).source("test")
    yield embedded("omniglot", shipped("omniglot"), characters)
    yield speech(home)
    for name in TEXTS:
        yield texts(name)
    for name in SERIES:
        x, y, _ = load_series(name)
        base = shipped("series")
        reader = base.modality()
        kept = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:200]
        rows = [x[i] for i in kept.tolist()]
        yield embedded(name, base, ClassSource(reader.read(rows, reader.describe(rows)), torch.from_numpy(y)[kept]))
    folder = SHARED_DATA / "tabular_classification"
    for name in TABLES:
        yield Source(name, shipped("table"), Tables(folder, TablesConfig(path=name)).source("test"))
    for path in sorted((SHARED_DATA / "tabular_regression").glob("[a-z]*.csv")):
        config = TablesConfig(path=path.stem, task="regression")
        yield Source(path.stem, shipped("table"), Tables(path.parent, config).source("test"))
    for name in GROUPED:
        yield Source(name, shipped("table"), Grouped(SHARED_DATA / "grouped_regression" / f"{name}.csv"))


def speech(home: Path) -> Source:
    """Digits of a speaker never heard."""
    write_recordings(home / "audio")
    recipe = Recipe.parse(json.loads(RECIPE.read_text()), "recipe")
    values = {**recipe.dataset_params, "held_out": [SPEAKER]}
    training = recipe.training.model_copy(update={"steps": SPEECH_STEPS})
    recipe = recipe.model_copy(update={"dataset_params": values, "training": training})
    base = trained(recipe, home / f"without-{SPEAKER}.safetensors", home)
    (recordings,) = build_dataset("audio", home / "audio", values).source("test").groups  # type: ignore[attr-defined]
    return embedded("spoken_digits", base, recordings)


def texts(name: str) -> Source:
    """Sentences of the official test set, of forty intents."""
    base, sentences = shipped("text-minilm"), labelled(f"{name}/{name}.jsonl", "test")
    classes = sorted({label for label in sentences.labels if label != OUTSIDE})[::3][:40]
    chosen = [i for i, label in enumerate(sentences.labels) if label in classes]
    x = base.modality().read([sentences.texts[i] for i in chosen], {})
    y = torch.tensor([classes.index(sentences.labels[i]) for i in chosen])
    return embedded(name, base, ClassSource(x, y))


class Grouped(TaskSource):
    """Tasks of one subject, school or country each."""

    task: Task = "regression"

    def __init__(self, path: Path) -> None:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        self.groups: dict[str, list[dict[str, str]]] = defaultdict(list)
        for row in rows:
            if all(row.values()):
                self.groups[row["group"]].append(row)
        self.target = list(rows[0])[-1]
        self.shape = ()

    def draw(self, size: Size, rng: torch.Generator) -> Episode:
        """`shots` rows of a group; all others of it are asked."""
        large = [rows for rows in self.groups.values() if len(rows) > size.shots + 1]
        if not large:
            raise InvalidRequest(f"no group has more than {size.shots} rows")
        rows = large[int(torch.randint(len(large), (), generator=rng))]
        rows = [rows[i] for i in torch.randperm(len(rows), generator=rng).tolist()]
        reader = build_modality("table", {})
        inputs = [{k: _cell(v) for k, v in row.items() if k not in ("group", self.target)} for row in rows]
        y = torch.tensor([[float(row[self.target])] for row in rows])
        description = reader.describe(inputs[: size.shots])
        x = reader.read(inputs, description)
        return Episode(Support(x[: size.shots], y[: size.shots], None), x[size.shots :], y[size.shots :])


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@functools.lru_cache(maxsize=16)
def usual(base: Base, task: Task, shape: tuple[int, ...]) -> dict[str, Learner]:
    """Every learner that is not chosen."""
    return usable_learners(base, task, shape, costly=False)


@functools.lru_cache(maxsize=32)
def built(base: Base, name: str, params: str, shape: tuple[int, ...], task: Task) -> Learner:
    """A learner by its name and parameters."""
    return base.learner_for(name, json.loads(params), shape, task)


@torch.no_grad()
def tried(source: Source, repeats: int) -> Iterator[Trial]:
    """Tasks of every size, even and uneven by turns."""
    rng = torch.Generator().manual_seed(0)
    regression = source.tasks.task == "regression"
    for number in range(repeats * 5):
        shots = (POINTS if regression else SHOTS)[number % (4 if regression else 5)]
        ways = 2 + int(torch.randint(9, (), generator=rng))
        if isinstance(source.tasks, ClassSource):
            ways = min(ways, len(source.tasks.members))
        even = regression or number // 5 % 2 == 0
        try:
            episode = source.tasks.draw(Size(ways=ways, shots=shots, queries=40 if regression else 10), rng)
        except InvalidRequest:
            continue
        if not even:
            episode = replace(episode, support=unbalanced(episode.support, rng))
        shape = source.shape or tuple(episode.x.shape[1:])
        usable = usual(source.base, episode.support.task, shape)
        found = list(experiences(episode, source.base, usable, dataset=source.dataset, number=number))
        members = THREE[episode.support.task]
        combined = {}
        for name in COMBINED:
            learner = built(source.base, name, json.dumps({"members": members}), shape, episode.support.task)
            state, held_out = adapt_and_leave_out(learner, episode.support)
            combined[name] = held_out, learner.predict(state, episode.x)
        yield Trial(source, shots, even, episode, shape, found, combined)


def choices(trials: Sequence[Trial]) -> Iterator[dict[str, Any]]:
    """Ranks and regrets, combinations beside members, and how far what models say of themselves is true."""
    said: list[tuple[Trial, dict[str, Said]]] = []
    for dataset in dict.fromkeys(trial.source.dataset for trial in trials):
        print("without", dataset, flush=True)
        others = [one for trial in trials if trial.source.dataset != dataset for one in trial.found]
        selection = learn(others, {})
        own = (trial for trial in trials if trial.source.dataset == dataset)
        said += [(trial, {**fixed(trial, selection), "auto": chosen(trial, selection)}) for trial in own]
    for task in ("classification", "regression"):
        of_task = [(trial, by) for trial, by in said if trial.episode.support.task == task]
        yield from comparison(task, of_task)
        yield from fusion(task, of_task)
        yield from trust(task, of_task)


def fixed(trial: Trial, selection: Selection) -> dict[str, Said]:
    """Every learner that is not chosen, the base model's own as `own`."""
    task, base = trial.episode.support.task, trial.source.base
    own = known_as(base, base.spec.learners[task][0], task)
    found = {}
    for one in trial.found:
        found[one.learner] = calibrate(one.learner, one.asked[0], one.held_out, selection, trial.episode.support)
    found["own learner"] = found.pop(own) if own == "trained" else found[own]
    for name, (held_out, asked) in trial.combined.items():
        found[f"{name} of {len(THREE[task])}"] = calibrate("stack", asked, held_out, selection, trial.episode.support)
    return found


@torch.no_grad()
def chosen(trial: Trial, selection: Selection) -> Said:
    """What the service would answer."""
    base, support = trial.source.base, trial.episode.support

    def build(name: str, params: Mapping[str, Any]) -> Learner:
        return built(base, name, json.dumps(params), trial.shape, support.task)

    names = auto.candidates(base, support.task, auto.AutoConfig())
    choice = auto.choose(names, build, support, selection, base=base, budget_ms=auto.AutoConfig().budget_ms)
    learner = build(choice.learner, choice.params)
    state, held_out = choice.adapt(learner, support)
    name = known_as(base, choice.learner, support.task)
    return calibrate(name, learner.predict(state, trial.episode.x), held_out, selection, support)


def calibrate(name: str, plain: Prediction, held_out: HeldOut | None, selection: Selection, support: Support) -> Said:
    """As the engine does."""
    task = support.task
    usual = selection.calibration(task, name, task_features(support))
    calibration = calibration_of(*held_out, usual) if held_out else usual.untold
    width = width_90(held_out, calibration, selection.residuals(task, name)) if task == "regression" else math.nan
    return Said(name, plain, calibrated(plain, calibration), held_out, calibration, width)


def score(said: Said, trial: Trial) -> float:
    """On the scale on which learners are compared; lower is better."""
    y, support = trial.episode.y, trial.episode.support
    loss = said.sure.nll(y).mean().item()
    if support.task == "regression":
        deviation = (support.y - support.y.mean(0)).square().mean(0).sqrt().clamp(min=1e-12)
        loss = (loss - deviation.log().sum().item()) / y.shape[1]
    return scored(loss, support.task)


def hits(prediction: Prediction, y: Tensor) -> Tensor:
    """Which queries are answered rightly, [Q]."""
    assert isinstance(prediction, Categorical)
    return (prediction.log_probabilities.argmax(-1) == y).double()


def comparison(task: str, said: Sequence[tuple[Trial, dict[str, Said]]]) -> Iterator[dict[str, Any]]:
    """Mean rank and regret of every learner, and how often `auto` took which."""
    names = [name for name in said[0][1] if all(name in by for _, by in said)]
    table = np.array([[score(by[name], trial) for name in names] for trial, by in said])  # [T, L]
    is_fixed = np.array([name != "auto" for name in names])
    regret = table - table[:, is_fixed].min(1, keepdims=True)
    for i, name in enumerate(names):
        ranks = 1 + (table < table[:, i : i + 1] - 1e-9).sum(1)
        row = {"task": task, "learner": name, "rank": ranks.mean(), "regret": regret[:, i].mean(), "tasks": len(table)}
        if task == "classification":
            row["accuracy"] = torch.cat([hits(by[name].sure, t.episode.y) for t, by in said]).mean().item()
        yield {key: float(value) if key in ("rank", "regret") else value for key, value in row.items()}
    taken: dict[str, int] = defaultdict(int)
    for _, by in said:
        taken[by["auto"].learner] += 1
    yield {"task": task, "auto took": dict(taken)}


def fusion(task: str, said: Sequence[tuple[Trial, dict[str, Said]]]) -> Iterator[dict[str, Any]]:
    """Combinations beside the best of their members, by dataset and shots.

    The best by hindsight is the luckiest too; beside it stands the one that was best on the other half of the queries
    (of classes), or on the other tasks (of targets).
    """
    members = THREE[task]  # type: ignore[index]
    for name in (f"{combined} of {len(members)}" for combined in COMBINED):
        gains, fair, better = [], [], []
        groups: dict[Any, list[tuple[Trial, dict[str, Said]]]] = defaultdict(list)
        for trial, by in said:
            groups[trial.source.dataset, trial.shots].append((trial, by))
        for (_, shots), some in groups.items():

            def quality(who: str, some: list[tuple[Trial, dict[str, Said]]] = some) -> float:
                if task == "classification":
                    return 100 * torch.cat([hits(by[who].sure, t.episode.y) for t, by in some]).mean().item()
                return -float(np.mean([score(by[who], t) for t, by in some]))

            gain = quality(name) - max(quality(member) for member in members)
            gains.append(gain)
            fair.append(fair_gain(qualities(name, some), [qualities(member, some) for member in members]))
            better += [fair[-1] > 0] if shots >= 5 else []
        yield {
            "task": task,
            "combination": name,
            "gain over best member": float(np.mean(gains)),
            "gain over the member best on other queries": float(np.nanmean(fair)),
            "better at 5 shots and more": float(np.mean(better)),
            "settings": len(gains),
        }


def qualities(who: str, some: Sequence[tuple[Trial, dict[str, Said]]]) -> Tensor:
    """Points of each query of classes; of targets minus the score of each task."""
    if some[0][0].episode.support.task == "classification":
        return 100 * torch.cat([hits(by[who].sure, t.episode.y) for t, by in some])
    return torch.tensor([-score(by[who], t) for t, by in some])


def fair_gain(combined: Tensor, members: Sequence[Tensor]) -> float:
    """Over the member that is best on the other half, a mean over halvings; not a number where there is but one."""
    rng = torch.Generator().manual_seed(0)
    gains = []
    for _ in range(HALVINGS if len(combined) > 1 else 0):
        halves = torch.randperm(len(combined), generator=rng).tensor_split(2)
        for told, asked in (halves, halves[::-1]):
            best = max(members, key=lambda one: one[told].mean().item())
            gains.append((combined[asked].mean() - best[asked].mean()).item())
    return float(np.mean(gains)) if gains else math.nan


def trust(task: str, said: Sequence[tuple[Trial, dict[str, Said]]]) -> Iterator[dict[str, Any]]:
    """Calibration, coverage, and leaving one out against the truth, of what `auto` made."""
    some = [(trial, by["auto"]) for trial, by in said if trial.shots >= 5 and by["auto"].held_out is not None]
    conformal = []
    for trial, one in some:
        try:
            limit = threshold(strangeness(one.held_out, one.calibration), 0.9)
        except InvalidParameter:
            continue
        y = trial.episode.y
        strange = strangeness((one.plain, y), one.calibration)
        conformal.append(np.mean(np.array(strange) <= limit + 1e-9))
    yield {"task": task, "conformal coverage of 0.9": float(np.mean(conformal)), "tasks": len(conformal)}
    if task == "regression":
        for few, points in ((True, "at most 10 points"), (False, "more points")):
            inside, normal = [], []
            for trial, by in said:
                one = by["auto"]
                assert isinstance(one.sure, Gaussian)
                if (trial.shots <= 10) == few:
                    z = (trial.episode.y - one.sure.mean).abs() / one.sure.variance.sqrt()
                    inside.append((z <= one.width).double().mean().item())
                    normal.append((z <= 1.645).double().mean().item())
            yield {"intervals": points, "covered": float(np.mean(inside)), "normal": float(np.mean(normal))}
        return
    for modality in dict.fromkeys(trial.source.base.spec.modality for trial, _ in some):
        of_it = [(t, one) for t, one in some if t.source.base.spec.modality == modality]
        before, after = (ece([(getattr(one, which), t.episode.y) for t, one in of_it]) for which in ("plain", "sure"))
        yield {"modality": modality, "ece before": before, "ece after": after, "tasks": len(of_it)}
    left_out = np.array([hits(one.held_out[0], one.held_out[1]).mean().item() for _, one in some if one.held_out])
    true = np.array([hits(one.sure, t.episode.y).mean().item() for t, one in some])
    bias = 100 * float((left_out - true).mean())
    yield {"left out against true accuracy": float(np.corrcoef(left_out, true)[0, 1]), "bias": bias, "tasks": len(true)}


def ece(answers: Sequence[tuple[Prediction, Tensor]]) -> float:
    """Expected calibration error (15 bins) of all answers together, in %."""
    sure = torch.cat([p.log_probabilities.amax(-1).exp() for p, _ in answers if isinstance(p, Categorical)])
    return 100 * expected_calibration_error(sure.float(), torch.cat([hits(p, y) for p, y in answers]).float())


@torch.no_grad()
def rejections() -> Iterator[dict[str, Any]]:
    """How well `unknown` tells what is of no class, for several learners."""
    yield from other_alphabets()
    yield from out_of_scope()


def told_apart(base: Base, name: str, support: Support, asked: Sequence[Tensor]) -> list[list[float]]:
    """`unknown` of the inside and the outside queries."""
    own, config = base.spec.learners["classification"]
    learner = base.learner_for(name, config if name == own else {}, base.spec.shape or (1,), "classification")
    state, held_out = adapt_and_leave_out(learner, support)
    calibration = calibration_of(*held_out) if held_out else 1.0
    told = None
    if held_out is not None:
        answers = calibrated(held_out[0], calibration)
        assert isinstance(answers, Categorical)
        told = sparable(support, len(held_out[1])), answers
    novelty, means = learn_novelty(support, told), class_means(support)
    rates = []
    for z in asked:
        answer = calibrated(learner.predict(state, z), calibration)
        assert isinstance(answer, Categorical)
        rates += unknown_of([novelty], means[None], z.flatten(1)[None], answer.log_probabilities[None]).tolist()
    return rates


def other_alphabets() -> Iterator[dict[str, Any]]:
    """Five characters of one alphabet; characters of other alphabets are unknown."""
    base = shipped("omniglot")
    with (SHARED_DATA / "omniglot" / "classes.csv").open(newline="") as file:
        rows = sorted((int(r["char_id"]), r["alphabet"]) for r in csv.DictReader(file) if r["vinyals_split"] == "test")
    characters = Omniglot(SHARED_DATA / "omniglot", OmniglotConfig(rotations=False)).source("test")
    rng = torch.Generator().manual_seed(0)
    kept = torch.randperm(len(rows), generator=rng)[:120].tolist()
    alphabets = [rows[i][1] for i in kept]
    encode = base.learner_for("protonet", {}, base.spec.shape, "classification").inference().encode
    z = encode(torch.cat([characters.x[characters.members[i]] for i in kept]).float() / 255).view(len(kept), 20, -1)
    places = {a: [i for i, b in enumerate(alphabets) if a == b] for a in sorted(set(alphabets))}
    large = [a for a in places if len(places[a]) >= 5]
    for name in ("protonet", "ridge", "gp"):
        for shots in (1, 5):
            found = []
            for _ in range(40):
                alphabet = large[int(torch.randint(len(large), (), generator=rng))]
                own = [places[alphabet][i] for i in torch.randperm(len(places[alphabet]), generator=rng)[:5].tolist()]
                others = [i for i, b in enumerate(alphabets) if b != alphabet]
                support = Support(z[own, :shots].flatten(0, 1), torch.arange(5).repeat_interleave(shots), 5)
                inside, outside = z[own, 10:].flatten(0, 1), z[others, 10]
                a, b = told_apart(base, name, support, (inside, outside))
                found.append(roc_auc_score([0] * len(a) + [1] * len(b), a + b))
            yield {"unknown": "other alphabets", "learner": name, "shots": shots, "auroc": float(np.mean(found))}


def out_of_scope() -> Iterator[dict[str, Any]]:
    """All 150 intents of clinc150; its questions outside all of them are unknown."""
    base = shipped("text-minilm")
    learned, test = labelled("clinc150/dnnc_train_5.jsonl"), labelled("clinc150/clinc150.jsonl", "test")
    classes = sorted(set(learned.labels))
    inside = [text for text, label in zip(test.texts, test.labels, strict=True) if label != OUTSIDE][::5]
    outside = [text for text, label in zip(test.texts, test.labels, strict=True) if label == OUTSIDE]
    x = base.modality().read([*learned.texts, *inside, *outside], {})
    learner = base.learner_for("simpleshot", {}, tuple(x.shape[1:]), "classification")
    z, known, unknown = learner.encode(x).split([len(learned.texts), len(inside), len(outside)])
    support = Support(z, torch.tensor([classes.index(label) for label in learned.labels]), len(classes))
    for name in ("logistic", "simpleshot", "ridge"):
        a, b = told_apart(base, name, support, (known, unknown))
        auroc = float(roc_auc_score([0] * len(a) + [1] * len(b), a + b))
        yield {"unknown": "out of scope of clinc150", "learner": name, "shots": 5, "auroc": auroc}


if __name__ == "__main__":
    main()
