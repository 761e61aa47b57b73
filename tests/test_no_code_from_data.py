"""Nothing that is read can run: no pickle, no torch.load, no eval anywhere in the packages."""

import ast
import subprocess
import sys
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


PROCESS = """
import io, pickle, collections
from rq.serializers import DefaultSerializer, JSONSerializer
from meta_core.no_code import refuse_unpickling

attacks = [pickle.dumps(collections.OrderedDict(a=1)), b"cos\\nsystem\\n(S'echo ran'\\ntR.", pickle.dumps(print)]
refuse_unpickling()
assert JSONSerializer.loads(JSONSerializer.dumps({"a": [1, "x"]})) == {"a": [1, "x"]}
assert pickle.loads(pickle.dumps({"ping": [1, None]})) == {"ping": [1, None]}
for attack in attacks:
    for load in (pickle.loads, DefaultSerializer.loads, lambda b: pickle._Unpickler(io.BytesIO(b)).load()):
        try:
            load(attack)
        except RuntimeError as error:
            assert "refused to unpickle" in str(error)
        else:
            raise SystemExit("was unpickled")
print("refused")
"""


def test_a_process_that_refuses_to_unpickle_does_whatever_library_asks() -> None:
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("refused\n", 0), done.stderr


@pytest.mark.parametrize("path", ["app/main.py", "worker/__main__.py"])
def test_what_reads_requests_and_orders_refuses_to_unpickle(path: str) -> None:
    assert "    refuse_unpickling()\n" in (ROOT / path).read_text()
