"""Pretrained image models by name, through the library timm."""

import copy
import functools
import hashlib
import importlib
import importlib.util
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Self

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS
from meta_core.config import Config as AnyConfig
from meta_core.errors import InvalidParameter, shown
from meta_core.hub import not_fetched
from meta_core.torchvision_operators import make_importable

MISSING = "backbone timm needs the library of that name, which is not installed here: pip install 'shotput[timm]'"
UNUSABLE = "backbone timm: the library is installed, but cannot be imported: "
WEIGHTS = "model.safetensors"
BLOCKS = ("blocks", "stages", "layer4")
"""Where timm keeps the blocks of transformers, of ConvNeXt and its kin, and the last one of a ResNet."""
LOADING = threading.RLock()


class TimmConfig(AnyConfig):
    """Which model, exactly which weights, and whether they stay as they are."""

    model: str = Field(
        pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)?$",
        max_length=200,
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
        description="name in timm, `vgg16`, or with the tag of its weights, `vgg16.tv_in1k`",
    )
    revision: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", json_schema_extra=MADE_WITH_THE_WEIGHTS, description="commit on the hub"
    )
    weights: str | None = Field(
        None,
        pattern=r"^/.*\.safetensors$",
        max_length=1000,
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
        description="a file with the weights, in the place of the hub",
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", json_schema_extra=MADE_WITH_THE_WEIGHTS, description="of the file of weights"
    )
    size: int | None = Field(
        None,
        ge=16,
        le=1024,
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
        description="height and width that images are brought to, in pixels; null: those of the pretraining",
    )
    frozen: bool = Field(
        True,
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
        description="keep the weights as they are, outside of base models, which refer to them; "
        "false: meta-training moves them, and the base model holds them",
    )


class Reading(NamedTuple):
    """How a network was shown its images in pretraining."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    share: float
    interpolation: str


@backbones.register("timm")
class Timm(Backbone):
    """A network of timm without its classifier, pretrained; `timm/vgg16` names one, with 4,096 numbers an image.

    Images are brought to the size of its pretraining and standardised as there. Its weights come from a file or from a
    commit of the hub (not with HF_HUB_OFFLINE=1), as safetensors. `frozen`, they are loaded once in a process, running
    statistics stay, and a base model only refers to them; learners that move a part of the body do so per task.
    """

    Config = TimmConfig
    config: TimmConfig
    mean: Tensor
    std: Tensor

    def __init__(self, shape: tuple[int, ...], config: TimmConfig) -> None:
        super().__init__(shape, config)
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise InvalidParameter(f"backbone {self.name} takes images [1 or 3, H, W]; inputs have shape {list(shape)}")
        self.reading = reading_of(config)
        self.dimension = _dimension(config.model, self.reading.size)
        self.register_buffer("mean", torch.tensor(self.reading.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(self.reading.std)[:, None, None], persistent=False)
        with LOADING:
            loaded = _load(config)
            shared = [*loaded.parameters(), *loaded.buffers()] if config.frozen else []
            self.network = copy.deepcopy(loaded, {id(tensor): tensor for tensor in shared})  # modules of its own
        self.network.requires_grad_(not config.frozen)
        if config.frozen:
            self.network.eval()
            self.register_state_dict_post_hook(_without_network)  # type: ignore[no-untyped-call]
            self.register_load_state_dict_post_hook(_network_is_not_missing)  # type: ignore[no-untyped-call]

    @classmethod
    def reads(cls, config: AnyConfig) -> dict[str, Any]:
        """Colour, cut and sized as in pretraining."""
        assert isinstance(config, TimmConfig)
        reading = reading_of(config)
        return {"size": reading.size, "channels": 3, "framing": "crop", "crop": reading.share}

    @property
    def normalisation(self) -> Normalisation:
        """Running statistics where it has batch normalisation; else within each image."""
        return "running" if any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in self.modules()) else "none"

    def train(self, mode: bool = True) -> Self:
        """Meta-train; a frozen network answers as ever."""
        super().train(mode)
        if self.config.frozen:
            self.network.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """[N, 1 or 3, H, W] with values 0–1 to [N, D]."""
        size = self.reading.size
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if x.shape[2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        z: Tensor = self.network((x - self.mean) / self.std)
        return z  # [N, D]

    def last_weights(self) -> list[str]:
        """Names of the weights of the last block and of all that follows it."""
        names = [name for name, _ in self.named_parameters()]
        holder = next((holder for holder in BLOCKS if hasattr(self.network, holder)), None)
        if holder is None:
            return super().last_weights()
        block = "" if holder == "layer4" else f"{len(getattr(self.network, holder)) - 1}."
        prefix = f"network.{holder}.{block}"
        return names[next(i for i, name in enumerate(names) if name.startswith(prefix)) :]


def reading_of(config: TimmConfig) -> Reading:
    """How images are prepared for a model. Raises `InvalidParameter` for a model that timm does not know."""
    known = _known(config.model)
    size = config.size or known.input_size[-1]
    return Reading(size, tuple(known.mean), tuple(known.std), float(known.crop_pct), str(known.interpolation))


def _known(model: str) -> Any:
    """What timm knows of a model's pretraining."""
    library = _library()
    if not library.is_model(model.split(".", maxsplit=1)[0]):
        raise InvalidParameter(f"timm {library.__version__} has no model {shown(model)}", "model")
    try:
        known = library.get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError:
        known = None
    if known is None:
        raise InvalidParameter(f"timm {library.__version__} knows no pretrained weights {shown(model)}", "model")
    return known


