"""Make the base models for texts, which hold no weights: meta_core/bases/text-hash.safetensors and text-minilm.

python -m benchmarks.text_bases
"""

from typing import Any

from meta_core.base import Base, BaseSpec
from meta_core.catalogue import SHIPPED

HASH = "Texts in any language, by the words and pieces of words in them; needs no download."
MINILM = "English sentences by what they mean: the encoder all-MiniLM-L6-v2, which comes with the extra `text`."
REVISION = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def main() -> None:
    """Write the artifacts."""
    write("text-hash", HASH, "text-hash", {})
    write("text-minilm", MINILM, "sentence-transformers/all-MiniLM-L6-v2", {"revision": REVISION, "sha256": WEIGHTS})


def write(name: str, summary: str, backbone: str, config: dict[str, Any]) -> None:
    """One base model: a backbone under logistic regression, or under ridge regression for numbers."""
    spec = BaseSpec(
        modality="text",
        backbone=backbone,
        backbone_config=config,
        learners={"classification": ("logistic", {"inverse_penalty": 30.0}), "regression": ("ridge", {})},
    )
    provenance = {"command": "python -m benchmarks.text_bases"}
    base = Base(name=name, version=1, summary=summary, spec=spec, weights={}, provenance=provenance, scores={})
    (SHIPPED / f"{name}.safetensors").write_bytes(base.pack())


if __name__ == "__main__":
    main()
