"""Publish: the sums are checked, then one atomic job publishes the run."""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.bigquery import WriteResult

from transforms.accounts import READ, SCORED, WRITTEN, RunCounts, run_counts, tally, tally_codes
from transforms.call_statistics import CallTally, SumCalls, call_statistics
from transforms.clients import bigquery_client
from transforms.completion import complete_run
from transforms.publication import Publication
from transforms.publishing_jobs import load_columns
from transforms.run_record import scored_row
from transforms.score import CLOCK, ScoredRows
from transforms.write import LoadJob


class Publish(beam.PTransform):
    """Publishes a run when its sums hold; otherwise records why not and fails the pipeline.

    Takes what was read, what became of it, and the two writes; emits the RunCounts of a
    published run.
    """

    def __init__(
        self,
        publication: Publication,
        read: beam.PCollection[Any],
        outcome: ScoredRows,
        written: WriteResult,
        rejected: WriteResult,
    ) -> None:
        super().__init__()
        self._publication = publication
        self._read = read
        self._outcome = outcome
        self._written = written
        self._rejected = rejected

    def expand(self, root: beam.Pipeline) -> beam.PCollection[RunCounts]:
        tallies = (
            self._read | "Read" >> beam.Map(tally, READ),
            self._outcome.scored | "Scored" >> beam.Map(tally, SCORED),
            self._outcome.written | "Written" >> beam.Map(tally, WRITTEN),
            self._outcome.rejected | "Rejected" >> beam.FlatMap(tally_codes),
        )
        counts = (
            tallies
            | "Tallies" >> beam.Flatten()
            | "CountRows" >> beam.CombinePerKey(sum).with_output_types(tuple[str, int])
        )
        calls = self._outcome.calls | "SumCalls" >> beam.CombinePerKey(
            SumCalls()
        ).with_output_types(tuple[int, CallTally])
        # As side inputs the job ids are complete only when the load jobs have succeeded.
        loads = [
            beam.pvalue.AsList(write.destination_load_jobid_pairs)
            for write in (self._written, self._rejected)
        ]
        return (
            root
            | "Once" >> beam.Create([self._publication])
            | "PublishOrRefuse"
            >> beam.ParDo(
                _PublishOrRefuse(),
                beam.pvalue.AsDict(counts),
                beam.pvalue.AsDict(calls),
                *loads,
            )
        )

    def display_data(self) -> dict[str, Any]:
        """Where the run goes, for the runner's page of the step."""
        publication = self._publication
        return {
            "run_id": publication.run_id,
            "output_table": publication.output_table,
            "rejects_table": publication.rejects_table,
            "write_mode": publication.write_mode,
            "published_by": "copy" if publication.is_copied else "query",
            "max_rejected_fraction": publication.max_rejected_fraction,
        }


class _PublishOrRefuse(beam.DoFn):
    """Runs once; done again, it finds its jobs by their ids, which are made from the run id."""

    def process(
        self,
        publication: Publication,
        rows: dict[str, int],
        calls: dict[int, CallTally],
        scored_loads: list[tuple[str, LoadJob]],
        _reject_loads: list[tuple[str, LoadJob]],
    ) -> Iterable[RunCounts]:
        counts = run_counts(rows)
        client = bigquery_client(publication.project)
        loaded = load_columns(job for _, job in scored_loads)
        scored = scored_row(publication, counts, call_statistics(calls), loaded, CLOCK.now())
        complete_run(client, publication, scored)
        yield counts
