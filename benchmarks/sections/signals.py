"""Speech, photographs and series."""

from typing import Any

from benchmarks.sections.layout import load, percent, section


def speech() -> str:
    """Accuracy by speaker, for each model and number of shots."""
    record = load("speech")
    speakers, lines = _by_split(record["results"], "speaker")
    about = (
        "Accuracy in % on ten spoken digits of a speaker never heard, 10-way, by a body meta-trained on the other "
        "speakers (the recipe of base model `speech`). The words are those of training, the voice is not; support and "
        "queries of a task are of one speaker."
    )
    return section("Speech", about, record, ["learner", "shots", *speakers, "mean"], lines)


def photographs() -> str:
    """Accuracy by the signs that were held out, for each model and number of shots."""
    record = load("photographs")
    tests, lines = _by_split(record["results"], "test")
    about = (
        "Accuracy in % on colour photographs of hand signs, 5-way, 32×32: a `conv4` meta-trained on five "
        "digits, tested on the other five, in three splits. The same people sign in both, and "
        "the setting was fixed beforehand."
    )
    titles = ["learner", "shots", *(f"on {', '.join(test)}" for test in tests), "mean"]
    return section("Photographs", about, record, titles, lines)


def series() -> str:
    """Accuracy of each set, ours beside theirs, and after a few of each class."""
    record = load("series")
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
    return section("Series", about, record, ["set", *titles], lines)


def _by_split(rows: list[dict[str, Any]], split: str) -> tuple[list[Any], list[list[Any]]]:
    """What was held out in turn, and a line for each model and number of shots: accuracy on each, and their mean."""
    cell = {(row["model"], row["shots"], row[split]): row for row in rows}
    splits = list(dict.fromkeys(held_out for _, _, held_out in cell))
    lines = []
    for model, shots in dict.fromkeys((model, shots) for model, shots, _ in cell):
        measured = [cell[model, shots, held_out] for held_out in splits if (model, shots, held_out) in cell]
        mean = sum(row["accuracy"] for row in measured) / len(measured)
        lines.append([model, shots, *map(percent, measured), f"{100 * mean:.1f}"])
    return splits, lines
