"""What the service counts and times, in the conventions of Prometheus: one family each, shared by all of a process.

Labels have few values: names that the operator chooses, never ids, tenants or what a client wrote. Where the variable
PROMETHEUS_MULTIPROC_DIR names a folder, the processes that share it count together.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:  # this is imported by what must start at once, without PyTorch
    import torch

    from meta_core.base import Base

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Seconds: bounds for what somebody waits for."""
SLOW = (1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)

REQUESTS = Counter("shotput_http_requests", "Requests answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "shotput_http_request_duration_seconds",
    "From a request's head to its last byte.",
    ["method", "route"],
    buckets=FAST,
)
IN_PROGRESS = Gauge("shotput_http_requests_in_progress", "Requests being answered.", multiprocess_mode="livesum")

ACCEPTED = Counter("shotput_orders_accepted", "Orders made durable.", ["queue"])
FINISHED = Counter("shotput_orders_finished", "Outcomes committed by workers.", ["queue", "status"])
WAITED = Histogram("shotput_order_wait_seconds", "From an order's acceptance to its start.", ["queue"], buckets=FAST)
REQUEUED = Counter("shotput_orders_requeued", "Open orders found with no worker and in no queue.", ["queue"])
INTERRUPTED = Counter("shotput_orders_interrupted", "Starts that left their order open.", ["queue"])

ADAPT_SECONDS = Histogram("shotput_adapt_seconds", "Computing one adapted model.", ["base", "learner"], buckets=FAST)
TRAIN_SECONDS = Histogram("shotput_meta_train_seconds", "One attempt at a meta-training.", ["learner"], buckets=SLOW)
PREDICT_SECONDS = Histogram(
    "shotput_predict_seconds", "From a question to its answer, waiting included.", ["base", "learner"], buckets=FAST
)
BATCH_REQUESTS = Histogram("shotput_predict_batch_requests", "Requests computed together.", buckets=SIZES)
BATCH_INPUTS = Histogram("shotput_predict_batch_inputs", "Inputs computed together.", buckets=SIZES)
PREDICTIONS_WAITING = Gauge("shotput_predict_waiting", "Requests that wait for a batch.", multiprocess_mode="livesum")

CACHE_HITS = Counter("shotput_model_cache_hits", "Adapted models found in memory.")
CACHE_MISSES = Counter("shotput_model_cache_misses", "Adapted models read from the store.")
CACHE_EVICTIONS = Counter("shotput_model_cache_evictions", "Adapted models dropped for want of room.")
CACHE_BYTES = Gauge("shotput_model_cache_bytes", "Memory that adapted models take.", multiprocess_mode="livesum")
CACHE_MODELS = Gauge("shotput_model_cache_models", "Adapted models in memory.", multiprocess_mode="livesum")

STORE_ERRORS = Counter("shotput_store_errors", "Operations that the object store failed.", ["operation"])
GPU_MEMORY = Gauge("shotput_gpu_memory_bytes", "Memory of PyTorch on the GPU.", ["state"], multiprocess_mode="livesum")


def base_label(base: "Base") -> str:
    """The name of a base model that is everybody's; all that tenants have trained count as one."""
    return base.name if base.owner is None else "(own)"


def note_gpu_memory(device: "torch.device") -> None:
    """Bring the gauge of GPU memory up to date; nothing on other devices."""
    if device.type == "cuda":
        import torch  # noqa: PLC0415

        GPU_MEMORY.labels("allocated").set(torch.cuda.memory_allocated(device))
        GPU_MEMORY.labels("reserved").set(torch.cuda.memory_reserved(device))


def shared_folder() -> Path | None:
    """The folder through which processes count together, if they do."""
    return Path(folder) if (folder := os.environ.get(FOLDER)) else None


def registry() -> CollectorRegistry:
    """All that can be told now: of this process, or of all that share the folder."""
    if (folder := shared_folder()) is None:
        return REGISTRY
    for file in folder.glob("gauge_live*_*.db"):  # what a process that has ended says of now is no longer so
        if not _alive(int(file.stem.rsplit("_", 1)[1])):
            file.unlink(missing_ok=True)
    together = CollectorRegistry()
    MultiProcessCollector(together, str(folder))  # type: ignore[no-untyped-call]
    return together


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
