"""edge predict: labels and probabilities of pictures, named or as they land in a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.choose_model import choose_model
from edge_cli.console import Console
from edge_cli.flags import flag
from edge_cli.options import JsonFlag, ModelOption, QuietFlag, RunOption, SignatureOption, ThreadsOption
from edge_runtime import STANDARD_INPUT, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_cli.predict.output import Output
    from edge_runtime import EngineWish, ImageClassifier, ModelCard, Run

app = typer.Typer(add_completion=False)

TOP = 5
RAY = "Many pictures, on many cores (--engine ray)"
INTERVAL_S, SHORTEST_S, LONGEST_S = 1.0, 0.05, 86_400


@app.command(
    name="predict",
    help="Classify pictures with an exported model, without torch; exit 1 if one could not be classified.",
)
def predict(
    more: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE", help="Pictures, folders, quoted patterns such as '**/*.jpg', or - for bytes on stdin."
        ),
    ] = None,
    image: Annotated[list[str] | None, flag("--image", "The same, answered first; may be repeated.", "IMAGE")] = None,
    files_from: Annotated[
        Path | None, flag("--files-from", "A list of more names, - on stdin; they end in a newline or NUL.", "FILE")
    ] = None,
    model: ModelOption = None,
    run: RunOption = None,
    top: Annotated[int | None, flag("--top", "Labels to print per picture.", "K", default="5; --csv: 0", min=1)] = None,
    min_confidence: Annotated[
        float, flag("--min-confidence", "Below it the label is unknown, but for one that its own threshold gives.", "P")
    ] = 0.0,
    reject_unlike: Annotated[
        str | None,
        flag(
            "--reject-unlike",
            "What is unlike all training is unknown; refuses at most this share of known pictures, too, such as 5%.",
            "SHARE",
        ),
    ] = None,
    json_: JsonFlag = False,
    jsonl: Annotated[bool, flag("--jsonl", "Print one JSON object per picture and line.")] = False,
    csv_: Annotated[bool, flag("--csv", "Print a header and a row per picture.")] = False,
    watch: Annotated[
        Path | None, flag("--watch", "Classify pictures as they land in DIR, once each, until stopped.", "DIR")
    ] = None,
    move_to: Annotated[
        str | None, flag("--move-to", "With --watch: move them there, as in 'sorted/{label}'.", "DIR")
    ] = None,
    state: Annotated[
        Path | None, flag("--state", "With --watch: the journal.", "FILE", default="DIR/.edge-watch.jsonl")
    ] = None,
    interval: Annotated[
        float | None, flag("--interval", "With --watch: seconds between looks.", "S", default="1")
    ] = None,
    drift: Annotated[
        Path | None,
        flag("--drift", "With --watch: append how sure the answers are, and which, every 100 pictures.", "FILE"),
    ] = None,
    mjpeg: Annotated[
        Path | None, flag("--mjpeg", "A stream of JPEGs, - on stdin: a JSON line for each frame as it comes.", "FILE")
    ] = None,
    every: Annotated[
        int | None, flag("--every", "With --mjpeg: of N frames the first.", "N", default="1", min=1)
    ] = None,
    latest: Annotated[
        bool, flag("--latest", "With --mjpeg: the newest frame next, what came before it is passed over.")
    ] = False,
    explain: Annotated[
        Path | None,
        flag("--explain", "Draw where the answer comes from (Grad-CAM); needs the extra train.", "IMAGE"),
    ] = None,
    out: Annotated[
        Path | None,
        flag(
            "--out",
            "Write answers as a list to label, .csv. With --explain the drawing, else IMAGE.explained.png.",
            "FILE",
        ),
    ] = None,
    labels: Annotated[
        Path | None, flag("--labels", "For an ONNX file not made by edge export: a label a line.", "FILE")
    ] = None,
    preprocess: Annotated[str | None, flag("--preprocess", "For such a file, how it is fed: imagenet.", "NAME")] = None,
    save_input: Annotated[Path | None, flag("--save-input", "Save what the model sees of one picture.", "FILE")] = None,
    require_signature: SignatureOption = None,
    engine: Annotated[
        Literal["auto", "onnxruntime", "openvino", "xnnpack", "ray"],
        flag(
            "--engine",
            "What runs the model; auto: onnxruntime, or what edge bench --engines --choose found faster. With ray: "
            "Parquet files in --out, by processes of this machine or a cluster.",
        ),
    ] = "auto",
    data: Annotated[
        list[str] | None,
        flag("--data", "Folder, pattern, list of pictures or s3://BUCKET/PATH; may be repeated.", "DATA", panel=RAY),
    ] = None,
    address: Annotated[
        str | None,
        flag("--address", "Join the cluster there, auto for this machine's.", "auto|HOST:PORT", panel=RAY),
    ] = None,
    embedding: Annotated[bool, flag("--embedding", "Write each picture's embedding, too.", panel=RAY)] = False,
    plan: Annotated[
        bool, flag("--plan", "Classify nothing: say what it takes on some numbers of cores.", panel=RAY)
    ] = False,
    cores: Annotated[
        str | None, flag("--cores", "With --plan: how many.", "N,…", panel=RAY, default="this machine's,16,64,256")
    ] = None,
    bench: Annotated[
        Path | None,
        flag("--bench", "With --plan: what edge bench --threads 1 --json measured.", "FILE", panel=RAY),
    ] = None,
    threads: ThreadsOption = None,
    quiet: QuietFlag = False,
) -> int:
    """Classify `--image` and any further names, or watch a folder."""
    _check_form(json_ + jsonl + csv_, min_confidence)
    names = [*(image or []), *(more or [])]
    console = Console(quiet=quiet)
    keys = tuple(require_signature or ())
    output = partial(_output, top, min_confidence, json_=json_, jsonl=jsonl, csv_=csv_)
    if engine == "ray":
        local_alone = files_from, watch, move_to, state, interval, drift, mjpeg, every, latest, explain, labels
        _refuse_beside_ray(names, *local_alone, preprocess, save_input, jsonl, csv_)
        from edge_cli.predict.ray_batch import run_engine
        from edge_cli.predict.ray_options import RayOptions

        beside_bench = (model, run, require_signature or None) if plan and bench is not None else ()
        _refuse_alone("--bench names its models: no --model, --run or --require-signature", "drop it", *beside_bench)
        chosen = RayOptions(
            data or [],
            out,
            address,
            top,
            min_confidence,
            reject_unlike,
            embedding=embedding,
            workers=threads,
            keys=keys,
            plan=plan,
            cores=cores,
            bench=bench,
        )
        return run_engine(chosen, lambda: choose_model(model, run, console)[0], console, json_=json_)
    open_classifier = partial(_open, model, run, labels, preprocess, threads, reject_unlike, keys, engine, console)
    _refuse_alone(
        "--data, --address, --embedding, --plan, --cores and --bench go with --engine ray",
        "edge predict --engine ray --data DIR --out answers",
        *(data, address, embedding or None, plan or None, cores, bench),
    )
    _refuse_alone(
        "--every and --latest go with --mjpeg",
        "edge predict --mjpeg -",
        *(() if mjpeg is not None else (every, latest or None)),
    )
    _refuse_alone(
        "--move-to, --state, --interval and --drift go with --watch",
        "edge predict --watch DIR",
        *(() if watch is not None else (move_to, state, interval, drift)),
    )
    if out is not None and explain is None:
        _check_out(out, jsonl or json_ or csv_, watch or mjpeg, names)
    if explain is not None:
        if names or files_from or watch or mjpeg or labels or preprocess or save_input or reject_unlike:
            raise UsageError(
                "--explain takes one picture, no other, and no --reject-unlike", "edge predict --explain x.png"
            )
        other = None if engine in ("auto", "onnxruntime") else engine
        _refuse_alone("--explain is drawn with torch, and answered by onnxruntime", "drop --engine", other)
        return _explain(explain, *choose_model(model, run, console), out, threads, keys, output, console)
    if watch is not None:
        if names or files_from or mjpeg or json_ or csv_ or save_input:
            raise UsageError("--watch takes no other pictures, --json, --csv or --save-input", "use --jsonl")
        if interval is not None and not SHORTEST_S <= interval <= LONGEST_S:
            raise UsageError(f"--interval {interval}: from {SHORTEST_S} to {LONGEST_S} seconds", "--interval 1")
        from edge_cli.predict.watch import watch_folder

        return watch_folder(
            watch,
            open_classifier,
            console,
            move_to=move_to,
            state=state,
            interval_s=interval or INTERVAL_S,
            top=top or TOP,
            min_confidence=min_confidence,
            jsonl=jsonl,
            drift=drift,
        )
    if mjpeg is not None:
        if names or files_from or json_ or csv_ or save_input:
            raise UsageError("--mjpeg takes no other pictures, --json, --csv or --save-input", "it prints JSON lines")
        from edge_cli.predict.mjpeg_stream import classify_stream

        return classify_stream(
            open_classifier(), mjpeg, every=every or 1, latest=latest, top=top or TOP, min_confidence=min_confidence
        )
    from edge_cli.predict.classify import Pictures, classify
    from edge_cli.predict.output import say_threshold

    pictures = Pictures(names, files_from)
    if save_input is not None:
        from edge_cli.predict.seen_input import check_input_target

        check_input_target(save_input, pictures.count)
    classifier = open_classifier()
    if csv_ or out is not None:
        # The other forms say it with each answer.
        say_threshold(classifier.card.operating_point, console)
    if out is not None:
        from edge_cli.predict.answers_file import classify_to_file

        return classify_to_file(
            classifier, pictures, out, console, top=top or TOP, min_confidence=min_confidence, save_input=save_input
        )
    return classify(classifier, pictures, output(classifier.path, classifier.card), console, save_input=save_input)


def _refuse_beside_ray(*given: object) -> None:
    """Raise UsageError where an option is there that a batch on Ray has no use for."""
    if any(given):
        raise UsageError(
            "--engine ray takes its pictures from --data and writes Parquet: no IMAGE, --files-from, --watch, --mjpeg, "
            "--explain, --labels, --preprocess, --save-input, --jsonl or --csv",
            "edge predict --engine ray --data DIR --out answers",
        )


def _check_form(forms: int, min_confidence: float) -> None:
    if forms > 1:
        raise UsageError("--json, --jsonl and --csv exclude each other", "choose one")
    if not 0 <= min_confidence <= 1:
        raise UsageError(f"--min-confidence {min_confidence}: a probability is from 0 to 1", "--min-confidence 0.8")


def _explain(
    image: Path,
    path: Path,
    found: Run | None,
    out: Path | None,
    threads: int | None,
    keys: tuple[Path, ...],
    output: Callable[[Path], Output],
    console: Console,
) -> int:
    """Print the answer to one picture and draw what it comes from; the exit code."""
    from edge_cli.predict.explained_answer import explain_picture

    answer, target = explain_picture(image, path, found, out, threads, keys, say=console.say)
    printed = output(path)
    printed.write(answer)
    printed.end()
    console.say(f"explained in {target}")
    return 0


def _check_out(out: Path, printed: bool, endless: Path | None, names: list[str]) -> None:
    """Raise an EdgeError where answers to `out` do not go with the other options, or it may not be written."""
    if printed:
        raise UsageError("--out writes a CSV instead of printing: no --json, --jsonl or --csv", "leave one out")
    if endless is not None:
        raise UsageError("--out takes pictures that are there: no --watch or --mjpeg", "leave --out out")
    if STANDARD_INPUT in names:
        raise UsageError("--out lists files, and - has no name", "name the picture's file")
    from edge_data import check_answers_target

    check_answers_target(out)


def _refuse_alone(message: str, hint: str, *given: object) -> None:
    """Raise UsageError where one of `given`, options of another way to work, is there."""
    if any(value is not None for value in given):
        raise UsageError(message, hint)


def _open(
    model: Path | None,
    run: str | None,
    labels: Path | None,
    preprocess: str | None,
    threads: int | None,
    reject_unlike: str | None,
    require_signature: tuple[Path, ...],
    engine: EngineWish,
    console: Console,
    *,
    with_distance: bool = False,
) -> ImageClassifier:
    if labels is None and preprocess is None:
        from edge_cli.chosen_engine import say_engine

        path = choose_model(model, run, console)[0]
        if reject_unlike is None:
            from edge_runtime import Classifier

            found = Classifier(
                path, threads=threads, require_signature=require_signature, with_distance=with_distance, engine=engine
            )
        else:
            from edge_cli.predict.reject import open_rejecting

            found = open_rejecting(path, threads, reject_unlike, require_signature, engine, console)
        say_engine(found, console)
        return found
    for option, given in (
        ("--require-signature", require_signature),
        ("--reject-unlike", reject_unlike is not None),
        (f"--engine {engine}", engine not in ("auto", "onnxruntime")),
    ):
        if given:
            raise UsageError(f"{option} is for files of edge export", "drop it")
    if labels is None or preprocess is None or model is None:
        raise UsageError(
            "a model not made by edge export needs --model FILE, --labels FILE and --preprocess imagenet", "give all"
        )
    if preprocess != "imagenet":
        raise UsageError(f"--preprocess {preprocess} is not known", "there is imagenet")
    from edge_runtime import ForeignClassifier, read_labels

    classifier = ForeignClassifier(model, labels=read_labels(labels), preprocess="imagenet", threads=threads)
    console.say(classifier.note)
    return classifier


def _output(
    top: int | None,
    min_confidence: float,
    model: Path,
    card: ModelCard | None = None,
    *,
    json_: bool,
    jsonl: bool,
    csv_: bool,
) -> Output:
    from edge_cli.predict.output import Csv, JsonDocument, JsonLines, Table

    if card is not None and card.kind != "single-label" and not (json_ or jsonl):
        from edge_cli.predict.several_output import SeveralTable, several_csv

        return several_csv(card, top or 0, min_confidence) if csv_ else SeveralTable(top or TOP, min_confidence)
    if csv_:
        return Csv(top or 0, min_confidence)
    if json_:
        return JsonDocument(str(model), top or TOP, min_confidence)
    return (JsonLines if jsonl else Table)(top or TOP, min_confidence)
