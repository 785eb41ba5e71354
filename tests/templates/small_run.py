"""A run of a hundred rows for launches to make: its table, its model and what must come out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from saved_models import doubled

from options.template_metadata import metadata
from pipeline.local.servers import LocalCloud
from pipeline.local.tables import export_table, load_table
from transforms.clients import bigquery_client
from transforms.model_files import upload_folder

DATASET = "flex_template"
RUN_ID = "launched"


def prepare(cloud: LocalCloud, folder: Path) -> dict[str, str]:
    """Makes the table and the model, and returns the parameters of a launch.

    Every parameter as the console sends it: defaults filled in, the rest empty, some given.
    """
    client = bigquery_client(cloud.project)
    client.create_dataset(DATASET)
    rows = pa.table({"id": range(100), "x": [i / 2 for i in range(100)]})
    pq.write_table(rows, folder / "t.parquet")
    load_table(client, f"{DATASET}.t", str(folder / "t.parquet"))
    client.close()
    model = f"gs://{cloud.bucket}/{DATASET}/model"
    upload_folder(doubled(folder / "model"), model)
    untouched = {p["name"]: p.get("defaultValue", "") for p in metadata()["parameters"]}
    return {
        **untouched,
        "input_table": f"{DATASET}.t",
        "model": model,
        "key_columns": "id",
        "output_table": f"{DATASET}.p",
        "run_id": RUN_ID,
    }


def demand_published(cloud: LocalCloud, folder: Path) -> None:
    """Asserts that the run has been published once, with every row."""
    client = bigquery_client(cloud.project)
    scored = pq.read_table(export_table(client, f"{DATASET}.p", folder))
    runs = pq.read_table(export_table(client, f"{DATASET}.p__runs", folder))
    client.close()
    pairs = zip(scored["id"].to_pylist(), scored["y"].to_pylist(), strict=True)
    assert sorted(pairs) == [(i, float(i)) for i in range(100)]
    assert set(scored["run_id"].to_pylist()) == {RUN_ID}
    assert sorted(runs["state"].to_pylist()) == ["published", "scored"]


def graph_location(job: Mapping[str, Any]) -> str:
    """Where the graph of a job is that has been made for Dataflow."""
    return str(job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"])
