"""Adapts while everything under them is broken at random: what was accepted is finished, once, and the same.

python -m benchmarks.chaos [--adapts 2000] [--faults 40] [--seed 0] [--store s3://bucket/folder]

Eight clients send adapts with an `Idempotency-Key` each, and repeat what is not answered, to two API processes with two
workers and a Redis. After every so many accepted ones something happens to the service (`benchmarks/faults.py`).
Then everything is left in peace, and the books are checked. It exits with status 1 if they do not balance.
"""

import argparse
import collections
import dataclasses
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from benchmarks.faults import FAULTS, inject
from benchmarks.ground import Ground, small_disk
from benchmarks.record import write
from meta_core.ids import DEFAULT_TENANT
from tests.drawings import support_of

CLIENTS = 8
SAMPLE = 50
"""Models whose answers are compared with those of an undisturbed run."""
BODIES = [{"base": "omniglot", "learner": "protonet", "support": support_of(shots)} for shots in (1, 2, 3, 4)]
QUERIES = support_of(5)["inputs"]
PATIENCE = 600
"""Seconds in which everything must have been accepted and finished after the last fault."""


@dataclasses.dataclass
class Books:
    """What the clients were told."""

    ids: dict[int, set[str]] = dataclasses.field(default_factory=lambda: collections.defaultdict(set))
    """By number of the adapt, the ids it was given; more than one is a fault of ours."""
    repeats: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    """Requests that had to be repeated, by what came instead of an answer."""
    faults: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def accepted(self) -> list[str]:
        """Every id that was told."""
        return [id for ids in list(self.ids.values()) for id in ids]


