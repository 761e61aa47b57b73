"""What the API takes and gives, as JSON."""

import json
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from meta_core.config import Typed
from meta_core.errors import InvalidRequest

MOST_INPUTS = 100_000


class Strict(Typed):
    """A body in which an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class ArrayInputs(Strict):
    """All inputs as one dense array."""

    npy: str = Field(
        description="base64 of a .npy file; its first axis counts the examples", examples=["k05VTVBZAQB2..."]
    )


Inputs = Annotated[
    Annotated[list[Any], Field(max_length=MOST_INPUTS)] | ArrayInputs,
    Field(
        description="One entry an example, as the base model's modality wants them: `image` a base64 string, data URL "
        "or nested list; `table` an object column → value; `vector` a list of numbers. Or all as one array: "
        '`{"npy": "<base64>"}`.'
    ),
]


class SupportBody(Strict):
    """Labelled examples to learn from."""

    inputs: Inputs
    labels: list[Any] = Field(
        max_length=100_000,
        description="Strings, integers or booleans are classes; floats are regression targets, a list of them several.",
    )
    unlabelled: Inputs = Field(
        default_factory=list,
        description="more inputs of the task, without labels, for learners with `uses_unlabelled`; as `inputs`",
    )


class AdaptBody(Strict):
    """A support set, and what to adapt to it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "base": "table",
                    "support": {
                        "inputs": [
                            {"length": 1.4, "colour": "white"},
                            {"length": 1.3, "colour": "white"},
                            {"length": 4.7, "colour": "blue"},
                            {"length": 4.5, "colour": "white"},
                        ],
                        "labels": ["small", "small", "large", "large"],
                    },
                    "name": "flowers",
                }
            ]
        },
    )

    base: str = Field(description="base model, `name` or `name@version`; see GET /bases", examples=["omniglot"])
    support: SupportBody
    learner: str | None = Field(None, description="a learner of GET /learners; `auto` if not given, which chooses one")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the learner")
    task: Literal["classification", "regression"] | None = Field(
        None, description="what integer labels mean; decided by the labels if not given"
    )
    name: str | None = Field(None, max_length=200, description="your own name for the adapted model")
    metadata: dict[str, Any] = Field(default_factory=dict, description="anything you want kept with it")
    keep_support: bool = Field(
        True, description="false: the support set is removed once the model is ready; it can then not be adapted anew"
    )

    ttl_seconds: int | None = Field(
        None, ge=1, le=10**9, description="seconds after which the model and its support set are deleted; never if null"
    )

    dedupe: bool = Field(
        False,
        description="true: answer the model already made so of the same examples and settings, if it is still there",
    )

    @pydantic.model_validator(mode="after")
    def _one_or_the_other(self) -> "AdaptBody":
        if self.dedupe and self.ttl_seconds is not None:
            raise ValueError(
                "dedupe and ttl_seconds exclude each other: a model of somebody else's end would be answered"
            )
        return self

    @pydantic.field_validator("metadata")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(value, allow_nan=False)) > 16_000:
            raise ValueError("metadata is at most 16,000 characters of JSON")
        return value


class ExamplesBody(Strict):
    """Labelled examples for a model to learn too."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"inputs": [{"length": 3.1, "colour": "red"}], "labels": ["middling"]}]},
    )

    inputs: Inputs
    labels: list[Any] = Field(max_length=100_000, description="as in `/adapt`, of the same kind; new classes too")
    learner: str | None = Field(
        None, description="another learner, or `auto` to choose anew; as the model before was asked for if not given"
    )


class SuggestBody(Strict):
    """Unlabelled inputs, and how many of them shall be labelled."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"inputs": [{"length": 1.5, "colour": "white"}, {"length": 3.1, "colour": "blue"}], "count": 1}
            ]
        },
    )

    inputs: Inputs
    count: int = Field(10, ge=1, le=200, description="how many to suggest")


class Suggested(BaseModel):
    """One input worth a label."""

    index: int = Field(examples=[1], description="its position in `inputs`")
    score: float = Field(
        examples=[0.31],
        description="share of the variance of all answers that its label is expected to take away, given the support "
        "set and the suggestions before it; by `margin`: one less the margin, or the variance",
    )


class Suggestions(BaseModel):
    """The inputs to label next, best first."""

    model: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"])
    method: Literal["variance reduction", "uncertainty-weighted variance reduction", "margin"] = Field(
        examples=["variance reduction"]
    )
    suggestions: list[Suggested]


