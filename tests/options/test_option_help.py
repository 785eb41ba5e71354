"""Help, version and the README's table: complete, and derived from the table of flags."""

import pytest

from options.flag import COMMANDS, Group, Kind
from options.flags import FLAGS
from options.parse import parse
from options.readme import flag_table


def _printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    assert caught.value.code == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_top_help_names_the_commands(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    text = _printed(capsys, flag)
    assert text.startswith("usage: bulkscore COMMAND [OPTIONS]\n")
    assert all(f"\n  {command} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_help_of_a_command_shows_every_flag_and_default(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = _printed(capsys, command, "--help")
    flags = [flag for flag in FLAGS if command in flag.commands]
    for group in Group:
        assert (f"\n{group.value}:\n" in text) == (group in {flag.group for flag in flags})
    for flag in FLAGS:
        if flag not in flags:
            assert f"\n  --{flag.name} " not in text
            continue
        entry = text.partition(f"\n  --{flag.name} ")[2].partition("\n  --")[0].partition("\n\n")[0]
        words = " ".join(entry.split())
        assert flag.help in words
        assert words.endswith("(required)") == flag.required
        if flag.default is not None and flag.kind is not Kind.SWITCH:
            assert words.endswith(f"(default: {flag.default})")
    assert f"  bulkscore {command} --" in text


def test_help_wins_over_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Source:" in _printed(capsys, "score", "--bogus", "--help")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_examples_of_the_help_are_valid(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    text = _printed(capsys, command, "--help").partition("example:\n")[2].partition("\n\n")[0]
    examples = text.replace("\\\n", " ").strip().splitlines()
    assert len(examples) == 2
    for example in examples:
        assert parse(example.split()[1:]).command == command


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert _printed(capsys, "--version").startswith("bulkscore ")


def test_every_flag_says_what_it_is_for() -> None:
    for flag in FLAGS:
        assert flag.help.endswith("."), flag.name
        assert flag.metavar or flag.choices or flag.kind is Kind.SWITCH, flag.name


def test_the_readme_table_has_one_row_for_each_flag() -> None:
    rows = [line for line in flag_table().splitlines() if line.startswith("| `--")]
    assert [row[len("| `--") :].split("`")[0].split()[0] for row in rows] == [
        flag.name for group in Group for flag in FLAGS if flag.group is group
    ]
    assert "| `--read_method` `DIRECT_READ` or `EXPORT` |" in flag_table()
    assert rows[0].count(" | ") == 2
