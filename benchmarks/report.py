"""Write docs/results.md from the results in `results/`.

python -m benchmarks.report
"""

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

NOTES = Path(__file__).parent / "notes"
PAGE = Path(__file__).parents[1] / "docs" / "results.md"
COSTS = ["adapt, ms", "predict, ms", "state, KB"]
HEAD = """# Measured results

Made by `python -m benchmarks.report` from `benchmarks/results/`. Each table says the command that measures it again and
the machine it was measured on. ± is half a 95 % interval.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    characters = [omniglot, omniglot_pairs, one_shot]
    of_inputs = [tables, incontext, grouped_regression, text, sinusoid, speech, photographs, series]
    sections = [*characters, *of_inputs, choosing, incremental, suggest, latency]
    return "\n".join([HEAD, *(section() for section in sections if (RESULTS / f"{section.__name__}.json").exists())])


def omniglot() -> str:
    """Accuracy by ways and shots, costs, and how each was trained."""
    record = _load("omniglot")
    rows: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
    for row in record["results"]:
        rows.setdefault(row["learner"], {})[row["ways"], row["shots"]] = row
    columns = [(5, 1), (5, 5), (20, 1), (20, 5)]
    lines = []
    for name, cells in rows.items():
        first = cells[5, 1]
        tasks = " / ".join(str(cells[column]["tasks"]) for column in columns)
        scores = [f"{first['nll']:.3f}", f"{100 * first['ece']:.1f}"]
        accuracies = [_percent(cells[column], 2) for column in columns]
        lines.append([name, *accuracies, *scores, *_costs(first), tasks, _training(first["base"])])
    accuracy = [f"{ways}-way {shots}-shot" for ways, shots in columns]
    titles = ["learner", *accuracy, "NLL", "ECE", *COSTS, "tasks", "episodes of meta-training"]
    about = (
        "Accuracy in % on characters not trained on (Vinyals split, 296 of its 423 test characters, rotations as "
        "classes, 15 queries a class, each query answered by itself). Learners meet the same tasks as far as their "
        "numbers go; the hashes are in the JSON. NLL and ECE (%) are of 5-way 1-shot; time is that of one core: to "
        "adapt from 25 images with their encoding, and to answer one more."
    )
    return _section("Omniglot", about, record, titles, lines) + _notes("omniglot")


def _costs(row: dict[str, Any]) -> list[str]:
    if "adapt_ms" not in row:
        return ["", "", ""]
    return [f"{row['adapt_ms']:.1f}", f"{row['predict_ms']:.2f}", f"{row['state_bytes'] / 1024:.1f}"]


def _training(base: dict[str, Any]) -> str:
    training, start = base["training"], base["start"]
    size = f"{training['steps'] * training['tasks']:,} of {training['ways']} ways"
    return f"{size}, from {start}" if start else size


def omniglot_pairs() -> str:
    """Learners beside what they build on."""
    record = _load("omniglot_pairs")
    pairs: dict[tuple[str, str], list[str]] = {}
    for row in record["results"]:
        both = f"{100 * row['accuracy']:.2f} / {100 * row['accuracy beside']:.2f}"
        gain = f"{100 * row['difference']:+.2f} ± {100 * row['interval']:.2f}"
        pairs.setdefault((row["learner"], row["beside"]), []).append(
            f"{both}: {gain}; NLL {row['nll']:.3f} / {row['nll beside']:.3f}"
        )
    lines = [[f"{name} / {beside}", *cells] for (name, beside), cells in pairs.items()]
    titles = ["learner / beside", *(f"{w}-way {s}-shot" for w, s in ((5, 1), (5, 5), (20, 1), (20, 5)))]
    tasks = record["results"][0]["tasks"]
    about = (
        "Accuracy in % of a learner, of what it builds on, and the difference task by task, then both NLL, on the same "
        f"{tasks} tasks of unseen characters as above: `clusters` with and without unlabelled inputs beside "
        "`protonet`; `weightmap` and `hallucinate` beside the ridge regression that each changes."
    )
    return _section("Omniglot, beside what they build on", about, record, titles, lines) + _notes("omniglot_pairs")


def one_shot() -> str:
    """Errors in the official runs."""
    record = _load("one_shot")
    lines = [
        [row["learner"], f"{100 * row['error']:.2f} ± {100 * row['interval']:.2f}", f"{row['training']['steps']:,}"]
        for row in record["results"]
    ]
    about = (
        "Error in % in the 20 official runs: 20 characters of one alphabet, one drawing of each to learn from and one "
        "to tell. The body was trained on the 30 background alphabets alone. Others: modified Hausdorff distance 38.8, "
        "Siamese networks about 8, people about 4.5, BPL about 3.3."
    )
    titles = ["learner", "error", "episodes of meta-training"]
    return _section("Omniglot, one-shot runs", about, record, titles, lines) + _notes("one_shot")


def _notes(name: str) -> str:
    """What has to be said of a table's rows, from `notes/<name>.md`."""
    path = NOTES / f"{name}.md"
    return f"\n{path.read_text()}" if path.exists() else ""


