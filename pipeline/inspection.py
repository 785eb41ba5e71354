"""`bulkscore inspect`: what a model takes and gives, and whether it can be called here."""

import json
import shlex
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tabulate import tabulate

from options.inspection import Inspection
from options.names import check_column
from pipeline.model import model_folder
from pipeline.sizes import readable
from pipeline.trial import TrialProcess, trial_process
from scoring.errors import ModelError
from scoring.graph_file import ModelFormat, check_files, model_format, read_graph
from scoring.handle import digest_folder
from scoring.ops import OpNeed, import_op_packages, op_needs
from scoring.signature import (
    SavedModelInfo,
    Signature,
    TensorSpec,
    choose_signature,
    read_saved_model,
)

_MAX_LISTED_FILES = 20


@dataclass(frozen=True)
class InspectedModel:
    """What is known of a model.

    Attributes:
      handle: the model as the user named it.
      files: name and size in bytes of each file below the model's folder.
      chosen: what would be called; None if the user has to choose, or cannot.
      problems: sentences that say why the model cannot be scored with here.
    """

    handle: str
    format: ModelFormat
    digest: str
    files: tuple[tuple[str, int], ...]
    info: SavedModelInfo
    op_needs: tuple[OpNeed, ...]
    chosen: Signature | None
    problems: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files)

    @property
    def score_command(self) -> str:
        """A command to copy; what the user has to fill in is in capitals."""
        words = ["bulkscore", "score", f"--model={self.handle}"]
        if self.chosen is None:
            words.append("--signature=SIGNATURE")
        elif self.chosen != _chosen_or_none(self.info):
            words.append(f"--signature={self.chosen.name}")
        inputs = self.chosen.inputs if self.chosen else ()
        mapped = [f"{spec.name}=COLUMN" for spec in inputs if not _can_name_a_column(spec.name)]
        shaped = [f"{spec.name}={_shape_to_state(spec)}" for spec in inputs if _needs_shape(spec)]
        words += [f"--input_columns={','.join(mapped)}"] if mapped else []
        words += [f"--input_shapes={','.join(shaped)}"] if shaped else []
        words += ["--input_table=PROJECT.DATASET.TABLE", "--key_columns=KEY"]
        return shlex.join([*words, "--output_table=PROJECT.DATASET.PREDICTIONS"])


def inspect_model(request: Inspection) -> None:
    """Prints what is known of the model, as tables or as one JSON object.

    Raises:
      ModelError: there is no such model or signature; or, after printing, the model cannot be
        scored with here.
      PlanError: Cloud Storage cannot be read.
    """
    # The process gets ready, which takes seconds, while the files are read.
    with tempfile.TemporaryDirectory() as workspace, trial_process() as trial:
        folder = model_folder(request.model, Path(workspace))
        model = inspected(folder, request.model, request.signature)
        if model.chosen is not None and not model.problems:
            model = _tried(model, folder, model.chosen, trial)
    print(json.dumps(as_json(model), indent=2) if request.json else as_text(model), flush=True)
    if model.problems:
        raise ModelError("\n".join(model.problems))


def inspected(folder: Path, handle: str, signature: str | None) -> InspectedModel:
    """What the files of the model's folder tell.

    Raises:
      ModelError: it is no model, or has no such signature.
    """
    graph = read_graph(folder)
    info = read_saved_model(folder)
    needs = op_needs(graph)
    chosen = choose_signature(info, signature) if signature else _chosen_or_none(info)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return InspectedModel(
        handle=handle,
        format=model_format(folder, graph),
        digest=digest_folder(folder),
        files=tuple((f.relative_to(folder).as_posix(), f.stat().st_size) for f in files),
        info=info,
        op_needs=needs,
        chosen=chosen,
        problems=tuple(_problems(folder, graph, info, needs)),
    )


def _tried(
    model: InspectedModel, folder: Path, chosen: Signature, trial: TrialProcess
) -> InspectedModel:
    """The same, with what keeps the model from being loaded and called on this machine."""
    try:
        trial.call(str(folder), model.info.tags, chosen, model.handle)
    except ModelError as e:
        return replace(model, problems=(str(e),))
    return model


