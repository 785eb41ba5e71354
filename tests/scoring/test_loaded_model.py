"""Calling real SavedModels: exact outputs, and every way in which a call or a load fails."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import convolutional_models
import exported_models
import numpy as np
import pytest
import saved_models
import unusual_models
from conversion_oracle import EDGES, as_python, describe

from scoring.conversions import find_conversion, numpy_dtype
from scoring.errors import BatchCallError, ModelError
from scoring.savedmodel import LoadedModel, call_with_zeros, zeros
from scoring.signature import Signature, TensorSpec, choose_signature, read_saved_model


def _array(values: Any, dtype: str) -> np.ndarray[Any, Any]:
    return np.array(values, numpy_dtype(dtype))


@pytest.mark.parametrize(
    ("builder", "feed", "expected"),
    [
        (
            saved_models.eight_floats,
            {name: _array([1, 10, -2.5], "float32") for name in saved_models.EIGHT_NAMES},
            {"score": ("float32", [36.0, 360.0, -90.0])},
        ),
        (
            saved_models.vectors,
            {"x": _array([[1, 2, 3, 4], [0, 0, 0, 1]], "float32")},
            {"y": ("float32", [[4.0, 6.0, 5.0], [0.0, 1.0, 0.5]])},
        ),
        (
            saved_models.mixed_inputs,
            {
                "count": _array([2, 3], "int32"),
                "offset": _array([2**40, -1], "int64"),
                "price": _array([0.1, 2.0], "float64"),
                "active": _array([True, False], "bool"),
                "name": _array([b"a", "ß".encode()], "string"),
            },
            {
                "total": ("float64", [2 * 0.1 + 2**40, -5.0]),
                "label": ("object", [b"a!", "ß!".encode()]),
            },
        ),
        (
            saved_models.texts,
            {"text": _array([b"", b"abc"], "string")},
            {"upper": ("object", [b"", b"ABC"]), "length": ("int32", [0, 3])},
        ),
        (
            saved_models.echoed_bytes,
            {"data": _array([b"\xff\0"], "string")},
            {"same": ("object", [b"\xff\0"])},
        ),
        (
            saved_models.images,
            {"image": np.full((2, 2, 3, 1), 255, np.uint8)},
            {"brightness": ("float32", [1530.0, 1530.0])},
        ),
        (
            saved_models.fixed_batch_of_4,
            {"x": _array([1, 2, 3, 4], "float32")},
            {"y": ("float32", [2.0, 4.0, 6.0, 8.0])},
        ),
        (
            saved_models.matrices,
            {"x": _array([3], "float32")},
            {"grid": ("float32", [[[3.0, 0.0], [0.0, 3.0]]])},
        ),
        (
            saved_models.unsigned,
            {"x": _array([5, -1], "int64")},
            {"y": ("uint64", [5, 2**64 - 1])},
        ),
        (
            saved_models.half_floats,
            {"a": _array([1.5], "float16"), "b": _array([0.75], "bfloat16")},
            {"a2": ("float16", [3.0]), "b2": ("bfloat16", [1.5])},
        ),
        (
            saved_models.batch_wide,
            {"size": _array([1, 0, 3], "int32")},
            {"ones": ("float32", [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])},
        ),
        (
            saved_models.free_rank,
            {"x": _array([[1, 2]], "float32")},
            {"y": ("float32", [[2.0, 4.0]])},
        ),
        (
            saved_models.tf1,
            {"x/in": _array([1, 2], "float32")},
            {"y/out:0": ("float32", [3.0, 6.0])},
        ),
        (
            saved_models.untagged,
            {"x": _array([1], "float32")},
            {"default": ("float32", [6.0])},
        ),
        (
            saved_models.slashed_names,
            {"x": _array([1], "float32")},
            {"scores/first": ("float32", [2.0]), "2nd:0": ("float32", [3.0])},
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_call_gives_exactly_what_the_model_computes(
    loaded: Any, builder: saved_models.Builder, feed: Any, expected: dict[str, Any]
) -> None:
    outputs = loaded(builder)(feed)
    assert {n: (v.dtype.name, as_python(v)) for n, v in outputs.items()} == expected


def test_each_signature_is_called_by_its_name(saved: Any) -> None:
    folder = saved(saved_models.two_signatures)
    info = read_saved_model(folder)
    feed = {"x": np.array([5.0], np.float32)}
    results = {
        name: LoadedModel(str(folder), info.tags, choose_signature(info, name))(feed)["y"].tolist()
        for name in ("plus_one", "twice")
    }
    assert results == {"plus_one": [6.0], "twice": [10.0]}


@pytest.mark.parametrize(
    "builder",
    [saved_models.composite_outputs, saved_models.single_value, saved_models.wrong_rows],
    ids=lambda builder: builder.__name__,
)
def test_outputs_that_are_left_out_do_no_harm(saved: Any, builder: saved_models.Builder) -> None:
    folder = saved(builder)
    info = read_saved_model(folder)
    signature = choose_signature(info, None)
    narrowed = replace(signature, outputs=tuple(o for o in signature.outputs if o.name == "y"))
    model = LoadedModel(str(folder), info.tags, narrowed)
    outputs = model({"x": np.array([1.5, -2.0], np.float32)})
    assert {name: values.tolist() for name, values in outputs.items()} == {"y": [3.0, -4.0]}


@pytest.mark.parametrize(
    ("builder", "feed", "code", "out_of_memory", "message"),
    [
        (
            saved_models.picky,
            {"x": np.array([1, -1], np.float32)},
            "CALL_FAILED",
            False,
            "assertion failed: [x is negative.  ] [Condition x >= 0 did not hold element-wise:] "
            "[x (x:0) = ] [1 -1]",
        ),
        (
            saved_models.vectors,
            {"x": np.zeros((2, 5), np.float32)},
            "CALL_FAILED",
            False,
            "Matrix size-incompatible: In[0]: [2,5], In[1]: [4,3]",
        ),
        (
            saved_models.greedy,
            {"bytes": np.array([2**50, 2**50])},
            "OUT_OF_MEMORY",
            True,
            "OOM when allocating tensor with shape[562949953421312] and type float on "
            "/job:localhost/replica:0/task:0/device:CPU:0 by allocator ",
        ),
        (
            saved_models.wrong_rows,
            {"x": np.zeros(2, np.float32)},
            "OUTPUT_ROWS",
            False,
            "output 'labels' has 3 rows for 2 input rows",
        ),
        (
            saved_models.single_value,
            {"x": np.zeros(2, np.float32)},
            "OUTPUT_ROWS",
            False,
            "output 'mean' has a single value for 2 input rows",
        ),
    ],
    ids=["assertion", "shape", "memory", "other rows", "single value"],
)
def test_a_failed_call_says_what_happened(
    loaded: Any,
    builder: saved_models.Builder,
    feed: Any,
    code: str,
    out_of_memory: bool,
    message: str,
) -> None:
    with pytest.raises(BatchCallError) as raised:
        loaded(builder)(feed)
    assert (raised.value.code, raised.value.out_of_memory) == (code, out_of_memory)
    # The allocator's name depends on the machine.
    assert str(raised.value)[: len(message)] == message
    assert "\n" not in str(raised.value)


def test_a_feed_of_another_dtype_is_a_mistake_of_the_program(loaded: Any) -> None:
    with pytest.raises(ModelError) as raised:
        loaded(saved_models.doubled)({"x": np.array([b"a"], object)})
    assert str(raised.value) == (
        "Signature serving_default (x: float32[None] -> y: float32[None]) cannot be called: "
        "could not convert string to float: b'a'"
    )


def _load_refusal(folder: Path) -> str:
    import tensorflow as tf

    info = read_saved_model(folder)
    with pytest.raises(ModelError) as raised:
        LoadedModel(str(folder), info.tags, choose_signature(info, None))
    prefix = f"Model {folder} cannot be loaded by TensorFlow {tf.__version__}: "
    assert str(raised.value).startswith(prefix)
    return str(raised.value).removeprefix(prefix)


def test_a_missing_op_is_named(saved: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved(saved_models.texts), folder)
    graph = folder / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"StringUpper", b"StringRoman"))
    info = read_saved_model(folder)
    with pytest.raises(ModelError) as raised:
        LoadedModel(str(folder), info.tags, choose_signature(info, None))
    assert str(raised.value).startswith(
        f"Model {folder} cannot be loaded: its graph uses the op StringRoman, which TensorFlow "
    )


def test_an_error_of_the_loader_is_told_in_its_words(saved: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved(saved_models.tf1), folder)
    graph = folder / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"x:0", b"z:0"))
    assert "z:0" in _load_refusal(folder)


def test_a_signature_that_is_not_there_is_an_error(saved: Any) -> None:
    folder = saved(saved_models.vectors)
    info = read_saved_model(folder)
    signature = replace(choose_signature(info, None), name="gone")
    with pytest.raises(ModelError, match=r"cannot be loaded by TensorFlow .*gone"):
        LoadedModel(str(folder), info.tags, signature)


@pytest.mark.parametrize("column_type", ["INTEGER", "FLOAT"])
def test_the_rounding_to_bfloat16_is_that_of_tf_cast(column_type: str) -> None:
    import pyarrow as pa
    import tensorflow as tf

    column = pa.array(EDGES[column_type])
    conversion = find_conversion(column_type, "bfloat16")
    assert conversion is not None
    converted, _ = conversion.convert(column, numpy_dtype("bfloat16"))
    cast = tf.cast(tf.constant(column.to_numpy()), tf.bfloat16).numpy()
    assert describe(as_python(converted)) == describe(as_python(cast))


def _signature(*inputs: TensorSpec) -> Signature:
    return Signature("s", inputs, ())


def test_zeros_have_the_shapes_and_dtypes_of_the_inputs() -> None:
    signature = _signature(
        TensorSpec("a", "float16", (4, 2)),
        TensorSpec("b", "string", (None, None, 3)),
        TensorSpec("c", "bool", None),
    )
    feed = zeros(signature)

    assert feed is not None
    assert {name: (v.dtype, v.shape) for name, v in feed.items()} == {
        "a": (np.dtype("float16"), (4, 2)),
        "b": (np.dtype(object), (4, 1, 3)),
        "c": (np.dtype(bool), (4,)),
    }
    assert set(feed["b"].flat) == {b""}
    assert not feed["a"].any()


@pytest.mark.parametrize(
    "inputs",
    [(), (TensorSpec("x", "resource", ()),), (TensorSpec("x", "int64", (None,), "sparse"),)],
    ids=["none", "no values", "sparse"],
)
def test_what_has_no_zeros_is_not_called(inputs: tuple[TensorSpec, ...]) -> None:
    assert zeros(_signature(*inputs)) is None


def test_a_call_with_zeros_tells_a_model_that_takes_none_from_one_that_takes_nothing(
    saved: Any,
) -> None:
    folder = saved(saved_models.picky_bytes)
    refusing = LoadedModel(str(folder), *_only(folder))
    feed = zeros(refusing.signature)
    assert feed is not None
    with pytest.raises(BatchCallError):
        refusing(feed)
    call_with_zeros(refusing)

    folder = saved(exported_models.without_kernel)
    with pytest.raises(ModelError, match="op CudnnRNN has no kernel for CPU"):
        call_with_zeros(LoadedModel(str(folder), *_only(folder)))


def _only(folder: Path) -> tuple[tuple[str, ...], Signature]:
    info = read_saved_model(folder)
    return info.tags, choose_signature(info, None)


class _Recording(LoadedModel):
    """Keeps the numbers of rows of its calls."""

    def __call__(self, feed: Any) -> Any:
        self.__dict__.setdefault("calls", []).append(len(next(iter(feed.values()))))
        return super().__call__(feed)


@pytest.mark.parametrize(
    ("builder", "calls"),
    [
        (saved_models.eight_floats, [2]),
        (saved_models.weighted, [2]),
        (unusual_models.summed, [2]),
        # What such a call ends with says nothing.
        (saved_models.wrong_rows, [2]),
        (exported_models.on_another_machine, [2]),
        (saved_models.fixed_batch_of_4, []),
        (saved_models.fixed_batch_of_1, [1]),
        (saved_models.no_inputs, []),
        # A call more would show in those after it, or need not end.
        (saved_models.picky_bytes, []),
        (convolutional_models.called_normalised, [2]),
        (convolutional_models.counted, []),
        (convolutional_models.noisy, []),
        (convolutional_models.looped, []),
    ],
)
def test_what_a_call_more_does_not_change_is_called_beforehand(
    saved: Any, builder: saved_models.Builder, calls: list[int]
) -> None:
    folder = saved(builder)
    model = _Recording(str(folder), *_only(folder))
    model.prepare()
    assert model.__dict__.get("calls", []) == calls


def test_a_compiled_model_is_not_called_beforehand(saved: Any) -> None:
    folder = saved(saved_models.weighted)
    model = _Recording(str(folder), *_only(folder), xla=True)
    model.prepare()
    assert "calls" not in model.__dict__
