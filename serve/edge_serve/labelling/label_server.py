"""Labelling from start to end: read the list, listen, show the page, say what came of it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime import PictureTable, Progress, UsageError, list_pictures, read_picture_table, usable_cores
from edge_serve.http.limits import ServeLimits
from edge_serve.http.listen import listen, shown_address
from edge_serve.http.running import Running
from edge_serve.labelling.label_app import LabelPage, build_label_app
from edge_serve.labelling.label_file import LABELLED_AT, LabelFile, choose_out
from edge_serve.labelling.label_session import LabelSession, find_classes, read_figures
from edge_serve.labelling.label_settings import LabelSettings
from edge_serve.labelling.model_opinion import ask_model
from edge_serve.labelling.orders import choose_order, order_rows, with_random
from edge_serve.observability.request_log import RequestLog


@dataclass(frozen=True)
class Labelled:
    """What came of it: the file (not there where nothing was said), rows done of how many, in how many steps.

    `next_step` is the command that the labels are for.
    """

    out: Path
    done: int
    rows: int
    steps: int
    next_step: str


def label_pictures(settings: LabelSettings, progress: Progress) -> Labelled:
    """Show the page until Ctrl-C or SIGTERM. `progress` is told where it is, with a token made for this run.

    Raises:
        UsageError: the port cannot be had, the labels would go where something else is, or an order is asked for that
            the source does not allow.
        DataError: the source is no list of pictures.
        ModelError: the model file cannot be used.
    """
    if os.name == "nt":
        raise UsageError("edge label needs Linux or macOS", "on Windows, run it in WSL or a container")
    listening = listen(settings.host, settings.port)
    try:
        page = open_page(settings, progress)
        session = page.session
        log = RequestLog(quiet=True)
        try:
            with log.libraries():
                asyncio.run(_serve(settings, page, listening, log=log, progress=progress))
        finally:
            log.close()
        file = session.file
        return Labelled(file.path, session.count_done(), len(file), session.steps, file.next_step)
    finally:
        listening.close()


def open_page(settings: LabelSettings, progress: Progress) -> LabelPage:
    """The list as it is at the start, in every order that can be had. Raises as `label_pictures` does."""
    out = choose_out(settings.source, settings.out)
    source = _read(settings.source, out)
    file = LabelFile(source, out)
    if out.exists():
        progress.say(f"{out} is there: going on from it")
    # A list of mistakes, and not the labels that came of one.
    review = source.column("label_probability") is not None and source.column(LABELLED_AT) is None
    session = LabelSession(file, (), _made_at(settings.source) if review else None)
    figures = read_figures(source)
    valuable = None
    names: Sequence[str] = ()
    if settings.model is not None:
        places = [
            (row, each.place) for row, each in enumerate(source.rows) if not each.problem and not session.is_done(row)
        ]
        opinion = ask_model(
            settings.model, places, progress, threads=settings.threads, embed=settings.order == "valuable"
        )
        names, valuable = opinion.labels, opinion.valuable
        for row, each in opinion.figures.items():
            figures[row] = replace(
                each, label_probability=figures[row].label_probability, of_label=figures[row].of_label
            )
    for name in find_classes(file, settings.classes, names):
        session.add_class(name)
    rows = range(len(file))
    orders = order_rows(figures, [file.label(row) for row in rows], [file.cell(row, "rank") for row in rows], valuable)
    orders = with_random(orders, folder=settings.source.is_dir())
    return LabelPage(
        session,
        settings.source.resolve().name,
        [row.place for row in source.rows],
        [row.problem for row in source.rows],
        figures,
        orders,
        choose_order(settings.order, orders),
    )


def _read(source: Path, out: Path) -> PictureTable:
    return list_pictures(source, out.parent) if source.is_dir() else read_picture_table(source)


def _made_at(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")


async def _serve(
    settings: LabelSettings,
    page: LabelPage,
    listening: socket.socket,
    *,
    log: RequestLog,
    progress: Progress,
) -> None:
    token = secrets.token_urlsafe(16)
    limits = ServeLimits()
    with ThreadPoolExecutor(settings.threads or usable_cores(), thread_name_prefix="edge-picture") as pool:
        gate = build_label_app(page, hosts=settings.host_check(), token=token, limits=limits, log=log, pool=pool)
        running = Running(gate, limits, log, lambda *_: None)
        address = shown_address(settings.host, listening.getsockname()[1])

        def ready() -> None:
            session = page.session
            rows = len(session.file)
            progress.say(f"{rows:,} pictures, {rows - session.count_done():,} to do; labels go to {session.file.path}")
            progress.say(f"labelling at {address}#token={token}; Ctrl-C ends it")

        await running.run(listening, ready)
