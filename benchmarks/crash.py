"""Worker, API and Redis killed in the middle of bursts of adapts: Shotput, RQ, Celery and BentoML doing the same.

python -m benchmarks.crash [--rounds 4] [--burst 40] [--only NAME]

Each system has two processes that take requests and two that work (BentoML's do both), and one Redis with an
append-only file; what is killed (`kill -9`, with its children) is started again at once, as by any supervisor. In each
round eight clients send a burst of 5-way 5-shot adapts, and repeat what is not answered until it is accepted; in the
middle of it one thing is killed. A round is over when all that was accepted in it is done, or after `ROUND` seconds;
what is not done `PATIENCE` seconds after the last round is lost. The peers (`benchmarks/crashed/`) are as their manuals
show them, in the newest releases; they do not know an `Idempotency-Key`.
"""

import argparse
import dataclasses
import os
import random
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.crashed.systems import SYSTEMS, Shotput
from benchmarks.record import write

CLIENTS = 8
ROUND, PATIENCE = 40.0, 90.0


def main() -> None:
    """Break one after the other, and write what became of their orders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4, help="of each kind of fault")
    parser.add_argument("--burst", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="systems whose name holds this text")
    given = parser.parse_args()
    command = f"python -m benchmarks.crash --rounds {given.rounds} --burst {given.burst} --seed {given.seed}"
    rows: list[dict[str, Any]] = []
    for name in SYSTEMS:
        if given.only in name:
            rows += broken(name, given)
            write("crash", command, rows)


def broken(name: str, given: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each kind of fault that a system can have."""
    kind, sizes = SYSTEMS[name]
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="shotput") as folder:
        system = kind(Path(folder), **sizes)
        try:
            system.wait_until_ready()
            rounds = [
                one_round(system, fault, f"{fault} {i}", given.burst, rng)
                for i in range(given.rounds)
                for fault in kind.faults
            ]
            wait_for(system, {number for round in rounds for number in round.numbers}, PATIENCE)
            return [
                row(name, fault, [round for round in rounds if round.fault == fault], system) for fault in kind.faults
            ]
        finally:
            system.close()


@dataclasses.dataclass
class Round:
    """A burst and its fault; seconds from the fault until all was done, if that was within `ROUND`."""

    fault: str
    numbers: list[str]
    repeated: int
    seconds: float | None


def one_round(system: Shotput, fault: str, name: str, burst: int, rng: random.Random) -> Round:
    """A burst with a fault in its middle."""
    system.wait_until_ready()
    numbers = [f"{name}.{i}".replace(" ", "_") for i in range(burst)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        sent = [pool.submit(send, system, number, rng.random()) for number in numbers]
        while sum(one.done() for one in sent) < burst // 2:
            time.sleep(0.002)
        system.kill(fault, rng)
        killed = time.monotonic()
        repeated = sum(one.result() for one in sent)
    finished = wait_for(system, set(numbers), killed + ROUND - time.monotonic())
    return Round(fault, numbers, repeated, time.monotonic() - killed if finished else None)


def send(system: Shotput, number: str, seed: float) -> int:
    """One adapt, repeated to any process until it is accepted; says how often it was."""
    rng, repeated = random.Random(seed), 0
    while (id := system.send(rng.choice(system.urls), number)) is None:
        repeated += 1
        time.sleep(rng.uniform(0.1, 0.5))
    system.told[number].add(id)
    return repeated


def wait_for(system: Shotput, numbers: set[str], seconds: float) -> bool:
    """Whether all these were done within that time."""
    deadline = time.monotonic() + seconds
    while not numbers <= system.done().keys():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def row(name: str, fault: str, rounds: list[Round], system: Shotput) -> dict[str, Any]:
    """The books of the rounds of one fault."""
    done = system.done()
    numbers = [number for round in rounds for number in round.numbers]
    seconds = sorted(round.seconds for round in rounds if round.seconds is not None)
    return {
        "system": name,
        "fault": fault,
        "times": len(rounds),
        "accepted": len(numbers),
        "lost": sum(number not in done for number in numbers),
        "doubled": sum(len(done[number]) - 1 for number in numbers if number in done),
        "done again": sum(count - 1 for number in numbers for count in done.get(number, {}).values()),
        "repeated": sum(round.repeated for round in rounds),
        "recovered": len(seconds),
        "seconds to recover, most": seconds[-1] if seconds else None,
        "load": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
