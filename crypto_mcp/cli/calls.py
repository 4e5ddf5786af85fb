"""Calling a kind of job through the front end, and looking at jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crypto_mcp.cli.configuration import load
from crypto_mcp.errors import InvalidRequest, TimedOut

if TYPE_CHECKING:
    from rich.console import Console

    from crypto_mcp.client import CryptoMcp
    from crypto_mcp.models.answers import Answer, JobRecord

Kind = Annotated[str, typer.Argument(help="What to do, such as analyze_crypto.")]
Params = Annotated[list[str] | None, typer.Argument(help="Its parameters as name=value.", metavar="NAME=VALUE")]
Wait = Annotated[float, typer.Option(help="Seconds to wait for the result; 0 submits and prints the job's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
State = Annotated[str | None, typer.Option(help="Only jobs in this state, such as running or failed.")]
OfKind = Annotated[str | None, typer.Option("--kind", help="Only jobs of this kind.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="At most so many.")]

_AT_ONCE = 0.25
"""Seconds before progress is shown."""

_STATE_STYLES = {"done": "green", "failed": "red", "dead": "red", "running": "yellow", "retrying": "yellow"}


def call(kind: Kind, params: Params = None, wait: Wait = 120.0, as_json: AsJson = False) -> None:
    """Ask for something and show the answer: crypto-mcp call analyze_crypto symbol=BTCUSDT timeframe=4h"""
    from rich.console import Console

    from crypto_mcp.cli.front_end import front_end

    console = Console(stderr=True)
    with front_end(load()) as client:
        answer = answered(client, kind, _parameters(params or []), wait, console)
    _show(answer, as_json=as_json)


def jobs(state: State = None, kind: OfKind = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """List recent jobs, newest first."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from crypto_mcp.cli.front_end import front_end

    with front_end(load()) as client:
        found = list(client.jobs(state=state, kind=kind, limit=limit))
    if as_json:
        _print_json([job.model_dump(mode="json", exclude_unset=True) for job in found])
        return
    table = Table("job", "kind", "state", "tries", "submitted", "took", "what", header_style="cyan", box=None)
    for job in found:
        style, submitted = _STATE_STYLES.get(job.state, ""), job.timings.submitted_at
        table.add_row(
            job.job_id,
            job.kind,
            f"[{style}]{job.state}[/]" if style else job.state,
            str(job.attempts),
            "" if submitted is None else f"{submitted:%Y-%m-%d %H:%M:%S}",
            _duration(job.timings.total_ms),
            escape(_what(job)),
        )
    Console().print(table if found else "No jobs.")


def answered(client: CryptoMcp, kind: str, params: dict[str, Any], wait: float, console: Console) -> Answer[Any]:
    """The answer of a kind, its progress shown meanwhile; how the job stands where `wait` is 0."""
    answer = client.submit(kind, params, wait=0 if wait <= 0 else _AT_ONCE)
    if answer.job_id is None or answer.status.finished or wait <= 0:
        return answer
    _watch(client, answer.job_id, wait, console)
    return client.result(answer.job_id)


def _watch(client: CryptoMcp, job_id: str, wait: float, console: Console) -> None:
    """Shows progress until the job has finished; `TimedOut` if it has not within `wait` seconds."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("queued", total=1.0)
        for record in client.poll(job_id, within=wait):
            reached = record.progress
            words = (reached and reached.words) or record.state
            progress.update(task, completed=reached.fraction if reached else 0.0, description=words)
    if not record.state.finished:
        raise TimedOut(
            f"job {job_id} is still {record.state} after {wait:g} s",
            hint=f"It goes on. Ask again with --wait, or look at GET /v1/jobs/{job_id}.",
        )


def _parameters(pairs: list[str]) -> dict[str, Any]:
    """`name=value` pairs. Values stay text, which the front end reads by its contract; lists and objects are JSON."""
    import json

    params: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidRequest(f"{pair!r} is not of the form name=value", hint="Write symbol=BTCUSDT.")
        try:
            params[name] = json.loads(value) if value[:1] in ("[", "{", '"') else value
        except ValueError:
            raise InvalidRequest(f"the value of {name} is not valid JSON", hint="Quote it for the shell.") from None
    return params


def as_sent(answer: Answer[Any]) -> dict[str, Any]:
    """An answer with the fields that it came with."""
    return answer.model_dump(mode="json", exclude_unset=True)


def _show(answer: Answer[Any], *, as_json: bool) -> None:
    from rich.console import Console

    from crypto_mcp.cli.render import result_tables

    if as_json:
        _print_json(as_sent(answer))
    elif answer.result is None:
        Console().print(f"job {answer.job_id} is {answer.status}")
    else:
        console = Console()
        console.print(result_tables(answer.result))
        console.print(_how(answer), style="dim")


def _how(answer: Answer[Any]) -> str:
    if answer.cached:
        return f"from the cache ({answer.cached_in or 'unknown'})"
    return f"job {answer.job_id} took {_duration(answer.timings.total_ms)}"


def _what(job: JobRecord) -> str:
    if job.error is not None:
        return f"{job.error.code}: {job.error.message}"
    if job.progress is None or job.state != "running":
        return ""
    return f"{job.progress.fraction:.0%} {job.progress.words}"


def _duration(milliseconds: float | None) -> str:
    if milliseconds is None:
        return ""
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))
