"""Rows as tf.train.Examples, and models that parse them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_models import texts

from scoring.conversions import Values
from scoring.errors import ColumnError, ModelError
from scoring.example_graph import parses_examples
from scoring.examples import (
    ExampleFeature,
    FeatureBinding,
    ParsedFeatures,
    encode_features,
    example_problem,
    match_features,
    own_features,
)
from scoring.rejects import FEED, Fault
from scoring.runtime import tensorflow
from scoring.savedmodel import LoadedModel
from scoring.schema import Field, arrow_schema

Parse = Callable[[Any], Mapping[str, Any]]

COLUMNS = (
    Field("age", "INTEGER"),
    Field("price", "FLOAT"),
    Field("active", "BOOLEAN"),
    Field("name", "STRING"),
    Field("data", "BYTES"),
    Field("ages", "INTEGER", "REPEATED"),
    Field("prices", "FLOAT", "REPEATED"),
    Field("flags", "BOOLEAN", "REPEATED"),
    Field("names", "STRING", "REPEATED"),
    Field("blobs", "BYTES", "REPEATED"),
)

# --- the oracle ------------------------------------------------------------------------------


def example(features: Mapping[str, Any]) -> Any:
    """An Example built value by value."""
    train = tensorflow().train
    built = {}
    for name, values in features.items():
        listed = values if isinstance(values, list) else [values]
        if isinstance(listed[0], bytes):
            built[name] = train.Feature(bytes_list=train.BytesList(value=listed))
        elif isinstance(listed[0], float):
            built[name] = train.Feature(float_list=train.FloatList(value=listed))
        else:
            built[name] = train.Feature(int64_list=train.Int64List(value=listed))
    return train.Example(features=train.Features(feature=built))


def expected_feature(value: Any, column: Field) -> tuple[str, list[Any]] | None:
    """The kind and the values that a cell must have in its Example."""
    if value is None:
        return None
    values = value if column.mode == "REPEATED" else [value]
    match column.type:
        case "INTEGER" | "BOOLEAN":
            return "int64_list", [int(v) for v in values]
        case "FLOAT":
            return "float_list", [np.float32(v).item() for v in values]
        case "STRING":
            return "bytes_list", [v.encode() for v in values]
        case _:
            return "bytes_list", list(values)


def decoded(serialized: bytes) -> dict[str, tuple[str, list[Any]]]:
    """The features of an Example that have a value."""
    features = tensorflow().train.Example.FromString(serialized).features.feature
    kinds = {name: f.WhichOneof("kind") for name, f in features.items()}
    return {
        name: (kind, list(getattr(features[name], kind).value))
        for name, kind in kinds.items()
        if kind is not None
    }


# --- encoding --------------------------------------------------------------------------------

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOAT32 = st.floats(width=32, allow_nan=False)
VALUES = {
    "INTEGER": INT64,
    # Doubles too: they are rounded.
    "FLOAT": FLOAT32 | st.floats(-3e38, 3e38),
    "BOOLEAN": st.booleans(),
    "STRING": st.text(max_size=5),
    "BYTES": st.binary(max_size=5),
}


@st.composite
def cells(draw: st.DrawFn) -> tuple[Field, list[Any]]:
    column = draw(st.sampled_from(COLUMNS))
    value = VALUES[column.type]
    if column.mode == "REPEATED":
        value = st.lists(value, max_size=4)
    return column, draw(st.lists(st.none() | value, min_size=9, max_size=9))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(cells(), min_size=1, max_size=6, unique_by=lambda c: c[0].name),
    st.integers(0, 9),
    st.integers(0, 9),
)
def test_every_cell_is_in_the_example_of_its_row(
    drawn: list[tuple[Field, list[Any]]], start: int, length: int
) -> None:
    columns = [column for column, _ in drawn]
    batch = pa.RecordBatch.from_pydict(
        {c.name: v for c, v in drawn}, schema=arrow_schema(columns)
    ).slice(start, length)

    examples, faults = encode_features(batch, own_features(columns))

    assert not faults
    assert examples.dtype == object
    assert [decoded(e) for e in examples] == [
        {c.name: f for c in columns if (f := expected_feature(row[c.name], c)) is not None}
        for row in batch.to_pylist()
    ]


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (Field("s", "STRING"), pa.array(["a", None, "c"], pa.large_string())),
        (Field("s", "STRING"), pa.array(["a", None, "c"], pa.string_view())),
        (Field("s", "STRING"), pa.array(["a", None, "c"]).dictionary_encode()),
        (Field("s", "BYTES"), pa.array([b"a", None, b"c"], pa.large_binary())),
        (Field("s", "BYTES"), pa.array([b"a", None, b"c"], pa.binary(1))),
        (Field("s", "INTEGER"), pa.array([1, None, 3]).dictionary_encode()),
        (Field("s", "INTEGER"), pa.array([1, None, 3], pa.int32())),
        (Field("s", "STRING", "REPEATED"), pa.array([["a"], None, []], pa.large_list(pa.string()))),
        (
            Field("s", "FLOAT", "REPEATED"),
            pa.array([[1.0], None, [2.0]], pa.list_(pa.float64(), 1)),
        ),
        (
            Field("s", "STRING", "REPEATED"),
            pa.array([["a"], None, []], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
        ),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else value.sql_type,
)
@pytest.mark.parametrize("start", [0, 1])
def test_other_arrow_types_of_the_same_column(column: Field, array: pa.Array, start: int) -> None:
    batch = pa.RecordBatch.from_arrays([array], names=["s"]).slice(start)
    examples, faults = encode_features(batch, own_features([column]))
    assert not faults
    assert [decoded(e) for e in examples] == [
        {} if v is None else {"s": expected_feature(v, column)} for v in array.to_pylist()[start:]
    ]


def test_values_under_a_null_array_are_left_out() -> None:
    offsets, values = pa.array([0, 2, 4, 5], pa.int32()), pa.array([1, 2, 3, 4, 5])
    hidden = pa.ListArray.from_arrays(offsets, values, mask=pa.array([False, True, False]))
    batch = pa.RecordBatch.from_arrays([hidden], names=["ages"])
    examples, _ = encode_features(batch, own_features([Field("ages", "INTEGER", "REPEATED")]))
    assert [decoded(e).get("ages") for e in examples] == [
        ("int64_list", [1, 2]),
        None,
        ("int64_list", [5]),
    ]


def test_a_finite_overflow_of_float32_is_a_fault_of_its_row_alone() -> None:
    columns = [Field("price", "FLOAT"), Field("prices", "FLOAT", "REPEATED")]
    batch = pa.RecordBatch.from_pydict(
        {
            "price": [1.0, 1e300, float("inf"), None],
            "prices": [[1.0], [], [2.0, float("-inf")], [0.0, -1e300, 1e300]],
        },
        schema=arrow_schema(columns),
    )
    examples, faults = encode_features(batch, own_features(columns))
    rule = "is float32: rounded to the nearest float; must be in range"
    assert faults == [
        Fault(1, FEED, "OUT_OF_RANGE", f"column 'price' holds 1e+300; feature 'price' {rule}"),
        Fault(3, FEED, "OUT_OF_RANGE", f"column 'prices' holds -1e+300; feature 'prices' {rule}"),
    ]
    assert decoded(examples[2]) == {
        "price": ("float_list", [float("inf")]),
        "prices": ("float_list", [2.0, float("-inf")]),
    }


def test_nan_stays_nan() -> None:
    batch = pa.RecordBatch.from_pydict({"price": pa.array([float("nan")])})
    examples, faults = encode_features(batch, own_features([Field("price", "FLOAT")]))
    assert not faults
    assert np.isnan(decoded(examples[0])["price"][1]).tolist() == [True]


@pytest.mark.parametrize("column", [c for c in COLUMNS if c.mode == "REPEATED"], ids=str)
def test_a_null_element_is_a_fault(column: Field) -> None:
    value = {"INTEGER": 1, "FLOAT": 1.0, "BOOLEAN": True, "STRING": "a", "BYTES": b"a"}[column.type]
    array = pa.array([[], [value, None], [value]], column.arrow_type)
    batch = pa.RecordBatch.from_arrays([array], names=[column.name])
    examples, faults = encode_features(batch, own_features([column]))
    assert faults == [
        Fault(
            1,
            FEED,
            "NULL_ELEMENT",
            f"element 1 of column {column.name!r} is NULL; a tf.Example cannot hold that",
        )
    ]
    assert decoded(examples[2]) == {column.name: expected_feature([value], column)}


def test_columns_that_fit_have_no_problem() -> None:
    assert example_problem(COLUMNS) is None


@pytest.mark.parametrize(
    ("column", "cure"),
    [
        (Field("d", "DATE"), "convert it with --input_query, UNIX_DATE(d) say."),
        (Field("d", "JSON"), "convert it with --input_query, JSON_VALUE(d) say."),
        (
            Field("d", "TIMESTAMP", "REPEATED"),
            "convert it with --input_query, ARRAY(SELECT UNIX_MICROS(v) FROM UNNEST(d) AS v) say.",
        ),
        (
            Field("d", "RECORD", fields=(Field("x", "INTEGER"),)),
            "leave it out with --input_query, or select the parts that the model needs.",
        ),
    ],
    ids=lambda value: value.sql_type if isinstance(value, Field) else "",
)
def test_a_column_without_a_place_is_named_with_the_cure(column: Field, cure: str) -> None:
    problem = example_problem([*COLUMNS, column])
    assert problem == (
        f"Column 'd' ({column.sql_type}) has no place in a tf.Example, which holds numbers, BOOL, "
        f"STRING, BYTES and ARRAYs of them; {cure}"
    )


def test_no_columns_are_a_problem() -> None:
    assert "at least one column" in (example_problem([]) or "")


# --- models ----------------------------------------------------------------------------------

SPEC_FEATURES = (
    ExampleFeature("age", "int64", "dense", (), required=True),
    ExampleFeature("clicks", "int64", "dense", (None,)),
    ExampleFeature("name", "string", "dense", (), required=False),
    ExampleFeature("tags", "string", "sparse"),
    ExampleFeature("vector", "float32", "dense", (3,), required=False),
    ExampleFeature("words", "string", "ragged"),
)
MODEL_COLUMNS = (
    Field("age", "INTEGER"),
    Field("clicks", "INTEGER", "REPEATED"),
    Field("NAME", "STRING"),
    Field("tags", "STRING", "REPEATED"),
    Field("vector", "FLOAT", "REPEATED"),
    Field("words", "STRING", "REPEATED"),
    Field("unused", "DATE"),
)
ROWS: dict[str, list[Any]] = {
    "age": [3, -(2**62), 0, 7],
    "clicks": [[1, 2], [], None, [3]],
    "NAME": ["ann", "", None, "zoë"],
    "tags": [["x", "y"], None, [], ["z"]],
    "vector": [[0.1, 0.2, 0.3], None, [1.0, 2.0, 3.0], None],
    "words": [["a"], ["b", "c", ""], [], None],
    "unused": [None] * 4,
}
PROTOS = (
    {
        "age": 3,
        "clicks": [1, 2],
        "name": b"ann",
        "tags": [b"x", b"y"],
        "vector": [0.1, 0.2, 0.3],
        "words": [b"a"],
    },
    {"age": -(2**62), "name": b"", "words": [b"b", b"c", b""]},
    {"age": 0, "vector": [1.0, 2.0, 3.0]},
    {"age": 7, "clicks": [3], "name": "zoë".encode(), "tags": [b"z"]},
)


def feature_spec() -> dict[str, Any]:
    tf = tensorflow()
    return {
        "age": tf.io.FixedLenFeature([], tf.int64),
        "clicks": tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
        "name": tf.io.FixedLenFeature([], tf.string, default_value="nobody"),
        "tags": tf.io.VarLenFeature(tf.string),
        "vector": tf.io.FixedLenFeature([3], tf.float32, default_value=[7.0, 8.0, 9.0]),
        "words": tf.io.RaggedFeature(tf.string),
    }


def densified(parsed: Mapping[str, Any]) -> dict[str, Any]:
    tf = tensorflow()
    return {
        **{name: parsed[name] for name in ("age", "clicks", "name", "vector")},
        "tags": tf.sparse.to_dense(parsed["tags"], default_value="-"),
        "words": parsed["words"].to_tensor("-"),
    }


def save(folder: Path, parse: Parse, name: str = "examples") -> Path:
    """Saves a function of one vector of strings as a TF2 model."""
    tf = tensorflow()
    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string, name=name)
    module.serve = tf.function(parse, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


def parsing(folder: Path) -> Path:
    """examples: string[None] -> every feature of `feature_spec`, densified."""
    tf = tensorflow()
    return save(folder, lambda x: densified(tf.io.parse_example(x, feature_spec())))


def parsing_deep_down(folder: Path) -> Path:
    """As `parsing`, in a function of a function, behind a reshape that a third one returns.

    The default of `vector` is a tensor from outside of the functions.
    """
    tf = tensorflow()
    outside = tf.constant([7.0, 8.0, 9.0])

    @tf.function
    def flat(x: Any) -> Any:
        return x, tf.reshape(tf.identity_n([tf.constant(0), x])[1], [-1])

    @tf.function
    def inner(unused: Any, x: Any) -> Any:
        spec = feature_spec()
        spec["vector"] = tf.io.FixedLenFeature([3], tf.float32, default_value=outside)
        return densified(tf.io.parse_example(x, spec))

    return save(folder, lambda x: inner(tf.constant(1), flat(x)[1]))


def parsing_in_tf1(folder: Path) -> Path:
    """As `parsing`, exported as TF1's estimators do."""
    tf = tensorflow()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        receiver = tf.compat.v1.placeholder(tf.string, [None], name="input_example_tensor")
        outputs = densified(tf.compat.v1.parse_example(receiver, feature_spec()))
        builder = tf.compat.v1.saved_model.Builder(str(folder))
        signature = tf.compat.v1.saved_model.predict_signature_def({"examples": receiver}, outputs)
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map={"serving_default": signature}
        )
        builder.save()
    return folder


