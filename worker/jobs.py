"""The jobs: what is done for each kind of order."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from meta_core import metrics, recipe, tracing
from meta_core.adapted import unpack_adapted
from meta_core.assessment import EvaluationSpec, grade_base, grade_model
from meta_core.engine import Engine
from meta_core.errors import Cancelled
from meta_core.ids import result_key, support_key
from meta_core.orders import JOBS, Kind, Order, Result, now
from meta_core.readapt import readapt_all
from meta_core.recipe import Recipe
from meta_core.selection import selection_of
from meta_core.training import Progress
from meta_core.uploads import at_hand
from worker.ahead import Ahead
from worker.checkpoints import StoredCheckpoints
from worker.interrupt import cancellable
from worker.life import Commit, Interrupted, carry_out, forgive_all_attempts, worked_out
from worker.workplace import Workplace

Job = Callable[[str, str], Commit | None]
"""Takes the tenant and the id of an order; what it returns is left to be called, while the next order is begun."""


class Known(NamedTuple):
    """The jobs of one queue by the names under which they are queued; nothing else is ever called.

    `look_ahead` is told, before the jobs, the tenants and ids of orders that will be carried out one after the other.
    """

    jobs: Mapping[str, Job]
    look_ahead: Callable[[Sequence[tuple[str, str]]], None] | None = None


def jobs_of(kind: Kind, place: Workplace) -> Known:
    """What is done for a queue."""
    engine = Engine(place.catalogue, place.device, selection=selection_of(place.store), compiling=place.compiling)
    if kind == "meta-train":
        return Known(
            {
                JOBS["meta-train"]: partial(meta_train, place),
                JOBS["evaluate"]: partial(evaluate, place, engine),
                JOBS["readapt"]: partial(readapt, place, engine),
            }
        )
    engine.warm()
    ahead = Ahead(place, engine)
    return Known({JOBS[kind]: partial(adapt, place, engine, ahead)}, ahead.look)


def adapt(place: Workplace, engine: Engine, ahead: Ahead, tenant: str, id: str) -> Commit | None:
    """Adapt a base model to the support set of an order; the model is still to be committed."""

    def adapted(order: Order) -> Result:
        place.pulse.board.stage = "adapting"
        opened = ahead.take(id)
        support = place.store.get(support_key(tenant, id)) if opened is None else b""
        with cancellable(place.pulse), tracing.span("adapt"):
            result = engine.adapt(opened or engine.open(order, support))
        base = engine.catalogue.get(order.spec["record"]["base"], tenant)
        seconds = metrics.ADAPT_SECONDS.labels(metrics.base_label(base), result.record["learner"])
        seconds.observe(result.record["seconds"])
        metrics.note_gpu_memory(place.device)
        return result

    return worked_out(place, tenant, id, adapted)


def meta_train(place: Workplace, tenant: str, id: str) -> None:
    """Make the next version of a base model.

    A version whose training was cancelled while it was being published is withdrawn. It stays only if this process
    is killed in that moment: a good base model, for a job that says it was cancelled.
    """
    late = carry_out(place, tenant, id, partial(_trained, place))
    if late is not None:
        place.catalogue.withdraw(place.catalogue.get(late.record["base"], tenant))


def evaluate(place: Workplace, engine: Engine, tenant: str, id: str) -> None:
    """Grade a base model or an adapted model on a dataset."""

    def graded(order: Order) -> Result:
        spec = EvaluationSpec.parse(order.spec, "evaluation")
        report = partial(_count, place, "evaluating")
        with at_hand(place.store, tenant, spec.dataset, spec.dataset_params, place.datasets_folder) as folder:
            if spec.model is None:
                scores = grade_base(engine, spec, tenant, folder, report)
            else:
                model = unpack_adapted(place.store.get(result_key(tenant, spec.model)), spec.model)
                scores = grade_model(engine, model, spec, folder, report)
        return Result(status="ready", record={"finished_at": now(), "scores": scores})

    carry_out(place, tenant, id, graded)


def readapt(place: Workplace, engine: Engine, tenant: str, id: str) -> None:
    """Move the adapted models of a base model to one of its versions."""

    def readapted(order: Order) -> Result:
        told = readapt_all(engine, place.store, order, partial(_count, place, "adapting"))
        return Result(status="ready", record={"finished_at": now(), **told})

    carry_out(place, tenant, id, readapted)


def _count(place: Workplace, stage: str, done: int, total: int | None) -> None:
    place.pulse.board.count(stage, done, total)
    _stop_if_asked(place)


def _trained(place: Workplace, order: Order) -> Result:
    place.pulse.board.stage = "loading"
    wanted = Recipe.parse(order.spec, "recipe")
    with (
        metrics.TRAIN_SECONDS.labels(wanted.learner).time(),
        at_hand(place.store, order.tenant, wanted.dataset, wanted.dataset_params, place.datasets_folder) as folder,
    ):
        base = recipe.meta_train(
            wanted,
            version=1,  # until it is published and gets its own
            datasets_folder=folder,
            device=place.device,
            report=partial(_report, place),
            bases=partial(place.catalogue.get, tenant=order.tenant),
            checkpoints=StoredCheckpoints(place.store, order, partial(forgive_all_attempts, place, order)),
        )
    place.pulse.board.stage = "publishing"
    published = place.catalogue.publish(base, order.id, order.tenant)
    training = {"episodes": wanted.training.steps * wanted.training.tasks, "curve": published.provenance["curve"]}
    made = {"base": published.reference, "scores": published.scores, **training}
    return Result(status="ready", record={"finished_at": now(), **made})


def _report(place: Workplace, progress: Progress) -> None:
    place.pulse.board.note(progress)
    _stop_if_asked(place)


def _stop_if_asked(place: Workplace) -> None:
    if place.pulse.unwanted:
        raise Cancelled("the order has an outcome already")
    if place.shutdown.requested:
        raise Interrupted("this worker shall end; what it has kept is kept")
