"""What the service takes of requests: models, HTTP, queues and processes."""

from typing import Any

from benchmarks.sections.beside import beside, with_ratio
from benchmarks.sections.layout import section

BESIDE_MODULES = (
    "CPU time of a batch. Two thirds of ours are the multiplications themselves, and less than a tenth is what is not "
    "encoding; the aim is beyond what the multiplications allow on this processor, which has no AVX-512."
)
FROM_MANY = (
    "The same from 16 clients. The arithmetic is that of one core with nothing else on it; reading, checking, keeping "
    "and answering, Redis and the clients take about two thirds as much again, on the same two cores."
)


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
    modules = section("Predicting: beside a module for each model", BESIDE_MODULES, record, *beside(sides))
    many = section("Predicting: many adapted models in one process", about, record, titles, lines)
    return "\n".join([many, after, modules])


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


def adapt_http(record: dict[str, Any]) -> str:
    """Adapting over HTTP."""
    about = (
        "`POST /adapt`, 5-way 5-shot, through the API, Redis, the store and one worker, beside `Engine.adapt_order` "
        "alone (encoding, adapting, leave-one-out scores, calibration) in another process. Client, API, Redis and "
        "worker share the cores; support set, order and outcome are each synced to disk before the answer."
    )
    titles = ["", "p50, ms", "p99, ms", "arithmetic, ms", "ratio", "aimed at", "load"]
    one = with_ratio(record["results"], ("p50_ms", "p99_ms", "arithmetic_ms"))
    many = with_ratio(record["results"], ("adapts_per_second", "arithmetic_per_second"))
    first = section("Adapting over HTTP: latency", about, record, titles, one)
    heads = ["", "adapts/s", "arithmetic allows", "ratio", "aimed at", "load"]
    return "\n".join([first, section("Adapting over HTTP: throughput", FROM_MANY, record, heads, many)])


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
    titles, lines = beside(sides)
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
