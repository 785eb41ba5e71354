"""Score: record batches in, scored and rejected record batches out."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler, RunInference
from apache_beam.typehints.decorators import no_annotations

from scoring import metrics
from scoring.batch import CALLS_AT_ONCE, Clock, Model, ScoredBatch, Scorer
from scoring.classes import exploded
from scoring.runtime import settle_devices
from scoring.savedmodel import LoadedModel
from scoring.signature import Signature
from scoring.spec import ScoringSpec
from transforms.batching import GrowingBatches
from transforms.call_statistics import CallTally, call_tally
from transforms.model_files import local_copy
from transforms.objects import object_fetcher
from transforms.record_batches import parts_of
from transforms.resources import ScoringResources

_LOGGER = logging.getLogger(__name__)
_PROGRESS_SECONDS = 5.0

# A copy that processes share is called by each of them.
_CALLS_AT_ONCE_OF_SHARED_COPIES = 1

CLOCK = Clock(seconds=time.perf_counter, now=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class ModelSource:
    """Where workers find the model: a local folder or a `gs://` one, of this digest."""

    uri: str
    digest: str
    tags: tuple[str, ...]
    signature: Signature


class SavedModelHandler(ModelHandler[pa.RecordBatch, ScoredBatch, Model]):
    """Scores record batches with a TensorFlow SavedModel inside RunInference.

    An element is a record batch; a batch is made of as many of them as hold `spec.batch_rows`
    rows or MAX_BATCH_BYTES, the first ones of fewer, and is cut again where the model is called
    with less.

    Where processes share copies of the model, only its calls cross to the process that has one:
    columns become tensors, and tensors columns, in the process that has the rows.
    """

    def __init__(self, spec: ScoringSpec, model: ModelSource, resources: ScoringResources) -> None:
        super().__init__(model_copies=resources.model_copies)
        self._spec = spec
        self._model = model
        self._tf_threads = resources.tf_threads
        self._calls_at_once = (
            CALLS_AT_ONCE if resources.model_copies is None else _CALLS_AT_ONCE_OF_SHARED_COPIES
        )
        self._scorers: dict[int, Scorer] = {}

    @contextmanager
    def loading(self) -> Iterator[None]:
        """A block during which a thread loads the model, for the `load_model` of any copy of this.

        It prepares the first call, too.  What nobody has asked for at the end is given up.
        """
        with ThreadPoolExecutor(1, "load") as thread:
            _loading[self._spec.run_id] = thread.submit(self._load_and_prepare)
            try:
                yield
            finally:
                _loading.pop(self._spec.run_id, None)

    def load_model(self) -> Model:
        """Loads the model: once a process, or as often as a machine is to have it."""
        loading = _loading.pop(self._spec.run_id, None)
        return self._load() if loading is None else loading.result()

    def _load_and_prepare(self) -> LoadedModel:
        loaded = self._load()
        loaded.prepare()
        return loaded

    def _load(self) -> LoadedModel:
        started = CLOCK.seconds()
        settle_devices(self._tf_threads, self._calls_at_once)
        folder = local_copy(self._model.uri, self._model.digest)
        loaded = LoadedModel(folder, self._model.tags, self._model.signature, xla=self._spec.xla)
        elapsed = CLOCK.seconds() - started
        _LOGGER.info("Loaded model %s in %.1f s", self._model.digest[:12], elapsed)
        return loaded

    def run_inference(
        self,
        batch: Sequence[pa.RecordBatch],
        model: Model,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[ScoredBatch]:
        """Scores the rows of all record batches."""
        return list(self._scorer(model).score(*batch))

    def _scorer(self, model: Model) -> Scorer:
        """The scorer of this copy of the model, which remembers how many rows a call can take."""
        if id(model) not in self._scorers:
            fetch = object_fetcher() if self._spec.objects else None
            self._scorers[id(model)] = Scorer(
                self._spec, model, CLOCK, fetch, calls_at_once=self._calls_at_once
            )
        return self._scorers[id(model)]

    def get_num_bytes(self, batch: Sequence[pa.RecordBatch]) -> int:
        """Bytes of the batch's Arrow buffers."""
        return sum(page.nbytes for page in batch)

    def get_metrics_namespace(self) -> str:
        """Namespace of Beam's own inference counters."""
        return metrics.NAMESPACE

    def batch_elements_kwargs(self) -> dict[str, Any]:
        """Batches by rows, not by time: a size found by timing can run out of memory."""
        rows = self._spec.batch_rows
        return {
            "min_batch_size": rows,
            "max_batch_size": rows,
            "element_size_fn": GrowingBatches(rows),
        }


# By the ids of the runs that will score with them.
_loading: dict[str, Future[LoadedModel]] = {}


