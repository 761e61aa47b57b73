"""Write docs/performance.md from the results in `results/`.

python -m benchmarks.performance_page
"""

from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from benchmarks.sections.layout import load, section

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
HEAD = """# Performance

Made by `python -m benchmarks.performance_page` from `benchmarks/results/`; each table says the command that measures it
again. Sides are measured in turns in the same run, one thread each. `load` is how many processes wanted the machine's
two cores: above two, ratios suffer less than times. Where a ratio falls short of what was aimed at, it is written
down as it is. `multiplications` is what the convolutions would take at the pace of this core's
best matrix product: nobody's time can be below it, and their times divided by it are the most that could be had here.
"""
BESIDE_MODULES = (
    "CPU time of a batch. Two thirds of ours are the multiplications themselves, and less than a tenth is what is not "
    "encoding; the aim is beyond what the multiplications allow on this processor, which has no AVX-512."
)
FROM_MANY = (
    "The same from 16 clients. The arithmetic is that of one core with nothing else on it; reading, checking, keeping "
    "and answering, Redis and the clients take about two thirds as much again, on the same two cores."
)
SECTIONS = (
    "adapt_compute",
    "one_pass",
    "meta_training",
    "multi_tenant",
    "predict_http",
    "adapt_http",
    "adapt_celery",
    "text_speed",
    "scale",
    "inductor",
)
ON_A_GPU = """## On a GPU

Not measured here: the machine that the numbers of this page come from has none. What runs there otherwise is said in
[operations](operations.md#on-a-gpu); its mathematics is tested on the CPU. With a GPU, one command each: bodies in
each form, adapts in one pass and a worker's orders; and meta-training beside learn2learn, of whose tasks a second ten
times as many are aimed at.

```sh
python -m benchmarks.gpu --compile
python -m benchmarks.meta_training --device cuda --tasks 32
```
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    parts = [globals()[name](load(name)) for name in SECTIONS if (RESULTS / f"{name}.json").exists()]
    return "\n".join([HEAD, *parts, on_a_gpu()])


def on_a_gpu() -> str:
    """What was measured on one, or how to."""
    found = [name for name in ("gpu", "meta_training_cuda") if (RESULTS / f"{name}.json").exists()]
    return "\n".join(globals()[name](load(name)) for name in found) if found else ON_A_GPU


def gpu(record: dict[str, Any]) -> str:
    """Encoding, adapting and orders."""
    about = (
        "Bodies in each form that is tried when they are loaded, images a second; encoded support sets adapted to and "
        "scored, and orders as a worker takes them, adapts a second."
    )
    lines = [
        [row["what"], row["form"], row.get("images", row.get("tasks")), f"{row['per_second']:,.0f}"]
        for row in record["results"]
    ]
    return section("On a GPU", about, record, ["", "form", "at a time", "per second"], lines)


def meta_training_cuda(record: dict[str, Any]) -> str:
    """Meta-gradients of many tasks."""
    about = "As above, on a GPU: ours in one pass over the tasks, the libraries in a loop over them."
    return section("Meta-training on a GPU", about, record, *_beside(record["results"]))


def inductor(record: dict[str, Any]) -> str:
    """Why nothing is compiled on a CPU."""
    about = (
        "Why no body is compiled on a CPU: PyTorch's inductor, with weights frozen and a compilation of its own for "
        "each number of inputs, beside the forms that are tried at load. It is slower than ONNX Runtime; a body of "
        "plain PyTorch it changes by so little that the seconds of compiling, of every process and body, and a "
        "compiler for C++ on the machine are not worth it. For any number of inputs at once it does not compile the "
        "plain sequences at all."
    )
    titles = ["", "form", "its, ms", "inductor, ms", "times faster than inductor", "compiling, s", "load"]
    lines = [
        [
            row["what"],
            row["ours"],
            f"{row['ours_ms']:.2f}",
            f"{row['theirs_ms']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['compile_seconds']:.0f}",
            f"{row['load']:.0f}",
        ]
        for row in record["results"]
    ]
    return section("Compiling", about, record, titles, lines)


def adapt_compute(record: dict[str, Any]) -> str:
    """Arithmetic of an adapt."""
    about = (
        "CPU time of encoding 25 images and adapting to them. `nn.Module.eval` is body and head as easyfsl writes "
        "them; onnxruntime runs the same folded weights; MAML is beside learn2learn's `clone` and `adapt`, first "
        "order. This processor has no AVX-512, so convolutions themselves are a larger share of the time than where "
        "the aims were set, and layout, folding and pooling a smaller one."
    )
    return section("Adapting: the arithmetic", about, record, *_beside(record["results"]))


def one_pass(record: dict[str, Any]) -> str:
    """Several tasks in one pass."""
    about = (
        "CPU time of what a worker does of orders, with tasks that are alike in one pass, as the switch for a CPU has "
        "it (`meta_core/mapped.py`), and with all one after the other. Tasks are an order's left-out examples, and the "
        "orders of one turn. The last row is what the switch does not do on a CPU: it brings nothing there. The "
        "machine was busy with other things: the ratios count, not the times."
    )
    return section("Adapting: tasks in one pass", about, record, *_beside(record["results"]))


def meta_training(record: dict[str, Any]) -> str:
    """Meta-gradients."""
    about = (
        "CPU time of the meta-gradient of one task, 5-way 1-shot with 15 queries a class, Conv4-64, as `meta-train` "
        "computes it and as the libraries do; their networks are in the usual form. The meta-gradients agree. Three "
        "quarters of our time are spent inside oneDNN's convolutions, at 60–95 % of what this core can multiply "
        "without AVX-512; the libraries call the same ones, so what layout and pooling save is a smaller share here "
        "than where the aims were set."
    )
    return section("Meta-training", about, record, *_beside(record["results"]))


def multi_tenant(record: dict[str, Any]) -> str:
    """Many adapted models in a process."""
    about = (
        "Requests of 1–5 images, each to a random one of so many adapted models, in batches of 16; the cache holds "
        "256 MiB. Memory is that of the whole process as it grew, for each model in the cache."
    )
    rows = [row for row in record["results"] if "requests_per_second" in row]
    titles = ["adapted models", "requests/s", "in the cache", "bytes a model"]
    lines = [
        [r["what"], f"{r['requests_per_second']:.0f}", f"{r['models_in_cache']:,}", f"{r['bytes_per_model']:.0f}"]
        for r in rows
    ]
    (cold,) = (row for row in record["results"] if "median_ms" in row)
    after = f"Loading a model that is not in the cache takes {cold['median_ms']:.2f} ms.\n"
    sides = [row for row in record["results"] if "theirs" in row]
    beside = section("Predicting: beside a module for each model", BESIDE_MODULES, record, *_beside(sides))
    many = section("Predicting: many adapted models in one process", about, record, titles, lines)
    return "\n".join([many, after, beside])


def adapt_http(record: dict[str, Any]) -> str:
    """Adapting over HTTP."""
    about = (
        "`POST /adapt`, 5-way 5-shot, through the API, Redis, the store and one worker, beside `Engine.adapt_order` "
        "alone (encoding, adapting, leave-one-out scores, calibration) in another process. Client, API, Redis and "
        "worker share the cores; support set, order and outcome are each synced to disk before the answer."
    )
    titles = ["", "p50, ms", "p99, ms", "arithmetic, ms", "ratio", "aimed at", "load"]
    one = _with_ratio(record["results"], ("p50_ms", "p99_ms", "arithmetic_ms"))
    many = _with_ratio(record["results"], ("adapts_per_second", "arithmetic_per_second"))
    first = section("Adapting over HTTP: latency", about, record, titles, one)
    heads = ["", "adapts/s", "arithmetic allows", "ratio", "aimed at", "load"]
    return "\n".join([first, section("Adapting over HTTP: throughput", FROM_MANY, record, heads, many)])


def predict_http(record: dict[str, Any]) -> str:
    """Predicting over HTTP."""
    about = (
        "`POST /predict` of one image as base64 `.npy`, one API process and two, beside LitServe and BentoML, which "
        "have one process for HTTP and one worker and serve the same weights behind the same preprocessing, and an "
        "endpoint of FastAPI that only reads its body. `CPU` is the processor time of all processes of a side for each "
        "request; clients share the cores. Of ours, a third is encoding and framing the image; the rest is Python, one "
        "thread at a time: the HTTP protocol and its sockets more than all else, then checks, batching, counting and "
        "logging. One process is held to what one thread of Python can do; LitServe has two processes, and two of ours "
        "are what compares with them."
    )
    heads = ["requests/s", "p50, ms", "p99, ms", "CPU, ms", "beside the better peer", "of the empty", "load"]
    titles = ["", "side", *heads]
    lines = [
        [
            row["what"],
            row["side"],
            *(f"{row[key]:.0f}" for key in ("requests_per_second",)),
            *(f"{row[key]:.1f}" for key in ("p50_ms", "p99_ms")),
            f"{row['cpu_ms']:.2f}",
            *_ratios_over_http(row),
            f"{row['load']:.0f}",
        ]
        for row in record["results"]
    ]
    return section("Predicting over HTTP", about, record, titles, lines)


def _ratios_over_http(row: dict[str, Any]) -> list[str]:
    if "ratio" not in row:
        return ["", ""]
    pairs = ((row["ratio"], row["wanted"]), (row["of_empty"], row["wanted_of_empty"]))
    return [f"{ratio:.2f}" + (f" (aimed at {wanted})" if wanted else "") for ratio, wanted in pairs]


def adapt_celery(record: dict[str, Any]) -> str:
    """Adapting beside Celery."""
    about = (
        "`POST /adapt`, ProtoNet, 5-way 5-shot, beside the same in a task of Celery (prefork, one process, Redis as "
        "broker, the module loaded at its start), which clients submit without HTTP. Ours is durable – support set, "
        "order and outcome are synced to disk – scored by leaving one out and calibrated; the task writes class means "
        "to a file, and where it is said syncs them and its support set to disk. `CPU` is that of our API, Redis, "
        "worker and supervisor together, and of Celery's worker alone. Less than half of ours is the worker's "
        "arithmetic: HTTP, checks, durability and scores take the rest, which its task does without, so that the aim "
        "is not met on two cores."
    )
    titles = [
        "",
        "p50, ms",
        "adapts/s",
        "CPU, ms",
        "Celery: p50, ms",
        "adapts/s",
        "CPU, ms",
        "ratio",
        "aimed at",
        "load",
    ]
    keys = ("p50_ms", "adapts_per_second", "cpu_ms")
    lines = [
        [
            row["what"],
            *(f"{row[prefix + key]:.1f}" for prefix in ("", "celery_") for key in keys),
            f"{row['ratio']:.2f}",
            row["wanted"],
            f"{row['load']:.0f}",
        ]
        for row in record["results"]
    ]
    return section("Adapting beside Celery", about, record, titles, lines)


def text_speed(record: dict[str, Any]) -> str:
    """Texts."""
    about = (
        "MiniLM: CPU time of encoding and a ridge regression, beside sentence-transformers called text by text and in "
        "one batch with the same head. The encoder is that library, so one batch is the most that can be had; what "
        "counts is that requests to many models become one."
    )
    sides = [row for row in record["results"] if "theirs" in row]
    titles, lines = _beside(sides)
    over = [
        [row["what"], f"{row['requests_per_second']:.1f}", f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}"]
        for row in record["results"]
        if "theirs" not in row
    ]
    first = section("Texts", about, record, titles, lines)
    heads = ["", "requests/s", "p50, ms", "p99, ms"]
    return "\n".join([first, section("Texts over HTTP", "25 sentences to adapt, one to predict.", record, heads, over)])


def scale(record: dict[str, Any]) -> str:
    """Twice the processes, and on paper."""
    rows = record["results"]
    twice = [row for row in rows if "one" in row]
    (cost,) = (row for row in rows if row["what"] == "one order")
    paper = [row for row in rows if "worker cores" in row]
    about = (
        "One and two processes on two cores, which clients, Redis and the store share: where the other side leaves no "
        "room, twice the processes cannot bring twice the pace."
    )
    lines = [
        [r["what"], f"{r['one']:.1f}", f"{r['two']:.1f}", f"{r['ratio']:.2f}", r["wanted"], f"{r['load']:.0f}"]
        for r in twice
    ]
    parts = [section("Scale", about, record, ["", "one", "two", "ratio", "aimed at", "load"], lines)]
    named = [[name, f"{value:,.1f}"] for name, value in cost.items() if name not in ("what", "load")]
    parts.append(section("Scale: what an order costs", "Mean of many over HTTP.", record, ["", "each"], named))
    alone = 1e3 / cost["Redis CPU ms"]
    told = (
        "Arithmetic on these. API and worker processes share nothing but Redis and the store, and are added as needed. "
        f"The one part that is not divided is Redis: full at {alone:,.0f} adapts a second, which is "
        f"{alone * cost['worker CPU ms'] / 1e3:,.0f} workers. Beyond that tenants have to be shared out over several. "
        "Predictions do not touch it."
    )
    names = [name for name in paper[0] if name != "what"]
    table = [[row["what"], *(f"{row[name]:,.1f}" for name in names)] for row in paper]
    parts.append(section("Scale: on paper", told, record, ["", *(name.replace("_", " ") for name in names)], table))
    return "\n".join(parts)


def _with_ratio(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> list[list[str]]:
    return [
        [
            row["what"],
            *(f"{row[column]:.1f}" for column in columns),
            f"{row['ratio']:.2f}",
            row["wanted"],
            f"{row['load']:.0f}",
        ]
        for row in rows
        if columns[0] in row
    ]


def _beside(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    titles = ["", "ours, ms", "beside", "its, ms", "times faster", "aimed at", "multiplications, ms", "load"]
    return titles, [
        [
            row["what"],
            f"{row['ours_ms']:.1f}",
            row["theirs"],
            f"{row['theirs_ms']:.1f}",
            f"{row['ratio']:.2f}",
            row["wanted"],
            f"{row['limit_ms']:.1f}" if "limit_ms" in row else "",
            f"{row['load']:.0f}",
        ]
        for row in rows
    ]


if __name__ == "__main__":
    main()