class PredictBody(Strict):
    """Inputs for an adapted model."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model": "mdl_0193a5b0c7d27a4e8f00112233445566",
                    "inputs": [{"length": 1.5, "colour": "white"}, {"length": 4.9, "colour": "blue"}],
                }
            ]
        },
    )

    model: str = Field(description="id of an adapted model, or an alias")
    inputs: Inputs
    key: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="with an alias of several models: the same key (a user, a session) is answered by the same one",
    )
    coverage: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="answer a set of classes, or an interval, that holds the truth this often (conformal)",
    )
    reject: float | None = Field(
        None,
        gt=0,
        lt=1,
        description='label as "unknown" what is stranger than all but this share of the support\'s own classes',
    )
    explain: bool = Field(False, description="add `because`: the nearest support examples, and the share of each")


class AliasBody(Strict):
    """What an alias stands for: one model, or several that share its questions by weight."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"model": "mdl_0193a5b0c7d27a4e8f00112233445566"},
                {
                    "models": {
                        "mdl_0193a5b0c7d27a4e8f00112233445566": 9,
                        "mdl_0193a5b0c7d27a4e8f00112233445567": 1,
                    }
                },
            ]
        },
    )

    model: str | None = Field(None, description="id of an adapted model")
    models: dict[str, float] | None = Field(None, description="or ids and their weights, which need not add up to one")

    def weights(self) -> dict[str, float]:
        """Models and their weights. Raises `InvalidRequest` unless exactly one of both was sent."""
        if (self.model is None) == (self.models is None):
            raise InvalidRequest("send either `model`, an id, or `models`, an object of id → weight")
        return {self.model: 1.0} if self.model is not None else dict(self.models or {})


class AliasView(BaseModel):
    """A name, and the models that share its questions."""

    name: str = Field(examples=["tickets"])
    models: dict[str, float] = Field(
        examples=[{"mdl_0193a5b0c7d27a4e8f00112233445566": 1.0}], description="the share of each in the questions"
    )
    updated_at: str = Field(examples=["2026-11-21T09:30:00.123Z"])
    links: dict[str, str] = Field(examples=[{"self": "/aliases/tickets"}])


