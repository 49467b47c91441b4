"""The command line: `usssl …`. Every command is a thin call of the Python API.

Exit codes: 0 done; 1 done, but some inputs failed, or the work failed; 2 bad usage or recipe, before any work;
130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from usssl.errors import UsageError, UssslError

app = typer.Typer(
    name="usssl",
    help="Learn from unlabelled ultrasound video. For research use; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Out = Annotated[Path, typer.Option("-o", "--out", help="Where to write.")]
OptionalOut = Annotated[Path | None, typer.Option("-o", "--out", help="Where to write; under runs/ by default.")]
Overrides = Annotated[list[str] | None, typer.Argument(help="KEY=VALUE …, such as optimizer.lr=0.01")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; one a core by default.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the unfinished run.")]


class Kind(StrEnum):
    """Kinds of sample cines."""

    fetal = "fetal"


class VideoFormat(StrEnum):
    """Formats of sample cines."""

    mp4 = "mp4"
    dicom = "dicom"
    both = "both"


class Color(StrEnum):
    """Colours of prepared frames."""

    grey = "grey"
    rgb = "rgb"


class Protocol(StrEnum):
    """Evaluation protocols."""

    fewlabel = "fewlabel"
    linear = "linear"


@app.callback()
def options(
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options of all commands."""
    from usssl import progress

    progress.set_quiet(quiet)


@app.command()
def samples(
    folder: Annotated[Path, typer.Argument(help="Where to write the cines.")],
    kind: Annotated[Kind, typer.Option(help="What the cines show.")] = Kind.fetal,
    cines: Annotated[int, typer.Option(min=1, help="How many.")] = 48,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same frames.")] = 0,
    video_format: Annotated[VideoFormat, typer.Option("--format", help="File format.")] = VideoFormat.mp4,
    workers: Workers = None,
) -> None:
    """Generate labelled sample cines."""
    from usssl.phantom import generate_samples

    generate_samples(folder, kind=kind.value, cines=cines, seed=seed, video_format=video_format.value, workers=workers)


@app.command()
def index(
    folders: Annotated[list[Path], typer.Argument(help="Folders of cines.")],
    out: Out,
    labels: Annotated[Path | None, typer.Option(help="A CSV with a column `file`.")] = None,
    workers: Workers = None,
) -> None:
    """List all cines of some folders in a catalogue."""
    from usssl.data import index_folders
    from usssl.progress import say

    report = index_folders(folders, out, labels=labels, workers=workers)
    say(str(report))
    _close(report.cines, "cine", report.failed, report.failures, out)


@app.command()
def prepare(
    catalog: Annotated[Path, typer.Argument(help="A catalogue (.parquet).")],
    out: Out,
    size: Annotated[tuple[int, int], typer.Option(help="Height and width of the frames.")] = (168, 216),
    color: Annotated[Color, typer.Option(help="Grey, or RGB for natural video.")] = Color.grey,
    mask: Annotated[
        bool, typer.Option("--mask", help="Blacken text and colour over the image, and around it.")
    ] = False,
    workers: Workers = None,
) -> None:
    """Decode the cines of a catalogue once, cropped and resized, for training."""
    from usssl.data import prepare as prepare_store

    report = prepare_store(catalog, out, size=size, mask=mask, color=color.value, workers=workers)
    _close(report.cines, "cine", report.failed, report.failures, out)


@app.command()
def pretrain(recipe: Path, overrides: Overrides = None, out: OptionalOut = None, resume: Resume = False) -> None:
    """Pretrain an encoder without labels."""
    import usssl

    _say_where(usssl.pretrain(recipe, overrides or (), out=out, resume=resume).path)


