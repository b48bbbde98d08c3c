"""The jobs of procrastinate."""

import os

import procrastinate

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["DATABASE_URL"]))


@app.task(name="echo")
async def echo(value: int) -> int:
    """Return the value."""
    return value


@app.task(name="step")
async def step(left: int) -> None:
    """Defer the next job of a chain: procrastinate has no chains of its own."""
    if left > 1:
        await step.defer_async(left=left - 1)
