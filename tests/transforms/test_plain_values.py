"""Dataclasses as text: what was written is read again, anything else is refused."""

from datetime import UTC, datetime

import pytest

from scoring.schema import Field
from transforms.plain_values import from_text, to_text
from transforms.publication import OutputProperties, Publication

_PUBLICATION = Publication(
    run_id="r",
    attempt="a1b2c3",
    project="some-project",
    run_table="p.d.t__run_r_a1b2c3",
    rejects_run_table="p.d.t__rejects_run_r_a1b2c3",
    output_table="p.d.t",
    rejects_table="p.d.t__rejects",
    runs_table="p.d.t__runs",
    write_mode="merge",
    max_rejected_fraction=1.0,
    output_fields=(Field("s", "RECORD", "REPEATED", (Field("é", "DATE"),)), Field("id", "STRING")),
    reject_fields=(),
    layout='{"clustering": {"fields": ["id"]}}',
    started_at=datetime(2024, 5, 1, 12, 30, 0, 5, tzinfo=UTC),
    summary=(("source", "p.d.s"), ("snapshot_time", None)),
    partition=None,
    key_columns=("id",),
    output_properties=OutputProperties(labels=(("a", "b"),), expiration_days=3),
)


def test_a_publication_is_read_as_it_was_written() -> None:
    text = to_text(_PUBLICATION)
    assert from_text(Publication, text) == _PUBLICATION


def test_fields_that_are_missing_take_their_default() -> None:
    assert from_text(OutputProperties, '{"kms_key": "k"}') == OutputProperties(kms_key="k")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "1",
        to_text(_PUBLICATION).replace('"id"', "7"),
        to_text(_PUBLICATION).replace('["source", "p.d.s"]', '["source"]'),
        to_text(_PUBLICATION).replace("2024-05-01", "yesterday"),
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_text(Publication, text)