class EvaluateBody(Strict):
    """What to grade, and on what: labelled queries, or a dataset."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "model": "mdl_0193a5b0c7d27a4e8f00112233445566",
                    "inputs": [{"length": 1.5, "colour": "white"}, {"length": 4.9, "colour": "blue"}],
                    "labels": ["small", "large"],
                },
                {"base": "omniglot", "dataset": "omniglot", "ways": 20, "shots": 1, "tasks": 1000},
            ]
        },
    )

    model: str | None = Field(None, description="id of an adapted model")
    base: str | None = Field(None, description="or a base model, `name` or `name@version`")
    inputs: Inputs | None = None
    labels: list[Any] | None = Field(None, max_length=100_000)
    dataset: str | dict[str, Any] | None = Field(
        None, description='name of a dataset of the service, or `{"id": "dst_…"}` of an uploaded one'
    )
    dataset_params: dict[str, Any] = Field(default_factory=dict)
    split: Literal["train", "validation", "test"] = Field("test", description="part of the dataset (base models)")
    ways: int = Field(5, description="classes of a task (base models)")
    shots: int = Field(1, description="support examples per class, or points of a regression task (base models)")
    queries: int = Field(15, description="queries per class, or points of a regression task (base models)")
    tasks: int = Field(600, description="how many tasks (base models)")
    seed: int = Field(0, description="which tasks (base models)")
    learner: str | None = Field(None, description="another learner on the embeddings of the base model")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the learner")


class Evaluated(BaseModel):
    """The scores, or the job that will have them."""

    model_config = ConfigDict(extra="allow")

    scores: dict[str, Any] | None = Field(
        None, examples=[{"examples": 40, "accuracy": 0.95, "interval": 0.07, "nll": 0.2, "ece": 0.04}]
    )
    id: str | None = Field(None, examples=["job_0193a5b0c7d27a4e8f00112233445566"])
    status: str | None = Field(None, examples=["queued"])
    links: dict[str, str] | None = Field(None, examples=[{"self": "/jobs/job_…"}])


class ReadaptModelBody(Strict):
    """Where to move an adapted model."""

    base: str | None = Field(
        None,
        examples=["omniglot@2"],
        description="base model, `name@version`; the default version of its own if not given",
    )


class ReadaptBaseBody(Strict):
    """Where to move the adapted models of a base model."""

    version: int | None = Field(None, ge=1, examples=[2], description="the default version if not given")


class Neighbour(BaseModel):
    """A support example, and its share in the answer; the shares of all examples sum to 1."""

    example: int = Field(examples=[3], description="index in the support set")
    label: str | int | bool | float | list[float] = Field(examples=["small"])
    share: float = Field(examples=[0.61])


class ClassAnswer(BaseModel):
    """The most probable class, and the probability of every class."""

    label: str | int | bool = Field(examples=["small"])
    probability: float = Field(examples=[0.98])
    probabilities: dict[str, float] = Field(examples=[{"small": 0.98, "large": 0.02}])
    set: list[str | int | bool] | None = Field(
        None, examples=[["small"]], description="with `coverage`: the classes that hold the true one so often"
    )

    unknown: float | None = Field(None, examples=[0.03], description="probability of being of none of the classes")
    rejected: bool | None = Field(None, examples=[False], description="with `reject`: whether the label is `unknown`")
    because: list[Neighbour] | None = Field(None, description="with `explain`: the nearest support examples")


class TargetAnswer(BaseModel):
    """Mean and standard deviation of a regression target, and the interval that holds it nine times in ten.

    With several targets each is a list.
    """

    mean: float | list[float] = Field(examples=[1.2])
    std: float | list[float] = Field(examples=[0.1])
    interval: list[float] | list[list[float]] = Field(examples=[[1.04, 1.36]])
    because: list[Neighbour] | None = Field(None, description="with `explain`: the nearest support examples")


class Predictions(BaseModel):
    """One answer for each input, in order."""

    model: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"], description="the one that answered")
    alias: str | None = Field(None, examples=["tickets"], description="by which it was asked, if by one")
    predictions: list[ClassAnswer] | list[TargetAnswer]


class Failure(BaseModel):
    """Why an order has no result."""

    code: str = Field(examples=["internal"])
    detail: str = Field(examples=["killed its worker 3 times"])


class ModelView(BaseModel):
    """An adapted model, or the order for one."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"])
    status: Literal["queued", "running", "ready", "failed", "cancelled"] = Field(examples=["ready"])
    base: str = Field(examples=["omniglot@1"])
    learner: str = Field(examples=["protonet"])
    params: dict[str, Any] = Field(examples=[{"scale": 1.0}])
    task: Literal["classification", "regression"] = Field(examples=["classification"])
    modality: str = Field(examples=["image"])
    classes: list[str | int | bool] | None = Field(examples=[["a", "b"]])
    shots: dict[str, int] = Field(examples=[{"a": 5, "b": 5}])
    unlabelled: int = Field(0, examples=[0], description="how many unlabelled inputs it learned from as well")
    scores: dict[str, Any] | None = Field(
        None,
        description="what leaving one example out says: accuracy and ECE, or RMSE and R²; NLL in nats; 95 % intervals",
        examples=[
            {
                "loo_accuracy": 0.97,
                "loo_ece": 0.03,
                "loo_nll": 0.11,
                "loo_examples": 30,
                "loo_intervals": {"loo_accuracy": [0.83, 0.99], "loo_ece": [0.02, 0.08], "loo_nll": [0.05, 0.2]},
            }
        ],
    )
    name: str | None = Field(None, examples=["signatures of branch 7"])
    metadata: dict[str, Any] = Field(default_factory=dict, examples=[{"customer": 7}])
    keep_support: bool = Field(True, description="whether the support set is kept beside the model")
    expires_at: str | None = Field(
        None, examples=["2026-11-22T09:30:00.123Z"], description="when it is deleted by itself; null: never"
    )
    parent: str | None = Field(
        None, examples=["mdl_0193a5b0c7d27a4e8f00112233445565"], description="model whose next version it is"
    )
    version: int = Field(1, examples=[2], description="one more than its parent's; 1 where there is none")
    lineage: str | None = Field(
        None, examples=["mdl_0193a5b0c7d27a4e8f00112233445565"], description="the first of the versions"
    )
    change: dict[str, int] | None = Field(
        None, examples=[{"added": 1}], description="how its support set differs from its parent's"
    )
    described_by: str | None = Field(
        None,
        examples=["mdl_0193a5b0c7d27a4e8f00112233445565"],
        description="model whose support set described the inputs (columns, categories, means, lengths); own if null",
    )
    created_at: str = Field(examples=["2026-11-21T09:30:00.123Z"])
    seconds: float | None = Field(None, examples=[0.004])
    error: Failure | None = None
    links: dict[str, str] = Field(examples=[{"self": "/models/mdl_…", "predict": "/predict", "job": "/jobs/mdl_…"}])


