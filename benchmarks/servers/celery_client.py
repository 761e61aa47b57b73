"""Clients of the task, each waiting for its result; prints the seconds of each as JSON.

python -m benchmarks.servers.celery_client TASK CLIENTS REQUESTS WARM

WARM requests come before those that are told of.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.bodies import drawings, forms
from benchmarks.servers import celery_tasks


def main() -> None:
    """So many requests by each client."""
    adapt = getattr(celery_tasks, sys.argv[1])
    clients, requests, warm = map(int, sys.argv[2:])
    pixels, labels = drawings()
    inputs = forms(pixels)["npy"]

    def client(_: int, requests: int = requests) -> list[float]:
        taken = []
        for _ in range(requests):
            started = time.perf_counter()
            adapt.delay(inputs, labels).get(timeout=60)
            taken.append(time.perf_counter() - started)
        return taken

    client(0, warm)  # connections, and the worker's first pass
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        taken = [one for some in pool.map(client, range(clients)) for one in some]
    print(json.dumps({"taken": taken, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
