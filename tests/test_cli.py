"""The command line, as typed."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from app import examples
from app.cli import cli, pairs
from app.cli_models import weights
from app.settings import Settings, documentation
from meta_core.base import unpack_base
from meta_core.errors import InvalidParameter, InvalidTask
from tests.running import ROOT, SHOTPUT, Up, shotput, start
from worker.settings import Settings as WorkerSettings

COMMANDS = ["up", "api", "worker", "adapt", "predict", "models", "bases", "learners", "meta-train", "evaluate"]
COMMANDS += ["datasets", "examples", "versions", "suggest", "aliases"]
TABLE = "length,colour,kind\n1.4,white,small\n1.3,white,small\n4.7,blue,large\n4.5,,large\n"
WAVES = ["meta-train", "waves", "--dataset", "sinusoids", "--learner", "cnp", "--backbone", "identity"]
QUICK = ["--training", "shots=5", "--training", "validation_tasks=2", "--training", "validate_every=5"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("home")) as running:
        running.wait_until_ready()
        yield running
        running.stop()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_the_help_lists_every_command_and_setting(tmp_path: Path) -> None:
    text = shotput("--help", home=tmp_path).stdout
    for word in [*COMMANDS, *(name for name, _, _ in documentation())]:
        assert word in text
    assert "127.0.0.1" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    shown = CliRunner().invoke(cli, [command, "--help"])
    assert shown.exit_code == 0
    assert "Usage:" in shown.stdout


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, app.cli; assert 'torch' not in sys.modules and 'fastapi' not in sys.modules"
    subprocess.run([SHOTPUT[0], "-c", code], cwd=ROOT, check=True)


def test_settings_reach_the_children_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path, port=1234, workers=3, max_ways=7, redis_url="unix:///a%20b/socket")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    assert Settings().limits().max_ways == 7


def test_what_a_worker_reads_is_in_the_help_with_the_same_default() -> None:
    ours, own = Settings.model_fields, WorkerSettings.model_fields
    assert own.keys() - ours.keys() == {"queue"}
    alike = ("home", "device", "threads", "recycle_after")
    assert [ours[name].default for name in alike] == [own[name].default for name in alike]


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    failed = shotput("up", home=tmp_path, SHOTPUT_PORT="http")
    assert failed.returncode == 1
    assert failed.stderr.startswith("shotput: SHOTPUT_PORT: Input should be a valid integer")
    assert "'http'" in failed.stderr
    failed = shotput("up", "--port", "70000", home=tmp_path)
    assert failed.stderr.startswith("shotput: SHOTPUT_PORT: Input should be less than or equal to 65535; found 70000")


def test_a_service_that_does_not_run_is_said_so(tmp_path: Path) -> None:
    failed = shotput("models", "--url", "http://127.0.0.1:1", home=tmp_path)
    assert failed.returncode == 1
    assert "nothing answers at http://127.0.0.1:1" in failed.stderr
    assert "`script/up`" in failed.stderr


def test_a_table_is_learned_asked_listed_and_forgotten(up: Up, table: Path) -> None:
    url = ["--url", up.url]
    made = shotput("adapt", table, "--base", "table", "--target", "kind", "--name", "kinds", *url, home=up.home)
    assert made.returncode == 0, made.stderr
    assert re.search(r"shots +large: 2, small: 2", made.stdout)
    (listed,) = json.loads(shotput("models", "--json", *url, home=up.home).stdout)["data"]
    assert listed["name"] == "kinds"
    id = listed["id"]
    asked = shotput("predict", id, table, "--target", "kind", "--json", *url, home=up.home)
    assert [p["label"] for p in json.loads(asked.stdout)["predictions"]] == ["small", "small", "large", "large"]
    assert re.search(
        r"line 2 +small +0\.", shotput("predict", id, table, "--target", "kind", *url, home=up.home).stdout
    )
    assert id in shotput("models", *url, home=up.home).stdout
    assert shotput("models", id, "--delete", *url, home=up.home).stdout == f"{id} is deleted\n"
    gone = shotput("predict", id, table, *url, home=up.home)
    assert gone.returncode == 1
    assert gone.stderr.startswith("shotput: Gone: ")


def test_a_model_grows_example_by_example_under_one_name(up: Up, table: Path, tmp_path: Path) -> None:
    def said(*words: str | Path) -> dict[str, Any]:
        done = shotput(*words, "--url", up.url, "--json", home=up.home)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    more = tmp_path / "more.csv"
    more.write_text("length,colour,kind\n9.1,grey,huge\n9.4,grey,huge\n")
    first = said("adapt", table, "--base", "table", "--target", "kind")
    second = said("examples", "add", first["id"], more, "--target", "kind")
    assert second["shots"] == {"huge": 2, "large": 2, "small": 2}
    third = said("examples", "remove", second["id"], "5")
    assert [one["id"] for one in said("versions", first["id"])["data"]] == [first["id"], second["id"], third["id"]]
    suggested = said("suggest", third["id"], table, "--target", "kind", "--count", "2")["suggestions"]
    assert len({one["index"] for one in suggested}) == 2
    alias = said("aliases", "kinds", f"{first['id']}=3", third["id"])
    assert alias["models"] == {first["id"]: 0.75, third["id"]: 0.25}
    assert said("predict", "kinds", table, "--target", "kind")["alias"] == "kinds"
    gone = shotput("aliases", "kinds", "--delete", "--url", up.url, home=up.home)
    assert gone.stdout == "kinds is deleted\n"
    with pytest.raises(InvalidParameter, match="a weight is a number; found 'much'"):
        weights(["mdl_1=much"])


def test_an_error_about_an_example_names_its_line(up: Up, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text('{"inputs": [{"a": 1}, {"a": 2}, {"b": 3}, {"a": 4}], "labels": ["x", "x", "y", "y"]}')
    failed = shotput("adapt", path, "--base", "table", "--url", up.url, home=up.home)
    assert failed.returncode == 1
    assert "example 2" in failed.stderr


def test_bases_and_learners_are_listed(up: Up) -> None:
    assert "table@1" in shotput("bases", "--url", up.url, home=up.home).stdout
    assert "logistic" in shotput("learners", "--url", up.url, home=up.home).stdout
    assert {"ridge", "protonet"} <= {
        learner["name"] for learner in json.loads(shotput("learners", "--json", "--url", up.url, home=up.home).stdout)
    }


def test_a_base_model_is_put_together_of_a_body_by_name(up: Up, tmp_path: Path) -> None:
    url = ["--url", up.url]
    made = shotput(
        *("bases", "add", "words", "--backbone", "text-hash", "--modality", "text", "--learner", "ridge"),
        *("--param", "scale=4", "--summary", "Short texts.", "--json", *url),
        home=up.home,
    )
    base = json.loads(made.stdout)
    assert (base["reference"], base["summary"], base["learners"]["classification"]) == (
        "words@1",
        "Short texts.",
        "ridge",
    )
    assert "words@1" in shotput("bases", *url, home=up.home).stdout
    assert "text-hash" in shotput("bases", "words", *url, home=up.home).stdout
    failed = shotput("bases", "add", "photos", "--backbone", "timm/vgg99", *url, home=up.home)
    assert (failed.returncode, "timm" in failed.stderr) == (1, True)


def test_an_unknown_base_is_the_services_error(up: Up, table: Path) -> None:
    failed = shotput("adapt", table, "--base", "tabel", "--target", "kind", "--url", up.url, home=up.home)
    assert failed.returncode == 1
    assert "shotput: Not found: no base model 'tabel'; there are: " in failed.stderr


def test_class_folders_become_labels_and_hidden_files_are_skipped(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a/1.png", "b/.hidden", ".git/x"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".png":
            Image.new("L", (4, 4)).save(path)
        else:
            path.write_text("no image")
    found = examples.support(tmp_path, None)
    assert found.body["support"]["labels"] == ["a", "b", "b"]
    assert [Path(source).name for source in found.sources] == ["1.png", "1.png", "2.png"]


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"")
    with pytest.raises(InvalidTask, match="holds no class folders"):
        examples.support(tmp_path, None)


@pytest.mark.parametrize(
    ("content", "target", "problem"),
    [
        (TABLE, None, "with --target; it has: length, colour, kind"),
        (TABLE, "sort", "no column 'sort'; it has: length, colour, kind"),
        ("a,b\n", "b", "at least one row"),
        ("a,b\n1,2\n3\n", "b", "line 3 of .* does not have the 2 cells"),
        ("a,b\n1,2,3\n", "b", "line 2 of .* does not have the 2 cells"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(content: str, target: str | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(content)
    with pytest.raises(InvalidTask, match=problem):
        examples.support(path, target)


def test_cells_mean_what_they_look_like() -> None:
    cells = {"": None, "NaN": None, "true": True, "12": 12, "-1.5e3": -1500.0, "inf": "inf", "a b": "a b"}
    assert {text: examples.cell(text) for text in cells} == cells


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (["1", "2"], [1, 2]),
        (["1", "2.5"], [1.0, 2.5]),
        (["1", "x"], ["1", "x"]),
        (["true", "false"], [True, False]),
    ],
)
def test_labels_are_all_of_one_kind(column: list[str], labels: list[object], tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,y\n" + "".join(f"0,{text}\n" for text in column))
    found = examples.support(path, "y").body["support"]["labels"]
    assert [(type(label), label) for label in found] == [(type(label), label) for label in labels]


def test_parameters_are_json_or_text() -> None:
    assert pairs(["a=1", "b=[1, 2]", "c=text", "d=x=y"]) == {"a": 1, "b": [1, 2], "c": "text", "d": "x=y"}
    with pytest.raises(InvalidParameter, match="key=value; found 'a'"):
        pairs(["a"])


def test_a_base_model_is_trained_published_and_graded(tmp_path: Path) -> None:
    trained = shotput(*WAVES, "--steps", "5", *QUICK, home=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.startswith('waves@1: {"validation": ')
    graded = shotput("evaluate", "waves", "--shots", "5", "--tasks", "3", "--json", home=tmp_path)
    scores = json.loads(graded.stdout)
    assert (scores["base"], scores["dataset"], scores["tasks"]) == ("waves@1", "sinusoids", 3)
    assert scores["mse"] > 0
    sentence = shotput("evaluate", "waves", "--shots", "5", "--tasks", "3", home=tmp_path).stdout
    assert re.fullmatch(r"waves@1 \(cnp\) on sinusoids test, 5-point, 3 tasks: MSE \d.* ± .*, NLL .*\n", sentence)


def test_a_recipe_is_a_file_that_options_change(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.json"
    training = {"steps": 3, "shots": 5, "validation_tasks": 0}
    recipe.write_text(
        json.dumps({"dataset": "sinusoids", "learner": "cnp", "backbone": "identity", "training": training})
    )
    output = tmp_path / "waves.safetensors"
    log = ["--log", tmp_path / "log.jsonl"]
    made = shotput(
        "meta-train", "w", "--recipe", recipe, "--steps", "2", "--output", output, *log, home=tmp_path / "home"
    )
    assert made.returncode == 0, made.stderr
    made_from = unpack_base(output.read_bytes()).provenance["recipe"]
    assert made_from["training"]["steps"] == 2
    assert made_from["training"]["shots"] == 5
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["episode"] for row in rows] == [1, 2]
    assert rows[0].keys() == {"episode", "loss", "validation", "rate", "seconds"}


def test_an_interrupted_training_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    command = [*WAVES, "--steps", "100", *QUICK, "--output"]
    home, interrupted, whole = tmp_path / "home", tmp_path / "interrupted.safetensors", tmp_path / "whole.safetensors"
    running = start(*command, interrupted, home=home)
    while not list(home.glob("checkpoints/*.safetensors")):
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    assert "the same command goes on from the last checkpoint" in running.communicate()[1]
    assert running.returncode == 130
    assert not interrupted.exists()
    assert shotput(*command, interrupted, home=home).returncode == 0
    assert not list(home.glob("checkpoints/*"))
    assert shotput(*command, whole, home=tmp_path / "other").returncode == 0
    weights = [unpack_base(path.read_bytes()).weights for path in (interrupted, whole)]
    assert weights[0].keys() == weights[1].keys()
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
