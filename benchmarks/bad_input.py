"""Damaged input by the hundred thousand: `python -m benchmarks.bad_input --cases 100000`.

Exits with 1 when any case ended in anything but success or a 4xx of ours.
"""

import argparse
import logging
import resource
import sys

from benchmarks.fuzz.api import Api
from benchmarks.fuzz.case import run
from benchmarks.fuzz.kinds import kinds
from benchmarks.record import write


def main() -> None:
    """Try, count by kind, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this text")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    api = Api()
    chosen = [kind for kind in kinds(api) if arguments.only in kind[0]]
    whole = sum(share for *_, share in chosen)
    rows, failed = [], False
    for name, case, share in chosen:
        tally = run(case, -(-round(arguments.cases * share) // round(whole)), arguments.seed)
        failed |= bool(tally.findings)
        for finding in tally.findings:
            print(f"{name}: {finding}", file=sys.stderr)
        rows.append(
            {
                "kind": name,
                "cases": tally.cases,
                "accepted": tally.accepted,
                "refused": tally.refused,
                "findings": len(tally.findings),
                "slowest s": round(tally.slowest, 3),
            }
        )
        print(rows[-1], flush=True)
    api.close()
    rows.append(
        {
            "kind": "all",
            **{what: sum(row[what] for row in rows) for what in ("cases", "accepted", "refused", "findings")},
            "slowest s": max(row["slowest s"] for row in rows),
            "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    )
    if not arguments.only:
        write("bad_input", f"python -m benchmarks.bad_input --cases {arguments.cases} --seed {arguments.seed}", rows)
    sys.exit(failed)


if __name__ == "__main__":
    main()