def tables() -> str:
    """Ours beside scikit-learn."""
    record = _load("tables")
    cell = {(row["table"], row["model"]): row for row in record["results"]}
    names = list(dict.fromkeys(table for table, _ in cell))
    sides = list(dict.fromkeys(side for _, side in cell))
    lines = [[name, *(_percent(cell[name, side]) for side in sides)] for name in names]
    means = [statistics.mean(cell[name, side]["accuracy"] for name in names) for side in sides]
    likelihoods = [statistics.mean(cell[name, side]["nll"] for name in names) for side in sides]
    lines += [["mean accuracy", *(f"{100 * mean:.2f}" for mean in means)]]
    lines += [["mean negative log-likelihood", *(f"{mean:.4f}" for mean in likelihoods)]]
    apart = 100 * (means[0] - means[1])
    about = (
        "Accuracy in %, 5-fold, the same folds: base model `table` with its own learner, and scikit-learn's logistic "
        "regression (C = 1) on standardised and one-hot columns. Both minimise the same objective; what differs is "
        f"that ours has a column for a missing number, and the mean is {apart:+.2f} points from theirs."
    )
    return _section("Tables", about, record, ["table", *sides], lines)


def grouped_regression() -> str:
    """Meta-learned regression beside four simple ways."""
    record = _load("grouped_regression")
    cell = {(row["table"], row["model"]): row for row in record["results"]}
    names = list(dict.fromkeys(table for table, _ in cell))
    models = list(dict.fromkeys(model for _, model in cell))
    lines, ranks = [], dict.fromkeys(models, 0.0)
    for name in names:
        errors = {model: cell[name, model]["rmse"] for model in models}
        for model, rank in ranks_of(errors).items():
            ranks[model] += rank / len(names)
        lines.append(
            [name, *(f"{error:.3f}" for error in errors.values()), f"{100 * cell[name, models[0]]['coverage']:.1f}"]
        )
    lines.append(["average rank", *(f"{ranks[model]:.2f}" for model in models), ""])
    about = (
        "RMSE on groups that were not trained on (three folds), after five points of a group (three of `wafer`), and "
        "how many targets, in %, lie in intervals of 90 %. `bayes_linear` is trained on the other groups; whether "
        "columns are bent is chosen on validation groups. " + _worse_than_pooled(cell, names)
    )
    return _section("Tasks that are people, schools, countries", about, record, ["table", *models, "in 90 %"], lines)


def _worse_than_pooled(cell: dict[tuple[str, str], dict[str, Any]], names: list[str]) -> str:
    ratios = {n: cell[n, "shotput bayes_linear"]["rmse"] / cell[n, "pooled ridge"]["rmse"] for n in names}
    worst = max(ratios, key=lambda name: ratios[name])
    how = "more" if ratios[worst] > 1 else "less"
    beaten = []
    for name in names:
        errors = {model: row["rmse"] for (table, model), row in cell.items() if table == name}
        best = min(errors, key=lambda model: errors[model])
        if best != "shotput bayes_linear":
            more = 100 * (errors["shotput bayes_linear"] / errors[best] - 1)
            beaten.append(f" On `{name}` {best} is better by {more:.1f} %: a population of few groups tells little.")
    worst_of = f"Against pooled ridge its worst is `{worst}`: {100 * abs(ratios[worst] - 1):.1f} % {how} error."
    return worst_of + "".join(beaten)


