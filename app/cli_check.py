"""`shotput check`: says whether the store is whole."""

import datetime
from collections import Counter
from dataclasses import asdict
from typing import Annotated

import typer
from typer import Option

from app.output import print_json, print_rows
from app.settings import Settings
from meta_core.store import Store


def check(
    *,
    repair: Annotated[bool, Option(help="Remove what is superfluous; nothing else is touched.")] = False,
    older_than: Annotated[
        float, Option(help="Seconds for which nobody wrote what counts as left behind.", min=0)
    ] = 3600,
    as_json: Annotated[bool, Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Verify every object of the store: checksums, orphans, orders; exit code 1 if anything is wrong.

    It may run beside the service. What is corrupt or incomplete has to come from a backup.
    """
    from meta_core.check import Finding
    from meta_core.check import check as looked

    store = Store(Settings().store)
    seen = list(looked(store, repair=repair, recent=datetime.timedelta(seconds=older_than)))
    findings = [one for one in seen if isinstance(one, Finding)]
    left = [finding for finding in findings if not finding.repaired]
    counts = Counter(finding.trouble for finding in findings)
    if as_json:
        print_json({"objects": len(seen), "troubles": counts, "findings": [asdict(finding) for finding in findings]})
    else:
        if findings:
            print_rows([asdict(finding) for finding in findings], ("trouble", "repaired", "key", "detail"))
        print(f"{len(seen)} objects, {len(findings)} troubles, {len(findings) - len(left)} repaired")
    raise typer.Exit(1 if left else 0)
