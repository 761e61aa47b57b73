"""Nothing that is read can run: no pickle, no torch.load, no eval anywhere in the packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
NAMES = {"eval", "exec", "compile", "__import__"}
METHODS = {("torch", "load"), ("torch", "jit"), ("yaml", "load"), ("yaml", "unsafe_load"), ("pandas", "read_pickle")}


def dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        yield from (name for name in imported if name.split(".")[0] in MODULES)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
            yield node.func.id
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield from (f"{a}.{b}" for a, b in METHODS if (node.value.id, node.attr) == (a, b))
        if (
            isinstance(node, ast.keyword)
            and node.arg == "allow_pickle"
            and getattr(node.value, "value", None) is not False
        ):
            yield "allow_pickle"


@pytest.mark.parametrize("package", ["app", "worker", "meta_core"])
def test_no_package_holds_anything_that_makes_code_of_data(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    assert {str(file): found for file in files if (found := list(dangers(ast.parse(file.read_text()))))} == {}


def test_the_search_finds_what_it_looks_for() -> None:
    code = "import pickle\nfrom marshal import loads\ntorch.load(f)\neval(x)\nnp.load(f, allow_pickle=True)"
    assert len(list(dangers(ast.parse(code)))) == 5
