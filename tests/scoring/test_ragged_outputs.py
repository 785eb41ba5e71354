"""Ragged and sparse outputs of real SavedModels as columns: TF1 and TF2 signatures, functions."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved_models import Builder
from scorers import ID, batch_of, counted_scorer, score_all, scoring_spec

from scoring.composite import MAX_FULL_ROW_ELEMENTS, RaggedRows, SparseRows, result_of
from scoring.errors import BatchCallError, ColumnError
from scoring.naming import match_outputs
from scoring.outputs import OutputBinding, column_type, output_field
from scoring.savedmodel import LoadedModel
from scoring.schema import Field
from scoring.signature import TensorSpec, choose_signature, read_saved_model

TEXT = Field("text", "STRING")
SENTENCES = ["ab c", "", "d", "e ff g"]
WIDE = MAX_FULL_ROW_ELEMENTS + 1


def _analysed(text: Any) -> dict[str, Any]:
    """What the models below return for text: string[None]; a text with `!` fails the call."""
    import tensorflow as tf

    is_calm = tf.logical_not(tf.strings.regex_full_match(text, ".*!.*"))
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_calm), ["loud"])]):
        words = tf.strings.split(text)
    letters = tf.strings.unicode_split(words, "UTF-8")
    lengths = tf.cast(words.with_values(tf.strings.length(words.values)), tf.float32)
    pairs = tf.stack([lengths.values, -lengths.values], axis=1)
    counts = tf.cast(words.row_lengths(), tf.float32)
    narrow = tf.one_hot(words.row_lengths(), 3) * counts[:, None]
    return {
        "words": words,
        "letters": letters,
        "vectors": words.with_values(pairs),
        "letter_vectors": letters.with_flat_values(tf.ones([tf.size(letters.flat_values), 2])),
        "padded": words.to_tensor(),
        "sparse_words": words.to_sparse(),
        "bag": tf.sparse.from_dense(narrow),
        "wide": tf.sparse.from_dense(tf.one_hot(words.row_lengths(), WIDE)),
        "cube": letters.to_sparse(),
    }


def tf2(folder: Path) -> Path:
    """A TF2 signature."""
    import tensorflow as tf

    module = tf.Module()
    module.analyse = tf.function(
        _analysed, input_signature=[tf.TensorSpec([None], tf.string, "text")]
    )
    tf.saved_model.save(module, str(folder), signatures=module.analyse)
    return folder


def function_alone(folder: Path) -> Path:
    """The same without a signature."""
    import tensorflow as tf

    module = tf.Module()
    module.analyse = tf.function(
        _analysed, input_signature=[tf.TensorSpec([None], tf.string, "text")]
    )
    tf.saved_model.save(module, str(folder), signatures={})
    return folder


def tf1(folder: Path) -> Path:
    """A TF1 signature, with coo_sparse and composite_tensor outputs."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        text = v1.placeholder(tf.string, [None], name="text")
        info = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"text": info(text)}, {name: info(t) for name, t in _analysed(text).items()}
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return folder


def _loaded(folder: Path) -> LoadedModel:
    info = read_saved_model(folder)
    return LoadedModel(str(folder), info.tags, choose_signature(info, None))


@pytest.fixture(params=[tf2, function_alone, tf1], ids=lambda builder: str(builder.__name__))
def model(request: pytest.FixtureRequest, saved: Any) -> LoadedModel:
    builder: Builder = request.param
    return _loaded(saved(builder))


def _expected(text: str, widest: int) -> dict[str, Any]:
    """The columns of one row, in plain Python; `padded` follows the widest row of the call."""
    words = text.split()
    one_hot = [float(len(words)) * (i == len(words)) for i in range(3)]
    return {
        "words": words,
        "letters": [{"values": list(word)} for word in words],
        "vectors": {
            "shape": [len(words), 2],
            "values": [sign * float(len(word)) for word in words for sign in (1, -1)],
        },
        "letter_vectors": [
            {"shape": [len(word), 2], "values": [1.0] * 2 * len(word)} for word in words
        ],
        "padded": words + [""] * (widest - len(words)),
        "sparse_words": [{"index": i, "value": word} for i, word in enumerate(words)],
        "bag": one_hot,
        "wide": [{"index": len(words), "value": 1.0}],
        "cube": [
            {"index": [i, j], "value": letter}
            for i, word in enumerate(words)
            for j, letter in enumerate(word)
        ],
    }


