"""Write docs/results.md and docs/suggest.svg from the results in `results/`.

python -m benchmarks.report
"""

from pathlib import Path

from benchmarks.record import RESULTS
from benchmarks.sections.characters import omniglot, omniglot_pairs, one_shot
from benchmarks.sections.rows import grouped_regression, incontext, sinusoid, tables
from benchmarks.sections.signals import photographs, series, speech
from benchmarks.sections.texts import text
from benchmarks.sections.using import across_bases, choosing, incremental, latency, suggest, suggest_curves

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
CURVES = PAGE.with_name("suggest.svg")
HEAD = """# Measured results

Made by `python -m benchmarks.report` from `benchmarks/results/`. Each table says the command that measures it again and
the machine it was measured on. ± is half a 95 % interval.
"""


def main() -> None:
    """Write the page, and its picture."""
    PAGE.write_text(page())
    CURVES.write_text(suggest_curves())


def page() -> str:
    """The whole page."""
    characters = [omniglot, omniglot_pairs, one_shot]
    of_inputs = [tables, incontext, grouped_regression, text, sinusoid, speech, photographs, series]
    sections = [*characters, *of_inputs, choosing, across_bases, incremental, suggest, latency]
    return "\n".join([HEAD, *(section() for section in sections if (RESULTS / f"{section.__name__}.json").exists())])


if __name__ == "__main__":
    main()
