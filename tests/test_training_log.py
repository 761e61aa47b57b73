"""What a training writes down."""

import json
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from meta_core.training import Progress
from meta_core.training_log import JSONLines, TensorBoard

REPORTS = [
    Progress(step=n, total_steps=2, loss=1 / n, validation=v, episodes=4 * n, rate=0.1 * n, seconds=n / 3)
    for n, v in ((1, None), (2, 0.75))
]


def test_each_step_is_a_row_and_later_runs_go_on_below(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "training.jsonl"
    for report in REPORTS:
        log = JSONLines(path)
        log(report)
        log.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"episode": 4, "loss": 1.0, "validation": None, "rate": 0.1, "seconds": 0.333},
        {"episode": 8, "loss": 0.5, "validation": 0.75, "rate": 0.2, "seconds": 0.667},
    ]


def test_tensorboard_can_read_what_it_is_given(tmp_path: Path) -> None:
    log = TensorBoard(tmp_path)
    for report in REPORTS:
        log(report)
    log.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(4, 1.0), (8, 0.5)]
    assert [(event.step, event.value) for event in events.Scalars("validation")] == [(8, 0.75)]
