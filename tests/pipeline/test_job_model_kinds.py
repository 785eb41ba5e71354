"""Every kind of model that trips naive scorers, through the whole pipeline.

CASES is the list: for each kind a model, a table, perhaps flags, and exactly what comes of them.
"""

import io
import re
import signal
import subprocess
import sys
from enum import Enum
from importlib.metadata import version
from pathlib import Path

import exported_models as exported
import misbehaving_models as misbehaving
import pyarrow as pa
import pytest
import saved_models as plain
import unusual_models as unusual
from model_case import Case, Refused, Scored
from PIL import Image
from workbench import Saved, Workbench

from pipeline import cli

_ROOT = Path(__file__).parents[2]
_PROGRESS = re.compile(r"\d\d:\d\d:\d\d (Loaded model|[\d,]+ rows so far)")


class Kind(Enum):
    """What is unusual about a model."""

    USELESS_DEFAULT = "several signatures where the default is not the useful one"
    NO_SERVING_DEFAULT = "no serving_default (TF1 hub.Module: no tags, only `default`)"
    NO_SIGNATURE = "no signature at all (callable only)"
    MIXED_INPUTS = "several inputs of mixed dtypes, each a column of shape [None]"
    INPUT_OF_1 = "input [None,1]"
    INPUT_OF_D = "input [None,d]"
    INPUT_OF_IMAGES = "input [None,h,w,c]"
    INPUT_OF_ANY_LENGTH = "input [None,None] (pad within the batch)"
    DTYPES = "int32, int64, uint8, bool, float16, string inputs"
    FIXED_BATCH = "fixed batch size"
    STATED_SHAPE = "a stated shape stricter than the model"
    UNKNOWN_RANK = "unknown rank"
    EXAMPLES = "serialized tf.Example input"
    RAGGED = "ragged outputs"
    SPARSE = "sparse outputs"
    STRINGS = "string outputs"
    NAMES = "several outputs, names with `/` and `:`"
    RANK_3 = "outputs of rank 3"
    RANK_4 = "outputs of rank 4"
    FOLLOWING_LENGTH = "output length that follows the input"
    FAILING_BATCH = "an input row that makes the whole batch fail (bytes that are no image)"
    MISSING_OP = "missing custom op"
    NO_KERNEL = "loads but has no kernel"
    REFERENCE_VARIABLES = "TF1 reference variables"
    CRASH = "kills the process at its first call"
    EMPTY_ROWS = "dynamic-size output where some rows come back empty"