@app.command()
def finetune(
    recipe: Path,
    overrides: Overrides = None,
    out: OptionalOut = None,
    start: Annotated[str | None, typer.Option("--from", help="A run, a .safetensors file, or `random`.")] = None,
    resume: Resume = False,
) -> None:
    """Fine-tune an encoder on labelled cines."""
    import usssl

    chosen = [*(overrides or ()), *([f"start_from={start}"] if start else [])]
    run = usssl.finetune(recipe, chosen, out=out, resume=resume)
    if (run.path / "test.json").is_file():
        figures = json.loads((run.path / "test.json").read_text())["metrics"]
        print("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    _say_where(run.path)


@app.command()
def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Pretraining runs.")],
    out: OptionalOut = None,
    protocol: Annotated[
        Protocol, typer.Option(help="fewlabel trains all weights; linear the head alone.")
    ] = Protocol.fewlabel,
    budgets: Annotated[str, typer.Option(help="Numbers of labelled cines, such as 2,6.")] = "2,6",
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds.")] = 3,
) -> None:
    """Compare pretrained encoders with random initialisation on few labels."""
    import usssl

    try:
        numbers = [int(text) for text in budgets.split(",")]
    except ValueError:
        raise UsageError(f"--budgets takes whole numbers such as 2,6, not {budgets!r}") from None
    _say_where(usssl.evaluate(runs, protocol=protocol.value, budgets=numbers, seeds=seeds, out=out))


@app.command()
def export(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="A fine-tuning run, or one of each task.")],
    out: Out,
) -> None:
    """Export fine-tuned models as a bundle for prediction and review."""
    import usssl

    _say_where(usssl.export(runs, out))


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="What `usssl export` wrote.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="FOLDER", help="Folders or files of cines.")],
    out: Out,
    workers: Workers = None,
    saliency: Annotated[bool, typer.Option("--saliency", help="Also write saliency maps.")] = False,
    embeddings: Annotated[bool, typer.Option("--embeddings", help="Also write embeddings.")] = False,
    stills: Annotated[bool, typer.Option("--stills", help="Also write the best frame of each plane.")] = False,
    video: Annotated[bool, typer.Option("--video", help="Also write each cine with saliency laid over it.")] = False,
) -> None:
    """Run a bundle over folders of cines."""
    from usssl.bundle import open_bundle, predict_folder

    report = predict_folder(
        open_bundle(bundle),
        inputs,
        out,
        workers=workers,
        saliency=saliency,
        embeddings=embeddings,
        stills=stills,
        video=video,
    )
    _close(report.cines, "cine", report.failed, out / "failures.csv", out)


@app.command()
def deidentify(
    folder: Path,
    out: Out,
    key: Annotated[Path | None, typer.Option(help="The key file.")] = None,
    workers: Workers = None,
    show_original: Annotated[
        bool, typer.Option("--show-original", help="Show in the review what was removed.")
    ] = False,
    trust_search: Annotated[
        bool, typer.Option("--trust-search", help="Take stills for clean where a search finds no text.")
    ] = False,
    keep_doubtful: Annotated[
        bool, typer.Option("--keep-doubtful", help="Write files in which text over the image may remain, too.")
    ] = False,
) -> None:
    """Write clean copies of DICOM and video files; hold back those in which text over the image may remain."""
    from usssl.cine import deidentify_folder

    report = deidentify_folder(
        folder,
        out,
        key=key,
        workers=workers,
        show_original=show_original,
        keep_doubtful=keep_doubtful,
        trust_search=trust_search,
    )
    for failure in report.failures:
        outcome = "held back" if failure.held_back else "failed"
        print(f"{failure.path}: {outcome}: {failure.reason}", file=sys.stderr)
    done = report.written + report.already
    print(f"{done} file{'' if done == 1 else 's'} in {out}")
    if report.failures:
        print(f"{out / 'failures.csv'} lists these {len(report.failures)} without their names", file=sys.stderr)
        raise typer.Exit(report.exit_code)


