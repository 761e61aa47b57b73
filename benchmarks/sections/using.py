"""What is done with models: choosing, adding to, suggesting, and how long answers take."""

from typing import Any

from benchmarks.sections.curves import Panel, as_svg
from benchmarks.sections.layout import load, markdown_table, notes, section


def choosing() -> str:
    """Ranks and regrets, then how far what models say of themselves is true."""
    record = load("choosing")
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
            [
                f"ECE, {r['modality']}, before, after, and of chance: {r['tasks']} tasks, {r['answers']} answers",
                *(r[f"ece {which}"] for which in ("before", "after", "of chance")),
            ]
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
            [
                f"accuracy by leaving one out against {against}, {r['classes']} tasks: correlation, bias",
                r[f"left out against {against}"],
                r[f"bias against {against}"],
            ]
            for r in rows
            if "classes" in r
            for against in ("true accuracy", "true accuracy of such classes")
            if against == "true accuracy" or r["classes"] == "uneven"
        ),
        *(
            [f"AUROC of `unknown`, {r['unknown']}, {r['learner']}, {r['shots']}-shot", r["auroc"], ""]
            for r in rows
            if "unknown" in r
        ),
    ]
    lines = [[what, *(f"{v:.3g}" if isinstance(v, float) else v for v in values)] for what, *values in told]
    padded = [[*line, *[""] * (4 - len(line))] for line in lines]
    regrets = " and ".join(_regrets(rows, task) for task in ("classification", "regression"))
    about = (
        "`auto` against every learner alone, on tasks of 1 to 20 shots (5 to 40 points), even and uneven: Omniglot, "
        "spoken digits, texts, series, tables and grouped regressions; what is expected of a learner was learned from "
        "all other datasets of these, and from some thirty more. Rank among all rows and regret to the best fixed row "
        "of each task, both by the logarithm of the calibrated loss (regression: the loss); then the regret of the "
        "loss itself, in nats. Wished for were the best rank and a regret of half the best fixed learner's; "
        f"{regrets}."
    )
    more = (
        "Below, ECE and coverages in %, of what `auto` made from five shots on; before: with the same weights, but "
        "neither the members nor their mixture calibrated; of chance: what so many answers would show in the mean if "
        "each were right exactly as often as it is sure. The gain of combinations is in points of accuracy for "
        "classes, and in nats for targets, over the best member of each dataset and number of shots: by hindsight, "
        "which takes the luckiest of them on few queries, and by the other half of the queries (of targets, of the "
        "tasks). Wished for were −0.2 points. How much the residuals of past tasks weigh in an interval, and how far "
        "apart learners are that still answer together, was settled with these sets in sight; how closely calibration "
        "follows the description of a task, on those that are only learned from."
    )
    titles = ["task", "learner", "rank", "regret", "in nats", "accuracy, %", "tasks"]
    main = section("Choosing a learner", about, record, titles, compared)
    return "\n".join([main, f"{more}\n", markdown_table(["measured", "", "", ""], padded)]) + notes("choosing")


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


def across_bases() -> str:
    """Combinations whose members are on two base models."""
    record = load("across_bases")
    combined = ("average", "stack")
    lines = []
    for row in record["results"]:
        alone = [f"{value:.1f} {who}" for who, value in row["accuracy"].items() if who not in combined]
        gains = [f"{row['accuracy'][c]:.1f} ({row[f'{c} over the best']:+.1f} ± {row[f'{c} ±']:.1f})" for c in combined]
        lines.append([row["dataset"], row["setting"], *alone, *gains, row["tasks"]])
    about = (
        "Accuracy in % of two members on two base models, and of what is made of both, with what that gains over the "
        "member that is better on these very tasks; ± is half a 95 % interval of the paired differences. From five "
        "shots on, no stack is worse by more than that, and few are better: these members err on the same inputs. With "
        "one shot nothing tells which member to trust, and a bad one costs."
    )
    titles = ["tasks of", "size", "one member", "the other", "average", "stack", "tasks"]
    return section("Members on two base models", about, record, titles, lines)


def incremental() -> str:
    """One more example beside its encoding."""
    record = load("incremental")
    lines = [[row["what"], f"{row['ours_ms']:.2f}", f"{1 / row['ratio']:.2f}"] for row in record["results"]]
    about = (
        "Processor time of the next version of a 20-way 5-shot model of `omniglot` with one more drawing, and how many "
        "times the encoding of that drawing it takes, in turns. Wished for was 1.3 of the state: class means keep it; "
        "the spectrum of 65 features by which ridge chooses a penalty, and the 20 factors of 64 × 64 covariances, each "
        "take longer by themselves than the 0.2 ms that this leaves; nothing is carried over from the version before "
        "but embeddings, so that a version is what its examples make of it, whatever came before. A whole order is the "
        "reading of the support set, the scores with their intervals, the calibration, and what tells unknowns, too."
    )
    return section("One more example", about, record, ["what", "ms", "times the encoding"], lines)


def suggest() -> str:
    """Labels needed when the model says which, beside random ones."""
    record = load("suggest")
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
        "are tables. Below, the scores by the number of labels."
    )
    titles = ["set", "score", "goal", "suggested", "random", "mean gain"]
    table = section("What to label next", about, record, titles, lines)
    return f"{table}\n![score by number of labels, suggested and random](suggest.svg)\n"


def suggest_curves() -> str:
    """The same as a picture."""
    rows = load("suggest")["results"]
    return as_svg(
        [Panel(row["set"], row["labels"], {"suggested": row["suggested"], "random": row["random"]}) for row in rows]
    )


def latency() -> str:
    """Milliseconds over HTTP."""
    record = load("latency")
    lines = [[row["request"], row["what"], f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}"] for row in record["results"]]
    about = "One client, one request at a time, through the API, Redis and the worker; base model `omniglot`."
    return section("Latency", about, record, ["request", "what", "p50, ms", "p99, ms"], lines)
