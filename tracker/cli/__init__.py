"""The command line: a thin layer over the library. Each command's module is imported when it is called, not before."""

import contextlib
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence

import click

from reid.errors import ReidTrackError

# name -> (module, what it does); the help page needs no more
COMMANDS = {
    "run": ("tracker.cli.run", "Who is on these recordings, and who is the same person from camera to camera."),
    "link": ("tracker.cli.link", "Link a finished run again: afresh, or with what you know to be wrong put right."),
    "compare": ("tracker.cli.compare", "Are these two the same person? Two crops, folders of crops, or tracklets."),
    "index": ("tracker.cli.index", "Gather finished runs in a library, to find people in."),
    "search": ("tracker.cli.search", "Find a person in a library, by pictures or by a tracklet."),
    "serve": ("tracker.cli.serve", "The page of a library, in a browser: look, find, play, compare, correct."),
    "case": ("tracker.cli.case", "Chosen sightings of a library with notes; export them as a bundle."),
    "verify": ("tracker.cli.verify", "Whether a case's bundle is what was exported, and of which recordings."),
    "calibrate": ("tracker.cli.calibrate", "Fit probabilities to the site of a finished run, without labels."),
    "demo": ("tracker.cli.demo", "Make two short clips with known people, run the main job on them, compare."),
    "doctor": ("tracker.cli.doctor", "What this machine would use, and what to install to go faster."),
    "models": ("tracker.cli.models", "The shipped embedders: size, speed here, training data, scores."),
    "train": ("tracker.cli.learn", "Train an embedder."),
    "evaluate": ("tracker.cli.evaluate", "Score an embedder by a published protocol, or a run against known people."),
    "export": ("tracker.cli.export", "Turn a trained model into a file that other machines run, proven equal."),
    "import-model": ("tracker.cli.import_model", "Make an embedder of somebody else's network, proven equal."),
    "bench": ("tracker.cli.bench", "Measure losses, poolings, embedders and training speed side by side."),
}


# of commands that embed; PyTorch's part, such as the detector, then runs as ``reid.runtime.resolve_device`` says
EMBEDDERS_DEVICE = "auto, cpu or cuda:N; or, for the embedder, openvino or tensorrt."


class LazyGroup(click.Group):
    """Commands by name; only the one called is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands on the help page."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


class ManyValues(click.Command):
    """A command whose ``multiple`` options take several values after one name: ``--videos a b``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option's name before each further value, then parse as usual."""
        names = {
            name
            for parameter in self.params
            if isinstance(parameter, click.Option) and parameter.multiple
            for name in parameter.opts
        }
        return super().parse_args(ctx, repeat_names(args, names))


def repeat_names(args: Sequence[str], names: set[str]) -> list[str]:
    """``--videos a b --out c`` to ``--videos a --videos b --out c``, for the option names given.

    >>> repeat_names(["--videos", "a", "b", "--out", "c"], {"--videos"})
    ['--videos', 'a', '--videos', 'b', '--out', 'c']
    """
    repeated: list[str] = []
    current, values = "", 0
    for arg in [*args, "--"]:
        if arg.startswith("--") or (arg.startswith("-") and arg[1:2].isalpha()):
            if current and not values:
                raise click.UsageError(f"{current} needs at least one value")
            name, equals, _ = arg.partition("=")
            current, values = (name, len(equals)) if name in names else ("", 0)
            repeated.append(arg)
        else:
            if current and values:
                repeated.append(current)
            repeated.append(arg)
            values += 1
    return repeated[:-1]


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("-v", "--verbose", count=True, help="Tell more on stderr; twice for all.")
@click.version_option(package_name="reidtrack")
def cli(verbose: int) -> None:
    """People on video: found, followed, recognised from camera to camera.

    Start with `reidtrack demo`, then `reidtrack run --videos cam1.mp4 cam2.mp4`.
    """
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: without the program's name; None takes the process's own.

    Returns:
        0 when all went well, 1 when something given could not be processed, 2 when what was asked makes no sense.
    """
    with contextlib.suppress(ValueError):  # only the main thread may; tests call from others
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a job manager's stop is a Ctrl-C
    try:
        code = cli.main(args, prog_name="reidtrack", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "reidtrack"
        return _failed(f"{error.format_message().rstrip('.')}; see `{command} --help`", 2)
    except click.ClickException as error:
        return _failed(error.format_message(), 1)
    except ReidTrackError as error:
        return _failed(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _failed("interrupted; give the same command again to continue, what is done is kept", 1)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - keeps the interpreter quiet while it exits
        return 1
    except Exception as error:
        if logging.getLogger().isEnabledFor(logging.INFO):
            raise
        text = (str(error) or type(error).__name__).splitlines()[0]
        return _failed(
            f"unexpected {type(error).__name__}: {text}; `reidtrack -v ...` shows where, please report it", 1
        )


def _failed(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return code
