"""/learners: the algorithms there are."""

from typing import Any

from fastapi import APIRouter

from app.access import CanRead
from app.openapi import only
from app.schemas.learners import LearnerView
from app.views import learner_view
from meta_core.learner import learners

router = APIRouter(prefix="/learners", tags=["learners"])


@router.get("", response_model=list[LearnerView])
def list_learners(_: CanRead) -> list[dict[str, Any]]:
    """Every learner with the JSON Schema of its parameters."""
    return [learner_view(learners[name]) for name in learners]


@router.get("/{name}", response_model=LearnerView, responses=only(404))
def get_learner(name: str, _: CanRead) -> dict[str, Any]:
    """One learner."""
    return learner_view(learners[name])
