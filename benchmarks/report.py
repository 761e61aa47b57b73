"""Write docs/results.md from the results in `results/`.

python -m benchmarks.report
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
HEAD = """# Measured results

Made by `python -m benchmarks.report` from `benchmarks/results/`. Each table says the command that measures it again and
the machine it was measured on. ± is half a 95 % interval.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    sections = [omniglot, tables, text, sinusoid, speech, series, latency]
    return "\n".join([HEAD, *(section() for section in sections if (RESULTS / f"{section.__name__}.json").exists())])


def omniglot() -> str:
    """Accuracy by ways and shots."""
    record = _load("omniglot")
    rows = {}
    for row in record["results"]:
        cell = f"{100 * row['accuracy']:.2f} ± {100 * row['interval']:.2f}"
        rows.setdefault(row["learner"], {})[row["ways"], row["shots"]] = (cell, row)
    columns = [(5, 1), (5, 5), (20, 1), (20, 5)]
    lines = [
        [name, *(cells[column][0] for column in columns), f"{100 * cells[5, 1][1]['ece']:.1f}", cells[5, 1][1]["tasks"]]
        for name, cells in rows.items()
    ]
    titles = ["learner", *(f"{ways}-way {shots}-shot" for ways, shots in columns), "ECE, 5-way 1-shot", "tasks"]
    about = (
        "Accuracy of base model `omniglot` in %, on characters it was not trained on (Vinyals split, rotations as "
        "classes, 15 queries a class, each query answered by itself)."
    )
    return _section("Omniglot", about, record, titles, lines)


def tables() -> str:
    """Ours beside scikit-learn."""
    record = _load("tables")
    cell = {(row["table"], row["model"]): row for row in record["results"]}
    names = list(dict.fromkeys(table for table, _ in cell))
    sides = list(dict.fromkeys(side for _, side in cell))
    lines = [[name, *(_percent(cell[name, side]) for side in sides)] for name in names]
    about = "Accuracy in % from five rows a class, all other rows asked, on the same draws."
    return _section("Tables", about, record, ["table", *sides], lines)


def text() -> str:
    """Accuracy, rejection of what is of no intent, and time."""
    record = _load("text")
    accuracies: dict[tuple[str, str], dict[tuple[str, int], str]] = {}
    for row in record["results"]:
        if "accuracy" in row:
            accuracies.setdefault((row["base"], row["learner"]), {})[row["set"], row["shots"]] = _percent(row)
    columns = [(name, shots) for name in ("banking77", "clinc150") for shots in (5, 10)]
    lines = [[*model, *(cells[column] for column in columns)] for model, cells in accuracies.items()]
    told = [row for row in record["results"] if "auroc" in row]
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
        "each. The encoder of `text-minilm` stays as it is. Wished for were 82.5 and 88.0 on banking77, 92.5 and 94.5 "
        "on clinc150; heads on a frozen encoder are all that is tried here."
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


def sinusoid() -> str:
    """Squared error of the sine benchmark."""
    record = _load("sinusoid")
    lines = [
        [
            row["points"],
            f"{row['mse']:.4f} ± {row['interval']:.4f}",
            f"{100 * row['covered by 90 %']:.1f} %",
            row["tasks"],
        ]
        for row in record["results"]
    ]
    about = "Base model `sinusoid` on unseen waves, y = A·sin(x − φ), A up to 5."
    return _section("Sinusoids", about, record, ["points", "squared error", "inside the 90 % interval", "tasks"], lines)


def speech() -> str:
    """Accuracy by speaker, for each model and number of shots."""
    record = _load("speech")
    cell = {(row["model"], row["shots"], row["speaker"]): row for row in record["results"]}
    speakers = list(dict.fromkeys(speaker for _, _, speaker in cell))
    lines = []
    for model, shots in dict.fromkeys((model, shots) for model, shots, _ in cell):
        rows = [cell[model, shots, speaker] for speaker in speakers if (model, shots, speaker) in cell]
        mean = sum(row["accuracy"] for row in rows) / len(rows)
        lines.append([model, shots, *map(_percent, rows), f"{100 * mean:.1f}"])
    about = (
        "Accuracy in % on ten spoken digits of a speaker never heard, 10-way, by a body meta-trained on the other "
        "speakers (the recipe of base model `speech`). The words are those of training, the voice is not; support and "
        "queries of a task are of one speaker."
    )
    return _section("Speech", about, record, ["learner", "shots", *speakers, "mean"], lines)


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


def latency() -> str:
    """Milliseconds over HTTP."""
    record = _load("latency")
    lines = [[row["request"], row["what"], f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}"] for row in record["results"]]
    about = "One client, one request at a time, through the API, Redis and the worker; base model `omniglot`."
    return _section("Latency", about, record, ["request", "what", "p50, ms", "p99, ms"], lines)


def _load(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return record


def _percent(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy']:.1f} ± {100 * row['interval']:.1f}"


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
