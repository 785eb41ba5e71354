"""Why columns can never feed an input, and what to do about it."""

from scoring.bindings import ImageBinding, SparseBinding, StackedBinding
from scoring.columns import conversion_advice
from scoring.conversions import find_conversion
from scoring.feed import InputBinding
from scoring.layout import Dims
from scoring.objects import ObjectField
from scoring.schema import Field
from scoring.signature import TensorSpec, elements_per_row

# Rank of an image input: batch, height, width, channels.
_IMAGE_RANK = 4


def feed_problem(
    binding: InputBinding | SparseBinding | StackedBinding | ImageBinding,
) -> str | None:
    """Why the columns can never feed the input, or None if they can."""
    if isinstance(binding, ImageBinding):
        return None
    if isinstance(binding, StackedBinding):
        return _stack_problem(binding)
    spec, (column,) = binding.tensor, binding.columns
    dense = binding.dense if isinstance(binding, SparseBinding) else binding
    problem = _element_problem(spec, column) or (
        _list_problem(dense) if column.rank else _scalar_problem(spec, column)
    )
    return (
        f"input {spec} from column {column.name!r} ({column.sql_type}): {problem}"
        if problem
        else None
    )


def _scalar_problem(spec: TensorSpec, column: Field) -> str | None:
    if spec.encoding == "sparse":
        return (
            "sparse inputs take ARRAYs; make one of the value with --input_query, "
            f"[{column.name}] AS {column.name.rpartition('.')[2]} say"
        )
    size = elements_per_row(spec)
    if spec.shape is None or size == 1:
        return None
    if size is None:
        return (
            "it leaves dimensions of a row free, which one value does not tell; feed it an ARRAY, "
            f"or state them: {_shape_flag(spec, spec.shape[1:])}"
        )
    return (
        f"it needs {size} values a row, got one; feed it an ARRAY of {size} elements, or several "
        f"columns: --input_columns {spec.name}=[COLUMN,...]"
    )


def _list_problem(binding: InputBinding) -> str | None:
    spec, rank = binding.tensor, binding.column.rank
    if binding.layout.is_possible:
        return None
    if rank == 1:
        return (
            "it leaves several dimensions of a row free, of which a flat ARRAY tells one; "
            f"state them: {_shape_flag(spec, binding.dims)}"
        )
    return (
        f"a row of it has {len(binding.dims)} dimensions, the column ARRAYs within ARRAYs, "
        f"{rank} deep; feed it a flat ARRAY"
    )


def _stack_problem(binding: StackedBinding) -> str | None:
    spec, count = binding.tensor, len(binding.columns)
    names = ", ".join(c.name for c in binding.columns)
    where = f"input {spec} from columns [{names}]"
    if spec.encoding == "sparse":
        return f"{where}: only dense inputs take stacks; choose one ARRAY column"
    for column in binding.columns:
        if column.rank:
            return f"{where}: column {column.name!r} is {column.sql_type}; only scalars are stacked"
        problem = _element_problem(spec, column)
        if problem is not None:
            return f"{where}: column {column.name!r}: {problem}"
    layout = binding.layout
    if not layout.is_possible:
        flag = _shape_flag(spec, layout.dims)
        return f"{where}: it leaves several dimensions of a row free; state them: {flag}"
    if not layout.takes(count):
        return f"{where}: a row needs {layout.needs}, got {count} columns"
    return None


def _element_problem(spec: TensorSpec, column: Field) -> str | None:
    if spec.encoding not in ("dense", "sparse"):
        return "only dense and sparse inputs can be fed; export it with dense ones"
    if isinstance(column, ObjectField) and spec.dtype != "string":
        return _object_problem(spec)
    if find_conversion(column.type, spec.dtype) is None:
        reason = f"no conversion from {column.sql_type} to {spec.dtype} keeps the values"
        advice = _advice(spec, column)
        return f"{reason}; {advice}" if advice else reason
    if spec.shape == ():
        return "the input takes one value a call, not one a row; export it with a batch dimension"
    return None


def _object_problem(spec: TensorSpec) -> str:
    problem = "objects feed images [batch, height, width, 3 or 1] and string inputs"
    return f"{problem}; {_image_advice(spec)}" if _is_open_image(spec) else problem


def _is_open_image(spec: TensorSpec) -> bool:
    shape = spec.shape
    return shape is not None and len(shape) == _IMAGE_RANK and None in shape[1:]


def _image_advice(spec: TensorSpec) -> str:
    channels = spec.shape[-1] if spec.shape else None
    return f"for images state their size, --input_shapes {spec.name}=[HEIGHT,WIDTH,{channels or 3}]"


def _advice(spec: TensorSpec, column: Field) -> str | None:
    if column.fields:
        path = f"{column.name}.{column.fields[0].name}"
        return f"choose one of its fields, --input_columns {spec.name}={path} say"
    if column.type in ("BYTES", "STRING") and not column.rank and _is_open_image(spec):
        return _image_advice(spec)
    return conversion_advice(column)


def _shape_flag(spec: TensorSpec, dims: Dims) -> str:
    sizes = ",".join("SIZE" if d is None else str(d) for d in dims)
    return f"--input_shapes {spec.name}=[{sizes}]"