def main() -> None:
    """One run, recorded."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--adapts", type=int, default=2000)
    arguments.add_argument("--faults", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument(
        "--store", help="URL of an empty place in an object store, in place of a folder on a small disk"
    )
    given = arguments.parse_args()
    rng = random.Random(given.seed)
    possible = [kind for kind in FAULTS if given.store is None or kind != "disk full"]
    kinds = [possible[i % len(possible)] for i in range(given.faults)]
    rng.shuffle(kinds)
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        row = run(Path(folder), given.adapts, kinds, rng, store=given.store)
    command = f"python -m benchmarks.chaos --adapts {given.adapts} --faults {given.faults} --seed {given.seed}"
    if given.store is None:
        write("chaos", command, [row])
    else:
        write("chaos_s3", f"{command} --store {given.store}", [row])
    sys.exit(any(row[what] for what in ("lost", "doubled", "different answers")))


def run(
    folder: Path, adapts: int, kinds: Sequence[str], rng: random.Random, *, apis: int = 2, store: str | None = None
) -> dict[str, Any]:
    """So many adapts with these faults spread over them; the books, balanced."""
    place = folder / "store"
    with small_disk(place) as mounted:
        settings = {"SHOTPUT_STORE": store} if store else {}
        ground = Ground(folder, apis=apis, disk=place if mounted and not store else None, **settings)
        try:
            ground.wait_until_ready()
            books, started = Books(), time.monotonic()
            with ThreadPoolExecutor(CLIENTS + 1) as pool:
                breaking = pool.submit(break_things, ground, kinds, books, adapts, rng)
                for sent in [pool.submit(send, ground, number, books) for number in range(adapts)]:
                    sent.result()
                breaking.result()
            return balance(ground, books, time.monotonic() - started)
        finally:
            ground.close()


def break_things(ground: Ground, kinds: Sequence[str], books: Books, adapts: int, rng: random.Random) -> None:
    """One fault after every so many accepted adapts, or when nothing has been accepted for long."""
    for turn, kind in enumerate(kinds):
        due, patience = turn * adapts / len(kinds), time.monotonic() + 30
        while len(books.ids) < due and time.monotonic() < patience:
            time.sleep(0.05)
        inject(kind, ground, rng)
        books.faults[kind] += 1


def send(ground: Ground, number: int, books: Books) -> None:
    """One adapt, repeated to any process until it is accepted."""
    rng, deadline = random.Random(number), time.monotonic() + PATIENCE
    headers = {"Idempotency-Key": f"chaos {number}", "Prefer": f"wait={rng.choice((0, 5))}"}
    while time.monotonic() < deadline:
        url = f"{rng.choice(ground.urls)}/adapt"
        try:
            answer = httpx.post(url, json=BODIES[number % len(BODIES)], headers=headers, timeout=30, trust_env=False)
        except httpx.TransportError as error:
            books.repeats[type(error).__name__] += 1
        else:
            if answer.status_code in (201, 202):
                books.ids[number].add(answer.json()["id"])
                return
            if answer.status_code == 409:  # accepted when it was sent before, and failed meanwhile
                books.ids[number].update(re.findall("mdl_[0-9a-f]{32}", answer.text))
                return
            if answer.status_code != 503:
                raise AssertionError(f"{answer.status_code}: {answer.text}")
            books.repeats["503"] += 1
        time.sleep(rng.uniform(0.1, 0.5))
    raise AssertionError(f"adapt {number} was never accepted")


def balance(ground: Ground, books: Books, seconds: float) -> dict[str, Any]:
    """Wait for what is unfinished, then compare what was promised with what is there."""
    started = time.monotonic()
    ground.wait_until_ready()
    with httpx.Client(base_url=ground.urls[0], timeout=60, trust_env=False) as client:
        ends = {id: ended(client, id, started + PATIENCE) for id in books.accepted()}
        settled = time.monotonic() - started
        statuses = collections.Counter(record["status"] for record in ends.values())
        reasons = collections.Counter(record["error"]["code"] for record in ends.values() if record.get("error"))
        made = {key.rsplit("/", 1)[-1].split(".")[0] for key in ground.store.keys(f"{DEFAULT_TENANT}/models")}
        compared, different = compare(client, books, {id for id in ends if ends[id]["status"] == "ready"})
    return {
        "accepted": len(books.accepted()),
        "ready": statuses["ready"],
        "failed": statuses["failed"],
        "failed by reason": dict(reasons),
        "lost": len(ends) - statuses["ready"] - statuses["failed"],
        "doubled": sum(len(ids) - 1 for ids in books.ids.values()) + len(made - set(ends)),
        "answers compared": compared,
        "different answers": different,
        "seconds under faults": seconds,
        "seconds to settle": settled,
        "faults": sum(books.faults.values()),
        **dict(books.faults),
        "requests repeated": dict(books.repeats),
        "disk": place_of(ground),
        "load": os.getloadavg()[0],
    }


def place_of(ground: Ground) -> str:
    """Where the store was, and how it was filled."""
    if url := ground.settings.get("SHOTPUT_STORE"):
        return url
    return "its own file system" if ground.disk else "RLIMIT_FSIZE: a file system of its own needs root"


def ended(client: httpx.Client, id: str, deadline: float) -> dict[str, Any]:
    """The record of an adapt once it has ended, or as it was when patience did."""
    while True:
        answer = client.get(f"/jobs/{id}", params={"wait": 20})
        record = answer.json() if answer.is_success else {"status": f"answered {answer.status_code}"}
        if record["status"] not in ("queued", "running") or time.monotonic() > deadline:
            return dict(record)


def compare(client: httpx.Client, books: Books, usable: set[str]) -> tuple[int, int]:
    """How many answers of disturbed models were looked at, and how many differ from those of undisturbed ones."""
    numbers = [number for number, ids in sorted(books.ids.items()) if ids <= usable]
    step = max(1, len(numbers) // SAMPLE)
    expected = [answers(client, client.post("/adapt", json=body).raise_for_status().json()["id"]) for body in BODIES]
    found = [(number, answers(client, id)) for number in numbers[::step] for id in books.ids[number]]
    return len(found), sum(answer != expected[number % len(BODIES)] for number, answer in found)


def answers(client: httpx.Client, model: str) -> Any:
    """What a model says to the same queries."""
    response = client.post("/predict", json={"model": model, "inputs": QUERIES})
    return response.raise_for_status().json()["predictions"]


if __name__ == "__main__":
    main()
