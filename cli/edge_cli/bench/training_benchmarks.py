"""`edge bench --train`: the training benchmarks, as they are run by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

from edge_cli.console import print_json
from edge_runtime import UsageError, require_extra


def bench_training(
    words: Sequence[str], *, data: Sequence[str] | None, threads: str | None, as_json: bool, quiet: bool
) -> int:
    """Run the training benchmarks named first in `words`, by default all but the longest; gives the exit code.

    What begins with a dash and all after it is handed on, to one benchmark alone.
    """
    from edge_benchmarks import TRAINING_BENCHMARKS, run_training_benchmark

    with_data = {name for name, each in TRAINING_BENCHMARKS.items() if each.takes_data}
    with_threads = {name for name, each in TRAINING_BENCHMARKS.items() if each.takes_threads}
    hushed = {name for name, each in TRAINING_BENCHMARKS.items() if each.takes_quiet}
    dashes = [index for index, word in enumerate(words) if word.startswith("-")]
    names, options = (words[: dashes[0]], words[dashes[0] :]) if dashes else (words, ())
    unknown = [name for name in names if name not in TRAINING_BENCHMARKS]
    if unknown:
        raise UsageError(f"--train {unknown[0]}: choose from {', '.join(TRAINING_BENCHMARKS)}")
    if options and len(names) != 1:
        raise UsageError(f"{options[0]} is handed on to one training benchmark, and none is named", "name one")
    if threads and not threads.isdigit():
        raise UsageError(f"--threads {threads}: training takes one number", "try 2")
    if data and len(data) > 1:
        raise UsageError(f"--data is given {len(data)} times", "a training benchmark takes one folder or manifest")
    chosen = list(dict.fromkeys(names)) or [name for name, each in TRAINING_BENCHMARKS.items() if each.by_default]
    takers_of = (("--data", data, with_data), ("--threads", threads, with_threads), ("--quiet", quiet, hushed))
    for flag, given, takers in takers_of:
        if given and not takers.intersection(chosen):
            raise UsageError(f"{flag} is of no use to {' and '.join(chosen)}", f"leave out {flag}")
    require_extra("export")
    documents, worst = {}, 0
    for name in chosen:
        extra = [*(["--data", *data] if data and name in with_data else [])]
        extra += ["--threads", threads] if threads and name in with_threads else []
        extra += ["--quiet"] if quiet and name in hushed else []
        code, output = run_training_benchmark(name, [*extra, *options], as_json=as_json)
        worst = max(worst, code)
        # One whose --check is not met prints its document all the same.
        if as_json and output.strip():
            documents[name] = json.loads(output)
    if as_json:
        print_json(documents)
    return worst
