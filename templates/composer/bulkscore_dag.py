"""Scores one day of a BigQuery table after another: partition in, partition out.

A DAG for Cloud Composer, or any Airflow 2.11 or 3.1 with the provider for Google. It launches the
Flex Template of bulkscore (docs/dataflow.md) and needs nothing else of bulkscore. Copy this file
into the folder of DAGs, under a name of its own for each table to score, and edit the constants.
docs/composer.md says more: accounts, backfills, retries, what to do when something fails.

A day is scored by a run whose id is made from the day, in a job whose name is, too. So a second try
finds the job of the first, and a day that has been published is not scored again.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Any

from airflow.exceptions import AirflowException, AirflowFailException
from airflow.providers.google.cloud.hooks.dataflow import DataflowJobStatus
from airflow.providers.google.cloud.links.dataflow import DataflowJobLink
from airflow.providers.google.cloud.operators.dataflow import DataflowStartFlexTemplateOperator
from airflow.providers.google.cloud.triggers.dataflow import DataflowJobStatusTrigger
from airflow.timetables.interval import CronDataIntervalTimetable
from googleapiclient.errors import HttpError

try:
    from airflow.sdk import DAG, Asset, Param, task
except ImportError:  # Airflow 2
    from airflow import DAG
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task
    from airflow.models.param import Param

# ---- The schedule

# Name of the DAG; runs and jobs are named after it. Letters, digits and underscores, at most 40.
DAG_ID = "bulkscore_daily"
# When the day before is complete and can be scored, as a cron expression in UTC.
SCHEDULE = "0 6 * * *"
START_DATE = datetime(2025, 1, 1)
# Whether days between START_DATE and now that have not been scored are scored, oldest first.
CATCHUP = False
# How many days may be scored at the same time.
MAX_ACTIVE_DAYS = 1
# Launches after the first, when a job fails. What cannot work is not tried again.
RETRIES = 2
RETRY_DELAY = timedelta(minutes=5)
# The longest that a day may take. A triggerer leaves the job alone then, and the next try finds it;
# a worker cancels it.
TIMEOUT = timedelta(hours=12)

# ---- What is scored

# Project of the job, which pays for it, and its region: that of the data sets and of the bucket.
PROJECT = "my-project"
REGION = "europe-west1"
# Tables, as PROJECT.DATASET.TABLE.
INPUT_TABLE = "my-project.shop.customers"
OUTPUT_TABLE = "my-project.shop.churn_scores"
# Which rows of INPUT_TABLE are those of a day; {day} is such as 2025-01-31, {next_day} the day
# after. For a TIMESTAMP column: "at >= TIMESTAMP '{day}' AND at < TIMESTAMP '{next_day}'".
DAY_CONDITION = "day = DATE '{day}'"
# Column by which OUTPUT_TABLE is partitioned by day; a new table is made so. It has to be among the
# columns that are copied, see passthrough_columns below.
OUTPUT_DAY_COLUMN = "day"
# All other parameters of the template, as templates/flex/metadata.json describes them. Texts, all.
PARAMETERS = {
    "model": "gs://my-bucket/models/churn",
    "key_columns": "customer_id",
    "passthrough_columns": "day",
    # Above this share of rejected rows the day is not published, and fails with the reasons.
    "max_rejected_fraction": "0.01",
}

# ---- Where it runs

# The template that `make template` wrote.
TEMPLATE = "gs://my-bucket/bulkscore.json"
# Environment of the job; see FlexTemplateRuntimeEnvironment in the REST API of Dataflow. Without
# public IP addresses the subnetwork needs Private Google Access.
ENVIRONMENT = {
    "serviceAccountEmail": "scorer@my-project.iam.gserviceaccount.com",
    "tempLocation": "gs://my-bucket/tmp",
    "stagingLocation": "gs://my-bucket/staging",
    "machineType": "n2-standard-4",
    "maxWorkers": 20,
    "subnetwork": "regions/europe-west1/subnetworks/default",
    "ipConfiguration": "WORKER_IP_PRIVATE",
    "additionalUserLabels": {"dag": "bulkscore_daily"},
}
# Airflow's connection to Google Cloud; Composer has this one.
CONNECTION = "google_cloud_default"
# Whether a triggerer waits for the job, so that no worker is occupied.
DEFERRABLE = True
# Seconds between two looks at the job.
POLL_S = 60

# ---- End of what there is to edit

_DAY = "{{ params.day or data_interval_start | ds }}"
_NEXT_DAY = "{{ macros.ds_add(params.day or data_interval_start | ds, 1) }}"
_DAY_DIGITS = "{{ (params.day or data_interval_start | ds) | replace('-', '') }}"
RUN_ID = f"{DAG_ID}_{_DAY_DIGITS}_{{{{ params.version }}}}"
JOB_NAME = f"{DAG_ID.lower().replace('_', '-')}-{_DAY_DIGITS}-{{{{ params.version }}}}"

LAUNCH = {
    "launchParameter": {
        "jobName": JOB_NAME,
        "containerSpecGcsPath": TEMPLATE,
        "parameters": {
            "input_table": INPUT_TABLE,
            "row_restriction": DAY_CONDITION.format(day=_DAY, next_day=_NEXT_DAY),
            "output_table": OUTPUT_TABLE,
            "write_mode": "partition",
            "partition": _DAY_DIGITS,
            "output_partitioning": f"{OUTPUT_DAY_COLUMN}:DAY",
            "run_id": RUN_ID,
            **PARAMETERS,
        },
        "environment": ENVIRONMENT,
    }
}

_TABLE = re.compile(r"([a-z0-9.:-]+)\.([A-Za-z0-9_]+)\.([\w -]+)")
_CONFLICT = 409
_PASSING = frozenset({408, 429})
_SHOWN_MESSAGES = 3


def parts(table: str) -> tuple[str, str, str]:
    """Project, data set and name of a table.

    Raises:
      ValueError: `table` is not of the form PROJECT.DATASET.TABLE.
    """
    match = _TABLE.fullmatch(table)
    if match is None:
        raise ValueError(f"got the table {table!r}, expected PROJECT.DATASET.TABLE")
    return match[1], match[2], match[3]


def quoted(table: str) -> str:
    """The table's name, as SQL takes it.

    Raises:
      ValueError: it is not of the form PROJECT.DATASET.TABLE.
    """
    return f"`{'.'.join(parts(table))}`"


# The names that the template makes from that of the output table.
_RUNS = quoted(PARAMETERS.get("runs_table") or f"{OUTPUT_TABLE}__runs")
_REJECTS = quoted(PARAMETERS.get("rejects_table") or f"{OUTPUT_TABLE}__rejects")
_RUNS_QUERY = (
    f"SELECT * FROM {_RUNS} WHERE run_id = @run_id AND output_table = @output_table "  # noqa: S608
    "AND state = @state ORDER BY finished_at DESC"
)
_REJECTS_QUERY = (
    f"SELECT code, COUNT(*) AS row_count, ANY_VALUE(message) AS example FROM {_REJECTS} "  # noqa: S608
    "WHERE run_id = @run_id GROUP BY code ORDER BY row_count DESC LIMIT 5"
)

OUTPUT = Asset("bigquery://{}/{}/{}".format(*parts(OUTPUT_TABLE)))


def query(sql: str, **values: str) -> list[dict[str, Any]]:
    """The rows of a query with these parameters; none while its table does not exist."""
    # Takes seconds, which reading the DAG's file should not.
    from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
    from google.api_core.exceptions import NotFound
    from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

    parameters = [ScalarQueryParameter(name, "STRING", text) for name, text in values.items()]
    client = BigQueryHook(gcp_conn_id=CONNECTION).get_client(project_id=PROJECT)
    try:
        job = client.query(sql, job_config=QueryJobConfig(query_parameters=parameters))
        return [dict(row) for row in job.result()]
    except NotFound:
        return []


def run_rows(run_id: str, state: str) -> list[dict[str, Any]]:
    """The rows of the runs table for a run that reached a state, the latest first."""
    return query(_RUNS_QUERY, run_id=run_id, output_table=OUTPUT_TABLE, state=state)


def refusal(run: dict[str, Any]) -> str:
    """Why a run was not published, with the commonest reasons of its rejects."""
    codes = query(_REJECTS_QUERY, run_id=run["run_id"])
    return "\n".join(
        [
            f"Run {run['run_id']} was not published: {run['reason']}.",
            *(f"  {c['row_count']:,} {c['code']}, for example: {c['example']}" for c in codes),
            f"{OUTPUT_TABLE} is as it was. Rejects are in {_REJECTS}.",
        ]
    )


class ScoreDay(DataflowStartFlexTemplateOperator):
    """Launches the job of a day, or finds the one of an earlier try, and waits for its end.

    Raises:
      AirflowFailException: it cannot work: Dataflow refused the launch, or the run was refused.
      AirflowException: the job failed; another try may work.
    """

    def execute(self, context: Any) -> None:
        """Ends at once for a run that has been published."""
        run_id = self._launch["parameters"]["run_id"]
        if run_rows(run_id, "published"):
            self.log.info("Run %s has been published: there is nothing to launch.", run_id)
            return
        self.job = self._launched_job()
        job_id = self.job["id"]
        place = {"project_id": self.project_id, "job_id": job_id}
        DataflowJobLink.persist(context=context, region=self.location, **place)
        context["ti"].xcom_push(key="job_id", value=job_id)
        if self.deferrable:
            trigger = DataflowJobStatusTrigger(
                # The operator's own trigger waits for ever for a job that was cancelled.
                expected_statuses=DataflowJobStatus.TERMINAL_STATES,
                location=self.location,
                gcp_conn_id=self.gcp_conn_id,
                poll_sleep=self.poll_sleep,
                **place,
            )
            self.defer(
                trigger=trigger,
                method_name="execute_complete",
                timeout=self.execution_timeout,
            )
        while self._job(job_id)["currentState"] not in DataflowJobStatus.TERMINAL_STATES:
            time.sleep(self.poll_sleep)
        self._end(job_id)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> None:
        """Goes on when the triggerer has seen the end of the job."""
        job_id = context["ti"].xcom_pull(task_ids=self.task_id, key="job_id")
        if event["status"] != "success":
            raise AirflowException(f"Waiting for job {job_id} failed: {event['message']}")
        self._end(job_id)

    @property
    def _launch(self) -> dict[str, Any]:
        return self.body["launchParameter"]

    def _launched_job(self) -> dict[str, Any]:
        try:
            return self.hook.launch_job_with_flex_template(
                body=self.body, location=self.location, project_id=self.project_id
            )
        except HttpError as e:
            if e.status_code == _CONFLICT:
                return self._running_job()
            is_passing = e.status_code in _PASSING or e.status_code >= 500
            error = AirflowException if is_passing else AirflowFailException
            raise error(f"Dataflow refused the launch: {e}") from e

    def _running_job(self) -> dict[str, Any]:
        name = self._launch["jobName"]
        jobs = self.hook.get_conn().projects().locations().jobs()
        request = jobs.list(
            projectId=self.project_id, location=self.location, name=name, filter="ACTIVE"
        )
        found = request.execute(num_retries=self.hook.num_retries).get("jobs", [])
        if not found:
            raise AirflowException(f"Job {name} was running at the launch and has ended since.")
        self.log.info("Job %s is running already, with the id %s.", name, found[0]["id"])
        return found[0]

    def _job(self, job_id: str) -> dict[str, Any]:
        return self.hook.get_job(job_id=job_id, project_id=self.project_id, location=self.location)

    def _end(self, job_id: str) -> None:
        job = self._job(job_id)
        run_id = self._launch["parameters"]["run_id"]
        # A job can also fail after its run has been published, by itself or by another job.
        if job["currentState"] == DataflowJobStatus.JOB_STATE_DONE or run_rows(run_id, "published"):
            return
        launched = datetime.fromisoformat(job["createTime"])
        refused = [r for r in run_rows(run_id, "refused") if r["started_at"] >= launched]
        if refused:
            raise AirflowFailException(refusal(refused[0]))
        messages = self.hook.fetch_job_messages_by_id(
            job_id=job_id, project_id=self.project_id, location=self.location
        )
        errors = [
            m["messageText"] for m in messages if m.get("messageImportance") == "JOB_MESSAGE_ERROR"
        ]
        told = "\n".join(errors[-_SHOWN_MESSAGES:]) or "Its log has the reason."
        raise AirflowException(
            f"Job {job['name']} ({job_id}) ended as {job['currentState']}.\n{told}"
        )


def check_run(scoring_run: str, outlet_events: Any = None) -> None:
    """Demands that a run is published and whole, and tells those who follow OUTPUT of it.

    Raises:
      AirflowFailException: it is not.
    """
    published = run_rows(scoring_run, "published")
    if not published:
        raise AirflowFailException(
            f"The job is done, but {_RUNS} has no row of run {scoring_run} being published."
        )
    run = published[0]
    counts = {name: run[name] for name in ("rows_read", "rows_scored", "rows_rejected")}
    if counts["rows_read"] != counts["rows_scored"] + counts["rows_rejected"]:
        raise AirflowFailException(f"Run {scoring_run} lost rows: {counts}.")
    print(f"Run {scoring_run} is published in {OUTPUT_TABLE}: {counts}")
    outlet_events[OUTPUT].extra = {"run_id": scoring_run, **counts}


with DAG(
    dag_id=DAG_ID,
    description=f"Scores each day of {INPUT_TABLE} into {OUTPUT_TABLE}",
    # Named in full: a cron text alone means other intervals in Airflow 3 than in Airflow 2.
    schedule=CronDataIntervalTimetable(SCHEDULE, timezone="UTC"),
    start_date=START_DATE,
    catchup=CATCHUP,
    max_active_runs=MAX_ACTIVE_DAYS,
    default_args={"retries": RETRIES, "retry_delay": RETRY_DELAY},
    doc_md=__doc__,
    tags=["bulkscore"],
    params={
        "day": Param(
            None,
            type=["null", "string"],
            pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            description="Day to score, such as 2025-01-31, instead of the day of the schedule.",
        ),
        "version": Param(
            "1",
            type="string",
            pattern="^[a-z0-9]{1,8}$",
            description="Part of the run's id: another one scores a day again that is published.",
        ),
    },
) as dag:
    score = ScoreDay(
        task_id="score",
        body=LAUNCH,
        location=REGION,
        project_id=PROJECT,
        gcp_conn_id=CONNECTION,
        deferrable=DEFERRABLE,
        poll_sleep=POLL_S,
        execution_timeout=TIMEOUT,
    )
    score >> task(outlets=[OUTPUT])(check_run)(RUN_ID)