def as_json(model: InspectedModel) -> dict[str, Any]:
    """The object that `--json` prints; its keys are stable and all of them are always there.

    `chosen_signature` is null if there is none or the user has to choose; in a shape null stands
    for a free dimension, and instead of a shape for a free rank.  `op_packages` holds each
    package that the model needs, with the ops; the package is null where it is not known.
    `problems` holds a sentence for each reason why the model cannot be scored with here.
    """
    return {
        "model": model.handle,
        "format": model.format,
        "tags": list(model.info.tags),
        "digest": model.digest,
        "size_bytes": model.size_bytes,
        "files": [{"name": name, "size_bytes": size} for name, size in model.files],
        "signatures": [_signature_json(s) for s in model.info.signatures],
        "functions": [_signature_json(s) for s in model.info.functions],
        "chosen_signature": model.chosen.name if model.chosen else None,
        "op_packages": [
            {
                "package": need.package.name if need.package else None,
                "installed": need.package is not None and need.package.is_installed,
                "ops": list(need.ops),
            }
            for need in model.op_needs
        ],
        "problems": list(model.problems),
        "score_command": model.score_command,
    }


def as_text(model: InspectedModel) -> str:
    """Tables: the model, then each of its signatures; and the command to score with."""
    # Where there are signatures the functions are the same thing once more, or parts of it.
    offered = model.info.signatures or model.info.functions
    tables = [_signature_table(signature, model.chosen) for signature in offered]
    command = () if model.problems else (f"Score with it:\n\n{model.score_command}",)
    return "\n\n".join((_model_table(model), *tables, *command))


def _chosen_or_none(info: SavedModelInfo) -> Signature | None:
    try:
        return choose_signature(info, None)
    except ModelError:
        # The user has to choose; if there is nothing to choose from, `problems` says so.
        return None


def _problems(
    folder: Path, graph: Any, info: SavedModelInfo, needs: tuple[OpNeed, ...]
) -> Iterator[str]:
    checks: list[Callable[[], object]] = [partial(check_files, folder, graph)]
    checks += [partial(import_op_packages, folder, [need]) for need in needs]
    if not info.signatures and not info.functions:
        checks.append(partial(choose_signature, info, None))
    for check in checks:
        try:
            check()
        except ModelError as e:
            yield str(e)


def _can_name_a_column(name: str) -> bool:
    try:
        check_column(name)
    except ValueError:
        return False
    return True


def _needs_shape(spec: TensorSpec) -> bool:
    """Whether more of a row's dimensions are free than an ARRAY column can tell."""
    return spec.shape is not None and spec.shape[1:].count(None) > 1


def _shape_to_state(spec: TensorSpec) -> str:
    sizes = ("SIZE" if size is None else str(size) for size in (spec.shape or ())[1:])
    return f"[{','.join(sizes)}]"


def _signature_json(signature: Signature) -> dict[str, Any]:
    return {
        "name": signature.name,
        "inputs": [_spec_json(spec) for spec in signature.inputs],
        "outputs": [_spec_json(spec) for spec in signature.outputs],
    }


def _spec_json(spec: TensorSpec) -> dict[str, Any]:
    shape = None if spec.shape is None else list(spec.shape)
    return {"name": spec.name, "dtype": spec.dtype, "shape": shape, "encoding": spec.encoding}


def _model_table(model: InspectedModel) -> str:
    listed = [f"{name} ({readable(size)})" for name, size in model.files[:_MAX_LISTED_FILES]]
    if len(model.files) > len(listed):
        listed.append(f"and {len(model.files) - len(listed):,} more")
    rows = [
        ("model", model.handle),
        ("format", model.format),
        ("tags", ", ".join(model.info.tags) or "none"),
        ("size", readable(model.size_bytes)),
        ("digest", model.digest),
        *_labelled("files", listed),
        *_labelled("op packages", [_need_text(need) for need in model.op_needs] or ["none"]),
        ("signature chosen", model.chosen.name if model.chosen else "none"),
    ]
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


def _labelled(label: str, lines: list[str]) -> list[tuple[str, str]]:
    return [(label if i == 0 else "", line) for i, line in enumerate(lines)]


def _need_text(need: OpNeed) -> str:
    if need.package is None:
        return f"unknown: {', '.join(need.ops)}"
    state = "installed" if need.package.is_installed else "not installed"
    return f"{need.package.name} ({state}): {', '.join(need.ops)}"


def _signature_table(signature: Signature, chosen: Signature | None) -> str:
    mark = " (chosen)" if signature == chosen else ""
    kind = "function" if signature.trace else "signature"
    rows = [
        (role, spec.name, _kind(spec), _shape_text(spec))
        for role, specs in (("input", signature.inputs), ("output", signature.outputs))
        for spec in specs
    ]
    table = tabulate(rows, headers=("", "name", "dtype", "shape"), disable_numparse=True)
    return f"{kind} {signature.name}{mark}\n\n{table}"


def _kind(spec: TensorSpec) -> str:
    return spec.dtype if spec.encoding in ("dense", "other") else f"{spec.encoding} {spec.dtype}"


def _shape_text(spec: TensorSpec) -> str:
    if spec.shape is None:
        return "any"
    return f"[{', '.join('None' if size is None else str(size) for size in spec.shape)}]"