@app.command()
def review(
    folder: Annotated[Path | None, typer.Argument(help="A folder of cines.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="What `usssl export` wrote.")] = None,
) -> None:
    """Open napari to find standard planes and review saliency."""
    try:
        from napari_usssl.app import review as open_napari
    except ModuleNotFoundError as error:
        raise UsageError(f"review needs {error.name}; install it with: pip install 'usssl[napari]' PySide6") from None
    open_napari(folder, bundle)


@app.command()
def describe(recipe: Path, overrides: Overrides = None) -> None:
    """Print a recipe with every default written out."""
    from usssl.recipe import dump_recipe, read_recipe

    print(dump_recipe(read_recipe(recipe, overrides or ())), end="")


@app.command()
def augment(
    recipe: Path,
    out: Out,
    overrides: Overrides = None,
    cines: Annotated[int, typer.Option(min=1, help="How many cines to show.")] = 4,
) -> None:
    """Draw the views that a recipe makes of its cines, with their parameters, as one HTML page."""
    from usssl.engine.augment_sheet import draw_sheet

    _say_where(draw_sheet(recipe, overrides or (), out=out, cines=cines))


@app.command()
def report(runs: Annotated[list[Path], typer.Argument(metavar="RUN")], out: Out) -> None:
    """Write one self-contained HTML report of runs."""
    from usssl.engine.reporting import report_runs

    _say_where(report_runs(runs, out))


@app.command()
def reproduce(
    claim: Annotated[str | None, typer.Argument(help="Which; all are listed where none is named.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to write; runs/reproduce/CLAIM by default.")
    ] = None,
) -> None:
    """Measure a method's own claim, with seeds and intervals; a stopped one goes on."""
    from usssl.engine.reproduce import CLAIMS, load
    from usssl.engine.reproduce import reproduce as measure

    if claim is None:
        for name in CLAIMS:
            print(f"{name}: {load(name).statement}")
        return
    found = measure(claim, out)
    content = json.loads(found.read_text())
    for line in content["comparisons"]:
        ends = line["difference"]["interval"]
        interval = "one seed, no interval" if ends is None else f"95 % interval {ends[0]:.3f} to {ends[1]:.3f}"
        print(f"{line['better']} against {line['worse']}, {line['metric']}: ", end="")
        print(f"{line['difference']['mean']:+.3f} ({interval}): {line['verdict']}")
    print(f"{claim}: {content['verdict']}")
    _say_where(found)


@app.command()
def demo(out: Annotated[Path, typer.Option("-o", "--out", help="Where to write.")] = Path("runs/demo")) -> None:
    """The whole line on phantom cines: pretrain, fine-tune, export, predict, report."""
    from usssl.engine.demo import run_demo

    _say_where(run_demo(out))


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Say what works on this machine: decoders, GPU, ONNX Runtime, napari."""
    from usssl.bundle.doctor import report as examine

    checks = examine()
    if as_json:
        print(json.dumps([check.__dict__ for check in checks], indent=1, default=str))
    else:
        for check in checks:
            print(check)


def _say_where(path: Path) -> None:
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun starts, one speaks
        print(path)


def _close(done: int, unit: str, failed: int, failures: Path | None, out: Path) -> None:
    """Says what was done and what failed; exits 1 where some inputs failed."""
    print(f"{done} {unit}{'' if done == 1 else 's'} in {out}")
    if failed:
        files = "1 file" if failed == 1 else f"{failed} files"
        print(f"{files} failed; the reasons are in {failures}", file=sys.stderr)
        raise typer.Exit(1)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line and exits."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code: Any = app(args=arguments, standalone_mode=False)
    except UssslError as error:
        code = _fail(error, error.exit_code, arguments)
    except KeyboardInterrupt:
        print("usssl: stopped; what was finished is kept", file=sys.stderr)
        code = 130
    except Exception as error:
        code = _refuse(error, arguments)
    sys.exit(code if isinstance(code, int) else 0)


def _refuse(error: Exception, arguments: list[str]) -> int:
    """Usage errors of the argument parser, and everything that should not happen."""
    if isinstance(error, typer.Abort):
        return 130
    if callable(getattr(error, "show", None)) and isinstance(getattr(error, "exit_code", None), int):
        error.show()  # type: ignore[attr-defined] # typer keeps the class of its own usage errors private
        return int(error.exit_code)  # type: ignore[attr-defined]
    if isinstance(error, OSError) and error.filename:
        return _fail(UssslError(f"{error.filename}: {error.strerror}"), 1, arguments)
    raise error


def _fail(error: UssslError, code: int, arguments: list[str]) -> int:
    if "--debug" in arguments:
        import traceback

        traceback.print_exc()
    print(f"usssl: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
