"""What `auto` would have made of past tasks where it lets several learners answer together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import torch

from meta_core.calibration import CANDIDATES, calibrated
from meta_core.experience import Experience, loss_curve
from meta_core.fusion import Member, Told, member_weights, together
from meta_core.members import mixed
from meta_core.selection import STACK, Selection, scored
from meta_core.usual_calibration import chosen_calibration


def pools(found: Iterable[Experience], selection: Selection) -> Iterator[Experience]:
    """Experience with the stacks that a selection makes of the learners tried on each task."""
    by_task: dict[tuple[str, int], list[Experience]] = defaultdict(list)
    for one in found:
        if one.held_out is not None:
            by_task[one.dataset, one.number].append(one)
    for tried in by_task.values():
        members = _members(tried, selection)
        if len(members) > 1:
            yield _pool([one for one, _ in members], [member for _, member in members])


def _members(tried: list[Experience], selection: Selection) -> list[tuple[Experience, Member]]:
    task, features = tried[0].task, tried[0].features
    calibrations, told = {}, {}
    for one in tried:
        chosen = chosen_calibration(one, selection.calibration(task, one.learner, features))
        calibrations[one.learner] = CANDIDATES[chosen].item()
        told[one.learner] = scored(one.told[chosen].item() / one.left_out, task)
    prior = selection.prior(task, features)
    most = max(one.left_out for one in tried)
    weights = member_weights(selection.combined(task, {name: prior[name] for name in told}, told, most), task)
    return [
        (one, Member(_told(one, most), calibrations[one.learner], weights[one.learner]))
        for one in tried
        if one.learner in weights
    ]


def _told(one: Experience, most: int) -> Told:
    """With the places of the left out among the most that any learner left out, as `sparable` spreads them."""
    assert one.held_out is not None
    return Told(torch.linspace(0, most - 1, one.left_out).round().long(), one.held_out[0])


def _pool(of: list[Experience], members: list[Member]) -> Experience:
    first = min(of, key=lambda one: one.left_out)
    assert first.held_out is not None
    told = together(members).answers
    answers = [calibrated(one.asked[0], member.calibration) for one, member in zip(of, members, strict=True)]
    asked, y = mixed(answers, torch.tensor([member.weight for member in members])), first.asked[1]
    return Experience(
        dataset=first.dataset,
        number=first.number,
        task=first.task,
        learner=STACK,
        features=first.features,
        unit=first.unit,
        left_out=first.left_out,
        told=loss_curve(told, first.held_out[1], first.unit),
        true=loss_curve(asked, y, first.unit) / len(y),
        held_out=(told, first.held_out[1]),
        asked=(asked, y),
        milliseconds=sum(one.milliseconds for one in of),
    )
