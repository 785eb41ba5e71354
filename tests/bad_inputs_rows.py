"""Rows with a value that is odd: each is a reject by itself, or is scored as it should be."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
from bad_inputs import SCORED, OddRow, OddRows


def strict(folder: Path) -> Path:
    """Inputs of many dtypes -> what each odd value of the table below needs to show.

    inverse: 1 / single; wide: the bits of `long` as uint64; same: text.  Fails for a negative
    `single`.  The other inputs only have to be fed.
    """
    import tensorflow as tf

    def score(**inputs: Any) -> dict[str, Any]:
        single = inputs["single"]
        with tf.control_dependencies([tf.debugging.assert_non_negative(single, "it is negative")]):
            inverse = 1.0 / single
        return {
            "inverse": inverse,
            "wide": tf.bitcast(inputs["long"], tf.uint64),
            "same": tf.identity(inputs["text"]),
        }

    dtypes = {
        "count": "int32",
        "whole": "int32",
        "long": "int64",
        "far": "int64",
        "small": "uint8",
        "flag": "bool",
        "half": "float16",
        "single": "float32",
        "text": "string",
    }
    specs = {name: tf.TensorSpec([None], dtype, name=name) for name, dtype in dtypes.items()}
    specs["vector"] = tf.TensorSpec([None, 4], tf.float32, name="vector")
    module = tf.Module()
    module.score = tf.function(score)
    signature = module.score.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": signature})
    return folder


def _row(wrong: str, column: str, value: Any, code: str, message: str, **scores: Any) -> OddRow:
    return OddRow(wrong, column, lambda: value, code, message, scores or None)


ROWS = OddRows(
    strict,
    {
        "count": (pa.int64(), 1),
        "whole": (pa.float64(), 1.0),
        "long": (pa.int64(), 1),
        "far": (pa.float64(), 1.0),
        "small": (pa.int64(), 1),
        "flag": (pa.int64(), 1),
        "half": (pa.float64(), 1.0),
        "single": (pa.float64(), 2.0),
        "text": (pa.binary(), b"a"),
        "vector": (pa.list_(pa.float64()), [1.0, 2.0, 3.0, 4.0]),
    },
    (
        _row(
            "a NULL in a fed column",
            "count",
            None,
            "NULL_VALUE",
            "column 'count' is NULL; input 'count' needs a value",
        ),
        _row(
            "a NULL text",
            "text",
            None,
            "NULL_VALUE",
            "column 'text' is NULL; input 'text' needs a value",
        ),
        _row(
            "an empty ARRAY, as BigQuery stores a NULL one",
            "vector",
            [],
            "WRONG_LENGTH",
            "column 'vector' has 0 elements; input 'vector' needs exactly 4",
        ),
        _row(
            "an ARRAY that is too short",
            "vector",
            [1.0] * 3,
            "WRONG_LENGTH",
            "column 'vector' has 3 elements; input 'vector' needs exactly 4",
        ),
        _row(
            "an ARRAY that is too long",
            "vector",
            [1.0] * 5,
            "WRONG_LENGTH",
            "column 'vector' has 5 elements; input 'vector' needs exactly 4",
        ),
        _row(
            "1e39 in an ARRAY for float32",
            "vector",
            [1.0, 1e39, 0.0, 0.0],
            "OUT_OF_RANGE",
            "column 'vector' holds 1e+39; input 'vector' is float32: rounded to "
            "the nearest float; must be in range",
        ),
        _row(
            "2^31 for int32",
            "count",
            2**31,
            "OUT_OF_RANGE",
            "column 'count' holds 2147483648; input 'count' is int32: must fit the dtype",
        ),
        _row(
            "1.5 for an integer",
            "whole",
            1.5,
            "OUT_OF_RANGE",
            "column 'whole' holds 1.5; input 'whole' is int32: must be whole and fit the dtype",
        ),
        _row(
            "NaN for an integer",
            "whole",
            math.nan,
            "OUT_OF_RANGE",
            "column 'whole' holds nan; input 'whole' is int32: must be whole and fit the dtype",
        ),
        _row(
            "infinity for an integer",
            "whole",
            math.inf,
            "OUT_OF_RANGE",
            "column 'whole' holds inf; input 'whole' is int32: must be whole and fit the dtype",
        ),
        _row(
            "2^63 as a float for int64",
            "far",
            2.0**63,
            "OUT_OF_RANGE",
            "column 'far' holds 9.223372036854776e+18; input 'far' is int64: must "
            "be whole and fit the dtype",
        ),
        _row(
            "-1 for uint8",
            "small",
            -1,
            "OUT_OF_RANGE",
            "column 'small' holds -1; input 'small' is uint8: must fit the dtype",
        ),
        _row(
            "256 for uint8",
            "small",
            256,
            "OUT_OF_RANGE",
            "column 'small' holds 256; input 'small' is uint8: must fit the dtype",
        ),
        _row(
            "2 for a bool",
            "flag",
            2,
            "OUT_OF_RANGE",
            "column 'flag' holds 2; input 'flag' is bool: must be 0 or 1",
        ),
        _row(
            "70,000 for float16",
            "half",
            70_000.0,
            "OUT_OF_RANGE",
            "column 'half' holds 70000.0; input 'half' is float16: rounded to the "
            "nearest float; must be in range",
        ),
        _row(
            "1e39 for float32",
            "single",
            1e39,
            "OUT_OF_RANGE",
            "column 'single' holds 1e+39; input 'single' is float32: rounded to "
            "the nearest float; must be in range",
        ),
        _row(
            "a value that the model refuses",
            "single",
            -1.0,
            "CALL_FAILED",
            "assertion failed: [it is negative.  ] [Condition x >= 0 did not hold "
            "element-wise:] [x (single:0) = ] [-1]",
        ),
        _row(
            "infinity from the model",
            "single",
            0.0,
            "OUTPUT_NOT_FINITE",
            "output 'inverse' holds NaN or an infinity",
        ),
        _row(
            "a uint64 from the model beyond INT64",
            "long",
            -1,
            "OUTPUT_OUT_OF_RANGE",
            "output 'wide' holds a value beyond INT64",
        ),
        _row(
            "bytes from the model that are not UTF-8",
            "text",
            b"\xff",
            "OUTPUT_NOT_UTF8",
            "output 'same' is not valid UTF-8",
        ),
        _row(
            "NaN for a float is a value",
            "half",
            math.nan,
            SCORED,
            "the model gets NaN",
            inverse=0.5,
        ),
    ),
    ("--on_non_finite=reject",),
)