@functools.cache
def _library() -> ModuleType:
    if importlib.util.find_spec("timm") is None:
        raise InvalidParameter(MISSING)
    make_importable()
    try:
        return importlib.import_module("timm")
    except (ImportError, RuntimeError) as error:  # torchvision's, of another build than PyTorch
        raise InvalidParameter(f"{UNUSABLE}{error}") from None


@functools.lru_cache(maxsize=64)
def _dimension(model: str, size: int) -> int:
    """Numbers of an embedding, found without any weights."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        z = _created(model, size).eval()(torch.zeros(1, 3, size, size))
    return int(z.shape[-1])


def _created(model: str, size: int, weights: dict[str, Tensor] | None = None) -> nn.Module:
    """A network without classifier."""
    library = _library()
    options: dict[str, Any] = {"img_size": size} if _known(model).fixed_input_size else {}
    if weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": weights}}
    torch.manual_seed(0)
    try:
        created: nn.Module = library.create_model(model, num_classes=0, **options)
    except (RuntimeError, AssertionError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InvalidParameter(f"timm cannot make {shown(model)} for {size}×{size} pixels: {reason}", "model") from None
    return created


@functools.lru_cache(maxsize=4)
def _load(config: TimmConfig) -> nn.Module:
    path = _file(config)
    if config.sha256 is not None:
        _check(path, config.sha256)
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InvalidParameter(f"{path} is no file of weights in safetensors: {error}", "weights") from None
    size = reading_of(config).size
    with torch.random.fork_rng(devices=[]):
        loaded, fresh = (_created(config.model, size, given) for given in (weights, None))
    _check_loaded(loaded, fresh, path)
    return loaded


def _check_loaded(loaded: nn.Module, fresh: nn.Module, path: Path) -> None:
    """Raises `InvalidParameter` for weights of another network: timm leaves what is missing as it was drawn."""
    for (name, value), drawn in zip(loaded.named_parameters(), fresh.parameters(), strict=True):
        if value.dim() > 1 and torch.equal(value, drawn) and value.count_nonzero():
            raise InvalidParameter(f"{path} holds no weights for {name}: it is of another model", "weights")


def _file(config: TimmConfig) -> Path:
    """Where the weights are, after fetching them if need be."""
    if config.weights is not None:
        return Path(config.weights)
    repository = _known(config.model).hf_hub_id
    if not repository:
        raise InvalidParameter(f"timm names no weights of {shown(config.model)} on the hub; give `weights`", "weights")
    if config.revision is None:
        raise InvalidParameter(
            f"to fetch {shown(config.model)} from the hub ({repository}) its `revision` must be given, the 40 digits "
            "of a commit; or give `weights`, a file",
            "revision",
        )
    hub = importlib.import_module("huggingface_hub")
    try:
        return Path(hub.hf_hub_download(repository, WEIGHTS, revision=config.revision))
    except (OSError, ValueError, hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError) as error:
        what = f"{WEIGHTS} of {repository} at {config.revision}"
        raise not_fetched(error, what, "not in its cache") from None


def _check(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidParameter(f"{path} cannot be read: {error.strerror}", "weights") from None
    if found != expected:
        raise InvalidParameter(
            f"{path} is not the file that was meant: its SHA-256 is {found}, not {expected}", "sha256"
        )


def _without_network(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Frozen weights belong to no base model."""
    for name in [name for name in state if name.startswith(f"{prefix}network.")]:
        del state[name]


def _network_is_not_missing(module: nn.Module, keys: Any) -> None:
    network = module.get_submodule("network")
    own = tuple(f"network.{name}" for name, _ in (*network.named_parameters(), *network.named_buffers()))
    keys.missing_keys[:] = [key for key in keys.missing_keys if not key.endswith(own)]