def incontext() -> str:
    """Average ranks of learners and of scikit-learn's models on tables of few rows."""
    record = _load("incontext")
    parts = []
    for task, score in (("classification", "nll"), ("classification", "error"), ("regression", "rmse")):
        rows = [row for row in record["results"] if row["task"] == task]
        sizes = list(dict.fromkeys(row["rows"] for row in rows))
        models = list(dict.fromkeys(row["model"] for row in rows))
        ranks: dict[str, dict[Any, list[float]]] = {model: {size: [] for size in sizes} for model in models}
        for size in sizes:
            for table in dict.fromkeys(row["table"] for row in rows if row["rows"] == size):
                scores = {r["model"]: r[score] for r in rows if (r["table"], r["rows"]) == (table, size)}
                for model, rank in ranks_of(scores).items():
                    ranks[model][size].append(rank)
        lines = [
            [model, f"{_few(ranks[model]):.2f}", *(f"{statistics.mean(ranks[model][s]):.2f}" for s in sizes)]
            for model in sorted(models, key=lambda model: _few(ranks[model]))
        ]
        unit = "rows a class" if task == "classification" else "rows"
        columns = [f"{s} {unit}" if isinstance(s, int) else s for s in sizes]
        parts.append(([f"{task}, by {score}", "mean of few rows", *columns], lines))
    about = (
        "Rank of each on the tables, 1 the best, averaged over them. `table-incontext` was meta-trained on synthetic "
        "tables alone; scikit-learn's models have their defaults, on standardised and one-hot columns. Each "
        f"cell of few rows is {_draws(record['results'])} of rows of each table: half a rank may be chance with one."
    )
    first = _section("Few rows of a table", about, record, *parts[0])
    return "\n".join([first, *(_table(*part) for part in parts[1:])])


def _few(ranks: dict[Any, list[float]]) -> float:
    """Over the tables and numbers of rows; cross-validation has many rows."""
    return statistics.mean(rank for size, values in ranks.items() if isinstance(size, int) for rank in values)


def _draws(rows: list[dict[str, Any]]) -> str:
    few = sorted({row["draws"] for row in rows if isinstance(row["rows"], int)})
    return "1 draw" if few == [1] else f"the mean of {' or '.join(map(str, few))} draws"


def ranks_of(scores: dict[str, float]) -> dict[str, float]:
    """1 for the lowest; equals share the mean of their ranks."""
    values = list(scores.values())
    return {
        name: 1 + sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for name, value in scores.items()
    }


def text() -> str:
    """Accuracy, rejection of what is of no intent, and time."""
    record, tuned = _load("text"), _load("text_tuned")
    accuracies: dict[tuple[str, str], dict[tuple[str, int], str]] = {}
    for row in (*tuned["results"], *record["results"]):
        if "accuracy" in row:
            accuracies.setdefault((row["base"], row["learner"]), {})[row["set"], row["shots"]] = _percent(row)
    columns = [(name, shots) for name in ("banking77", "clinc150") for shots in (5, 10)]
    lines = [[*model, *(cells[column] for column in columns)] for model, cells in accuracies.items()]
    told = [row for row in (*tuned["results"], *record["results"]) if "auroc" in row]
    rejected = [
        [row["base"], row["learner"], row["shots"], row["told by"], f"{row['auroc']:.3f}", f"{100 * row['recall']:.1f}"]
        for row in told
    ]
    times = [
        f"`{row['adapt']}` {row['seconds']:.2f} s, {row['over the encoder']:.2f} times"
        for row in record["results"]
        if "adapt" in row
    ]
    about = (
        "Accuracy in % on the official test sets, all 77 or 150 intents at once, from the fixed five or ten sentences "
        f"each. `setfit` moves the last three layers of the encoder (`{tuned['command']}`, commit {tuned['commit']}): "
        f"{_span(tuned, 'seconds')} s of processor time an adapt without scores, after encoding, and "
        f"{_span(tuned, 'bytes', 1e6)} MB of state. For the others it stays as it is. Wished for were 82.5 and 88.0 on "
        "banking77, 92.5 and 94.5 on clinc150. What falls short: moving more layers, for longer or more sharply was no "
        "better on sentences held out for choosing, nor did three layers trained on banking77 first for clinc150; "
        "published results near it pretrain a larger encoder on utterances of many intents (CPFT, 92.3 and 94.2)."
    )
    outside = (
        "Of the same models, the 1,000 questions outside all intents of clinc150, told from the 4,500 inside: area "
        "under the ROC curve, and the share in % that is rejected where 95 % of those inside are accepted."
    )
    seconds = (
        "Adapting `text-minilm` to 385 sentences with all scores, reading and encoding included, in processor time "
        f"and over the encoder alone: {'; '.join(times)}."
    )
    main = _section("Texts", about, record, ["base model", "learner", *(f"{n}, {s}-shot" for n, s in columns)], lines)
    titles = ["base model", "learner", "shots", "told by", "AUROC", "rejected, %"]
    return "\n".join([main, f"{outside}\n", _table(titles, rejected), f"{seconds}\n"])