@pytest.mark.parametrize("builder", [parsing, parsing_deep_down, parsing_in_tf1])
def test_the_features_are_read_from_the_graph(
    builder: Callable[[Path], Path], saved: Callable[[Any], Path]
) -> None:
    parsed = parses_examples(saved(builder), "serving_default", "examples")
    assert parsed == ParsedFeatures("ParseExampleV2", SPEC_FEATURES)


@pytest.mark.parametrize("builder", [parsing, parsing_deep_down, parsing_in_tf1])
def test_columns_score_as_examples_built_by_hand(
    builder: Callable[[Path], Path],
    saved: Callable[[Any], Path],
    loaded: Callable[[Any], LoadedModel],
) -> None:
    parsed = parses_examples(saved(builder), "serving_default", "examples")
    assert parsed is not None
    bindings = match_features(parsed, MODEL_COLUMNS)
    batch = pa.RecordBatch.from_pydict(ROWS, schema=arrow_schema(MODEL_COLUMNS))

    examples, faults = encode_features(batch, bindings)

    assert not faults
    by_hand: Values = np.array([example(p).SerializeToString() for p in PROTOS], dtype=object)
    model = loaded(builder)
    got, expected = model({"examples": examples}), model({"examples": by_hand})
    assert got.keys() == expected.keys() == {f.name for f in SPEC_FEATURES}
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, strict=True)
    assert got["name"].tolist() == [b"ann", b"", b"nobody", "zoë".encode()]
    assert got["vector"][1].tolist() == [7.0, 8.0, 9.0]


