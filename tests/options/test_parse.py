"""Command lines: what is read, what is passed to Beam, what is refused and in which words."""

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options.beam_flags import BEAM_FLAGS
from options.errors import UsageError
from options.flags import FLAGS
from options.inspection import Inspection
from options.parse import Parsed, parse

_MINIMUM = ["--input_table=shop.orders", "--model=m", "--output_table=shop.scores"]


def _score(*arguments: str) -> Parsed:
    return parse(["score", *_MINIMUM, *arguments])


def _error(*argv: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(argv)
    return str(caught.value)


def test_inspect_has_a_value_of_its_own() -> None:
    assert parse(["inspect", "--model=m"]) == Parsed("inspect", Inspection("m", None, False), ())
    parsed = parse(["inspect", "--model", "gs://b/m", "--json", "--signature=s"])
    assert parsed.config == Inspection("gs://b/m", "s", True)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["inspect"], "--model is missing. Add --model=MODEL: "),
        (["inspect", "--model=m", "--input_table=a.b"], "--input_table is not an option of inspe"),
        (["inspect", "--model=m", "--local"], "--local is not an option of inspect. Drop it."),
        (["inspect", "--model=m", "--modle=m"], "no option --modle. Did you mean --model?"),
        (["inspect", "--model=m", "--run=x"], "no option --run. See bulkscore inspect --help"),
        (
            ["inspect", "--model=m", "--project=my-project"],
            "--project is not an option of inspect, which runs no pipeline. Drop it.",
        ),
        (["score", *_MINIMUM, "--json"], "--json is not an option of score. Drop it."),
        (["check", *_MINIMUM, "--json"], "--json is not an option of check. Drop it."),
        (
            ["score", *_MINIMUM, "--deadline=2h"],
            "--deadline is not an option of score. Drop it.",
        ),
    ],
)
def test_each_command_has_options_of_its_own(argv: list[str], message: str) -> None:
    assert message in _error(*argv)


@pytest.mark.parametrize("command", ["score", "check"])
def test_commands(command: str) -> None:
    parsed = parse([command, *_MINIMUM])
    assert parsed.command == command
    assert parsed.beam_args == ()


def test_a_value_may_be_joined_or_follow() -> None:
    joined = _score("--row_restriction=a = '--b'", "--max_batch_size=7")
    assert joined == _score("--row_restriction", "a = '--b'", "--max_batch_size", "7")


def test_a_value_may_start_with_a_dash() -> None:
    assert _score("--row_restriction", "-x > 3").config.row_restriction == "-x > 3"
    argv = ["score", "--model=m", "--output_table=a.b", "--input_query", "-- note\nSELECT 1"]
    assert parse(argv).config.input_query == "-- note\nSELECT 1"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--local"], True), (["--local=true"], True), (["--local=False"], False), ([], False)]
    + [(["--local="], False)],
)
def test_a_switch(arguments: list[str], expected: bool) -> None:
    assert _score(*arguments).config.local is expected


def test_beam_options_pass_through_in_order() -> None:
    arguments = ["--runner", "DataflowRunner", "--project=my-project", "--experiments=a"]
    arguments += ["--experiments", "b,c", "--no_use_public_ips", "--num_workers", "-1"]
    arguments += ["--update_compatibility_version", "--labels=k=v", "--save_main_session=True"]
    assert _score("--signature=s", *arguments, "--run_id=r").beam_args == (
        "--runner=DataflowRunner",
        "--project=my-project",
        "--experiments=a",
        "--experiments=b,c",
        "--no_use_public_ips",
        "--num_workers=-1",
        "--update_compatibility_version",
        "--labels=k=v",
        "--save_main_session",
    )


def test_an_empty_beam_option_is_not_given() -> None:
    assert _score("--subnetwork=", "--num_workers=", "--no_auth=", "--streaming=").beam_args == ()


