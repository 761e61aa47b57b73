"""Clients of the task, each waiting for its result; prints the seconds of each as JSON.

python -m benchmarks.servers.celery_client CLIENTS REQUESTS
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.bodies import drawings, forms
from benchmarks.servers.celery_tasks import adapt


def main() -> None:
    """So many requests by each client."""
    clients, requests = map(int, sys.argv[1:])
    pixels, labels = drawings()
    inputs = forms(pixels)["npy"]

    def client(_: int) -> list[float]:
        taken = []
        for _ in range(requests):
            started = time.perf_counter()
            adapt.delay(inputs, labels).get(timeout=60)
            taken.append(time.perf_counter() - started)
        return taken

    client(0)  # connections, and the worker's first pass
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        taken = [one for some in pool.map(client, range(clients)) for one in some]
    print(json.dumps({"taken": taken, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