def oldest_op(folder: Path) -> Path:
    """The op ParseExample: `a` required, `b` with a default, `c` sparse."""
    tf = tensorflow()

    def parse(x: Any) -> dict[str, Any]:
        parsed = tf.raw_ops.ParseExample(
            serialized=x,
            names=tf.constant([], tf.string),
            sparse_keys=["c"],
            dense_keys=["a", "b"],
            dense_defaults=[tf.constant([], tf.int64), tf.constant([5.0])],
            sparse_types=[tf.float32],
            dense_shapes=[[], [1]],
        )
        return {"a": parsed.dense_values[0], "b": parsed.dense_values[1]}

    return save(folder, parse)


def single_op(folder: Path) -> Path:
    """The op ParseSingleExample for each element of the batch: `a` required, `c` sparse."""
    tf = tensorflow()

    def parse_one(x: Any) -> Any:
        parsed = tf.raw_ops.ParseSingleExample(
            serialized=x,
            dense_defaults=[tf.constant([], tf.int64)],
            num_sparse=1,
            sparse_keys=["c"],
            dense_keys=["a"],
            sparse_types=[tf.float32],
            dense_shapes=[[]],
        )
        return parsed.dense_values[0] + tf.cast(tf.size(parsed.sparse_values[0]), tf.int64)

    return save(folder, lambda x: {"a": tf.map_fn(parse_one, x, fn_output_signature=tf.int64)})


