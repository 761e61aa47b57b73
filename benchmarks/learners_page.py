"""Write docs/learners.md from the learners' own docstrings and settings.

python -m benchmarks.learners_page
"""

import inspect
from pathlib import Path
from typing import Any

from meta_core.learner import Learner, learners

PAGE = Path(__file__).parents[1] / "docs" / "learners.md"
HEAD = """# Learners

Made by `python -m benchmarks.learners_page` from the learners themselves. Name one in `/adapt` or `/meta-train`; the
same parameters, as JSON Schema, are in `GET /learners`. "any base model" means that it adapts the embeddings of any
base model as they are; the others answer only with a base model that was meta-trained with them.

| learner | learns | works with |
|---|---|---|
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


def page() -> str:
    """The whole page."""
    known = [learners[name] for name in learners]
    return HEAD + "".join(map(_row, known)) + "".join(map(_section, known))


def _row(cls: type[Learner]) -> str:
    works_with = "its own base models" if cls.needs_meta_training or cls.adapts_body else "any base model"
    return f"| [`{cls.name}`](#{cls.name}) | {', '.join(sorted(cls.tasks))} | {works_with} |\n"


def _section(cls: type[Learner]) -> str:
    parameters = cls.Config.model_json_schema().get("properties", {})
    lines = [f"\n## {cls.name}\n\n{inspect.getdoc(cls)}\n"]
    if parameters:
        lines += ["\n| parameter | default | |\n|---|---|---|\n", *(_parameter(*item) for item in parameters.items())]
    return "".join(lines)


def _parameter(name: str, schema: dict[str, Any]) -> str:
    about = schema.get("description", "")
    fixed = "fixed by meta-training" if schema.get("x-when") else ""
    return f"| `{name}` | `{schema.get('default')}` | {'; '.join(part for part in (about, fixed) if part)} |\n"


if __name__ == "__main__":
    main()
