"""Rows of tables, and curves."""

import statistics
from typing import Any

from benchmarks.sections.layout import COSTS, costs, load, markdown_table, notes, percent, section


def tables() -> str:
    """Ours beside scikit-learn."""
    record = load("tables")
    cell = {(row["table"], row["model"]): row for row in record["results"]}
    names = list(dict.fromkeys(table for table, _ in cell))
    sides = list(dict.fromkeys(side for _, side in cell))
    lines = [[name, *(percent(cell[name, side]) for side in sides)] for name in names]
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
    return section("Tables", about, record, ["table", *sides], lines)


def grouped_regression() -> str:
    """Meta-learned regression beside four simple ways."""
    record = load("grouped_regression")
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
    return section("Tasks that are people, schools, countries", about, record, ["table", *models, "in 90 %"], lines)


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
    record = load("incontext")
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
    first = section("Few rows of a table", about, record, *parts[0])
    return "\n".join([first, *(markdown_table(*part) for part in parts[1:])])


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


def sinusoid() -> str:
    """Squared error of the sine benchmark."""
    record = load("sinusoid")
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
        lines.append([title, *errors, covered, *costs(cells[10]), cells[10]["tasks"], trained])
    titles = ["learner", "5 points", "10 points", "inside the 90 % interval, 10 points", *COSTS, "tasks"]
    titles.append("waves trained on")
    about = (
        "Squared error on unseen waves, y = A·sin(x − φ), A up to 5; `cnp` is base model `sinusoid`. Time is that of "
        "one core: to adapt to 10 points, and to answer one more."
    )
    return section("Sinusoids", about, record, titles, lines) + notes("sinusoid")