def single_op_in_tf1(folder: Path) -> Path:
    """tf.map_fn of parse_single_example with TF1's control flow: `a` required."""
    tf = tensorflow()
    tf.compat.v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            x = tf.compat.v1.placeholder(tf.string, [None])
            spec = {"a": tf.io.FixedLenFeature([], tf.int64)}
            a = tf.map_fn(lambda s: tf.io.parse_single_example(s, spec)["a"], x, dtype=tf.int64)
            tf.compat.v1.saved_model.simple_save(session, str(folder), {"examples": x}, {"a": a})
    finally:
        tf.compat.v1.enable_control_flow_v2()
    return folder


def in_a_branch(folder: Path) -> Path:
    """tf.cond with one parsing branch: `a` required."""
    tf = tensorflow()
    spec = {"a": tf.io.FixedLenFeature([], tf.int64)}

    def parse(x: Any) -> dict[str, Any]:
        return {
            "a": tf.cond(
                tf.size(x) > 0,
                lambda: tf.io.parse_example(x, spec)["a"],
                lambda: tf.zeros([0], tf.int64),
            )
        }

    return save(folder, parse)


def parse_one_key(examples: Any, keys: Any) -> Any:
    """ParseExampleV2 of a single required feature whose name is a tensor."""
    tf = tensorflow()
    none = tf.constant([], tf.string)
    parsed = tf.raw_ops.ParseExampleV2(
        serialized=examples,
        names=none,
        sparse_keys=none,
        dense_keys=keys,
        ragged_keys=none,
        dense_defaults=[tf.constant([], tf.int64)],
        num_sparse=0,
        sparse_types=[],
        ragged_value_types=[],
        ragged_split_types=[],
        dense_shapes=[[]],
    )
    return parsed.dense_values[0]


