"""Make the base model `table`, which has nothing to be trained: meta_core/bases/table.safetensors.

python -m benchmarks.table_base
"""

from meta_core.base import Base, BaseSpec
from meta_core.catalogue import SHIPPED

SUMMARY = "Rows of any table: columns are described from the support set itself, then logistic regression or ridge."


def main() -> None:
    """Write the artifact."""
    spec = BaseSpec(
        modality="table",
        backbone="identity",
        learners={"classification": ("logistic", {}), "regression": ("ridge", {})},
    )
    provenance = {"command": "python -m benchmarks.table_base"}
    base = Base(name="table", version=1, summary=SUMMARY, spec=spec, weights={}, provenance=provenance, scores={})
    (SHIPPED / "table.safetensors").write_bytes(base.pack())


if __name__ == "__main__":
    main()
