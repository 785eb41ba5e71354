"""From the texts of the flags to a Config: every kind of value and every rule across flags."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options.config import RESUME, Config
from options.errors import UsageError
from options.flags import FLAGS
from options.names import TableName
from options.resumption import Resumption
from options.values import split_items

KEY = "projects/my-project/locations/eu/keyRings/ring_1/cryptoKeys/table-key"
_MINIMUM = {"input_table": "shop.orders", "model": "m", "output_table": "shop.scores"}


def _config(**texts: str) -> Config:
    return Config.from_texts({name: [text] for name, text in {**_MINIMUM, **texts}.items()})


def _error(texts: Mapping[str, str]) -> str:
    with pytest.raises(UsageError) as caught:
        _config(**texts)
    return str(caught.value)


def test_every_field_has_a_flag_and_the_other_way_round() -> None:
    flags = {flag.name for flag in FLAGS if flag.commands != ("inspect",)}
    assert {field.name for field in fields(Config)} == flags - {RESUME}
    assert RESUME in {field.name for field in fields(Resumption)} <= flags
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)


def test_defaults() -> None:
    assert _config() == Config(
        input_table=TableName(None, "shop", "orders"),
        input_query=None,
        row_restriction=None,
        only_new=False,
        snapshot_time=None,
        billing_project=None,
        read_method="DIRECT_READ",
        model="m",
        signature=None,
        max_batch_size=65536,
        xla=False,
        input_columns=(),
        output_columns=(),
        key_columns=(),
        passthrough_columns=(),
        on_null="reject",
        default_values=(),
        input_shapes=(),
        uri_columns=(),
        pad_value=0.0,
        input_format="auto",
        image_scaling=None,
        image_resize="stretch",
        image_channel_order="RGB",
        top_k=None,
        explode=False,
        class_labels=None,
        softmax=False,
        on_non_finite="keep",
        metadata_columns=(("run_id", "run_id"), ("model_digest", "model_digest")),
        output_table=TableName(None, "shop", "scores"),
        write_mode="replace",
        partition=None,
        output_partitioning=None,
        output_clustering=(),
        output_labels=(),
        output_expiration_days=None,
        output_description=None,
        output_kms_key=None,
        rejects_table=None,
        runs_table=None,
        run_id=None,
        max_rejected_fraction=0.01,
        redistribute="auto",
        model_copies=None,
        tf_threads=None,
        scoring_min_ram=None,
        scoring_cpu_count=None,
        scoring_accelerator=None,
        deadline=None,
        local=False,
        local_tables=(),
        local_output=None,
    )


@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_text_means_not_given_for_every_flag(blank: str) -> None:
    texts = {flag.name: [blank] for flag in FLAGS}
    texts |= {name: [blank, text] for name, text in _MINIMUM.items()}
    assert Config.from_texts(texts) == _config()


def test_a_config_is_frozen_and_hashable() -> None:
    config = _config()
    with pytest.raises(FrozenInstanceError):
        config.model = "other"  # type: ignore[misc]
    assert hash(config) == hash(_config())


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("row_restriction", " x > -1 ", "x > -1"),
        ("snapshot_time", "2025-01-31T06:00:00Z", datetime(2025, 1, 31, 6, tzinfo=UTC)),
        ("snapshot_time", "2025-01-31T06:00:00+02:00", datetime(2025, 1, 31, 4, tzinfo=UTC)),
        ("billing_project", "my-project", "my-project"),
        ("read_method", "EXPORT", "EXPORT"),
        ("signature", "predict", "predict"),
        ("max_batch_size", "1", 1),
        ("max_batch_size", "1000000", 1_000_000),
        ("input_columns", "x=col_a, y = user.age", (("x", "col_a"), ("y", "user.age"))),
        ("input_columns", "x=a=b", (("x", "a=b"),)),
        ("input_columns", "x=a,y=a", (("x", "a"), ("y", "a"))),
        ("output_columns", "p=score,label", (("p", "score"), ("label", "label"))),
        ("output_columns", "head/p:0=score,a/b", (("head/p:0", "score"), ("a/b", "a/b"))),
        ("key_columns", "a , b", ("a", "b")),
        ("passthrough_columns", "a.b,c", ("a.b", "c")),
        ("passthrough_columns", "*", ("*",)),
        ("on_null", "default", "default"),
        ("input_shapes", "x=[28,28,1], y = [ 4 ]", (("x", (28, 28, 1)), ("y", (4,)))),
        ("uri_columns", "photo , page.scan", ("photo", "page.scan")),
        ("explode", "true", True),
        ("metadata_columns", "none", ()),
        ("metadata_columns", "NONE", ()),
        ("metadata_columns", "model_digest", (("model_digest", "model_digest"),)),
        (
            "metadata_columns",
            "model_digest=model,run_id=scored_by",
            (("model_digest", "model"), ("run_id", "scored_by")),
        ),
        ("write_mode", "append", "append"),
        ("output_partitioning", "day", ("day", "DAY")),
        ("output_partitioning", "at:hour", ("at", "HOUR")),
        ("output_partitioning", "a:b : MONTH", ("a:b", "MONTH")),
        ("output_clustering", "country, city", ("country", "city")),
        ("output_labels", "team=ads , env=", (("team", "ads"), ("env", ""))),
        ("output_labels", "équipe=ビ_1-a", (("équipe", "ビ_1-a"),)),
        ("output_expiration_days", "30", 30),
        ("output_description", "Scores, by day.", "Scores, by day."),
        ("output_kms_key", KEY, KEY),
        ("rejects_table", "shop.rejects", TableName(None, "shop", "rejects")),
        ("runs_table", "shop.runs", TableName(None, "shop", "runs")),
        ("run_id", "2025_01_31_A", "2025_01_31_A"),
        ("run_id", "x" * 64, "x" * 64),
        ("max_rejected_fraction", "0", 0.0),
        ("max_rejected_fraction", "1", 1.0),
        ("max_rejected_fraction", ".5", 0.5),
        ("max_rejected_fraction", "1e-3", 0.001),
        ("local", "true", True),
        ("local", "True", True),
        ("local", "FALSE", False),
    ],
)
def test_values(name: str, text: str, expected: object) -> None:
    assert getattr(_config(**{name: text}), name) == expected


def test_a_snapshot_time_is_in_utc() -> None:
    moment = _config(snapshot_time="2025-01-31T06:00:00+02:00").snapshot_time
    assert moment is not None
    assert moment.tzinfo is UTC


def test_local_tables_add_up_over_commas_and_repeats() -> None:
    texts = {name: [text] for name, text in _MINIMUM.items()}
    local = {"local": ["true"], "local_tables": ["a.b=x.parquet, a.c = y=1.csv", "a.d=[z].avro"]}
    assert Config.from_texts({**texts, **local}).local_tables == (
        (TableName(None, "a", "b"), "x.parquet"),
        (TableName(None, "a", "c"), "y=1.csv"),
        (TableName(None, "a", "d"), "[z].avro"),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("input_table", "orders", "--input_table: got 'orders', expected project.dataset.table"),
        ("snapshot_time", "noon", "got 'noon', expected a time such as 2025-01-31T06:00:00Z"),
        ("snapshot_time", "2025-01-31", "without an offset from UTC: add Z"),
        ("snapshot_time", "0001-01-01T00:00:00+14:00", "expected a time such as"),
        ("billing_project", "Nope", "the project 'Nope' is not valid"),
        ("read_method", "export", "got 'export', expected DIRECT_READ or EXPORT"),
        (
            "write_mode",
            "upsert",
            "got 'upsert', expected replace or append or partition or merge",
        ),
        ("partition", "2024-02-29", "got '2024-02-29', expected YYYY, YYYYMM, YYYYMMDD or YYYYMM"),
        ("partition", "__NULL__", "or the start of an integer range"),
        ("output_partitioning", "day:week", "got 'week' after the colon, expected HOUR, DAY, MO"),
        ("output_partitioning", "_PARTITIONTIME", "which BigQuery reserves"),
        ("output_labels", "team", "got 'team', expected key=value"),
        ("output_labels", "Team=a", "the key 'Team' is not valid: expected a lower-case letter"),
        ("output_labels", "1a=b", "the key '1a' is not valid"),
        ("output_labels", "=b", "the key '' is not valid"),
        ("output_labels", "a=B", "the value 'B' is not valid: expected up to 63 lower-case"),
        ("output_labels", f"a={'b' * 64}", "expected up to 63 lower-case"),
        ("output_expiration_days", "0", "got '0', expected a whole number from 1 to 36500"),
        ("output_kms_key", "my-key", "got 'my-key', expected projects/PROJECT/locations/LOCATION/"),
        ("output_kms_key", f"{KEY}/cryptoKeyVersions/1", "expected projects/PROJECT/"),
        ("max_batch_size", "0", "got '0', expected a whole number from 1 to 1000000"),
        ("max_batch_size", "1000001", "expected a whole number from 1 to 1000000"),
        ("max_batch_size", "-1", "expected a whole number"),
        ("max_batch_size", "1.5", "expected a whole number"),
        ("max_batch_size", "9" * 5000, "expected a whole number"),
        ("max_batch_size", "١", "expected a whole number"),
        ("max_rejected_fraction", "1.01", "expected a number from 0 to 1, such as 0.05 for 5 %"),
        ("max_rejected_fraction", "5%", "expected a number from 0 to 1"),
        ("max_rejected_fraction", "nan", "expected a number from 0 to 1"),
        ("max_rejected_fraction", "-0.1", "expected a number from 0 to 1"),
        ("run_id", "a-b", "got 'a-b', expected 1 to 64 ASCII letters, digits and underscores"),
        ("run_id", "x" * 65, "expected 1 to 64"),
        ("key_columns", "a,,b", "got 'a,,b', which has an empty item: check its commas"),
        ("key_columns", "a,", "empty item"),
        ("key_columns", ",", "empty item"),
        ("key_columns", "*", "the column '*' holds '*'"),
        ("key_columns", "[a,b]", "square brackets"),
        ("passthrough_columns", "*,a", "* means all columns already, give it alone"),
        ("input_columns", "x", "got 'x', expected input=column"),
        ("input_columns", "x=", "got 'x=', expected input=column"),
        ("input_columns", "=a", "got '=a', expected input=column"),
        ("input_columns", "x=[f0,f1", "got '[f0,f1': square brackets stack several columns"),
        ("input_columns", "x=[]", "empty item"),
        ("input_columns", "x=[a,[b]]", "square brackets"),
        ("default_values", "x", "got 'x', expected input=value"),
        ("on_null", "zero", "got 'zero', expected reject or default"),
        ("input_shapes", "x=28", "got '28', expected sizes above 0 in brackets, such as [28,28,1]"),
        ("input_shapes", "x=[0]", "got '[0]', expected sizes above 0 in brackets"),
        ("input_shapes", "x=[2,]", "expected sizes above 0 in brackets"),
        ("input_shapes", "x=[None,3]", "expected sizes above 0 in brackets"),
        ("input_shapes", "[2,3]", "got '[2,3]', expected input=[size,...]"),
        ("explode", "yes", "--explode: got 'yes', expected true or false"),
        ("metadata_columns", "user", "got 'user', expected run_id or model_digest, or none alone"),
        ("metadata_columns", "run_id,none", "got 'none', expected run_id or model_digest"),
        ("metadata_columns", "run_id=", "got 'run_id=', expected output=column"),
        ("pad_value", "one", "got 'one', expected a number such as -1 or 0.5"),
        ("pad_value", "nan", "expected a number"),
        ("input_format", "csv", "expected auto or columns or tf_example"),
        ("image_resize", "zoom", "expected stretch or crop or pad"),
        ("input_columns", "x=_PARTITIONTIME", "which BigQuery reserves"),
        ("output_columns", "p=a.b", "the column 'a.b' holds '.'"),
        ("output_columns", "p=", "got 'p=', expected output=column"),
        ("redistribute", "yes", "got 'yes', expected auto or on or off"),
        ("model_copies", "0", "got '0', expected a whole number from 1 to 256"),
        ("tf_threads", "all", "got 'all', expected a whole number from 1 to 1024"),
        ("scoring_min_ram", "16", "got '16', expected a size above 0 such as 16GB or 7.5GiB"),
        ("scoring_min_ram", "0.0 GB", "got '0.0 GB', expected a size above 0"),
        ("scoring_cpu_count", "1.5", "got '1.5', expected a whole number from 1 to 1024"),
        ("scoring_accelerator", "nvidia-l4", "got 'nvidia-l4', expected type, count and options"),
        ("local", "yes", "--local: got 'yes', expected true or false"),
        ("local_tables", "t.parquet", "got 't.parquet', expected dataset.table=path"),
        ("local_tables", "t=t.parquet", "got 't', expected project.dataset.table"),
    ],
)
def test_bad_values(name: str, text: str, message: str) -> None:
    error = _error({name: text})
    assert error.startswith(f"--{name}: ")
    assert message in error


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"input_table": ""}, "No source is given. Name a table with --input_table"),
        ({"input_query": "SELECT 1"}, "--input_table and --input_query are both given"),
        ({"model": ""}, "--model is missing. Add --model=MODEL: SavedModel to score with"),
        ({"output_table": ""}, "--output_table is missing."),
        (
            {"read_method": "EXPORT", "snapshot_time": "2025-01-31T06:00:00Z"},
            "--snapshot_time is not possible with --read_method=EXPORT",
        ),
        ({"input_columns": "x=a,x=b"}, "--input_columns names the input 'x' twice"),
        ({"output_columns": "p=a,p=b"}, "--output_columns names the output 'p' twice"),
        ({"output_columns": "p=a,q=A"}, "--output_columns names the column 'A' twice"),
        ({"key_columns": "id,ID"}, "--key_columns names the column 'ID' twice"),
        ({"passthrough_columns": "a,a"}, "--passthrough_columns names the column 'a' twice"),
        (
            {"key_columns": "id", "passthrough_columns": "Id"},
            "The column 'Id' is in --key_columns and in --passthrough_columns",
        ),
        ({"key_columns": "id", "output_columns": "id"}, "Drop one of them or rename it."),
        (
            {"key_columns": "Run_Id"},
            "The column 'run_id' is in --key_columns and in --metadata_columns, but --output_table "
            "can hold it once. Drop one of them or rename it.",
        ),
        (
            {"metadata_columns": "run_id=x,model_digest=X"},
            "--metadata_columns names the column 'X' twice",
        ),
        (
            {"metadata_columns": "run_id=a,run_id=b"},
            "--metadata_columns names the value 'run_id' twice",
        ),
        ({"input_shapes": "x=[1],x=[2]"}, "--input_shapes names the input 'x' twice"),
        ({"output_table": "shop.orders"}, "--input_table and --output_table are the same table"),
        ({"rejects_table": "shop.scores"}, "--output_table and --rejects_table are the same"),
        ({"runs_table": "shop.orders"}, "--input_table and --runs_table are the same table"),
        (
            {"rejects_table": "shop.r", "runs_table": "shop.r"},
            "the same table shop.r, expected different ones. Change --runs_table.",
        ),
        (
            {"write_mode": "partition"},
            "--write_mode partition needs --partition, the id of the one that is replaced.",
        ),
        (
            {"partition": "2024"},
            "--partition does nothing with --write_mode replace. Drop it, or give --write_mode",
        ),
        ({"write_mode": "merge"}, "--write_mode merge needs --key_columns"),
        (
            {"write_mode": "merge", "key_columns": "id", "explode": "true"},
            "--write_mode merge is not possible with --explode",
        ),
        ({"only_new": "true"}, "--only_new needs --key_columns"),
        (
            {"only_new": "true", "key_columns": "id"},
            "--only_new is not possible with --write_mode replace, which would lose the rows that",
        ),
        (
            {
                "only_new": "true",
                "key_columns": "id",
                "write_mode": "append",
                "metadata_columns": "run_id",
            },
            "--metadata_columns leaves model_digest out. Add it there.",
        ),
        ({"output_clustering": "a,A"}, "--output_clustering names the column 'A' twice"),
        (
            {"output_clustering": "a,b,c,d,e"},
            "--output_clustering has 5 columns, expected at most 4.",
        ),
        ({"output_labels": "a=b,a=c"}, "--output_labels names the key 'a' twice"),
        (
            {"output_labels": ",".join(f"k{n}=v" for n in range(65))},
            "--output_labels has 65 labels, expected at most 64.",
        ),
        (
            {"output_description": "x" * 16_385},
            "--output_description has 16,385 characters, expected at most 16,384.",
        ),
        ({"local_tables": "a.b=c"}, "--local_tables needs --local. Add --local"),
        ({"local_output": "out"}, "--local_output needs --local."),
        (
            {"local": "true", "local_tables": "a.b=c,a.b=d"},
            "--local_tables names the table 'a.b' twice",
        ),
    ],
)
def test_rules_across_flags(texts: dict[str, str], message: str) -> None:
    assert message in _error(texts)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("row_restriction", "x > 1", "Put the condition into the WHERE clause of --input_query"),
        ("snapshot_time", "2025-01-31T06:00:00Z", "Write FOR SYSTEM_TIME AS OF into"),
    ],
)
def test_what_a_query_cannot_have(name: str, text: str, message: str) -> None:
    error = _error({"input_table": "", "input_query": "SELECT 1", name: text})
    assert error.startswith(f"--{name} applies to --input_table only.")
    assert message in error


def test_a_query_is_kept_as_text() -> None:
    assert _config(input_table="", input_query="gs://b/q.sql").input_query == "gs://b/q.sql"
    assert _config(input_table="", input_query="-- c\nSELECT 1,2").input_query == "-- c\nSELECT 1,2"


def test_a_flag_that_takes_one_value_is_given_once() -> None:
    texts = {name: [text] for name, text in _MINIMUM.items()}
    with pytest.raises(UsageError, match=r"--model is given 2 times, expected once: \['a', 'b'\]"):
        Config.from_texts({**texts, "model": ["a", "b"]})
    with pytest.raises(UsageError, match="Separate the items with commas"):
        Config.from_texts({**texts, "key_columns": ["a", "b"]})


def test_a_default_project_reaches_every_table() -> None:
    config = _config(
        rejects_table="other-project.shop.scores",
        runs_table="shop.runs",
        local="true",
        local_tables="shop.orders=o.csv",
    ).with_default_project("my-project")
    tables: list[Any] = [config.input_table, config.output_table, config.rejects_table]
    tables += [config.runs_table, config.local_tables[0][0]]
    assert [str(table) for table in tables] == [
        "my-project.shop.orders",
        "my-project.shop.scores",
        "other-project.shop.scores",
        "my-project.shop.runs",
        "my-project.shop.orders",
    ]


def test_a_default_project_can_reveal_that_two_tables_are_one() -> None:
    config = _config(output_table="my-project.shop.orders")
    assert config.with_default_project("other-project").input_table != config.output_table
    with pytest.raises(UsageError, match="--input_table and --output_table are the same table"):
        config.with_default_project("my-project")


def test_a_default_project_is_checked() -> None:
    with pytest.raises(UsageError, match=r"The default project: .*'NO'.*Check --project\."):
        _config().with_default_project("NO")


def test_rules_hold_for_changed_copies_too() -> None:
    with pytest.raises(UsageError, match="No source is given"):
        replace(_config(), input_table=None)


@settings(deadline=None)
@given(st.lists(st.text("abc= ", min_size=1).filter(lambda t: bool(t.strip())), min_size=1))
def test_split_items_undoes_a_join(items: list[str]) -> None:
    assert list(split_items(",".join(items))) == [item.strip() for item in items]


def test_split_items_leaves_brackets_whole() -> None:
    assert list(split_items("x=[a, b],y=c,z=[d,[e,f]]")) == ["x=[a, b]", "y=c", "z=[d,[e,f]]"]


def test_brackets_stack_columns_and_values_stay_texts() -> None:
    config = _config(input_columns="x=[f0, f1],y=b", default_values="y=-1,z=a b", pad_value="-0.5")
    assert config.input_columns == (("x", ("f0", "f1")), ("y", "b"))
    assert config.default_values == (("y", "-1"), ("z", "a b"))
    assert config.pad_value == -0.5


@pytest.mark.parametrize(("name", "text"), [("class_labels", "f.txt"), ("softmax", "true")])
def test_what_needs_classes_says_so(name: str, text: str) -> None:
    assert _error({name: text}) == (
        f"--{name} needs --top_k or --explode. Add one of them, or drop --{name}."
    )
    assert getattr(_config(**{name: text, "explode": "true"}), name)
    assert getattr(_config(**{name: text, "top_k": "3"}), name)


def test_a_metadata_column_can_make_room_for_a_key() -> None:
    config = _config(key_columns="run_id", metadata_columns="run_id=scoring_run")
    assert config.metadata_columns == (("run_id", "scoring_run"),)


def test_modes_that_need_other_flags_take_them() -> None:
    config = _config(write_mode="partition", partition="20240229")
    assert (config.write_mode, config.partition) == ("partition", "20240229")
    merging = _config(write_mode="merge", key_columns="id", only_new="true")
    assert (merging.write_mode, merging.only_new) == ("merge", True)