def keys_from_outside(folder: Path) -> Path:
    """The name of `a` is a tensor from outside of the function."""
    outside = tensorflow().constant(["a"])
    return save(folder, lambda x: {"a": parse_one_key(x, outside)})


def in_a_case(folder: Path) -> Path:
    """tf.switch_case with one parsing branch: `a` required."""
    tf = tensorflow()

    def parse(x: Any) -> dict[str, Any]:
        branches = [lambda: tf.zeros([0], tf.int64), lambda: parse_one_key(x, ["a"])]
        return {"a": tf.switch_case(tf.minimum(tf.size(x), 1), branches)}

    return save(folder, parse)


A_REQUIRED = ExampleFeature("a", "int64", "dense", (), required=True)
C_SPARSE = ExampleFeature("c", "float32", "sparse")


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        (
            oldest_op,
            ParsedFeatures(
                "ParseExample",
                (A_REQUIRED, ExampleFeature("b", "float32", "dense", (1,)), C_SPARSE),
            ),
        ),
        (single_op, ParsedFeatures("ParseSingleExample", (A_REQUIRED, C_SPARSE))),
        (single_op_in_tf1, ParsedFeatures("ParseExampleV2", (A_REQUIRED,))),
        (in_a_branch, ParsedFeatures("ParseExampleV2", (A_REQUIRED,))),
        (in_a_case, ParsedFeatures("ParseExampleV2", (A_REQUIRED,))),
        (keys_from_outside, ParsedFeatures("ParseExampleV2", (A_REQUIRED,))),
    ],
)
def test_every_parsing_op_is_found(
    builder: Callable[[Path], Path],
    expected: ParsedFeatures,
    saved: Callable[[Any], Path],
    loaded: Callable[[Any], LoadedModel],
) -> None:
    parsed = parses_examples(saved(builder), "serving_default", "examples")
    assert parsed == expected
    columns = [Field("a", "INTEGER"), Field("b", "FLOAT"), Field("c", "FLOAT")]
    batch = pa.RecordBatch.from_pydict(
        {"a": [1, 2], "b": [None, 6.0], "c": [None, None]}, arrow_schema(columns)
    )
    examples, faults = encode_features(batch, match_features(parsed, columns))
    assert not faults
    outputs = loaded(builder)({"examples": examples})
    assert outputs["a"].tolist() == [1, 2]
    assert outputs.get("b", np.array([[5.0], [6.0]])).tolist() == [[5.0], [6.0]]