class Version(BaseModel):
    """One of the models that came of a first one by changes of its support set."""

    id: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445566"])
    status: Literal["queued", "running", "ready", "failed", "cancelled", "deleted"] = Field(examples=["ready"])
    version: int | None = Field(None, examples=[2])
    parent: str | None = Field(None, examples=["mdl_0193a5b0c7d27a4e8f00112233445565"])
    children: list[str] = Field(examples=[["mdl_0193a5b0c7d27a4e8f00112233445567"]])
    change: dict[str, int] | None = Field(None, examples=[{"added": 1}])
    base: str | None = Field(None, examples=["omniglot@1"])
    learner: str | None = Field(None, examples=["protonet"])
    shots: dict[str, int] | None = Field(None, examples=[{"a": 5, "b": 6}])
    scores: dict[str, Any] | None = Field(None, examples=[{"loo_accuracy": 0.97}])
    created_at: str | None = Field(None, examples=["2026-11-21T09:30:00.123Z"])


class Versions(BaseModel):
    """All versions of a model, oldest first."""

    lineage: str = Field(examples=["mdl_0193a5b0c7d27a4e8f00112233445565"], description="the first of them")
    data: list[Version]


class ModelList(BaseModel):
    """Adapted models, newest first."""

    data: list[ModelView]
    has_more: bool = Field(examples=[False])
    next_cursor: str | None = Field(examples=[None], description="send as `cursor` to get the next page")


class JobView(BaseModel):
    """An order and how far it is."""

    model_config = ConfigDict(extra="allow")

    id: str = Field(examples=["job_0193a5b0c7d27a4e8f00112233445566"])
    kind: Literal["adapt", "meta-train", "evaluate", "readapt"] = Field(examples=["meta-train"])
    status: Literal["queued", "running", "ready", "failed", "cancelled", "deleted"] = Field(examples=["running"])
    progress: dict[str, Any] | None = Field(
        None,
        examples=[
            {"fraction": 0.25, "step": 500, "total_steps": 2000, "episodes": 500, "loss": 0.71, "eta_seconds": 90}
        ],
    )
    created_at: str | None = Field(None, examples=["2026-11-21T09:30:00.123Z"])
    request_id: str | None = Field(
        None,
        examples=["5f2b9d6a0c4e4f7e9d1b2a3c4d5e6f70"],
        description="of the request that ordered it; the logs name it",
    )
    error: Failure | None = None
    links: dict[str, str] = Field(examples=[{"self": "/jobs/job_…"}])


class BaseView(BaseModel):
    """A version of a base model."""

    reference: str = Field(examples=["omniglot@1"])
    name: str = Field(examples=["omniglot"])
    version: int = Field(examples=[1])
    versions: list[int] = Field(examples=[[1]])
    default: int = Field(examples=[1], description="the version that the bare name means")
    summary: str = Field(examples=["Handwritten characters and other line drawings."])
    modality: str = Field(examples=["image"])
    preprocessing: dict[str, Any] = Field(examples=[{"size": 28, "channels": 1, "framing": "drawing"}])
    input_example: Any = Field(examples=["data:image/png;base64,…"])
    backbone: str = Field(examples=["conv4"])
    learners: dict[str, str] = Field(examples=[{"classification": "protonet"}], description="its own, by kind of task")
    scores: dict[str, Any]
    provenance: dict[str, Any]
    links: dict[str, str] = Field(examples=[{"self": "/bases/omniglot"}])


class VersionView(BaseModel):
    """How one version of a base model was made, and how good it is."""

    version: int = Field(examples=[2])
    default: bool = Field(examples=[True])
    scores: dict[str, Any] = Field(examples=[{"validation": 0.94}])
    dataset: str | None = Field(examples=["omniglot"])
    dataset_params: dict[str, Any] = Field(examples=[{}])
    seed: int | None = Field(examples=[0])
    commit: str | None = Field(examples=["69f9560"], description="of the program, where it ran from a checkout")
    device: str | None = Field(examples=["cpu: AMD EPYC 7B13"])
    seconds: float | None = Field(examples=[1830.5])
    created_at: str | None = Field(examples=["2026-11-21T09:30:00+00:00"])
    job: str | None = Field(examples=["job_0193a5b0c7d27a4e8f00112233445566"])


