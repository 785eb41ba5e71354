"""Names of the tables that belong to an output table."""

from dataclasses import replace

from options.names import TableName


def rejects_table(output: TableName) -> TableName:
    """Where the rejects of all runs are unless --rejects_table says otherwise."""
    return _beside(output, "rejects")


def runs_table(output: TableName) -> TableName:
    """Where all runs are recorded unless --runs_table says otherwise."""
    return _beside(output, "runs")


def run_table(output: TableName, run_id: str, attempt: str) -> TableName:
    """Where one attempt of a run gathers its predictions.

    Each attempt has its own: a load job that a killed one left behind may still be carried out.
    """
    return _beside(output, f"run_{run_id}_{attempt}")


def rejects_run_table(output: TableName, run_id: str, attempt: str) -> TableName:
    """The same for its rejects."""
    return _beside(output, f"rejects_run_{run_id}_{attempt}")


def _beside(table: TableName, suffix: str) -> TableName:
    return replace(table, table=f"{table.table}__{suffix}")
