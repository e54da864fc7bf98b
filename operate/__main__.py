"""The commands of `make demo`, `make upload`, `make retrain` and the other targets for a deployed system."""

import argparse
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from console.aws import Aws
from deploy import system
from deploy.errors import DeployError
from deploy.outputs import Deployed
from deploy.stack import Stack
from deploy.target import Target, connect, read_stage
from functions.shared.errors import RecordUnavailable
from operate import (
    backtest,
    batch,
    bench,
    cost,
    cost_model,
    cost_stage,
    demo,
    flood,
    forget,
    load,
    promote,
    reconcile,
    redrive,
    reference,
    repair,
    restore,
    retrain,
    rollback,
    stage_data,
    status,
    terminal,
    test_event,
    threshold,
)
from operate.champion import Champion
from operate.errors import CommandError
from operate.event_listener import EventListener
from operate.initial_model import ensure_initial_model
from operate.photo_folders import describe_left_out
from operate.report import run as report
from operate.stage_data import StagingError
from operate.terminal import console
from operate.uploads import find_photos, next_steps, summary, upload

MODELS = demo.ROOT / "build" / "champions"
REPORTS = demo.ROOT / "build" / "reports"

Arguments = argparse.Namespace


def main() -> int:
    """Run one command; returns its exit status: 0 for success, 1 for an error, 130 for an interrupt."""
    arguments = _parser().parse_args()
    logging.getLogger("botocore.credentials").setLevel(logging.WARNING)
    try:
        # With --json, the standard output is JSON alone.
        with contextlib.redirect_stdout(sys.stderr if getattr(arguments, "json", False) else sys.stdout):
            target = connect()
        code: int | None = arguments.run(target, arguments)
    except (CommandError, DeployError, StagingError, RecordUnavailable, ClientError, BotoCoreError) as error:
        console.print(f"{arguments.command} failed: {error}", style="bold red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print(f"{arguments.command} was interrupted; executions that it started continue.")
        return 130
    return code or 0


def _parser() -> argparse.ArgumentParser:
    """Return the parser. The parsed `run` is the function of the command; it takes the target and the arguments."""
    parser = argparse.ArgumentParser(prog="operate", description="Work with the deployed system.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Callable[[Target, Arguments], int | None], help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help)
        command.set_defaults(run=run)
        return command

    add("demo", _demo, "deploy, train, upload photos, print the decisions")
    command = add("retrain", _retrain, "train, compare and promote a model, followed state by state")
    command.add_argument(
        "--force",
        action="store_true",
        help="promote even if a check fails, unless the probe fails; accept data without photos of other classes",
    )
    command.add_argument("--dry-run", action="store_true", help="stop after the verdict")
    command.add_argument("--classes", default="", help="the vehicles to classify, comma-separated")
    add("initial-model", _initial_model, "deploy the initial model where there is no champion")
    command = add("status", _status, "what is so and what to do, the model in production, the settings")
    command.add_argument("--json", action="store_true", help="print only what is so and what to do, as JSON")
    command = add("report", _report, "figures of the last weeks: a page, PNG files and JSON")
    command.add_argument("--days", type=float, default=report.DAYS, help="the number of days, at most 365")
    add("repair", _repair, "put the endpoint of the champion back")
    command = add("rollback", _rollback, "restore an earlier model")
    command.add_argument("--to", default="", help="the model; by default the champion's predecessor")
    command.add_argument("--reason", default=rollback.REASON, help="recorded with the model that is rolled back")
    command = add("promote", _promote, "bring the approved champion of another stage to this one")
    command.add_argument("stage", help="the other stage")
    command = add("restore", _restore, "copy lost items from a table of point-in-time recovery")
    command.add_argument("table", help="the restored table")
    command = add("reference", _reference, "show or replace the model that challengers are compared with, too")
    command.add_argument("--model", default="", help="the version of a model, or `champion`")
    command = add("redrive", _redrive, "replay failed photos and review requests")
    one = command.add_mutually_exclusive_group()
    one.add_argument("--list", action="store_true", help="only list the messages")
    one.add_argument("--id", default="", help="replay only the message with this id")
    one.add_argument("--drop", default="", help="remove the message with this id")
    command.add_argument("--force", action="store_true", help="remove it even if it can be replayed")
    command = add("threshold", _threshold, "reviews and errors at the threshold in force and at another one")
    command.add_argument("--at", default="", help="a threshold from 0 to 1, or `model` for the model's own")
    command = add("test-event", _test_event, "send the sample of an event to the rules of other teams")
    command.add_argument("detail_type", help="the detail type, such as Driver Routed")
    command = add("reconcile", _reconcile, "restart photos without an outcome, announce outcomes, name what is left")
    command.add_argument("--hours", type=float, help="examine only the uploads of the last hours")
    command.add_argument("--grace", type=float, default=reconcile.GRACE_S, help="seconds; leave younger photos alone")
    command.add_argument("--force", action="store_true", help="restart photos that were restarted three times, too")
    command = add("forget", _forget, "delete every copy of a driver's photos, or of one photo")
    whose = command.add_mutually_exclusive_group(required=True)
    whose.add_argument("--driver", help="the driver id")
    whose.add_argument("--photo", help="a photo id, or its s3:// address")
    command.add_argument("--yes", action="store_true", help="delete; without it, only show what is stored")
    command = add("bench", _bench, "latency, throughput, memory, cold starts and sizes, each with its baseline")
    command.add_argument("--burst", type=int, default=bench.BURST, help="the number of photos that are sent at once")
    command.add_argument("--photos", type=Path, help="a folder with JPEG photos of vehicles; by default drawings")
    command.add_argument("--pages", action="store_true", help="measure only the pages of the console")
    command = add("load", _load, "a stream or a burst of generated photos, each accounted for")
    command.add_argument("--rate", type=float, default=0, help="photos per second of the stream")
    command.add_argument("--count", type=int, default=0, help="the number of photos of the stream")
    command.add_argument("--burst", type=int, default=0, help="the number of photos that are sent at once")
    command.add_argument("--flood", type=int, default=0, help="the number of photos that one driver sends at once")
    command.add_argument("--yes", action="store_true", help="send the photos to a real account")
    command = add("cost", _cost, "what a number of photos per day costs each month, and the quotas that they reach")
    command.add_argument("photos_per_day", type=float, help="photos per day, more than 0")
    command.add_argument("--shares", default="", help="shares of outcomes, such as reviewer=0.05,rejected=0.01")
    command = add("evaluate", _evaluate, "evaluate the champion on a folder of class folders")
    command.add_argument("photos", type=Path)
    command = add("batch", _batch, "classify many photos without deciding about them")
    command.add_argument("photos", help="a folder or a file, or an s3:// address of a folder, a list or an inventory")
    command.add_argument("--batch", default="", help="the id of the batch; by default one of these photos")
    command.add_argument("--review", action="store_true", help="ask reviewers for labels of unsure photos")
    command = add("backtest", _backtest, "what a model would have decided about past photos")
    command.add_argument("model", help="the name of a model, or the s3:// address of its model.tar.gz")
    command.add_argument("--days", type=int, default=backtest.DAYS, help="how many days back")
    command.add_argument("--most", type=int, default=backtest.MOST_PHOTOS, help="how many photos at most")
    command.add_argument("--at", type=float, help="the threshold; by default that of the model")
    command = add("upload", _upload, "upload photos and follow each to its decision")
    command.add_argument("photos", type=Path)
    return parser


def _deployed(target: Target) -> Deployed:
    return Deployed.of(system.outputs(target))


def _demo(target: Target, _arguments: Arguments) -> None:
    demo.run(target)


def _retrain(target: Target, arguments: Arguments) -> None:
    deployed = _deployed(target)
    training_input = demo.staged_input(deployed, target, force=arguments.force)
    options = {"force": arguments.force, "dry_run": arguments.dry_run}
    if arguments.classes:
        options["classes"] = [name.strip() for name in arguments.classes.split(",")]
    output = retrain.follow(deployed, retrain.start(deployed, {**training_input, **options}))
    retrain.print_result(output)
    terminal.print_next(retrain.next_steps(output))


def _initial_model(target: Target, _arguments: Arguments) -> None:
    ensure_initial_model(_deployed(target))


def _status(target: Target, arguments: Arguments) -> None:
    status.show(_deployed(target), target, as_json=arguments.json)


def _report(target: Target, arguments: Arguments) -> None:
    report.run(_deployed(target), REPORTS, arguments.days)


def _repair(target: Target, _arguments: Arguments) -> None:
    repair.run(_deployed(target))


def _rollback(target: Target, arguments: Arguments) -> None:
    rollback.print_result(rollback.roll_back(_deployed(target), arguments.to, arguments.reason))


def _promote(target: Target, arguments: Arguments) -> None:
    output = promote.promote(replace(target, stage=read_stage(arguments.stage)), target)
    retrain.print_result(output)
    if output["outcome"] != "promoted":
        raise CommandError(f"Stage {target.stage} keeps its champion: {output['verdict']}")


def _restore(target: Target, arguments: Arguments) -> None:
    restore.run(_deployed(target), arguments.table)


def _reference(target: Target, arguments: Arguments) -> None:
    deployed = _deployed(target)
    if arguments.model:
        reference.replace(deployed, arguments.model)
    reference.show(deployed)


def _redrive(target: Target, arguments: Arguments) -> None:
    deployed = _deployed(target)
    if arguments.list:
        redrive.list_failed(deployed)
    elif arguments.drop:
        redrive.remove(deployed, arguments.drop, force=arguments.force)
    else:
        redrive.replay(deployed, arguments.id)


def _threshold(target: Target, arguments: Arguments) -> None:
    report = REPORTS / "threshold.json"
    threshold.run(_deployed(target), Aws(), report, at=arguments.at, is_local=target.is_local)


def _test_event(target: Target, arguments: Arguments) -> None:
    test_event.send(_deployed(target), Aws(), arguments.detail_type)


def _reconcile(target: Target, arguments: Arguments) -> int:
    report = REPORTS / "reconcile.json"
    options = {"hours": arguments.hours, "grace_s": arguments.grace, "force": arguments.force}
    return reconcile.run(_deployed(target), report, **options)


def _forget(target: Target, arguments: Arguments) -> None:
    deployed = _deployed(target)
    if arguments.driver is not None:
        scope = forget.Scope.of_driver(arguments.driver)
    else:
        scope = forget.Scope.of_photo(arguments.photo, deployed.uploads_bucket)
    forget.run(deployed, scope, REPORTS / "forget.json", delete=arguments.yes)


def _bench(target: Target, arguments: Arguments) -> None:
    if arguments.pages:
        bench.run_pages(_deployed(target), REPORTS / "bench-pages.json")
        return
    if os.environ.get("CIFAR100_ARCHIVE"):
        stage_data.stage(demo.DATA, report=terminal.print_line)
    bench.run(
        _deployed(target),
        REPORTS / "bench.json",
        staged=demo.DATA / "photos",
        folder=arguments.photos,
        is_local=target.is_local,
        burst_size=arguments.burst,
    )


def _load(target: Target, arguments: Arguments) -> None:
    if arguments.flood:
        flood_plan = flood.Plan(arguments.flood, arguments.rate or flood.RATE, arguments.count or flood.COUNT)
        total = arguments.flood
    else:
        plan = load.Plan(arguments.rate, arguments.count, arguments.burst)
        total = plan.total
    if not (target.is_local or arguments.yes):
        raise CommandError(f"{total} photos in a real account cost money. Pass YES=yes to send them.")
    if arguments.flood:
        flood.run(_deployed(target), flood_plan, REPORTS / "flood.json")
    else:
        load.run(_deployed(target), plan, REPORTS / "load.json")


def _cost(target: Target, arguments: Arguments) -> None:
    if arguments.photos_per_day <= 0:
        raise CommandError("PHOTOS_PER_DAY must be more than 0.")
    usage = cost_model.read_usage()
    stage, measured = cost_stage.of_checkout(usage["lambda_ms"]["of"]), None
    if Stack(target.app_stack).is_created():
        stage, measured = cost_stage.of_deployed(_deployed(target), stage)
    shares = cost.read_shares(arguments.shares, usage["shares"]["of"])
    cost.run(cost_model.Cost(stage, arguments.photos_per_day, shares), measured, REPORTS / "cost.json")


def _evaluate(target: Target, arguments: Arguments) -> int:
    champion = Champion.of_endpoint(_deployed(target).endpoint_name)
    console.print(f"In production: {champion.name}")
    command = [sys.executable, "-m", "operate.evaluate", "--model", str(champion.download(MODELS))]
    command += ["--photos", str(arguments.photos.expanduser()), "--out", str(REPORTS / "evaluation.json")]
    return subprocess.run(command).returncode


def _backtest(target: Target, arguments: Arguments) -> None:
    options = {"days": arguments.days, "most": arguments.most, "at": arguments.at}
    backtest.run(_deployed(target), arguments.model, REPORTS, **options)


def _batch(target: Target, arguments: Arguments) -> None:
    batch.run(_deployed(target), arguments.photos, REPORTS, arguments.batch, review=arguments.review)


def _upload(target: Target, arguments: Arguments) -> None:
    deployed = _deployed(target)
    selection = find_photos(arguments.photos)
    for line in describe_left_out(selection.left_out):
        terminal.print_line(line)
    sources = selection.sources
    console.print(f"{len(sources)} photos to s3://{deployed.uploads_bucket}/uploads/")
    if all(source.label is None for source in sources):
        console.print("No class folders, so the photos have no labels and there is no accuracy.")
    with EventListener(deployed.event_bus) as listener:
        results = upload(deployed, listener, sources, terminal.print_upload)
    terminal.print_uploads(results)
    figures = summary(results)
    terminal.print_figures(figures)
    if figures["lost"]:
        raise CommandError(f"{figures['lost']} photos have no outcome yet: make reconcile examines them.")
    terminal.print_next(next_steps(results))


if __name__ == "__main__":
    sys.exit(main())