def _span(record: dict[str, Any], key: str, unit: float = 1.0) -> str:
    """The least and the most of a number in the rows that have it."""
    found = [row[key] / unit for row in record["results"] if key in row]
    return f"{min(found):.2g}–{max(found):.2g}"


def sinusoid() -> str:
    """Squared error of the sine benchmark."""
    record = _load("sinusoid")
    rows: dict[tuple[str, int | None], dict[int, dict[str, Any]]] = {}
    for row in record["results"]:
        rows.setdefault((row["learner"], row["steps"]), {})[row["points"]] = row
    lines = []
    for (name, steps), cells in rows.items():
        title = name if steps is None else f"{name}, {steps} step{'s' if steps > 1 else ''}"
        errors = [f"{cells[points]['mse']:.4f} ± {cells[points]['interval']:.4f}" for points in (5, 10)]
        training = cells[10]["training"]
        trained = f"{training['steps'] * training['tasks'] * training['curves']:,}" if training else "none"
        covered = f"{100 * cells[10]['covered by 90 %']:.1f} %"
        lines.append([title, *errors, covered, *_costs(cells[10]), cells[10]["tasks"], trained])
    titles = ["learner", "5 points", "10 points", "inside the 90 % interval, 10 points", *COSTS, "tasks"]
    titles.append("waves trained on")
    about = (
        "Squared error on unseen waves, y = A·sin(x − φ), A up to 5; `cnp` is base model `sinusoid`. Time is that of "
        "one core: to adapt to 10 points, and to answer one more."
    )
    return _section("Sinusoids", about, record, titles, lines) + _notes("sinusoid")


def incremental() -> str:
    """One more example beside its encoding."""
    record = _load("incremental")
    lines = [[row["what"], f"{row['ours_ms']:.2f}", f"{1 / row['ratio']:.2f}"] for row in record["results"]]
    about = (
        "Processor time of the next version of a 20-way 5-shot model of `omniglot` with one more drawing, and how many "
        "times the encoding of that drawing it takes, in turns. Wished for was 1.3 of its state; heads that factorise "
        "the covariance of 101 examples, or of each class, take longer than one drawing's encoding by themselves."
    )
    return _section("One more example", about, record, ["what", "ms", "times the encoding"], lines)


def suggest() -> str:
    """Labels needed when the model says which, beside random ones."""
    record = _load("suggest")
    rows = record["results"]
    fewer = sum(row["needed"] is not None and row["needed"] < row["of"] for row in rows)
    better = sum(row["area"] > 0 for row in rows)
    more = rows[0]["labels"][-1] - rows[0]["labels"][0]
    lines = [
        [
            row["set"] + (" (development)" if row["developed on"] else ""),
            f"{row['score']} of {row['learner']}",
            f"{row['goal']:.3f}",
            "not reached" if row["needed"] is None else f"{row['needed']:.1f}",
            f"{row['of']:.1f}",
            f"{row['area']:+.3f}",
        ]
        for row in rows
    ]
    about = (
        f"Labels until a model is as good as {more} random labels beyond the first make it, suggested two at a time, "
        f"means of {rows[0]['draws']} draws. Fewer than at random on {fewer} of {len(rows)} sets (wished for: 80 %), "
        f"better in the mean over all numbers of labels on {better}. All where it falls short "
        "are tables. The curves are in the JSON."
    )
    titles = ["set", "score", "goal", "suggested", "random", "mean gain"]
    return _section("What to label next", about, record, titles, lines)


