"""Texts."""

from typing import Any

from benchmarks.sections.layout import load, markdown_table, percent, section


def text() -> str:
    """Accuracy, rejection of what is of no intent, and time."""
    record, tuned = load("text"), load("text_tuned")
    accuracies: dict[tuple[str, str], dict[tuple[str, int], str]] = {}
    for row in (*tuned["results"], *record["results"]):
        if "accuracy" in row:
            accuracies.setdefault((row["base"], row["learner"]), {})[row["set"], row["shots"]] = percent(row)
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
    main = section("Texts", about, record, ["base model", "learner", *(f"{n}, {s}-shot" for n, s in columns)], lines)
    titles = ["base model", "learner", "shots", "told by", "AUROC", "rejected, %"]
    return "\n".join([main, f"{outside}\n", markdown_table(titles, rejected), f"{seconds}\n"])


def _span(record: dict[str, Any], key: str, unit: float = 1.0) -> str:
    """The least and the most of a number in the rows that have it."""
    found = [row[key] / unit for row in record["results"] if key in row]
    return f"{min(found):.2g}–{max(found):.2g}"
