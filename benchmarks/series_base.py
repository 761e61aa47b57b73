"""Make the base model `series`, which has nothing to be trained: meta_core/bases/series.safetensors.

python -m benchmarks.series_base
"""

from meta_core.base import Base, BaseSpec
from meta_core.catalogue import SHIPPED

SUMMARY = (
    "Sensor series and other measurements over time, of one or more channels and any length, classes or numbers to be "
    "told: random convolution kernels (MiniRocket, Hydra), then ridge."
)


def main() -> None:
    """Write the artifact."""
    spec = BaseSpec(
        modality="series",
        backbone="minirocket",
        backbone_config={"normalise": False},
        learners={"classification": ("ridge", {}), "regression": ("ridge", {})},
    )
    provenance = {"command": "python -m benchmarks.series_base"}
    base = Base(name="series", version=2, summary=SUMMARY, spec=spec, weights={}, provenance=provenance, scores={})
    (SHIPPED / "series.safetensors").write_bytes(base.pack())


if __name__ == "__main__":
    main()