def speech() -> str:
    """Accuracy by speaker, for each model and number of shots."""
    record = _load("speech")
    speakers, lines = _by_split(record["results"], "speaker")
    about = (
        "Accuracy in % on ten spoken digits of a speaker never heard, 10-way, by a body meta-trained on the other "
        "speakers (the recipe of base model `speech`). The words are those of training, the voice is not; support and "
        "queries of a task are of one speaker."
    )
    return _section("Speech", about, record, ["learner", "shots", *speakers, "mean"], lines)


def photographs() -> str:
    """Accuracy by the signs that were held out, for each model and number of shots."""
    record = _load("photographs")
    tests, lines = _by_split(record["results"], "test")
    about = (
        "Accuracy in % on colour photographs of hand signs, 5-way, 32×32: a `conv4` meta-trained on five "
        "digits, tested on the other five, in three splits. The same people sign in both, and "
        "the setting was fixed beforehand."
    )
    titles = ["learner", "shots", *(f"on {', '.join(test)}" for test in tests), "mean"]
    return _section("Photographs", about, record, titles, lines)


def series() -> str:
    """Accuracy of each set, ours beside theirs, and after a few of each class."""
    record = _load("series")
    cell = {(row["set"], row["shots"], row["model"]): 100 * row["accuracy"] for row in record["results"]}
    names = list(dict.fromkeys(name for name, _, _ in cell))
    columns = list(dict.fromkeys((shots, model) for _, shots, model in cell))
    lines: list[list[Any]] = [[name, *(f"{cell[name, *column]:.1f}" for column in columns)] for name in names]
    means = [sum(cell[name, *column] for name in names) / len(names) for column in columns]
    lines.append(["**mean**", *(f"**{mean:.1f}**" for mean in means)])
    titles = [f"{model}, {shots} a class" if shots != "all" else str(model) for shots, model in columns]
    about = (
        "Accuracy in % of base model `series` on the official splits, beside 1-NN Euclidean and aeon's MiniRocket with "
        "ridge on the same series; then from one and five series a class, on at most 200 of the test split."
    )
    return _section("Series", about, record, ["set", *titles], lines)


def choosing() -> str:
    """Ranks and regrets, then how far what models say of themselves is true."""
    record = _load("choosing")
    rows = record["results"]
    compared = [
        [
            r["task"],
            r["learner"],
            f"{r['rank']:.2f}",
            f"{r['regret']:.3f}",
            f"{r['regret in nats']:.3f}",
            _share(r.get("accuracy")),
            r["tasks"],
        ]
        for r in rows
        if "rank" in r
    ]
    told = [
        *(
            [f"ECE, {r['modality']}, before and after", r["ece before"], r["ece after"]]
            for r in rows
            if "modality" in r
        ),
        *([f"inside 90 % intervals, {r['intervals']}", 100 * r["covered"], ""] for r in rows if "intervals" in r),
        *(
            [f"conformal coverage of 90 %, {r['task']}", 100 * r["conformal coverage of 0.9"], ""]
            for r in rows
            if "conformal coverage of 0.9" in r
        ),
        *(
            [
                f"`{r['combination']}` over its best member by hindsight, and by other queries, {r['task']}",
                r["gain over best member"],
                r.get("gain over the member best on other queries", ""),
            ]
            for r in rows
            if "combination" in r
        ),
        *(
            ["accuracy by leaving one out against the truth: correlation, bias", r[name], r["bias"]]
            for r in rows
            for name in ("left out against true accuracy",)
            if name in r
        ),
        *(
            [f"AUROC of `unknown`, {r['unknown']}, {r['learner']}, {r['shots']}-shot", r["auroc"], ""]
            for r in rows
            if "unknown" in r
        ),
    ]
    lines = [[what, *(f"{v:.3g}" if isinstance(v, float) else v for v in values)] for what, *values in told]
    regrets = " and ".join(_regrets(rows, task) for task in ("classification", "regression"))
    about = (
        "`auto` against every learner alone, on tasks of 1 to 20 shots (5 to 40 points), even and uneven: Omniglot, "
        "spoken digits, texts, series, tables and grouped regressions; what is expected of a learner was learned from "
        "all other datasets of these, and from some forty more. Rank among all rows and regret to the best fixed row "
        "of each task, both by the logarithm of the calibrated loss (regression: the loss); then the regret of the "
        "loss itself, in nats. Wished for were the best rank and a regret of half the best fixed learner's; "
        f"{regrets}."
    )
    more = (
        "Below, ECE and coverages in %, of what `auto` made from five shots on; before: with the same weights, but "
        "neither the members nor their mixture calibrated. The gain of combinations is in points of accuracy for "
        "classes, and in nats for targets, over the best member of each dataset and number of shots: by hindsight, "
        "which takes the luckiest of them on few queries, and by the other half of the queries (of targets, of the "
        "tasks). Wished for were −0.2 points. How much the residuals of past tasks weigh in an interval, and how far "
        "apart learners are that still answer together, was settled with these sets in sight."
    )
    titles = ["task", "learner", "rank", "regret", "in nats", "accuracy, %", "tasks"]
    main = _section("Choosing a learner", about, record, titles, compared)
    return "\n".join([main, f"{more}\n", _table(["measured", "", ""], lines)]) + _notes("choosing")


