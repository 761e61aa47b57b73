"""Write docs/performance.md from the results in `results/`.

python -m benchmarks.performance_page
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS
from benchmarks.sections.arithmetic import adapt_compute, gpu, inductor, meta_training, meta_training_cuda, one_pass
from benchmarks.sections.layout import load
from benchmarks.sections.service import adapt_celery, adapt_http, multi_tenant, predict_http, scale, text_speed

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
HEAD = """# Performance

Made by `python -m benchmarks.performance_page` from `benchmarks/results/`; each table says the command that measures
it again. Sides are measured in turns in the same run, one thread each. `load` is how many processes wanted the
machine's two cores: above two, ratios suffer less than times; the machine is a virtual one, whose own pace differed
by a third between hours. Where a ratio falls short of what was aimed at, it is written down as it is.
`multiplications` is what the convolutions would take at the pace of this core's best matrix product: nobody's time
can be below it, and their times divided by it are the most that could be had here.
"""
ON_A_GPU = """## On a GPU

Not measured here: the machine that the numbers of this page come from has none. What runs there otherwise is said in
[operations](operations.md#on-a-gpu); its mathematics is tested on the CPU. With a GPU, one command each: bodies in
each form, adapts in one pass and a worker's orders; and meta-training beside learn2learn, of whose tasks a second ten
times as many are aimed at.

```sh
python -m benchmarks.gpu --compile
python -m benchmarks.meta_training --device cuda --tasks 32
```
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    alone = [adapt_compute, one_pass, meta_training]
    served = [multi_tenant, predict_http, adapt_http, adapt_celery, text_speed, scale]
    on_a_gpu = list(_measured([gpu, meta_training_cuda])) or [ON_A_GPU]
    return "\n".join([HEAD, *_measured([*alone, *served, inductor]), *on_a_gpu])


def _measured(sections: Iterable[Callable[[dict[str, Any]], str]]) -> Iterator[str]:
    for section in sections:
        if (RESULTS / f"{section.__name__}.json").exists():
            yield section(load(section.__name__))


if __name__ == "__main__":
    main()
