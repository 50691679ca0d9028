"""The command line: help, lazy imports, options with several values, one line per error."""

import subprocess
import sys

import click
import pytest

from tracker.cli import COMMANDS, cli, main, repeat_names


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom tracker.cli import main\nassert main(['--help']) == 0\n"
        "heavy = {'numpy', 'torch', 'cv2', 'ultralytics', 'onnxruntime', 'lancedb', 'rich', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def every_command():
    """The words that call each command, those of groups included."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        yield [name]
        yield from ([name, inner] for inner in getattr(command, "commands", ()))


@pytest.mark.parametrize("words", list(every_command()), ids=" ".join)
def test_every_command_and_option_has_help(words, capsys):
    command = cli
    for word in words:
        command = command.get_command(click.Context(command), word)
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    assert main([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Usage: reidtrack" in shown
    assert "\\b" not in shown  # click's mark for lines that keep their breaks, when it is written wrongly


def test_run_names_its_options(capsys):
    assert main(["run", "--help"]) == 0
    shown = capsys.readouterr().out
    options = ("videos", "images", "out", "detector", "tracker", "embedder", "device", "fps", "cameras")
    options += ("start-times", "render", "min-probability")
    assert all(f"--{option}" in shown for option in options)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--v", "a", "b"], ["--v", "a", "--v", "b"]),
        (["--v", "a", "--v", "b", "c", "--out", "x"], ["--v", "a", "--v", "b", "--v", "c", "--out", "x"]),
        (["--v=a", "b"], ["--v=a", "--v", "b"]),
        (["--out", "x", "y"], ["--out", "x", "y"]),
        (["--v", "-2.5", "3"], ["--v", "-2.5", "--v", "3"]),
        ([], []),
    ],
)
def test_several_values_after_one_name(args, expected):
    assert repeat_names(args, {"--v"}) == expected


def test_an_option_without_values_is_refused(capsys):
    assert main(["run", "--videos", "--out", "x"]) == 2
    assert "--videos needs at least one value" in capsys.readouterr().err


@pytest.mark.parametrize("args", [["nonsense"], ["run"], ["run", "--nonsense"], ["run", "--videos", "a", "--out"]])
def test_usage_errors_are_one_line(args, capsys):
    assert main(args) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert "--help" in error


def test_version(capsys):
    assert main(["--version"]) == 0
    assert "reidtrack" in capsys.readouterr().out