def _png(*colours: tuple[int, int, int]) -> bytes:
    """An image of 3 x 2 pixels that takes these colours in turn."""
    image = Image.new("RGB", (3, 2))
    image.putdata(colours * (6 // len(colours)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _bytes(*values: bytes) -> pa.Array:
    return pa.array(values, pa.binary())


def _wrong_length(got: int, needed: int) -> str:
    return f"feed WRONG_LENGTH: column 'x' has {got} elements; input 'x' needs exactly {needed}"


def _misfit(name: str, value: float, rule: str) -> str:
    return f"feed OUT_OF_RANGE: column {name!r} holds {value}; input {name!r} is {rule}"


_RED, _CHEQUERED = _png((255, 0, 0)), _png((255, 255, 255), (0, 0, 0))
_ARRAYS = {"x": [[1.0], [1.0, 2.0, 3.0], []]}
_SCORES = {"scores": [[0.25, 0.75, 1.0, 0.0], [0.0] * 4, [2.0, 0.0, 0.0, 0.0]]}
_EXTREMES = {
    "int32": [2**31 - 1, -(2**31), 2**31, 0, 0, 0, 0, 0],
    "int64": pa.array([2**63 - 1, -(2**63), 0, None, 0, 0, 0, 0]),
    "uint8": [255, 0, 0, 0, -1, 0, 0, 0],
    "bool": [1, 0, 0, 0, 0, 2, 0, 0],
    "float16": [0.1, -65504.0, 0.0, 0.0, 0.0, 0.0, 70000.0, 0.0],
    "string": _bytes("straße".encode(), b"", b"", b"", b"", b"", b"", b"\xff"),
}
_NOT_DECODED = (
    "call CALL_FAILED: Unknown image file format. One of JPEG, JPEG XL, PNG, GIF, BMP, WebP "
    "required."
)
_NO_KERNEL = (
    "Model {model} loads, but signature 'serving_default' cannot be called on this machine: "
    "op CudnnRNN has no kernel for CPU."
)

CASES = (
    Case(
        Kind.USELESS_DEFAULT,
        unusual.useless_default,
        {"text": ["ab", "abcd"]},
        Scored({"answer": ["short", "long"]}, signature="predict"),
        ("--signature=predict",),
    ),
    Case(
        Kind.USELESS_DEFAULT,
        plain.two_signatures,
        {"x": [1.0]},
        Refused(
            "Model {model} has several signatures and no 'serving_default'. Choose one with "
            "--signature:\n"
            "  plus_one (x: float32[None] -> y: float32[None])\n"
            "  twice (x: float32[None] -> y: float32[None])"
        ),
        about="no default",
    ),
    Case(
        Kind.NO_SERVING_DEFAULT,
        exported.hub_module,
        {"a": [1.0, 2.0]},
        Scored({"default": [3.0, 6.0]}, signature="default"),
    ),
    Case(
        Kind.NO_SIGNATURE,
        exported.traced_for_training,
        {"a": [1.0, 2.0], "b": [3, 4]},
        # 2 * (a + b), the way to call it that is not for training.
        Scored(
            {"parts_0": [1.0, 2.0], "parts_2_0": [3, 4], "sum": [8.0, 12.0]}, signature="__call__"
        ),
    ),
    Case(
        Kind.NO_SIGNATURE,
        plain.no_signature,
        {"x": [1.0]},
        Refused(
            "Model {model} has no signatures, so its inputs and outputs are unknown. Export it "
            "again with signatures=… (tf.saved_model.save) or model.export() (Keras)."
        ),
        about="nor callable",
    ),
    Case(
        Kind.MIXED_INPUTS,
        plain.mixed_inputs,
        {
            "count": [2, -3, 4],
            "offset": [10, 2**40, 0],
            "price": [0.5, 1.5, 0.25],
            "active": [True, False, True],
            "name": ["a", "straße", ""],
        },
        Scored({"label": ["a!", "straße!", "!"], "total": [11.0, 4.5 - 2.0**40, 1.0]}),
    ),
    Case(
        Kind.INPUT_OF_1,
        unusual.columns,
        {"a": [1.5, -2.0], "b": [[4], [5]]},
        Scored({"product": [6.0, -10.0]}),
        about="from a scalar and an ARRAY",
    ),
    Case(
        Kind.INPUT_OF_D,
        plain.vectors,
        {"x": [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0], [0.5, 0.0, 0.0, 1.0]]},
        Scored({"y": [[4.0, 6.0, 5.0], [0.5, 1.0, 0.75]]}, {2: _wrong_length(3, 4)}),
        about="from an ARRAY",
    ),
    Case(
        Kind.INPUT_OF_D,
        plain.vectors,
        {"a": [1.0, 5.0], "b": [2, 6], "c": [3.0, 7.0], "d": [4.0, 8.0]},
        Scored({"y": [[4.0, 6.0, 5.0], [12.0, 14.0, 13.0]]}),
        ("--input_columns=x=[a,b,c,d]",),
        "from scalars",
    ),
    Case(
        Kind.INPUT_OF_IMAGES,
        unusual.pictures,
        {"image": _bytes(_RED, b"", _CHEQUERED)},
        Scored(
            {"rgb": [[6.0, 0.0, 0.0], [3.0, 3.0, 3.0]]},
            {
                2: "feed NOT_AN_IMAGE: column 'image' is not an image: it is empty; expected JPEG, "
                "PNG, GIF, WebP or BMP; input 'image' needs a whole image"
            },
        ),
        about="from encoded images",
    ),
    Case(
        Kind.INPUT_OF_IMAGES,
        plain.images,
        {"image": [[1, 2, 3, 4, 5, 6], [250, 250, 250, 250, 250, 256], [255] * 6]},
        Scored(
            {"brightness": [21.0, 1530.0]}, {2: _misfit("image", 256, "uint8: must fit the dtype")}
        ),
        about="from pixels",
    ),
    Case(
        Kind.INPUT_OF_ANY_LENGTH,
        unusual.summed,
        _ARRAYS,
        Scored({"total": [2.0, 6.0, 1.5], "width": [3, 3, 3]}),
        ("--pad_value=0.5",),
    ),
    Case(
        Kind.DTYPES,
        unusual.dtypes,
        _EXTREMES,
        Scored(
            {
                "bool_seen": [True, False],
                # The nearest of 11 bits.
                "float16_seen": [1638 / 2**14, -65504.0],
                "int32_seen": [2147483647, -2147483648],
                "int64_seen": [9223372036854775807, -9223372036854775808],
                "string_seen": ["straße", ""],
                "uint8_seen": [255, 0],
            },
            {
                3: _misfit("int32", 2147483648, "int32: must fit the dtype"),
                4: "feed NULL_VALUE: column 'int64' is NULL; input 'int64' needs a value",
                5: _misfit("uint8", -1, "uint8: must fit the dtype"),
                6: _misfit("bool", 2, "bool: must be 0 or 1"),
                7: _misfit(
                    "float16", 70000.0, "float16: rounded to the nearest float; must be in range"
                ),
                8: "outputs OUTPUT_NOT_UTF8: output 'string_seen' is not valid UTF-8",
            },
        ),
    ),
    Case(
        Kind.FIXED_BATCH,
        plain.fixed_batch_of_1,
        {"x": [0.0, 0.25, 0.5]},
        Scored({"y": [0.0, 0.5, 1.0]}),
        about="1",
    ),
    Case(
        Kind.FIXED_BATCH,
        plain.fixed_batch_of_4,
        {"x": [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25]},
        Scored({"y": [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]}),
        about="4, for 10 rows",
    ),
    Case(
        Kind.STATED_SHAPE,
        unusual.stated_narrower,
        {"x": [[1.0, 2.0, 3.0], [1.0, 2.0]]},
        Scored({"total": [6.0]}, {2: _wrong_length(2, 3)}),
        about="by its signature",
    ),
    Case(
        Kind.STATED_SHAPE,
        unusual.summed,
        {"x": [[1.0, 2.0, 3.0], [1.0, 2.0]]},
        Scored({"total": [3.0], "width": [2]}, {1: _wrong_length(3, 2)}),
        ("--input_shapes=x=[2]",),
        "by the user",
    ),
    Case(
        Kind.UNKNOWN_RANK,
        plain.free_rank,
        {"x": [1.5, 2.0]},
        Scored({"y": [{"shape": [], "values": [3.0]}, {"shape": [], "values": [4.0]}]}),
        about="from a scalar",
    ),
    Case(
        Kind.UNKNOWN_RANK,
        plain.free_rank,
        {"x": [[1.0, 2.0], [3.0, 4.0]]},
        Scored({"y": [{"shape": [2], "values": v} for v in ([2.0, 4.0], [6.0, 8.0])]}),
        about="from an ARRAY",
    ),
    Case(
        Kind.EXAMPLES,
        unusual.parsed_examples,
        {
            "pair": [[1.0, 2.0], [-1.0, 0.5], [3.0], [0.0, 4.0]],
            "Count": [3, None, 1, 9],
            "tags": [["a", "b"], [], ["c"], ["d"]],
        },
        # 1000 * count + 100 * pair[0] + 10 * pair[1] + the number of tags.
        Scored(
            {"y": [3122.0, 6905.0, 9041.0]},
            {3: "feed WRONG_LENGTH: column 'pair' has 1 element; feature 'pair' needs exactly 2"},
        ),
    ),
    Case(
        Kind.EXAMPLES,
        unusual.parsed_examples,
        {"examples": ["not an example"]},
        Refused(
            "The tf.Examples that the model parses cannot be filled:\n"
            "  no column for feature pair: float32[2]\n"
            "The source has: id INT64, examples STRING. Say which column fills which feature: "
            "--input_columns pair=COLUMN"
        ),
        about="never from text",
    ),
    Case(
        Kind.RAGGED,
        unusual.split_words,
        {"text": ["ab c", "d"]},
        Scored({"words": [["ab", "c"], ["d"]]}),
        ("--output_columns=words",),
    ),
    Case(
        Kind.SPARSE,
        unusual.split_words,
        {"text": ["b a", "ccc"]},
        Scored(
            {
                "places": [
                    [{"index": 0, "value": 1}, {"index": 1, "value": 1}],
                    [{"index": 0, "value": 3}],
                ]
            }
        ),
        ("--output_columns=lengths=places",),
    ),
    Case(
        Kind.STRINGS,
        plain.texts,
        {"text": ["straße", ""]},
        Scored({"length": [7, 0], "upper": ["STRAßE", ""]}),
    ),
    Case(
        Kind.NAMES,
        plain.slashed_names,
        {"x": [1.5, 2.0]},
        Scored({"_2nd_0": [4.5, 6.0], "scores_first": [3.0, 4.0]}),
    ),
    Case(
        Kind.RANK_3,
        plain.matrices,
        {"x": [1.5, 2.0]},
        Scored({"grid": [{"shape": [2, 2], "values": [x, 0.0, 0.0, x]} for x in (1.5, 2.0)]}),
    ),
    Case(
        Kind.RANK_4,
        unusual.cubes,
        {"x": [1.0, -0.5]},
        Scored(
            {
                "cube": [
                    {"shape": [2, 1, 2], "values": [1.0, 2.0, 3.0, 4.0]},
                    {"shape": [2, 1, 2], "values": [-0.5, -1.0, -1.5, -2.0]},
                ]
            }
        ),
    ),
    Case(
        Kind.FOLLOWING_LENGTH,
        unusual.running_sums,
        _ARRAYS,
        Scored({"sums": [[1.0, 1.0, 1.0], [1.0, 3.0, 6.0], [0.0, 0.0, 0.0]]}),
        about="as the model pads it",
    ),
    Case(
        Kind.FOLLOWING_LENGTH,
        unusual.running_sums,
        _ARRAYS,
        Scored({"sums": [[1.0], [1.0, 3.0, 6.0], [0.0]]}),
        ("--max_batch_size=1",),
        "of each row alone",
    ),
    Case(
        Kind.FAILING_BATCH,
        unusual.decoded_pictures,
        {"data": _bytes(_RED, _CHEQUERED, b"GIF? no.", _RED)},
        Scored({"red": [255, 255, 255]}, {3: _NOT_DECODED}),
    ),
    Case(
        Kind.MISSING_OP,
        exported.with_ops("Addons>Resampler"),
        {"text": [""]},
        Refused(
            "Model {model} cannot be loaded: its graph uses the op Addons>Resampler of "
            "tensorflow-addons, which is not installed. If there is one for TensorFlow "
            f"{version('tensorflow')}, install it here and on the workers: "
            "pip install tensorflow-addons"
        ),
    ),
    Case(
        Kind.NO_KERNEL,
        exported.without_kernel,
        {"x": [1.0]},
        Refused(f"The pipeline failed: {_NO_KERNEL}", cli.FAILED),
    ),
    Case(
        Kind.NO_KERNEL,
        exported.without_kernel,
        {"x": [1.0]},
        Refused(_NO_KERNEL),
        about="check",
        command="check",
    ),
    Case(
        Kind.REFERENCE_VARIABLES,
        exported.reference_variables,
        {"x": [1.0, 2.0]},
        Scored({"y": [4.0, 7.0]}),
    ),
    Case(
        Kind.CRASH,
        misbehaving.aborting,
        {"x": [1.0, 2.0]},
        Refused(
            "Model {model} crashed the process with signal SIGABRT (6) while it was being called "
            "with 2 rows. Its last words: Abort_op intentional failure; the model gives up. One "
            "of its ops breaks the TensorFlow that is installed here; export it again without it."
        ),
        about="check",
        command="check",
    ),
    Case(
        Kind.EMPTY_ROWS,
        unusual.detections,
        _SCORES,
        Scored(
            {
                "boxes": [
                    {"shape": [2, 2], "values": [0.75, -0.75, 1.0, -1.0]},
                    {"shape": [0, 2], "values": []},
                    {"shape": [1, 2], "values": [2.0, -2.0]},
                ],
                "found": [[0.75, 1.0], [], [2.0]],
                "padded": [[0.75, 1.0], [0.0, 0.0], [2.0, 0.0]],
            }
        ),
        about="together",
    ),
    Case(
        Kind.EMPTY_ROWS,
        unusual.detections,
        _SCORES,
        Scored({"padded": [[0.75, 1.0], [], [2.0]]}),
        ("--max_batch_size=1", "--output_columns=padded"),
        "alone",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_kind_of_model(bench: Workbench, saved: Saved, case: Case) -> None:
    rows = len(next(iter(case.columns.values())))
    bench.load("t", pa.table({"id": range(1, rows + 1), **case.columns}))
    model = saved(case.builder)
    run = bench.check if case.command == "check" else bench.score

    outcome = run(model, "--key_columns=id", "--max_rejected_fraction=0.75", *case.flags)

    match case.expected:
        case Refused(message, code):
            assert outcome.code == code, outcome.stderr
            # A run that fails later has told of its progress before.
            said = outcome.stderr[outcome.stderr.index("bulkscore: ") :]
            assert said == f"bulkscore: {message.format(model=model)}\n"
            assert "p" not in bench.tables()
        case Scored(columns, rejects, signature):
            assert outcome.code == cli.OK, outcome.stderr
            assert [line for line in outcome.stderr.splitlines() if not _PROGRESS.match(line)] == []
            assert bench.run_row()["signature"] == signature
            found = {r["id"]: f"{r['stage']} {r['code']}: {r['message']}" for r in bench.rejects()}
            assert found == rejects
            keys = [key for key in range(1, rows + 1) if key not in rejects]
            values = zip(keys, *columns.values(), strict=True)
            assert bench.rows() == [dict(zip(["id", *columns], v, strict=True)) for v in values]


def test_a_model_that_kills_the_process_publishes_nothing(bench: Workbench, saved: Saved) -> None:
    bench.load("t", pa.table({"x": [1.0, 2.0]}))
    command = [sys.executable, "-m", "pipeline", "score", f"--model={saved(misbehaving.aborting)}"]
    places = [f"--input_table={bench.name('t')}", f"--output_table={bench.name('p')}"]
    service = [f"--project={bench.cloud.project}", f"--temp_location={bench.cloud.temp_location}"]

    # The environment already names the embedded servers.
    ended = subprocess.run([*command, *places, *service], cwd=_ROOT, capture_output=True)

    assert ended.returncode == -signal.SIGABRT, ended.stderr
    assert b"Abort_op intentional failure; the model gives up" in ended.stderr
    assert "p" not in bench.tables()


def test_every_kind_has_a_case() -> None:
    with_a_case = {case.kind for case in CASES}
    assert [kind for kind in Kind if kind not in with_a_case] == []
