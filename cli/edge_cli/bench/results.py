"""What `edge bench` prints and writes of a report, and of two reports against each other."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cli.console import Console, print_table
from edge_cli.flags import said_as_flags
from edge_runtime import one_line, write_text

if TYPE_CHECKING:
    from edge_benchmarks import Limits, Recommendation, Report, Table

# Beyond this a first answer is not that of the same network; two engines need not round an int8 layer alike.
SAME_ANSWER, SAME_ROUNDED_ANSWER = 1e-3, 0.05
BUSY_SHARE = 0.1


def recommended(report: Report, limits: Limits) -> Recommendation:
    """Which model of a report to take within `limits`, and why, as the command line says it."""
    from edge_benchmarks import recommend

    chosen = recommend(report, limits)
    return replace(chosen, reasons=tuple(map(said_as_flags, chosen.reasons)))


def as_document(report: Report, chosen: Recommendation | None, more: Mapping[str, Any]) -> dict[str, Any]:
    """The one document of a report, with what `more` there is and the model `chosen`: printed, and kept."""
    return {**report.to_json(), **more, **({} if chosen is None else {"recommendation": chosen.to_json()})}


def show_report(
    report: Report,
    console: Console,
    *,
    chosen: Recommendation | None,
    document: Mapping[str, Any] | None,
    as_csv: bool,
) -> int:
    """Print a report as tables, its `document` where that is given, or CSV, and which model was `chosen`.

    Gives the exit code.
    """
    from edge_benchmarks import cost_table, csv_text, json_text, latency_table, sustained_table

    for line in _conditions(report):
        console.say(line)
    if document is not None:
        sys.stdout.write(json_text(document))
    elif as_csv:
        sys.stdout.write(csv_text(report))
    else:
        for table in (latency_table(report), cost_table(report), sustained_table(report)):
            if table.rows:
                _print(table)
        for row in report.rows:
            if row.sustained is not None:
                first, last = row.sustained.buckets[0], row.sustained.buckets[-1]
                print(
                    f"{one_line(row.name)}: from the first {first.seconds:.0f} s to the last {last.seconds:.0f} s "
                    f"{row.sustained.slowdown:+.1%} by the median, {row.sustained.p90_slowdown:+.1%} by p90"
                    f"{', throttled' if row.sustained.throttled else ''}"
                )
    for failure in report.failures:
        console.say(f"not measured: {failure.message}")
    if chosen is not None:
        _recommend(chosen, console, on_stdout=document is None and not as_csv)
    return 1 if report.failures or (chosen is not None and chosen.row is None) else 0


def write_report(report: Report, document: Mapping[str, Any], folder: Path, console: Console) -> None:
    """Write the report, its `document` and its pictures into `folder`. Raises OutputError, MissingExtraError."""
    from edge_benchmarks import (
        LATENCY_FILE,
        SUSTAINED_FILE,
        TRADEOFF_FILE,
        draw_latency,
        draw_sustained,
        draw_tradeoff,
        write_results,
    )

    written = [*write_results(report, folder, document), LATENCY_FILE]
    draw_latency(report, folder / LATENCY_FILE)
    if missing := draw_tradeoff(report, folder / TRADEOFF_FILE):
        console.say(f"no {TRADEOFF_FILE}: {missing}")
    else:
        written.append(TRADEOFF_FILE)
    if draw_sustained(report, folder / SUSTAINED_FILE):
        written.append(SUSTAINED_FILE)
    console.say(f"written to {folder}: {', '.join(sorted(written))}")
    # Whose they are nobody knows, so they are let be.
    left = [name for name in (SUSTAINED_FILE, TRADEOFF_FILE) if name not in written and (folder / name).exists()]
    if left:
        console.say(f"note: not of this report: {', '.join(left)} in {folder}")


def write_shared(report: Report, target: Path, console: Console) -> None:
    """Write what of a report is of use to others. Raises UsageError where there is nothing, OutputError."""
    from edge_benchmarks import is_public, json_text, share_report

    write_text(target, json_text(share_report(report).to_json()))
    left = [row.name for row in report.rows if not is_public(row.backbone)]
    if left:
        console.say(f"not in {target}, for their networks have no public name: {'; '.join(left)}")
    console.say(f"{target}: for docs/machines of edge's repository; read it before you send it")


def compare_files(old: Path, new: Path, console: Console, *, limit: float | None, as_json: bool) -> int:
    """Compare two reports; gives 1 where a model became slower by more than `limit`, or is in the new one no more."""
    from edge_benchmarks import compare_reports, comparison_table, json_text, read_report

    comparison = compare_reports(read_report(old), read_report(new))
    worse = () if limit is None else comparison.regressions(limit)
    if as_json:
        regressions = [change.name for change in worse]
        sys.stdout.write(json_text({**comparison.to_json(), "fail_over": limit, "regressions": regressions}))
    else:
        _print(comparison_table(comparison))
    for difference in comparison.differences:
        console.say(f"note: measured under other conditions: {difference}")
    for names, where in ((comparison.only_old, old), (comparison.only_new, new)):
        if names:
            console.say(f"only in {where}: {'; '.join(names)}")
    for failure in comparison.failed:
        console.say(f"not measured in {new}: {failure}")
    for change in worse:
        console.say(f"slower by more than {limit:.0%}: {change.name}, {change.p50.change:+.1%} by the median")
    # What was not measured again may be as slow as it likes.
    missing = () if limit is None else comparison.only_old
    if missing:
        console.say(f"the gate is not met: {'; '.join(missing)}: no figure in {new}")
    return 1 if worse or missing else 0


def _print(table: Table) -> None:
    print_table(table.columns, table.rows, left=table.left)


def _conditions(report: Report) -> list[str]:
    """Where and how the figures were measured, and what is to be said against them."""
    from edge_benchmarks import describe_conditions, describe_uncertainty, milliseconds

    decoding = report.median_decoding_ms
    apart = "" if decoding is None else f"; decoding and resizing takes {milliseconds(decoding)} ms more"
    lines = [str(report.environment), *describe_conditions(report.conditions)]
    lines.append(f"inference alone of {report.settings.input}{apart}")
    lines.append(describe_uncertainty(report))
    noisy = [row for row in report.rows if row.noisy]
    if noisy:
        others = max((row.busyness.others_share or 0.0 for row in noisy), default=0.0)
        stolen = max((row.busyness.stolen_share or 0.0 for row in noisy), default=0.0)
        why = [f"other programs used up to {others:.0%} of the processor"] if others > BUSY_SHARE else []
        why += [f"the hypervisor took up to {stolen:.0%} of it"] if stolen > BUSY_SHARE / 2 else []
        lines.append(
            f"noisy: {len(noisy)} of {len(report.rows)} rows; "
            f"{' and '.join(why) if why else 'measure longer, or on a machine that does nothing else'}"
        )
    sustained = [row.sustained.throttled for row in report.rows if row.sustained is not None]
    reasons = [*(row.throttled for row in report.rows), *sustained]
    throttled = sorted({what for each in reasons for what in each or ()})
    if throttled:
        lines.append(f"throttled: {', '.join(throttled)}; edge doctor says what to do")
    lines += [
        f"note: {row.name} run by {row.engine} answers otherwise than by onnxruntime (by {row.max_difference:.2g}): "
        "it is not the same network"
        for row in report.rows
        if row.max_difference is not None
        and row.max_difference > (SAME_ROUNDED_ANSWER if _rounds(row.precision, row.engine) else SAME_ANSWER)
    ]
    accuracies = dict.fromkeys(row.accuracy.describe_source() for row in report.rows if row.accuracy)
    if accuracies:
        lines.append(f"accuracy: {'; '.join(accuracies)}")
    return lines


def _rounds(precision: str, engine: str) -> bool:
    """Whether an engine may round what it computes otherwise than onnxruntime does."""
    return precision != "fp32" or engine == "openvino-bf16"


def _recommend(chosen: Recommendation, console: Console, *, on_stdout: bool) -> None:
    row = chosen.row
    lines = []
    if row is not None:
        engine = "" if row.engine == "onnxruntime" else f", run by {row.engine}"
        lines.append(f"take {row.name}{engine}, {row.threads} {'thread' if row.threads == 1 else 'threads'}")
    lines += [f"  {reason}" for reason in chosen.reasons]
    for line in lines:
        print(one_line(line)) if on_stdout else console.say(line)