class BaseDetails(BaseView):
    """A version of a base model, and the history of all its versions."""

    history: list[VersionView]


class BasePatch(Strict):
    """What can be changed of a base model."""

    default: int | None = Field(
        ge=1, examples=[1], description="version that the bare name means from now on; null: always the newest"
    )


class DatasetOptions(BaseModel):
    """How an uploaded file is to be read, where its content leaves it open."""

    name: str | None = Field(None, max_length=200, description="your own name for the dataset")
    format: str | None = Field(None, description="folders, csv, parquet, jsonl or npz; recognised if not given")
    target: str | None = Field(None, max_length=500, description="column of a table that holds the label")
    task: Literal["classification", "regression"] | None = Field(None, description="what integer labels mean")
    modality: str | None = Field(None, description="of the inputs, such as image, audio, text, table, series or vector")


class DatasetView(BaseModel):
    """A dataset of labelled examples."""

    id: str = Field(examples=["dst_5b2f0c9d3e7a41c6a8d4f1e2b3c4d5e6"])
    name: str | None = Field(examples=["birds of the garden"])
    status: Literal["ready"] = Field(examples=["ready"])
    format: str = Field(examples=["folders"])
    modality: str = Field(examples=["image"])
    task: Literal["classification", "regression"] = Field(examples=["classification"])
    target: str | None = Field(examples=[None], description="column of a table that holds the label; null: the last")
    examples: int = Field(examples=[1200])
    ways: int | None = Field(examples=[60], description="number of classes")
    classes: dict[str, int] = Field(examples=[{"robin": 20, "wren": 20}], description="examples of the first 1,000")
    shape: list[int] = Field(examples=[[3, 28, 28]], description="of one input as a tensor, as its modality is set up")
    bytes: int = Field(examples=[48_213_772])
    sha256: str = Field(examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"])
    created_at: str = Field(examples=["2026-11-21T09:30:00.123Z"])
    links: dict[str, str] = Field(examples=[{"self": "/datasets/dst_…"}])


class DatasetList(BaseModel):
    """Datasets, newest first."""

    data: list[DatasetView]
    has_more: bool = Field(examples=[False])
    next_cursor: str | None = Field(examples=[None], description="send as `cursor` to get the next page")


class LearnerView(BaseModel):
    """A learner and its parameters."""

    name: str = Field(examples=["ridge"])
    summary: str = Field(examples=["Ridge regression on embeddings."])
    tasks: list[str] = Field(examples=[["classification", "regression"]])
    needs_meta_training: bool = Field(
        examples=[False],
        description="true: only with a base model trained with it; false: with any that has embeddings",
    )
    adapts_body: bool = Field(
        examples=[False],
        description="true: adapting changes the backbone too, so that one with running batch statistics will not do",
    )
    uses_unlabelled: bool = Field(examples=[False], description="whether it takes `support.unlabelled`")
    size_limits: str = Field(examples=[""], description="limits on ways and shots; empty: any number, balanced or not")
    meta_gradient: str = Field(
        examples=["exact"], description="of what slope meta-training goes: `exact`, or what is left out, or why none"
    )
    parameters: dict[str, Any] = Field(description="JSON Schema; `x-when: meta-train` marks those fixed by training")


class Health(BaseModel):
    """Whether the parts that are needed answer."""

    status: Literal["ok", "unavailable"] = Field(examples=["ok"])
    checks: dict[str, str] = Field(examples=[{"redis": "ok", "store": "ok", "worker": "ok: 1 alive"}])


class Problem(BaseModel):
    """An error (RFC 9457): what was found, what was needed, and where."""

    type: str = Field(examples=["urn:shotput:problem:invalid_example"])
    title: str = Field(examples=["Invalid example"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["example 3: the string is not valid base64"])
    code: str = Field(examples=["invalid_example"])
    instance: str = Field(examples=["/adapt"])
    request_id: str = Field(examples=["5f2b9d6a0c4e4f7e9d1b2a3c4d5e6f70"])
    errors: list[dict[str, str]] = Field(
        default_factory=list, examples=[[{"pointer": "/support/inputs/3", "detail": "the string is not valid base64"}]]
    )
