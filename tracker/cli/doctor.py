"""``reidtrack doctor``: what this machine would use, and why."""

import click


@click.command()
def doctor() -> int:
    """What this machine would use and why, and what to install to go faster."""
    from reid.runtime import resolve_device
    from tracker.doctor import examine

    for finding in examine():
        click.echo(f"{finding.subject:<28}  {finding.found}")
        if finding.advice:
            click.echo(f"{'':<28}  -> {finding.advice}")
    device = resolve_device("auto")
    backend = "ONNX Runtime on the CPU" if device == "cpu" else "PyTorch in half precision"
    click.echo(f"{'a run would use':<28}  {device}: detector in {backend}, embedder in ONNX Runtime")
    return 0