def unnamed_features(folder: Path) -> Path:
    """The name of the feature is the number of rows."""
    tf = tensorflow()
    return save(folder, lambda x: {"a": parse_one_key(x, [tf.strings.as_string(tf.size(x))])})


def renaming_loop(folder: Path) -> Path:
    """A loop that parses `a` first and then `aa`."""
    tf = tensorflow()

    def parse(x: Any) -> dict[str, Any]:
        def body(i: Any, keys: Any, total: Any) -> Any:
            return i + 1, tf.strings.join([keys, keys]), total + parse_one_key(x, keys)

        start = (0, tf.constant(["a"]), tf.zeros_like(tf.strings.length(x), tf.int64))
        return {"a": tf.while_loop(lambda i, *_: i < 2, body, start)[2]}

    return save(folder, parse)


def contradicting(folder: Path) -> Path:
    """Two parsing ops that take feature `a` for different types."""
    tf = tensorflow()

    def parse(x: Any) -> dict[str, Any]:
        return {
            str(i): tf.io.parse_example(x, {"a": tf.io.FixedLenFeature([], dtype)})["a"]
            for i, dtype in enumerate((tf.int64, tf.float32))
        }

    return save(folder, parse)


def sequences(folder: Path) -> Path:
    """Parses tf.train.SequenceExamples."""
    tf = tensorflow()
    spec = {"a": tf.io.FixedLenFeature([], tf.int64)}
    return save(folder, lambda x: {"a": tf.io.parse_sequence_example(x, spec)[0]["a"]})


@pytest.mark.parametrize(
    ("builder", "op"),
    [
        (unnamed_features, "ParseExampleV2"),
        (renaming_loop, "ParseExampleV2"),
        (contradicting, "ParseExampleV2"),
        (sequences, "ParseSequenceExampleV2"),
    ],
)
def test_features_that_are_not_stated_are_not_guessed(
    builder: Callable[[Path], Path], op: str, saved: Callable[[Any], Path]
) -> None:
    parsed = parses_examples(saved(builder), "serving_default", "examples")
    assert parsed == ParsedFeatures(op, None)
    with pytest.raises(ColumnError, match=f"parses tf.Examples with {op}, but its graph"):
        match_features(parsed, [Field("a", "INTEGER")])


def base64_text(folder: Path) -> Path:
    """Examples as base64 text: not what the encoder gives."""
    tf = tensorflow()
    spec = {"a": tf.io.FixedLenFeature([], tf.int64)}
    return save(folder, lambda x: dict(tf.io.parse_example(tf.io.decode_base64(x), spec)), "text")


def base64_beside_text(folder: Path) -> Path:
    """As `base64_text`, decoded by a function that returns the text as well."""
    tf = tensorflow()
    spec = {"a": tf.io.FixedLenFeature([], tf.int64)}
    both = tf.function(lambda x: (x, tf.io.decode_base64(x)))
    return save(folder, lambda x: dict(tf.io.parse_example(both(x)[1], spec)), "text")


