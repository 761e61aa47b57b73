"""Start a worker: `python -m worker --queue adapt`. Everything else comes from the environment, see `Settings`."""

import argparse
import logging
import secrets
from pathlib import Path

from prometheus_client import start_http_server

from meta_core import logs, metrics, tracing
from meta_core.catalogue import Catalogue
from meta_core.no_code import refuse_unpickling
from meta_core.orders import QUEUES
from meta_core.process import choose_device, prepare_process
from meta_core.store import Store
from worker.connection import connect, wait_for_redis
from worker.jobs import jobs_of
from worker.process import BLOCK, OrderWorker
from worker.pulse import Pulse
from worker.reconcile import Reconciler
from worker.settings import Settings
from worker.shutdown import Shutdown
from worker.workplace import Workplace

log = logging.getLogger("worker")


def main() -> None:
    """Work until asked to end."""
    settings = _settings()
    refuse_unpickling()
    logs.configure(settings.log_format)
    tracing.start_if_asked("shotput-worker")
    shutdown = Shutdown()
    shutdown.listen()
    prepare_process(settings.threads)
    if settings.metrics_port and metrics.shared_folder() is None:  # else the API of this machine tells them
        start_http_server(settings.metrics_port, settings.host)
    work(settings, shutdown)


def work(settings: Settings, shutdown: Shutdown) -> None:
    """Open the workplace, and work there with a pulse and a reconciler beside."""
    place = open_workplace(settings, shutdown)
    reconciler = Reconciler(connect(settings.redis_url, timeout=5), place.store, place.pulse.worker)
    reconciler.start()
    known = jobs_of(settings.queue, place)
    place.pulse.start()
    log.info("%s: ready for %s, device %s", place.pulse.worker, QUEUES[settings.queue], place.device)
    try:
        if wait_for_redis(place.redis, shutdown):
            OrderWorker(settings.queue, place, known).work_until_asked_to_end(settings.recycle_after)
    finally:
        place.pulse.stop()
        reconciler.stop()


def open_workplace(settings: Settings, shutdown: Shutdown) -> Workplace:
    """The collaborators of a worker, under a name that no worker had before."""
    store = Store(settings.store)
    name = f"{settings.queue}-{secrets.token_hex(8)}"
    return Workplace(
        store=store,
        catalogue=Catalogue(store),
        redis=connect(settings.redis_url, timeout=BLOCK + 10),
        pulse=Pulse(connect(settings.redis_url, timeout=2), store, settings.queue, name, lambda: shutdown.requested),
        shutdown=shutdown,
        device=choose_device(settings.device),
        datasets_folder=Path(settings.datasets).expanduser(),
        compiling=settings.compile,
    )


def _settings() -> Settings:
    parser = argparse.ArgumentParser(prog="python -m worker", description="Carries out queued orders.")
    parser.add_argument("--queue", choices=sorted(QUEUES), help="what to work on")
    queue = parser.parse_args().queue
    return Settings() if queue is None else Settings(queue=queue)


if __name__ == "__main__":
    main()
