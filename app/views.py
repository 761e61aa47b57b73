"""Records of the core as the API shows them."""

from typing import Any

from meta_core.aliases import Alias
from meta_core.base import Base
from meta_core.learner import Learner
from meta_core.modality import modalities


def model_view(record: dict[str, Any]) -> dict[str, Any]:
    """An adapted model, or the order for one."""
    id = record["id"]
    links = {"self": f"/models/{id}", "predict": "/predict", "job": f"/jobs/{id}", "base": f"/bases/{record['base']}"}
    links["versions"] = f"/models/{id}/versions"
    return {
        "lineage": id,
        **{key: value for key, value in record.items() if key not in ("kind", "request_id")},
        "links": links,
    }


def alias_view(alias: Alias) -> dict[str, Any]:
    """An alias, with the weights of its models as shares."""
    total = sum(alias.models.values())
    shares = {id: weight / total for id, weight in alias.models.items()}
    links = {"self": f"/aliases/{alias.name}"}
    return {"name": alias.name, "models": shares, "updated_at": alias.updated_at, "links": links}


def versions_view(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Models of one lineage, each with what came of it directly."""
    shown = ("id", "status", "parent", "change", "base", "learner", "shots", "scores", "created_at")
    return [
        {
            **{key: record[key] for key in shown if key in record},
            "version": None if record["status"] == "deleted" else record.get("version", 1),
            "children": [other["id"] for other in records if other.get("parent") == record["id"]],
        }
        for record in records
    ]


def job_view(record: dict[str, Any]) -> dict[str, Any]:
    """An order and what came of it."""
    id = record["id"]
    links = {"self": f"/jobs/{id}"}
    if id.startswith("mdl_"):
        links["model"] = f"/models/{id}"
    if "base" in record:
        links["base"] = f"/bases/{record['base']}"
    return {"kind": "adapt" if id.startswith("mdl_") else "meta-train", **record, "links": links}


def base_view(base: Base, versions: list[int], default: int) -> dict[str, Any]:
    """A version of a base model."""
    spec = base.spec
    return {
        "reference": base.reference,
        "name": base.name,
        "version": base.version,
        "versions": versions,
        "default": default,
        "summary": base.summary,
        "modality": spec.modality,
        "preprocessing": spec.modality_config,
        "input_example": modalities[spec.modality].example,
        "backbone": spec.backbone,
        "learners": {task: name for task, (name, _) in spec.learners.items()},
        "scores": base.scores,
        "provenance": base.provenance,
        "links": {"self": f"/bases/{base.reference}"},
    }


def version_view(base: Base, default: int) -> dict[str, Any]:
    """How one version of a base model was made, and how good it is."""
    made = base.provenance
    recipe = made.get("recipe", {})
    return {
        "version": base.version,
        "default": base.version == default,
        "scores": base.scores,
        "dataset": recipe.get("dataset"),
        "dataset_params": recipe.get("dataset_params", {}),
        "seed": made.get("seed", recipe.get("training", {}).get("seed")),
        **{key: made.get(key) for key in ("commit", "device", "seconds", "created_at", "job")},
    }


def dataset_view(card: dict[str, Any]) -> dict[str, Any]:
    """A dataset of labelled examples."""
    shown = {key: value for key, value in card.items() if key != "asked"}
    return {**shown, "links": {"self": f"/datasets/{card['id']}", "meta_train": "/meta-train"}}


def learner_view(cls: type[Learner]) -> dict[str, Any]:
    """A learner with the JSON Schema of its parameters."""
    return {
        "name": cls.name,
        "summary": (cls.__doc__ or "").strip().splitlines()[0],
        "tasks": sorted(cls.tasks),
        "needs_meta_training": cls.needs_meta_training,
        "adapts_body": cls.adapts_body,
        "uses_unlabelled": cls.uses_unlabelled,
        "size_limits": cls.size_limits,
        "meta_gradient": cls.without_gradient or cls.first_order or "exact",
        "parameters": cls.Config.model_json_schema(),
    }
