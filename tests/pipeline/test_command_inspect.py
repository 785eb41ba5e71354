"""`bulkscore inspect`: what is told of a model, wherever it lies."""

import json
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import exported_models
import pytest
import saved_models
from workbench import Outcome, Saved, Workbench

from options.parse import parse
from pipeline import cli
from scoring.handle import digest_folder

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def inspect(capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `inspect` in this process."""

    def run(model: Path | str, *arguments: str) -> Outcome:
        capsys.readouterr()
        code = cli.main(["inspect", f"--model={model}", *arguments])
        return Outcome(code, *capsys.readouterr())

    return run


def _told(outcome: Outcome, code: int = cli.OK) -> Any:
    assert outcome.code == code, outcome.stderr
    return json.loads(outcome.stdout)


def test_a_model_as_tables(saved: Saved, inspect: Any) -> None:
    folder = saved(saved_models.tf1)
    outcome = inspect(folder)
    assert (outcome.code, outcome.stderr) == (cli.OK, "")
    sizes = {p.name: f"{p.stat().st_size} bytes" for p in folder.rglob("*") if p.is_file()}
    total = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1000
    index, data = "variables.index", "variables.data-00000-of-00001"
    graph = (folder / "saved_model.pb").stat().st_size / 1000
    assert (
        outcome.stdout
        == f"""\
model             {folder}
format            TF1 SavedModel
tags              serve
size              {total:.1f} kB
digest            {digest_folder(folder)}
files             saved_model.pb ({graph:.1f} kB)
                  variables/{data} ({sizes[data]})
                  variables/{index} ({sizes[index]})
op packages       none
signature chosen  serving_default

signature serving_default (chosen)

        name     dtype    shape
------  -------  -------  -------
input   x/in     float32  [None]
output  y/out:0  float32  [None]

Score with it:

bulkscore score --model={folder} --input_columns=x/in=COLUMN \
--input_table=PROJECT.DATASET.TABLE --key_columns=KEY --output_table=PROJECT.DATASET.PREDICTIONS
"""
    )


def test_a_model_for_machines(saved: Saved, inspect: Any) -> None:
    folder = saved(saved_models.composite_outputs)
    told = _told(inspect(folder, "--json"))
    files = {f["name"]: f["size_bytes"] for f in told.pop("files")}
    assert files["saved_model.pb"] == (folder / "saved_model.pb").stat().st_size
    assert told.pop("size_bytes") == sum(files.values())
    assert [f["name"] for f in told.pop("functions")] == ["score"]
    assert told == {
        "model": str(folder),
        "format": "TF2 SavedModel",
        "tags": ["serve"],
        "digest": digest_folder(folder),
        "signatures": [
            {
                "name": "serving_default",
                "inputs": [_spec("x")],
                "outputs": [
                    _spec("ragged", shape=[None, None], encoding="ragged"),
                    _spec("sparse", shape=[None, 1], encoding="sparse"),
                    _spec("y"),
                ],
            }
        ],
        "chosen_signature": "serving_default",
        "op_packages": [],
        "problems": [],
        "score_command": (
            f"bulkscore score --model={folder} --input_table=PROJECT.DATASET.TABLE "
            "--key_columns=KEY --output_table=PROJECT.DATASET.PREDICTIONS"
        ),
    }


def _spec(name: str, *, shape: Any = (None,), encoding: str = "dense") -> dict[str, Any]:
    return {"name": name, "dtype": "float32", "shape": list(shape), "encoding": encoding}


@pytest.mark.parametrize(
    ("builder", "arguments", "format_told", "chosen", "in_command"),
    [
        (exported_models.hub_module, [], "TF1 hub.Module", "default", []),
        (exported_models.called, [], "TF2 SavedModel", "__call__", []),
        (
            saved_models.two_signatures,
            ["--signature=twice"],
            "TF2 SavedModel",
            "twice",
            ["--signature=twice"],
        ),
        (saved_models.two_signatures, [], "TF2 SavedModel", None, ["--signature=SIGNATURE"]),
        (exported_models.several_functions, [], "TF2 SavedModel", None, ["--signature=SIGNATURE"]),
        (
            exported_models.free_pictures,
            [],
            "TF1 SavedModel",
            "serving_default",
            ["--input_columns=my/image=COLUMN", "--input_shapes=my/image=[SIZE,SIZE,3]"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_would_be_chosen_is_in_the_command(
    saved: Saved,
    inspect: Any,
    builder: saved_models.Builder,
    arguments: list[str],
    format_told: str,
    chosen: str | None,
    in_command: list[str],
) -> None:
    folder = saved(builder)
    told = _told(inspect(folder, "--json", *arguments))
    assert (told["format"], told["chosen_signature"]) == (format_told, chosen)
    words = shlex.split(told["score_command"])
    assert words[:3] == ["bulkscore", "score", f"--model={folder}"]
    assert words[3:-3] == in_command


def test_the_command_is_one_that_score_understands(saved: Saved, inspect: Any) -> None:
    told = _told(inspect(saved(exported_models.free_pictures), "--json"))
    filled = told["score_command"].replace("SIZE", "32").replace("PROJECT", "my-project")
    config = parse(shlex.split(filled)[1:]).config
    assert config.input_columns == (("my/image", "COLUMN"),)
    assert config.input_shapes == (("my/image", (32, 32, 3)),)


def test_an_op_package_is_named_whether_it_is_there_or_not(
    saved: Saved, inspect: Any, tmp_path: Path
) -> None:
    outcome = inspect(saved(exported_models.folded))
    assert outcome.code == cli.OK
    assert "op packages       tensorflow-text (installed): CaseFoldUTF8\n" in outcome.stdout

    foreign = exported_models.with_ops("Addons>Resampler", "Frobnicate")(tmp_path)
    outcome = inspect(foreign)
    assert outcome.code == cli.USAGE
    assert "tensorflow-addons (not installed): Addons>Resampler\n" in outcome.stdout
    assert "unknown: Frobnicate\n" in outcome.stdout
    assert "input   text    string   [None]\n" in outcome.stdout
    assert "Score with it" not in outcome.stdout
    outcome.refused_with("pip install tensorflow-addons", "the op Frobnicate, which TensorFlow")

    told = _told(inspect(foreign, "--json"), cli.USAGE)
    assert told["op_packages"] == [
        {"package": "tensorflow-addons", "installed": False, "ops": ["Addons>Resampler"]},
        {"package": None, "installed": False, "ops": ["Frobnicate"]},
    ]
    assert len(told["problems"]) == 2


def test_missing_files_and_nothing_to_call_are_told_after_the_rest(
    inspect: Any, tmp_path: Path
) -> None:
    folder = saved_models.no_signature(tmp_path / "m")
    shutil.rmtree(folder / "variables")
    outcome = inspect(folder)
    assert "signature chosen  none\n" in outcome.stdout
    outcome.refused_with("has no file variables/variables.index", "has no signatures, so its inpu")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_what_is_no_model_is_one_sentence(
    saved: Saved, inspect: Any, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "model.keras").touch()
    folder = saved(saved_models.doubled)
    for model, more, sentence in (
        (tmp_path, [], "is not a SavedModel: expected a folder with the file saved_model.pb, got"),
        (tmp_path / "gone", [], "there is no such folder. Check --model."),
        (tmp_path / "gone.tar.gz", [], "there is no such file. Check --model."),
        (folder, ["--signature=other"], "has no signature 'other'. Give --signature one of:"),
    ):
        outcome = inspect(model, *arguments, *more)
        outcome.refused_with(sentence)
        assert outcome.stdout == ""


def test_an_archive_and_models_on_cloud_storage(
    bench: Workbench, saved: Saved, inspect: Any
) -> None:
    folder = saved(saved_models.doubled)
    archive = bench.folder / "m.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "m")
    for path in (p for p in folder.rglob("*") if p.is_file()):
        uri = bench.upload(f"m/{path.relative_to(folder).as_posix()}", path.read_bytes())
    places = (
        str(archive),
        bench.upload("m.tar.gz", archive.read_bytes()),
        uri[: uri.index("/m/") + 2],
    )
    for place in places:
        told = _told(inspect(place, "--json"))
        assert (told["model"], told["digest"]) == (place, digest_folder(folder))
    inspect(f"{places[2]}/gone").refused_with("there are no files in this folder. Check --model.")


def test_a_local_model_is_inspected_without_beam_or_google_cloud(saved: Saved) -> None:
    listing = "import sys; print('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    program = f"from pipeline import cli; import sys; cli.main(sys.argv[1:]); {listing}"
    finished = subprocess.run(
        [sys.executable, "-c", program, "inspect", f"--model={saved(exported_models.called)}"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = finished.stderr.split()
    assert "tensorflow" in modules
    slow = ("apache_beam", "google.cloud.", "grpc.", "tensorflow_text", "tensorflow_hub")
    assert [m for m in modules if m.startswith(slow)] == []
