"""The API: built from its collaborators, served by uvicorn."""

import importlib.metadata

import torch
from fastapi import FastAPI

from app import errors
from app.accepting import Accepting
from app.access import check_scopes
from app.aliases import Aliases
from app.authentication import Authentication, KeyRing, WithoutKeys
from app.batching import Batcher
from app.body_limit import BodyLimit
from app.cache import ModelCache
from app.deps import Parts
from app.direct import Direct
from app.lifetime import lifetime
from app.observed import Observed
from app.openapi import only
from app.orders import Orders
from app.quotas import ANY, Quota, Quotas
from app.rates import Rates
from app.routes import (
    adapt,
    bases,
    datasets,
    evaluate,
    examples,
    health,
    jobs,
    learners,
    meta_train,
    metrics,
    models,
    predict,
)
from app.routes import aliases as alias_routes
from app.settings import Settings
from meta_core import logs, tracing
from meta_core.catalogue import Catalogue
from meta_core.engine import Engine
from meta_core.limits import Limits
from meta_core.no_code import refuse_unpickling
from meta_core.process import choose_device, prepare_process
from meta_core.store import Store

FOR_CALLERS = (
    adapt,
    predict,
    models,
    examples,
    alias_routes,
    jobs,
    bases,
    learners,
    datasets,
    evaluate,
    meta_train,
    metrics,
)
"""Routes for which one has to show a key, where there are keys; the reference lists them in this order."""

DESCRIPTION = """
Learn from a handful of examples: `POST /adapt` a support set, get the id of an adapted model, ask `POST /predict`
with it.

* `GET /bases` lists the base models and what each is for, `GET /learners` the algorithms and their parameters.
* Errors are `application/problem+json` (RFC 9457) and name the example that is wrong.
"""


def create_app(
    store: Store,
    redis_url: str,
    limits: Limits,
    *,
    device: torch.device,
    wait_seconds: float,
    cache_bytes: int,
    without_keys: WithoutKeys = "loopback",
    quota: Quota = ANY,
    max_waiting: int = 1000,
    max_accepting: int = 128,
    compiling: bool = False,
) -> FastAPI:
    """The API on a store and a Redis."""
    engine = Engine(Catalogue(store), device, limits, compiling=compiling)
    cache = ModelCache(store, cache_bytes)
    orders = Orders(store, redis_url, max_waiting)
    aliases = Aliases(store, orders)
    ring = KeyRing(store, without_keys)
    parts = Parts(
        store=store,
        ring=ring,
        quotas=Quotas(store, orders.redis, quota),
        rates=Rates(orders.redis),
        orders=orders,
        engine=engine,
        cache=cache,
        aliases=aliases,
        batcher=Batcher(engine, cache, store),
        wait_seconds=wait_seconds,
    )
    version = importlib.metadata.version("shotput")
    app = FastAPI(title="Shotput", version=version, description=DESCRIPTION, lifespan=lifetime(parts))
    app.add_middleware(Direct, parts=parts)
    app.add_middleware(BodyLimit, most=limits.max_body_bytes, most_of_dataset=limits.max_dataset_bytes)
    app.add_middleware(Accepting, most=max_accepting, recall=orders.recall_room)
    app.add_middleware(Authentication, ring=ring)
    app.add_middleware(Observed)
    app.state.parts = parts
    errors.install(app)
    for module in FOR_CALLERS:
        app.include_router(module.router, responses=only(401, 403))
    app.include_router(health.router)
    check_scopes(app)
    return app


def build() -> FastAPI:
    """The API as the environment says: `uvicorn app.main:build --factory`."""
    refuse_unpickling()
    settings = Settings()
    logs.configure(settings.log_format)
    tracing.start_if_asked("shotput-api")
    prepare_process(1)
    return create_app(
        Store(settings.store),
        settings.redis_url or "redis://127.0.0.1:6379/0",
        settings.limits(),
        device=choose_device(settings.device),
        wait_seconds=settings.wait,
        cache_bytes=settings.cache_bytes,
        without_keys=settings.without_keys,
        quota=settings.quota(),
        max_waiting=settings.max_waiting,
        max_accepting=settings.max_accepting,
        compiling=settings.compile,
    )