def recursive(folder: Path) -> Path:
    """A function that calls itself, which TensorFlow's Python cannot write: a graph file alone."""
    from google.protobuf import text_format
    from tensorflow.core.protobuf import saved_model_pb2

    text = """
      meta_graphs {
        meta_info_def { tags: "serve" }
        graph_def {
          node { name: "x" op: "Placeholder" }
          node { name: "y" op: "again" input: "x" }
          library { function {
            signature { name: "again" input_arg { name: "a" type: DT_STRING }
                        output_arg { name: "b" type: DT_STRING } }
            node_def { name: "call" op: "again" input: "a" }
            ret { key: "b" value: "call:b:0" }
          } }
        }
        signature_def { key: "serving_default" value {
          inputs { key: "text" value { name: "x:0" dtype: DT_STRING } }
        } }
      }"""
    folder.mkdir()
    model = text_format.Parse(text, saved_model_pb2.SavedModel())
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder


def names_of_examples(folder: Path) -> Path:
    """Its input names Examples in messages; the Examples themselves are constant."""
    tf = tensorflow()
    constant = example({"a": 1}).SerializeToString()
    spec = {"a": tf.io.FixedLenFeature([], tf.int64)}

    def parse(x: Any) -> dict[str, Any]:
        return dict(tf.io.parse_example(tf.fill(tf.shape(x), constant), spec, example_names=x))

    return save(folder, parse, "text")


@pytest.mark.parametrize(
    "builder", [texts, base64_text, base64_beside_text, names_of_examples, recursive]
)
def test_a_model_of_other_strings_is_none(
    builder: Callable[[Path], Path], saved: Callable[[Any], Path]
) -> None:
    assert parses_examples(saved(builder), "serving_default", "text") is None


def test_an_input_that_is_not_there(saved: Callable[[Any], Path]) -> None:
    with pytest.raises(ModelError, match="has no input 'nothing'"):
        parses_examples(saved(parsing), "serving_default", "nothing")
    with pytest.raises(ModelError, match="has no signature 'predict'"):
        parses_examples(saved(parsing), "predict", "examples")


# --- matching --------------------------------------------------------------------------------


PARSED = ParsedFeatures("ParseExampleV2", SPEC_FEATURES)
AGE = Field("age", "INTEGER")


def matched(columns: list[Field], **chosen: str) -> dict[str, str]:
    bindings = match_features(PARSED, columns, chosen=chosen)
    return {b.feature.name: b.column.name for b in bindings}


def test_features_match_by_name_then_by_case_and_optional_ones_may_go_without() -> None:
    assert matched([Field("AGE", "INTEGER"), Field("Tags", "STRING")]) == {
        "age": "AGE",
        "tags": "Tags",
    }


def test_a_chosen_column_comes_first() -> None:
    columns = [AGE, Field("years", "INTEGER"), Field("name", "STRING")]
    assert matched(columns, age="years", tags="name") == {
        "age": "years",
        "name": "name",
        "tags": "name",
    }


def test_a_column_of_another_feature_is_not_taken_for_its_case() -> None:
    parsed = ParsedFeatures(
        "ParseExampleV2", (ExampleFeature("AGE", "int64"), ExampleFeature("age", "int64"))
    )
    assert match_features(parsed, [AGE]) == (FeatureBinding(parsed.features[1], AGE),)


def test_required_features_without_a_column_are_named() -> None:
    with pytest.raises(ColumnError) as error:
        match_features(PARSED, [Field("name", "STRING"), Field("x", "INTEGER", "REPEATED")])
    assert str(error.value) == (
        "The tf.Examples that the model parses cannot be filled:\n"
        "  no column for feature age: int64[]\n"
        "The source has: name STRING, x ARRAY<INT64>. "
        "Say which column fills which feature: --input_columns age=COLUMN"
    )


def test_a_model_that_would_get_empty_examples_is_refused() -> None:
    parsed = ParsedFeatures("ParseExampleV2", (ExampleFeature("tags", "string"),))
    with pytest.raises(ColumnError, match="no column for feature tags: sparse string"):
        match_features(parsed, [AGE])


