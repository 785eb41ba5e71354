"""Which column each output becomes, and every reason why it cannot be one."""

import pytest

from scoring.errors import ColumnError
from scoring.naming import match_outputs
from scoring.schema import Field
from scoring.signature import Signature, TensorSpec

X = TensorSpec("x", "float32", (None,))


def _signature(*outputs: TensorSpec, inputs: tuple[TensorSpec, ...] = (X,)) -> Signature:
    return Signature("serving_default", inputs, outputs)


def _columns(
    signature: Signature,
    chosen: dict[str, str] | None = None,
    taken: dict[str, str] | None = None,
) -> dict[str, Field]:
    bindings = match_outputs(signature, chosen=chosen or {}, taken=taken or {})
    assert all(b.tensor in signature.outputs for b in bindings)
    return {b.tensor.name: b.column for b in bindings}


def _refusal(
    signature: Signature,
    chosen: dict[str, str] | None = None,
    taken: dict[str, str] | None = None,
) -> str:
    with pytest.raises(ColumnError) as raised:
        _columns(signature, chosen, taken)
    return str(raised.value)


def _output(name: str) -> TensorSpec:
    return TensorSpec(name, "float32", (None,))


def test_every_output_becomes_a_column_of_its_name() -> None:
    signature = _signature(
        TensorSpec("label", "string", (None,)), TensorSpec("probability", "float32", (None, 3))
    )
    assert _columns(signature) == {
        "label": Field("label", "STRING"),
        "probability": Field("probability", "FLOAT", "REPEATED"),
    }


@pytest.mark.parametrize(
    ("output", "column"),
    [
        ("scores/first", "scores_first"),
        ("y:0", "y_0"),
        ("a - b", "a_b"),
        ("2nd", "_2nd"),
        ("größe", "gr_e"),
        ("Mixed_Case", "Mixed_Case"),
    ],
)
def test_names_become_legal(output: str, column: str) -> None:
    assert _columns(_signature(_output(output))) == {output: Field(column, "FLOAT")}


def test_a_choice_selects_renames_and_orders() -> None:
    signature = _signature(_output("a"), _output("b"), _output("c"))
    columns = _columns(signature, {"c": "last", "a": "first"})
    assert list(columns.items()) == [
        ("c", Field("last", "FLOAT")),
        ("a", Field("first", "FLOAT")),
    ]


def test_an_unknown_output_is_named_with_the_known_ones() -> None:
    assert _refusal(_signature(_output("a"), _output("b")), {"a": "x", "z": "y"}) == (
        "Signature 'serving_default' has no output 'z'. "
        "Check --output_columns; its outputs are: a: float32[None], b: float32[None]."
    )


def test_an_output_cannot_take_a_column_that_is_there_already() -> None:
    taken = {"id": "a key or passthrough column"}
    assert _refusal(_signature(_output("a")), {"a": "ID"}, taken) == (
        "Output 'a' would be written to column 'ID', which is a key or passthrough column. "
        "Rename it: --output_columns a=another_name"
    )


def test_an_output_that_is_chosen_but_not_renamed_gets_a_legal_name() -> None:
    assert _columns(_signature(_output("a/b")), {"a/b": "a/b"}) == {"a/b": Field("a_b", "FLOAT")}


def test_two_outputs_cannot_share_a_column() -> None:
    assert _refusal(_signature(_output("y/1"), _output("y:1"))) == (
        "Output 'y:1' would be written to column 'y_1', which is the column for output 'y/1'. "
        "Rename it: --output_columns y:1=another_name"
    )


_ADVICE = "Leave it out: name the outputs that you want with --output_columns."


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (
            TensorSpec("y", "complex64", (None,)),
            "Output y: complex64[None]: BigQuery has no type for complex64.",
        ),
        (
            TensorSpec("y", "IndexedSlices", None, "other"),
            "Output y: IndexedSlices of any shape: BigQuery has no type for IndexedSlices.",
        ),
        (TensorSpec("y", "float32", ()), "Output y: float32[] is one value a call, not one a row."),
        (
            TensorSpec("y", "string", (54,)),
            "Output y: string[54] has 54 rows whatever the number of input rows.",
        ),
    ],
)
def test_an_output_that_is_no_column_can_be_left_out(output: TensorSpec, problem: str) -> None:
    signature = _signature(_output("good"), output)
    assert _refusal(signature) == f"{problem} {_ADVICE}"
    assert _columns(signature, {"good": "good"}) == {"good": Field("good", "FLOAT")}


def test_outputs_of_a_fixed_batch_have_its_rows() -> None:
    inputs = (TensorSpec("x", "float32", (4,)),)
    assert _columns(_signature(TensorSpec("y", "int8", (4, 2)), inputs=inputs)) == {
        "y": Field("y", "INTEGER", "REPEATED")
    }
    assert _refusal(_signature(TensorSpec("y", "int8", (2,)), inputs=inputs)) == (
        f"Output y: int8[2] has 2 rows whatever the number of input rows. {_ADVICE}"
    )
