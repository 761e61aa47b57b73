"""How long encoding, adapting and meta-training take by themselves."""

from typing import Any

from benchmarks.sections.beside import beside
from benchmarks.sections.layout import section


def adapt_compute(record: dict[str, Any]) -> str:
    """Arithmetic of an adapt."""
    about = (
        "CPU time of encoding 25 images and adapting to them. `nn.Module.eval` is body and head as easyfsl writes "
        "them; onnxruntime runs the same folded weights; MAML is beside learn2learn's `clone` and `adapt`, first "
        "order. This processor has no AVX-512, so convolutions themselves are a larger share of the time than where "
        "the aims were set, and layout, folding and pooling a smaller one."
    )
    return section("Adapting: the arithmetic", about, record, *beside(record["results"]))


def one_pass(record: dict[str, Any]) -> str:
    """Several tasks in one pass."""
    about = (
        "CPU time of what a worker does of orders, with tasks that are alike in one pass, as the switch for a CPU has "
        "it (`meta_core/mapped.py`), and with all one after the other. Tasks are an order's left-out examples, and the "
        "orders of one turn. The last row is what the switch does not do on a CPU: it brings nothing there."
    )
    return section("Adapting: tasks in one pass", about, record, *beside(record["results"]))


def meta_training(record: dict[str, Any]) -> str:
    """Meta-gradients."""
    about = (
        "CPU time of the meta-gradient of one task, 5-way 1-shot with 15 queries a class, Conv4-64, as `meta-train` "
        "computes it and as the libraries do; their networks are in the usual form. The meta-gradients agree. Three "
        "quarters of our time are spent inside oneDNN's convolutions, at 60–95 % of what this core can multiply "
        "without AVX-512; the libraries call the same ones, so what layout and pooling save is a smaller share here "
        "than where the aims were set."
    )
    return section("Meta-training", about, record, *beside(record["results"]))


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
    return section("Meta-training on a GPU", about, record, *beside(record["results"]))
