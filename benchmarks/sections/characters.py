"""Drawn characters."""

from typing import Any

from benchmarks.sections.layout import COSTS, costs, load, notes, percent, section


def omniglot() -> str:
    """Accuracy by ways and shots, costs, and how each was trained."""
    record = load("omniglot")
    rows: dict[str, dict[tuple[int, int], dict[str, Any]]] = {}
    for row in record["results"]:
        rows.setdefault(row["learner"], {})[row["ways"], row["shots"]] = row
    columns = [(5, 1), (5, 5), (20, 1), (20, 5)]
    lines = []
    for name, cells in rows.items():
        first = cells[5, 1]
        tasks = " / ".join(str(cells[column]["tasks"]) for column in columns)
        scores = [f"{first['nll']:.3f}", f"{100 * first['ece']:.1f}"]
        accuracies = [percent(cells[column], 2) for column in columns]
        lines.append([name, *accuracies, *scores, *costs(first), tasks, _training(first["base"])])
    accuracy = [f"{ways}-way {shots}-shot" for ways, shots in columns]
    titles = ["learner", *accuracy, "NLL", "ECE", *COSTS, "tasks", "episodes of meta-training"]
    about = (
        "Accuracy in % on characters not trained on (Vinyals split, 296 of its 423 test characters, rotations as "
        "classes, 15 queries a class, each query answered by itself). Learners meet the same tasks as far as their "
        "numbers go; the hashes are in the JSON. NLL and ECE (%) are of 5-way 1-shot; time is that of one core: to "
        "adapt from 25 images with their encoding, and to answer one more."
    )
    return section("Omniglot", about, record, titles, lines) + notes("omniglot")


def _training(base: dict[str, Any]) -> str:
    training, start = base["training"], base["start"]
    size = f"{training['steps'] * training['tasks']:,} of {training['ways']} ways"
    return f"{size}, from {start}" if start else size


def omniglot_pairs() -> str:
    """Learners beside what they build on."""
    record = load("omniglot_pairs")
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
    return section("Omniglot, beside what they build on", about, record, titles, lines) + notes("omniglot_pairs")


def one_shot() -> str:
    """Errors in the official runs."""
    record = load("one_shot")
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
    return section("Omniglot, one-shot runs", about, record, titles, lines) + notes("one_shot")
