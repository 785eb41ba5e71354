"""The command line: `bulkscore score …`, `bulkscore check …`, `bulkscore inspect …`.

Exit codes: 0 done; 1 the pipeline failed; 2 it cannot work as asked; 3 the run was refused;
130 interrupted.  Results go to standard output, messages and progress to standard error.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence

from options.errors import UsageError
from options.inspection import Inspection
from options.parse import Parsed, parse
from options.resumption import Resumption

OK, FAILED, USAGE, REFUSED, INTERRUPTED = 0, 1, 2, 3, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Without `argv` the arguments are those of the process, of which only those for Beam stay.
    """
    try:
        parsed = parse(sys.argv[1:] if argv is None else argv)
    except UsageError as e:
        return _fail(e, USAGE)
    if argv is None:
        # Beam parses the process's arguments wherever it has no options, and takes fewer forms.
        sys.argv[1:] = parsed.beam_args
    # Not before: help and usage errors must not wait for what these import.
    from pipeline.errors import PlanError, RunFailedError, RunNotPublishedError
    from pipeline.local.errors import LocalError
    from scoring.errors import ScoringError

    try:
        _run(parsed)
    except (UsageError, PlanError, ScoringError, LocalError) as e:
        return _fail(e, USAGE)
    except RunNotPublishedError as e:
        return _fail(e, REFUSED)
    except RunFailedError as e:
        return _fail(e, FAILED)
    except KeyboardInterrupt:
        print("bulkscore: interrupted", file=sys.stderr)
        return INTERRUPTED
    return OK


def _run(parsed: Parsed) -> None:
    if isinstance(parsed.config, Inspection):
        from pipeline.inspection import inspect_model

        inspect_model(parsed.config)
        return
    if isinstance(parsed.config, Resumption):
        with _imports_of_beam():
            from pipeline.resume import resume_run

        resume_run(parsed.config, parsed.beam_args)
        return
    with contextlib.ExitStack() as stack:
        await_cloud = None
        if parsed.config.local:
            from pipeline.local.servers import starting_cloud

            # First: the servers get ready while this process imports Beam.
            await_cloud = stack.enter_context(starting_cloud())
        with _imports_of_beam():
            from pipeline.commands import execute

        execute(parsed.command, parsed.config, parsed.beam_args, await_cloud)


@contextlib.contextmanager
def _imports_of_beam() -> Iterator[None]:
    """A block that imports Beam, which would import pandas where it is; nothing here uses it."""
    from scoring.imports import lean_imports, settle_arrow

    settle_arrow()
    with lean_imports("pandas"):
        yield


def _fail(error: Exception, code: int) -> int:
    print(f"bulkscore: {error}", file=sys.stderr)
    return code