def test_all_columns_that_cannot_fill_their_feature_are_named() -> None:
    columns = [
        Field("age", "STRING"),
        Field("name", "INTEGER"),
        Field("vector", "FLOAT"),
        Field("tags", "DATE", "REPEATED"),
        Field("clicks", "BOOLEAN"),
    ]
    with pytest.raises(ColumnError) as error:
        match_features(PARSED, columns)
    keeps = "keeps the values; convert it with --input_query,"
    assert str(error.value).splitlines() == [
        "The tf.Examples that the model parses cannot be filled:",
        "  feature age: int64[] from column 'age' (STRING): no conversion from STRING to int64 "
        f"{keeps} SAFE_CAST(age AS FLOAT64) say",
        "  feature name: string[] from column 'name' (INT64): no conversion from INT64 to string "
        f"{keeps} CAST(name AS STRING) say",
        "  feature tags: sparse string from column 'tags' (ARRAY<DATE>): no conversion from "
        f"ARRAY<DATE> to string {keeps} ARRAY(SELECT UNIX_DATE(v) FROM UNNEST(tags) AS v) say",
        "  feature vector: float32[3] from column 'vector' (FLOAT64): it needs exactly 3 values, "
        "got one; feed it an ARRAY",
    ]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"year": "age"}, "parses no feature 'year'. Check --input_columns; its features are: age"),
        ({"age": "year"}, "--input_columns names column 'year', which the source does not have"),
    ],
)
def test_a_choice_of_something_that_is_not_there(chosen: dict[str, str], message: str) -> None:
    with pytest.raises(ColumnError, match=message):
        match_features(PARSED, [AGE], chosen=chosen)


def test_rows_that_parsing_would_refuse_are_faults() -> None:
    pairs = ExampleFeature("pairs", "float32", "dense", (None, 2))
    bindings = (
        *match_features(PARSED, [AGE, Field("vector", "FLOAT", "REPEATED")]),
        FeatureBinding(pairs, Field("pairs", "INTEGER", "REPEATED")),
    )
    batch = pa.RecordBatch.from_pydict(
        {
            "age": [1, None, 3, 4, 5],
            "vector": [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [], [1.0] * 4, None],
            "pairs": [[], [], [1], [1, 2, 3], [1, 2, 3, 4]],
        },
        schema=arrow_schema(b.column for b in bindings),
    )
    examples, faults = encode_features(batch, bindings)
    assert faults == [
        Fault(1, FEED, "NULL_VALUE", "column 'age' is NULL; feature 'age' has no default"),
        Fault(
            2,
            FEED,
            "WRONG_LENGTH",
            "column 'vector' has 0 elements; feature 'vector' needs exactly 3",
        ),
        Fault(
            3,
            FEED,
            "WRONG_LENGTH",
            "column 'vector' has 4 elements; feature 'vector' needs exactly 3",
        ),
    ]
    assert decoded(examples[4]) == {
        "age": ("int64_list", [5]),
        "pairs": ("float_list", [1.0, 2.0, 3.0, 4.0]),
    }


def test_a_column_is_converted_to_the_dtype_of_its_feature() -> None:
    price = FeatureBinding(ExampleFeature("cost", "int64"), Field("price", "FLOAT"))
    active = FeatureBinding(ExampleFeature("on", "float32"), Field("active", "BOOLEAN"))
    batch = pa.RecordBatch.from_pydict({"price": [2.0, 2.5], "active": [True, False]})
    examples, faults = encode_features(batch, [price, active])
    assert [(f.row, f.code) for f in faults] == [(1, "OUT_OF_RANGE")]
    assert decoded(examples[0]) == {"cost": ("int64_list", [2]), "on": ("float_list", [1.0])}


def test_a_model_that_does_not_state_its_features_scores_columns_of_their_names(
    loaded: Callable[[Any], LoadedModel],
) -> None:
    batch = pa.RecordBatch.from_pydict({"2": [8, 9]})
    examples, _ = encode_features(batch, own_features([Field("2", "INTEGER")]))
    assert loaded(unnamed_features)({"examples": examples})["a"].tolist() == [8, 9]