class ScoredRows(NamedTuple):
    """What Score makes of its input; every row is either scored or rejected.

    Attributes:
      scored: record batches, a row for each row of the source that was scored.
      written: record batches of the output table's columns: `scored` itself, or what it lists,
        exploded.
      rejected: record batches of the rejects table's columns.
      calls: what each call of the model took, by the size of its batch.
    """

    scored: beam.PCollection[pa.RecordBatch]
    written: beam.PCollection[pa.RecordBatch]
    rejected: beam.PCollection[pa.RecordBatch]
    calls: beam.PCollection[tuple[int, CallTally]]


class Score(beam.PTransform):
    """Scores record batches with a SavedModel; rows that cannot be scored are rejected."""

    def __init__(self, spec: ScoringSpec, model: ModelSource, resources: ScoringResources) -> None:
        super().__init__()
        self._spec = spec
        self._model = model
        self._resources = resources

    # Beam would take the result's annotation for a type of elements.
    @no_annotations
    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> ScoredRows:
        parts = batches | "Cut" >> beam.FlatMap(parts_of, self._spec.batch_rows).with_output_types(
            pa.RecordBatch
        )
        outcomes = parts | "RunInference" >> RunInference(
            SavedModelHandler(self._spec, self._model, self._resources)
        )
        outcomes.element_type = ScoredBatch
        scored, rejected = outcomes | "Separate" >> beam.ParDo(_Separate()).with_outputs(
            _Separate.REJECTED, main=_Separate.SCORED
        )
        scored.element_type = rejected.element_type = pa.RecordBatch
        written = scored
        if self._spec.exploded_column is not None:
            written = scored | "Explode" >> beam.FlatMap(
                exploded, self._spec.exploded_column
            ).with_output_types(pa.RecordBatch)
        calls = outcomes | "Calls" >> beam.Map(call_tally).with_output_types(tuple[int, CallTally])
        return ScoredRows(scored, written, rejected, calls)

    def display_data(self) -> dict[str, Any]:
        """The model and the way it is called, for the runner's page of the step."""
        return {
            "signature": str(self._model.signature),
            "model_digest": self._model.digest,
            "max_batch_rows": self._spec.max_batch_rows,
            "xla": self._spec.xla,
        }


class _Separate(beam.DoFn):
    """Sends scored and rejected rows their ways; counts them and says how far it is."""

    SCORED = "scored"
    REJECTED = "rejected"

    def setup(self) -> None:
        self._count = {
            name: Metrics.counter(metrics.NAMESPACE, name)
            for name in (
                metrics.ROWS_SCORED,
                metrics.ROWS_REJECTED,
                metrics.NULLS_DEFAULTED,
                metrics.OBJECTS_FETCHED,
                metrics.OBJECT_BYTES,
                metrics.CALLS,
                metrics.FETCH_US,
                metrics.FEED_US,
                metrics.CALL_US,
                metrics.OUTPUTS_US,
            )
        }
        self._started = self._reported = CLOCK.seconds()
        self._rows = 0

    def process(self, outcome: ScoredBatch) -> Iterator[Any]:
        count = self._count
        if outcome.fetch_seconds:
            # An outcome of its own, without a call.
            count[metrics.OBJECTS_FETCHED].inc(outcome.objects_fetched)
            count[metrics.OBJECT_BYTES].inc(outcome.object_bytes)
            count[metrics.FETCH_US].inc(int(outcome.fetch_seconds * 1e6))
        else:
            count[metrics.CALLS].inc()
        count[metrics.NULLS_DEFAULTED].inc(outcome.defaulted_rows)
        count[metrics.FEED_US].inc(int(outcome.feed_seconds * 1e6))
        count[metrics.CALL_US].inc(int(outcome.call_seconds * 1e6))
        count[metrics.OUTPUTS_US].inc(int(outcome.outputs_seconds * 1e6))
        if outcome.scored is not None:
            count[metrics.ROWS_SCORED].inc(outcome.scored.num_rows)
            self._rows += outcome.scored.num_rows
            yield outcome.scored
        if outcome.rejected is not None:
            count[metrics.ROWS_REJECTED].inc(outcome.rejected.num_rows)
            self._rows += outcome.rejected.num_rows
            yield beam.pvalue.TaggedOutput(self.REJECTED, outcome.rejected)
        self._report_progress()

    def _report_progress(self) -> None:
        now = CLOCK.seconds()
        if now - self._reported >= _PROGRESS_SECONDS:
            rate = self._rows / (now - self._started)
            _LOGGER.info("%s rows so far in this worker, %.0f rows/s", f"{self._rows:,}", rate)
            self._reported = now
