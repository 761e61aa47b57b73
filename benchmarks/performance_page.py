"""Write docs/performance.md from the results in `results/`.

python -m benchmarks.performance_page
"""

from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from benchmarks.report import _load as load_record
from benchmarks.report import _section as section

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
HEAD = """# Performance

Made by `python -m benchmarks.performance_page` from `benchmarks/results/`; each table says the command that measures it
again. Sides are measured in turns in the same run, one thread each. The machine had other work at the time: `load` is
how many processes wanted its cores. Ratios suffer less from that than times, and where a ratio falls short of what was
aimed at, it is written down as it is.
"""
SECTIONS = ("adapt_compute", "multi_tenant", "adapt_http")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    parts = [globals()[name](load_record(name)) for name in SECTIONS if (RESULTS / f"{name}.json").exists()]
    return "\n".join([HEAD, *parts])


def adapt_compute(record: dict[str, Any]) -> str:
    """Arithmetic of an adapt."""
    about = (
        "CPU time of encoding 25 images and adapting to them. `nn.Module.eval` is body and head as easyfsl writes "
        "them; onnxruntime runs the same folded weights; MAML is beside learn2learn's `clone` and `adapt`, first "
        "order. This processor has no AVX-512, so convolutions themselves are a larger share of the time than where "
        "the aims were set, and layout, folding and pooling a smaller one."
    )
    return section("Adapting: the arithmetic", about, record, *_beside(record["results"]))


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
    beside = section("Predicting: beside a module for each model", "CPU time of a batch.", record, *_beside(sides))
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
    return "\n".join(
        [first, section("Adapting over HTTP: throughput", "The same from 16 clients.", record, heads, many)]
    )


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
    titles = ["", "ours, ms", "beside", "its, ms", "times faster", "aimed at", "load"]
    return titles, [
        [
            row["what"],
            f"{row['ours_ms']:.1f}",
            row["theirs"],
            f"{row['theirs_ms']:.1f}",
            f"{row['ratio']:.2f}",
            row["wanted"],
            f"{row['load']:.0f}",
        ]
        for row in rows
    ]


if __name__ == "__main__":
    main()