def test_every_kind_has_a_type_and_the_values_of_its_rows(model: LoadedModel) -> None:
    spec = scoring_spec(model.signature, [ID, TEXT])
    assert {b.tensor.name: b.column.sql_type for b in spec.outputs} == {
        "words": "ARRAY<STRING>",
        "letters": "ARRAY<STRUCT<values ARRAY<STRING>>>",
        "vectors": "STRUCT<shape ARRAY<INT64>, values ARRAY<FLOAT64>>",
        "letter_vectors": "ARRAY<STRUCT<shape ARRAY<INT64>, values ARRAY<FLOAT64>>>",
        "padded": "ARRAY<STRING>",
        "sparse_words": "ARRAY<STRUCT<index INT64, value STRING>>",
        "bag": "ARRAY<FLOAT64>",
        "wide": "ARRAY<STRUCT<index INT64, value FLOAT64>>",
        "cube": "ARRAY<STRUCT<index ARRAY<INT64>, value STRING>>",
    }
    scorer, _ = counted_scorer(model, [ID, TEXT])
    outcome = score_all(scorer, spec, batch_of([ID, TEXT], text=SENTENCES))
    assert outcome.rejected == []
    for row, text in zip(outcome.scored, SENTENCES, strict=True):
        assert {name: row[name] for name in _expected(text, 3)} == _expected(text, 3)


def test_a_call_in_which_every_row_comes_back_empty(model: LoadedModel) -> None:
    scorer, _ = counted_scorer(model, [ID, TEXT])
    spec = scoring_spec(model.signature, [ID, TEXT])
    outcome = score_all(scorer, spec, batch_of([ID, TEXT], text=["", " "]))
    assert outcome.scores("words") == {0: [], 1: []}
    assert outcome.scores("letters") == {0: [], 1: []}
    assert outcome.scores("vectors") == {i: {"shape": [0, 2], "values": []} for i in (0, 1)}
    assert outcome.scores("padded") == {0: [], 1: []}
    assert outcome.scores("cube") == {0: [], 1: []}


def test_rows_are_found_and_joined_around_the_one_that_fails(saved: Any) -> None:
    model = _loaded(saved(tf2))
    scorer, counted = counted_scorer(model, [ID, TEXT])
    spec = scoring_spec(model.signature, [ID, TEXT])
    texts = [*SENTENCES, "no!", *SENTENCES]
    outcome = score_all(scorer, spec, batch_of([ID, TEXT], text=texts))
    assert outcome.reject_codes == {4: "CALL_FAILED"}
    assert len(counted.rows) > 3
    good = {i: text for i, text in enumerate(texts) if i != 4}
    for column in ("words", "letters", "vectors", "letter_vectors", "sparse_words", "bag", "cube"):
        assert outcome.scores(column) == {i: _expected(text, 0)[column] for i, text in good.items()}


def test_padding_of_a_fixed_batch_is_dropped(saved: Any) -> None:
    model = _loaded(saved(tf2))
    spec = scoring_spec(model.signature, [ID, TEXT], fixed_batch_rows=8)
    scorer, counted = counted_scorer(model, [ID, TEXT], fixed_batch_rows=8)
    outcome = score_all(scorer, spec, batch_of([ID, TEXT], text=SENTENCES))
    assert counted.rows == [8]
    for row, text in zip(outcome.scored, SENTENCES, strict=True):
        assert {name: row[name] for name in _expected(text, 3)} == _expected(text, 3)