def test_a_switch_of_beam_can_be_told_to_be_off() -> None:
    left_out = ("--no_auth=false", "--enable_streaming_engine=FALSE", "--streaming=false")
    assert _score(*left_out).beam_args == ()
    assert _score("--use_public_ips=false").beam_args == ("--no_use_public_ips",)
    assert _score("--no_use_public_ips=true").beam_args == ("--no_use_public_ips",)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--num_workers=many", "--num_workers: got 'many', expected a whole number."),
        ("--profile_sample_rate=x", "expected a number."),
        ("--sdk_harness_log_level_overrides=x", "got 'x', expected JSON"),
        ("--autoscaling_algorithm=no", "got 'no', expected one of NONE, THROUGHPUT_BASED."),
        ("--no_auth=no", "--no_auth: got 'no', expected true or false."),
        ("--streaming", "--streaming cannot be used: bulkscore runs batch jobs only. Drop it."),
        ("--update", "only streaming jobs can be updated"),
        ("--runner=DaskRunner", "Beam's DaskRunner loses the last rows of each bundle"),
    ],
)
def test_beam_options_that_cannot_work(argument: str, message: str) -> None:
    assert message in _error("score", *_MINIMUM, argument)


@pytest.mark.parametrize("argument", ["--runner=DataflowRunner", "--template_location=gs://b/t"])
def test_local_mode_does_not_go_to_dataflow(argument: str) -> None:
    message = f"--local runs on this machine, but {argument} asks for Dataflow."
    assert message in _error("score", *_MINIMUM, "--local", argument)
    assert _score(argument).beam_args == (argument,)


@pytest.mark.parametrize(
    ("argument", "suggestion"),
    [
        ("--input_tabel=x", "Did you mean --input_table?"),
        ("--input-table", "Did you mean --input_table?"),
        ("--Model=x", "Did you mean --model?"),
        ("--key_column=a", "Did you mean --key_columns?"),
        ("--worker_machine_typ=x", "Did you mean --worker_machine_type, an option of Beam?"),
        ("--xyzzy", "See bulkscore score --help for the options."),
    ],
)
def test_an_unknown_option_names_the_nearest_known_one(argument: str, suggestion: str) -> None:
    name = argument.partition("=")[0]
    assert _error("score", *_MINIMUM, argument) == f"There is no option {name}. {suggestion}"


def test_names_are_not_abbreviated() -> None:
    assert _error("score", "--input_tab=x").startswith("There is no option --input_tab.")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--model"], "--model needs a value, got the end of the command line."),
        (["--model", "--local"], "--model needs a value, got the next option '--local'."),
        (["--runner", "--model=m"], "--runner needs a value, got the next option '--model=m'."),
        (["orders"], "Unexpected argument 'orders': it follows no option that takes a value."),
        (["--model", "my", "model"], "Put quotes around a value that holds blanks."),
        (["--local", "true"], "Write --local=true."),
        (["--no_auth", "false"], "Write --no_auth=false."),
        (["-model", "m"], "Options start with two dashes, got '-model'. Did you mean --model?"),
        (["--"], "Unexpected argument '--'"),
        ([""], "Unexpected argument ''"),
        (["--=x"], "Unexpected argument '--=x'"),
    ],
)
def test_misplaced_arguments(argv: list[str], message: str) -> None:
    assert message in _error("score", *argv)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "The command is missing. Give score, check or inspect first."),
        (["--model=m", "score"], "The command is missing before '--model=m'."),
        (["scroe"], "There is no command 'scroe'. Did you mean score?"),
        (["frobnicate"], "There is no command 'frobnicate'. Expected score, check or inspect."),
    ],
)
def test_a_wrong_command(argv: list[str], message: str) -> None:
    assert message in _error(*argv)


_words = st.one_of(
    st.text(),
    st.sampled_from(["--", "-h", "--help", "--version", "true", "shop.t", "a=b", "*", "1", ""]),
    st.builds("--{}".format, st.sampled_from([f.name for f in FLAGS] + sorted(BEAM_FLAGS))),
    st.builds(
        "--{}={}".format,
        st.sampled_from([f.name for f in FLAGS] + sorted(BEAM_FLAGS)),
        st.one_of(
            st.text(), st.sampled_from(["shop.t", "a.b=c", "x=[a,b]", "0", "nan", "1e999", "*"])
        ),
    ),
)


# No deadline: how long one example takes says more of the machine than of the code.
@settings(deadline=None)
@given(
    st.lists(_words, max_size=8),
    st.sampled_from([[], ["score"], ["check", *_MINIMUM], ["inspect", "--model=m"]]),
)
def test_any_command_line_gives_a_value_a_usage_error_or_help(
    arguments: list[str], start: list[str]
) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            parse([*start, *arguments])
    except UsageError as error:
        # Printable even where the arguments are not.
        assert str(error).encode()
    except SystemExit as end:
        assert end.code == 0
