"""``reidtrack verify``: whether a bundle is what was exported."""

from pathlib import Path

import click

from tracker.progress import Progress


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Look for the recordings here, by their content. [default: where they were]",
)
@click.option("--seal", metavar="SHA256", help="The seal that the sender told you.")
def verify(bundle: Path, recordings: Path | None, seal: str | None) -> int:
    """Tell whether BUNDLE, a case's folder or .zip, is what was exported, and whether these are its recordings.

    \b
    reidtrack verify theft.zip
    reidtrack verify theft.zip --recordings disk/ --seal 5ab1...

    It recomputes the SHA-256 of every file and of the recordings, and prints the seal, the manifest's own. Exit code 0:
    all agrees; 1: something differs, is missing, or, with --recordings, was not found.
    """
    from tracker.casefile.checking import check
    from tracker.cli.show import table

    verdict = check(bundle, recordings, Progress())
    faults = list(verdict.faults)
    if seal is not None and seal.strip().lower() != verdict.seal:
        faults.append(f"the seal differs: expected {seal.strip().lower()}, found {verdict.seal}")
    bad = {"differs"} if recordings is None else {"differs", "not found"}
    faults += [f"recording {name} ({content}): {state}" for name, content, state in verdict.recordings if state in bad]
    if verdict.recordings:
        click.echo(table(["recording", "", "sha256"], [[name, state, sha] for name, sha, state in verdict.recordings]))
    click.echo(f"seal {verdict.seal}")
    for fault in faults:
        click.echo(f"fault: {fault}")
    files = f"{verdict.files} file{'s' * (verdict.files != 1)}"
    click.echo(
        f"{len(faults)} fault{'s' * (len(faults) != 1)}; do not rely on this bundle" if faults else f"{files} agree"
    )
    return 1 if faults else 0