def rows_by_letter(folder: Path) -> Path:
    """text: string[None] -> letters: ragged, a row for each word instead of each text."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])  # type: ignore[untyped-decorator]
    def split(text: Any) -> dict[str, Any]:
        return {"letters": tf.strings.unicode_split(tf.strings.split(text).values, "UTF-8")}

    module = tf.Module()
    module.split = split
    tf.saved_model.save(module, str(folder), signatures=split)
    return folder


def test_another_number_of_rows_is_a_reject(saved: Any) -> None:
    model = _loaded(saved(rows_by_letter))
    scorer, _ = counted_scorer(model, [ID, TEXT])
    spec = scoring_spec(model.signature, [ID, TEXT])
    outcome = score_all(scorer, spec, batch_of([ID, TEXT], text=["a b", "c"]))
    assert outcome.reject_codes == {0: "OUTPUT_ROWS"}
    assert outcome.rejected[0]["message"] == "output 'letters' has 2 rows for 1 input rows"
    assert outcome.scores("letters") == {1: ["c"]}


def _binding(spec: TensorSpec, **options: Any) -> OutputBinding:
    kind = column_type(spec.dtype)
    assert kind is not None
    return OutputBinding(spec, output_field("c", spec, kind), **options)


def _column(result: Any, spec: TensorSpec) -> list[Any]:
    binding = _binding(spec)
    array, faults = binding.convert(result)
    array.validate(full=True)
    assert faults == []
    assert array.type == binding.arrow_type
    rows: list[Any] = array.to_pylist()
    return rows


@given(st.lists(st.lists(st.lists(st.integers(-9, 9), max_size=3), max_size=3), min_size=1))
def test_any_ragged_tensor_comes_back_from_its_column(rows: list[list[list[int]]]) -> None:
    inner = [part for row in rows for part in row]
    splits = tuple(np.cumsum([0, *map(len, parts)], dtype=np.int64) for parts in (rows, inner))
    values = np.array([v for part in inner for v in part], np.int32)
    spec = TensorSpec("y", "int32", (None, None, None), "ragged", 2)
    found = _column(RaggedRows(values, splits), spec)
    assert [[part["values"] for part in row] for row in found] == rows


@given(st.lists(st.dictionaries(st.integers(0, 99), st.integers(1, 9)), min_size=1), st.randoms())
def test_any_sparse_tensor_comes_back_from_its_column(
    rows: list[dict[int, int]], random: Any
) -> None:
    import tensorflow as tf

    entries = [((i, j), v) for i, row in enumerate(rows) for j, v in row.items()]
    random.shuffle(entries)
    tensor = tf.SparseTensor(
        np.array([index for index, _ in entries], np.int64).reshape(-1, 2),
        np.array([v for _, v in entries], np.int64),
        (len(rows), 100),
    )
    free = TensorSpec("y", "int64", (None, None), "sparse")
    found = _column(result_of(tensor, free), free)
    assert [{e["index"]: e["value"] for e in row} for row in found] == rows
    assert all(row == sorted(row, key=lambda e: e["index"]) for row in found)
    known = TensorSpec("y", "int64", (None, 100), "sparse")
    assert _column(result_of(tensor, known), known) == [
        [row.get(j, 0) for j in range(100)] for row in rows
    ]


@pytest.mark.parametrize("width", [None, 3])
def test_an_entry_outside_of_its_shape_fails_the_call(width: int | None) -> None:
    import tensorflow as tf

    tensor = tf.SparseTensor([[0, 3]], [1.0], (1, 3))
    spec = TensorSpec("y", "float32", (None, width), "sparse")
    with pytest.raises(BatchCallError, match=r"'y' has an entry outside of its shape \[1, 3\]"):
        result_of(tensor, spec)


def test_faults_are_those_of_the_rows_that_have_them() -> None:
    bad = np.array([1.0, np.nan, 2.0, np.inf], np.float32)
    message = "output 'y' holds NaN or an infinity"
    ragged = RaggedRows(bad, (np.array([0, 1, 1, 2]), np.array([0, 1, 3])))
    spec = TensorSpec("y", "float32", (None, None, None), "ragged", 2)
    _, faults = _binding(spec, non_finite="reject").convert(ragged)
    assert [(f.row, f.message) for f in faults] == [(2, message)]
    sparse = SparseRows(bad, np.zeros((4, 1), np.int64), np.array([0, 1, 1, 4]))
    spec = TensorSpec("y", "float32", (None, None), "sparse")
    _, faults = _binding(spec, non_finite="reject").convert(sparse)
    assert [(f.row, f.message) for f in faults] == [(2, message)]


def test_texts_that_are_not_utf8_are_found_in_their_row() -> None:
    texts = RaggedRows(np.array([b"a", b"\xff"], object), (np.array([0, 0, 1, 2, 2]),))
    spec = TensorSpec("y", "string", (None, None), "ragged", 1)
    array, faults = _binding(spec).convert(texts)
    assert [(f.row, f.code) for f in faults] == [(2, "OUTPUT_NOT_UTF8")]
    assert array.to_pylist()[:2] == [[], ["a"]]


def test_the_first_rows_are_taken_at_every_level() -> None:
    ragged = RaggedRows(np.arange(4), (np.array([0, 2, 2, 3]), np.array([0, 1, 3, 4])))
    spec = TensorSpec("y", "int64", (None, None, None), "ragged", 2)
    assert len(ragged.first(2)) == 2
    assert _column(ragged.first(2), spec) == [[{"values": [0]}, {"values": [1, 2]}], []]


def test_classes_are_not_taken_from_a_sparse_output() -> None:
    from scoring.classes import ClassOptions
    from scoring.signature import Signature

    signature = Signature("s", (), (TensorSpec("y", "float32", (None, 3), "sparse"),))
    with pytest.raises(ColumnError, match="--top_k needs exactly one output of shape"):
        match_outputs(signature, chosen={}, taken={}, classes=ClassOptions(1))


def test_elements_of_a_ragged_output_cannot_be_null() -> None:
    from scoring.signature import Signature

    signature = Signature("s", (), (TensorSpec("y", "float32", (None, None), "ragged", 1),))
    with pytest.raises(ColumnError, match="becomes ARRAY<FLOAT64>, whose elements cannot be NULL"):
        match_outputs(signature, chosen={}, taken={}, non_finite="null")


def test_an_empty_list_type_is_kept_when_calls_are_joined() -> None:
    spec = TensorSpec("y", "string", (None, None), "ragged", 1)
    binding = _binding(spec)
    empty = RaggedRows(np.array([], object), (np.array([0, 0]),))
    full = RaggedRows(np.array([b"a"], object), (np.array([0, 1]),))
    joined = pa.concat_arrays([binding.convert(r)[0] for r in (empty, full)])
    assert joined.to_pylist() == [[], ["a"]]
