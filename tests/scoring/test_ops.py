"""Ops that TensorFlow lacks: found in the graph, named with their package, imported if they can be.

What a test process imports stays imported, so what needs a fresh one runs in a child.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import exported_models
import pytest
import saved_models

from scoring.errors import ModelError
from scoring.graph_file import read_graph
from scoring.ops import import_op_packages, op_needs
from scoring.savedmodel import LoadedModel
from scoring.signature import choose_signature, read_saved_model

_ROOT = Path(__file__).parents[2]

# Scores with the model in a process that has not imported tensorflow_text.
_SCORE = """
import json, sys
from pathlib import Path
import numpy as np
from scoring.graph_file import read_graph
from scoring.ops import op_needs
from scoring.savedmodel import LoadedModel
from scoring.signature import choose_signature, read_saved_model

folder = Path(sys.argv[1])
needs = [[n.package.name, n.package.is_installed, n.ops] for n in op_needs(read_graph(folder))]
before = "tensorflow_text" in sys.modules
info = read_saved_model(folder)
model = LoadedModel(str(folder), info.tags, choose_signature(info, None))
scored = model({"text": np.array(["STRASSE ß".encode()], object)})["folded"].tolist()
print(json.dumps([needs, before, [text.decode() for text in scored]]))
"""
# The names registered by TensorFlow alone and then by tensorflow-text.
_REGISTERED = """
import json
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session as session

def registered():
    ops = op_def_pb2.OpList.FromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    return {op.name for op in ops.op}

own = registered()
import tensorflow_text
print(json.dumps([sorted(own), sorted(registered() - own)]))
"""


def _in_a_child(script: str, *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _needs(folder: Path) -> dict[str | None, tuple[str, ...]]:
    return {n.package.name if n.package else None: n.ops for n in op_needs(read_graph(folder))}


def _refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as raised:
        import_op_packages(folder, op_needs(read_graph(folder)))
    prefix = f"Model {folder} cannot be loaded: "
    assert str(raised.value).startswith(prefix)
    return str(raised.value).removeprefix(prefix)


@pytest.mark.parametrize(
    "builder",
    [saved_models.mixed_inputs, saved_models.tf1, saved_models.composite_outputs],
    ids=lambda builder: builder.__name__,
)
def test_ops_of_tensorflow_need_nothing(saved: Any, builder: saved_models.Builder) -> None:
    assert op_needs(read_graph(saved(builder))) == ()


def test_tensorflow_text_is_imported_when_its_ops_are_needed(saved: Any) -> None:
    folder = saved(exported_models.folded)
    needs, imported_before, scored = _in_a_child(_SCORE, str(folder))
    assert needs == [["tensorflow-text", True, ["CaseFoldUTF8"]]]
    assert not imported_before
    assert scored == ["strasse ss"]


def test_what_is_imported_already_is_still_needed(saved: Any) -> None:
    import tensorflow_text

    assert tensorflow_text.__version__
    assert _needs(saved(exported_models.folded)) == {"tensorflow-text": ("CaseFoldUTF8",)}


def test_every_op_of_tensorflow_text_is_known_and_none_of_tensorflow(tmp_path: Path) -> None:
    own, of_text = _in_a_child(_REGISTERED)
    assert len(of_text) > 30
    folder = saved_models.texts(tmp_path)

    def use_all(model: Any) -> None:
        for i, name in enumerate((*own, *of_text)):
            model.meta_graphs[0].graph_def.node.add(name=f"n{i}", op=name)

    assert _needs(exported_models.edited(folder, use_all)) == {"tensorflow-text": tuple(of_text)}


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (
            ["Addons>AdjustHsvInYiq"],
            "its graph uses the op Addons>AdjustHsvInYiq of tensorflow-addons, which is not "
            "installed. If there is one for TensorFlow {version}, install it here and on the "
            "workers: pip install tensorflow-addons",
        ),
        (
            ["SimpleMLInferenceOpWithHandle", "SimpleMLCreateModelResource"],
            "its graph uses the ops SimpleMLCreateModelResource, SimpleMLInferenceOpWithHandle of "
            "tensorflow-decision-forests, which is not installed. If there is one for TensorFlow "
            "{version}, install it here and on the workers: pip install "
            "tensorflow-decision-forests",
        ),
        (
            ["TRTEngineOp"],
            "its graph uses the op TRTEngineOp of TensorRT, which TensorFlow {version} lacks. "
            "Export it without it.",
        ),
        (
            ["Frobnicate"],
            "its graph uses the op Frobnicate, which TensorFlow {version} does not have, nor any "
            "package that bulkscore knows. Export it without it.",
        ),
        (
            ["TFText>OfTomorrow"],
            "its graph uses the op TFText>OfTomorrow of tensorflow-text, which importing "
            "tensorflow_text does not bring. Install the version that the model was exported with, "
            "here and on the workers.",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_ops_that_are_not_there_are_named(tmp_path: Path, ops: list[str], message: str) -> None:
    import tensorflow as tf

    folder = exported_models.with_ops(*ops)(tmp_path)
    assert _refusal(folder) == message.format(version=tf.__version__)
    # Loading says the same, before TensorFlow reads anything.
    info = read_saved_model(folder)
    with pytest.raises(ModelError, match="its graph uses the op"):
        LoadedModel(str(folder), info.tags, choose_signature(info, None))


def test_needs_are_told_apart_by_package_the_unknown_ones_last(tmp_path: Path) -> None:
    names = ("TRTEngineOp", "Zz", "IO>DecodeJSON", "Addons>Resampler", "Aa", "TRTEngineOp2")
    assert list(_needs(exported_models.with_ops(*names)(tmp_path)).items()) == [
        ("tensorflow-addons", ("Addons>Resampler",)),
        ("tensorflow-io", ("IO>DecodeJSON",)),
        ("TensorRT", ("TRTEngineOp", "TRTEngineOp2")),
        (None, ("Aa", "Zz")),
    ]


def test_the_extra_that_brings_tensorflow_text_is_named(saved: Any) -> None:
    hide = "import importlib.util as u; find = u.find_spec\nu.find_spec = lambda name: None if "
    script = f"{hide} name == 'tensorflow_text' else find(name)\n{_SCORE}"
    done = subprocess.run(
        [sys.executable, "-c", script, str(saved(exported_models.folded))],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith(
        "cannot be loaded: its graph uses the op CaseFoldUTF8 of tensorflow-text, which is not "
        "installed. Install it here and on the workers: pip install 'bulkscore[text]'"
    )


def test_a_package_that_cannot_be_imported_is_named(tmp_path: Path, saved: Any) -> None:
    (tmp_path / "tensorflow_text").mkdir()
    broken = tmp_path / "tensorflow_text" / "__init__.py"
    broken.write_text("raise OSError('undefined symbol: _ZN10tensorflow')", encoding="utf-8")
    script = _SCORE.replace("info = read", f"sys.path.insert(0, {str(tmp_path)!r})\ninfo = read")
    done = subprocess.run(
        [sys.executable, "-c", script, str(saved(exported_models.folded))],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (
        "its graph uses ops of tensorflow-text (CaseFoldUTF8), and importing tensorflow_text "
        in (done.stderr.splitlines()[-1])
    )
    assert (
        "fails: undefined symbol: _ZN10tensorflow. Install the version for TensorFlow"
        in (done.stderr.splitlines()[-1])
    )
