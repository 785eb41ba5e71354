"""Which column feeds which input, and every reason why one cannot."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.columns import named_column
from scoring.errors import ColumnError
from scoring.feed import InputBinding
from scoring.feed_problems import feed_problem
from scoring.matching import fixed_batch_rows, match_inputs
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

X = TensorSpec("x", "float32", (None,))
Y = TensorSpec("y", "float32", (None,))


def _signature(*inputs: TensorSpec) -> Signature:
    return Signature("serving_default", inputs, (TensorSpec("score", "float32", (None,)),))


def _floats(*names: str) -> list[Field]:
    return [Field(name, "FLOAT") for name in names]


def _match(
    signature: Signature,
    columns: list[Field],
    chosen: dict[str, str] | None = None,
    reserved: tuple[str, ...] = (),
) -> dict[str, str]:
    bindings = match_inputs(signature, columns, chosen=chosen or {}, reserved=reserved)
    assert [b.tensor for b in bindings] == list(signature.inputs)
    assert all(b.column in columns for b in bindings)
    return {b.tensor.name: b.column.name for b in bindings}


def _refusal(
    signature: Signature,
    columns: list[Field],
    chosen: dict[str, str] | None = None,
    reserved: tuple[str, ...] = (),
) -> str:
    with pytest.raises(ColumnError) as raised:
        _match(signature, columns, chosen, reserved)
    return str(raised.value)


@pytest.mark.parametrize(
    ("inputs", "columns", "chosen", "reserved", "expected"),
    [
        ((X, Y), ("y", "z", "x"), {}, (), {"x": "x", "y": "y"}),
        ((X, Y), ("Y", "X"), {}, (), {"x": "X", "y": "Y"}),
        # The exact name wins over one in another case.
        ((X,), ("X", "x"), {}, (), {"x": "x"}),
        ((X, Y), ("a", "y"), {"x": "a"}, (), {"x": "a", "y": "y"}),
        # A choice wins over the column of the name.
        ((X,), ("x", "a"), {"x": "a"}, (), {"x": "a"}),
        ((X,), ("Price",), {"x": "price"}, (), {"x": "Price"}),
        ((X, Y), ("a", "b"), {"x": "a", "y": "a"}, (), {"x": "a", "y": "a"}),
        # One input and one column are left over.
        ((X,), ("price",), {}, (), {"x": "price"}),
        ((X, Y), ("x", "price"), {}, (), {"x": "x", "y": "price"}),
        ((X, Y), ("a", "b"), {"y": "a"}, (), {"x": "b", "y": "a"}),
        ((X,), ("id", "price"), {}, ("id",), {"x": "price"}),
        # Reserved columns feed by name and by choice.
        ((X,), ("x", "price"), {}, ("x",), {"x": "x"}),
        ((X,), ("id", "price"), {"x": "id"}, ("id",), {"x": "id"}),
    ],
)
def test_columns_are_found(
    inputs: tuple[TensorSpec, ...],
    columns: tuple[str, ...],
    chosen: dict[str, str],
    reserved: tuple[str, ...],
    expected: dict[str, str],
) -> None:
    assert _match(_signature(*inputs), _floats(*columns), chosen, reserved) == expected


@settings(deadline=None, max_examples=100)
@given(
    columns=st.permutations([f"f{i}" for i in range(8)] + ["id", "name"]),
    upper=st.sets(st.integers(0, 7)),
)
def test_eight_inputs_find_their_columns_in_any_order_and_case(
    columns: list[str], upper: set[int]
) -> None:
    expected = {f"{'F' if i in upper else 'f'}{i}": f"f{i}" for i in range(8)}
    inputs = [TensorSpec(name, "float32", (None,)) for name in expected]
    assert _match(_signature(*inputs), _floats(*columns)) == expected


def test_inputs_without_a_column_are_listed_with_what_the_source_has() -> None:
    columns = [*_floats("a", "b"), Field("tags", "STRING", "REPEATED")]
    vector = TensorSpec("y", "float32", (None, 3))
    assert _refusal(_signature(X, vector), columns) == (
        "Signature 'serving_default' cannot be fed:"
        "\n  no column for input x: float32[None]"
        "\n  no column for input y: float32[None, 3]"
        "\nThe source has: a FLOAT64, b FLOAT64, tags ARRAY<STRING>. "
        "Say which column feeds which input: --input_columns x=COLUMN,y=COLUMN"
    )


@pytest.mark.parametrize(
    ("columns", "reserved"),
    [
        (("a", "b"), ()),
        (("id",), ("id",)),
        ((), ()),
    ],
    ids=["two left over", "only reserved", "none"],
)
def test_one_input_is_not_guessed(columns: tuple[str, ...], reserved: tuple[str, ...]) -> None:
    have = ", ".join(f"{name} FLOAT64" for name in columns)
    assert _refusal(_signature(X), _floats(*columns), {}, reserved) == (
        "Signature 'serving_default' cannot be fed:\n  no column for input x: float32[None]"
        f"\nThe source has: {have}. "
        "Say which column feeds which input: --input_columns x=COLUMN"
    )


def test_columns_that_differ_in_case_alone_are_ambiguous() -> None:
    name = TensorSpec("ab", "float32", (None,))
    assert _refusal(_signature(name), _floats("AB", "Ab")) == (
        "Signature 'serving_default' cannot be fed:\n  no column for input ab: float32[None]"
        "\nThe source has: AB FLOAT64, Ab FLOAT64. "
        "Say which column feeds which input: --input_columns ab=COLUMN"
    )


def test_an_unknown_input_is_named_with_the_known_ones() -> None:
    assert _refusal(_signature(X, Y), _floats("x", "y"), {"z": "x"}) == (
        "Signature 'serving_default' has no input 'z'. "
        "Check --input_columns; its inputs are: x: float32[None], y: float32[None]."
    )


def test_an_unknown_column_is_named_with_the_known_ones() -> None:
    assert _refusal(_signature(X), _floats("a", "b"), {"x": "c"}) == (
        "--input_columns names column 'c', which the source does not have. Its columns are: a, b."
    )


def test_a_signature_without_inputs_is_refused() -> None:
    assert _refusal(_signature(), _floats("a")) == (
        "Signature 'serving_default' has no inputs, so no column can be scored with it. "
        "Choose another one with --signature."
    )


def test_all_columns_that_cannot_feed_are_named_at_once() -> None:
    columns = [Field("x", "DATE"), Field("y", "FLOAT")]
    wide = TensorSpec("y", "float32", (None, 2))
    assert _refusal(_signature(X, wide), columns) == (
        "Signature 'serving_default' cannot be fed:"
        "\n  input x: float32[None] from column 'x' (DATE): no conversion from DATE to float32 "
        "keeps the values; convert it with --input_query, UNIX_DATE(x) say"
        "\n  input y: float32[None, 2] from column 'y' (FLOAT64): it needs 2 values a row, "
        "got one; feed it an ARRAY of 2 elements, or several columns: "
        "--input_columns y=[COLUMN,...]"
    )


_POINT = Field("c", "RECORD", fields=(Field("a", "FLOAT"),))
_CONVERT = "; convert it with --input_query, "


@pytest.mark.parametrize(
    ("dtype", "shape", "column", "problem"),
    [
        ("float32", (None,), Field("c", "FLOAT"), None),
        ("float32", (None,), Field("c", "FLOAT", "REQUIRED"), None),
        ("float32", (4,), Field("c", "FLOAT"), None),
        ("float32", (None, 1), Field("c", "FLOAT"), None),
        ("float32", None, Field("c", "FLOAT"), None),
        ("float32", (None,), Field("c", "FLOAT", "REPEATED"), None),
        ("float32", (None, 2, 3), Field("c", "FLOAT", "REPEATED"), None),
        ("float32", None, Field("c", "FLOAT", "REPEATED"), None),
        (
            "float32",
            (),
            Field("c", "FLOAT"),
            "input in: float32[] from column 'c' (FLOAT64): the input takes one value a call, "
            "not one a row; export it with a batch dimension",
        ),
        ("float32", (None, None), Field("c", "FLOAT", "REPEATED"), None),
        (
            "float32",
            (None, None),
            Field("c", "FLOAT"),
            "input in: float32[None, None] from column 'c' (FLOAT64): it leaves dimensions of a "
            "row free, which one value does not tell; feed it an ARRAY, or state them: "
            "--input_shapes in=[SIZE]",
        ),
        (
            "float32",
            (None, None, None, 3),
            Field("c", "FLOAT", "REPEATED"),
            "input in: float32[None, None, None, 3] from column 'c' (ARRAY<FLOAT64>): it leaves "
            "several dimensions of a row free, of which a flat ARRAY tells one; state them: "
            "--input_shapes in=[SIZE,SIZE,3]",
        ),
        (
            "uint8",
            (None, 2, 3),
            Field("c", "INTEGER"),
            "input in: uint8[None, 2, 3] from column 'c' (INT64): it needs 6 values a row, got "
            "one; feed it an ARRAY of 6 elements, or several columns: "
            "--input_columns in=[COLUMN,...]",
        ),
        (
            "float32",
            (None,),
            _POINT,
            "input in: float32[None] from column 'c' (STRUCT<a FLOAT64>): no conversion from "
            "STRUCT<a FLOAT64> to float32 keeps the values; choose one of its fields, "
            "--input_columns in=c.a say",
        ),
        (
            "float32",
            (None,),
            Field("c", "DATE"),
            "input in: float32[None] from column 'c' (DATE): no conversion from DATE to float32 "
            f"keeps the values{_CONVERT}UNIX_DATE(c) say",
        ),
        (
            "float32",
            (None, 2),
            Field("c", "TIMESTAMP", "REPEATED"),
            "input in: float32[None, 2] from column 'c' (ARRAY<TIMESTAMP>): no conversion from "
            f"ARRAY<TIMESTAMP> to float32 keeps the values{_CONVERT}"
            "ARRAY(SELECT UNIX_MICROS(v) FROM UNNEST(c) AS v) say",
        ),
        (
            "string",
            (None,),
            Field("c", "INTEGER"),
            "input in: string[None] from column 'c' (INT64): no conversion from INT64 to string "
            f"keeps the values{_CONVERT}CAST(c AS STRING) say",
        ),
        (
            "int64",
            (None,),
            Field("c", "STRING"),
            "input in: int64[None] from column 'c' (STRING): no conversion from STRING to int64 "
            f"keeps the values{_CONVERT}SAFE_CAST(c AS FLOAT64) say",
        ),
    ],
)
def test_feed_problem_says_why(
    dtype: str, shape: tuple[int | None, ...] | None, column: Field, problem: str | None
) -> None:
    assert feed_problem(InputBinding(TensorSpec("in", dtype, shape), column)) == problem


def test_a_named_column_is_found_in_any_case() -> None:
    columns = _floats("Price", "id")
    assert named_column("--key_columns", "ID", columns) == columns[1]
    assert named_column("--key_columns", "Price", columns) == columns[0]


def test_a_missing_named_column_is_reported_with_its_flag() -> None:
    with pytest.raises(ColumnError) as raised:
        named_column("--key_columns", "key", _floats("Price", "id"))
    assert str(raised.value) == (
        "--key_columns names column 'key', which the source does not have. "
        "Its columns are: Price, id."
    )


@pytest.mark.parametrize(
    ("shapes", "rows"),
    [
        ([(None,), (None, 3)], None),
        ([(4,), (4, 3)], 4),
        ([(1,)], 1),
        ([(None,), (4, 3)], 4),
        ([None, (4,)], 4),
        ([(), None], None),
    ],
)
def test_the_fixed_batch_size_is_that_of_the_inputs(
    shapes: list[tuple[int | None, ...] | None], rows: int | None
) -> None:
    inputs = [TensorSpec(f"x{i}", "float32", shape) for i, shape in enumerate(shapes)]
    assert fixed_batch_rows(_signature(*inputs)) == rows


def test_different_fixed_batch_sizes_are_refused() -> None:
    signature = _signature(TensorSpec("x", "int8", (4,)), TensorSpec("y", "int8", (2, 3)))
    with pytest.raises(ColumnError) as raised:
        fixed_batch_rows(signature)
    assert str(raised.value) == (
        "The inputs of signature serving_default (x: int8[4]; y: int8[2, 3] -> score: "
        "float32[None]) have different fixed batch sizes [2, 4]; expected the same, or a free "
        "one. Export it again."
    )
