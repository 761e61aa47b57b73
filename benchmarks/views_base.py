"""Make the base model `omniglot-views`: the weights of `omniglot`, each image seen from five places.

python -m benchmarks.views_base
"""

from dataclasses import replace

from benchmarks.made_bases import shipped, with_views
from meta_core.catalogue import SHIPPED

SUMMARY = "The base model omniglot with embeddings averaged over five places of each image: surer, five times the work."


def main() -> None:
    """Write the artifact."""
    base = shipped("omniglot")
    made = {"weights": base.reference, "command": "python -m benchmarks.views_base"}
    views = replace(
        with_views(base), name="omniglot-views", version=1, summary=SUMMARY, provenance=base.provenance | made
    )
    (SHIPPED / "omniglot-views.safetensors").write_bytes(views.pack())


if __name__ == "__main__":
    main()