def _regrets(rows: list[dict[str, Any]], task: str) -> str:
    regrets = {r["learner"]: r["regret"] for r in rows if "rank" in r and r["task"] == task}
    ours = regrets.pop("auto")
    alone = min((name for name in regrets if " of " not in name), key=regrets.__getitem__)
    best = min(regrets, key=regrets.__getitem__)
    (oracle,) = (r["oracle of settings"] for r in rows if "oracle of settings" in r and r["task"] == task)
    return (
        f"in {task} it is {ours / regrets[alone]:.2f} times that of {alone}, the best alone, and "
        f"{ours / regrets[best]:.2f} times that of {best}; that of taking whichever row was best on the other draws "
        f"of the same dataset and number of shots is {oracle:.3f}"
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def latency() -> str:
    """Milliseconds over HTTP."""
    record = _load("latency")
    lines = [[row["request"], row["what"], f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}"] for row in record["results"]]
    about = "One client, one request at a time, through the API, Redis and the worker; base model `omniglot`."
    return _section("Latency", about, record, ["request", "what", "p50, ms", "p99, ms"], lines)


def _load(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return record


def _by_split(rows: list[dict[str, Any]], split: str) -> tuple[list[Any], list[list[Any]]]:
    """What was held out in turn, and a line for each model and number of shots: accuracy on each, and their mean."""
    cell = {(row["model"], row["shots"], row[split]): row for row in rows}
    splits = list(dict.fromkeys(held_out for _, _, held_out in cell))
    lines = []
    for model, shots in dict.fromkeys((model, shots) for model, shots, _ in cell):
        measured = [cell[model, shots, held_out] for held_out in splits if (model, shots, held_out) in cell]
        mean = sum(row["accuracy"] for row in measured) / len(measured)
        lines.append([model, shots, *map(_percent, measured), f"{100 * mean:.1f}"])
    return splits, lines


def _percent(row: dict[str, Any], digits: int = 1) -> str:
    return f"{100 * row['accuracy']:.{digits}f} ± {100 * row['interval']:.{digits}f}"


def _section(title: str, about: str, record: dict[str, Any], titles: Iterable[str], lines: Iterable[list[Any]]) -> str:
    machine = record["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, PyTorch {machine['torch']}, {machine['date']}"
    head = [f"## {title}\n", f"{about}\n", f"`{record['command']}` – {where}, commit {record['commit']}\n"]
    return "\n".join([*head, _table(titles, lines)])


def _table(titles: Iterable[str], lines: Iterable[list[Any]]) -> str:
    names = list(titles)
    return "\n".join([_row(names), _row(["---"] * len(names)), *(_row(line) for line in lines), ""])


def _row(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


if __name__ == "__main__":
    main()
