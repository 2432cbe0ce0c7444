"""`craft compare`: prepare a study's folder, do the runs that are not done, and write its report."""

import json
import statistics
from pathlib import Path

import yaml

from craft.atomic_files import write_atomic
from craft.config_files import read_yaml
from craft.datasets.reading import read_scenes
from craft.models.device import choose_device
from craft.studies.execute import Executor, Task, default_jobs, execute
from craft.studies.report import Comparison, write_report
from craft.studies.study import DONE, Run, Study, resolve_datasets, run_config, study_runs, synth_folder
from craft.studies.viewer_data import write_scene_views
from craft.synth.presets import preset
from craft.synth.writer import write_dataset
from craft.training.loop import train
from craft.training.run_log import describe_environment, read_metrics

_TIMED_STEPS = 24


def compare(study: Study, out: Path, *, executor: Executor = "processes", jobs: int | None = None) -> Comparison:
    """Do what is left of a study and write its report.

    Raises ValueError if the folder holds another study, or the study cannot be done with its settings; KeyboardInterrupt
    if a signal stopped it, once checkpoints are saved.

    Finished runs in the folder are kept, and interrupted ones resumed. `jobs` runs go at a time: by default one per GPU,
    or as many as the cores allow.
    """
    _open_folder(study, out)
    _render_scenes(study, out, workers=jobs or default_jobs(study.threads))
    for dataset in study.all_datasets():  # refused now, not after the first training
        (resolved,) = resolve_datasets([dataset], out)
        read_scenes(resolved, on_error="skip", echo=print, decode=dataset not in study.train)
    steps = {variant: _steps(study, variant, out) for variant in study.variants}
    if study.view.scenes:
        write_scene_views(study, run_config(study, study_runs(study)[0], out, steps=1), out)
    tasks = [Task(run, steps[run.variant]) for run in study_runs(study) if not (run.folder(out) / DONE).exists()]
    if tasks:
        device = choose_device(run_config(study, tasks[0].run, out, steps=1).training.device)
        with open(out / "environment.jsonl", "a", encoding="utf-8") as file:  # a line each time runs were started
            file.write(json.dumps(describe_environment(device)) + "\n")
    failures = execute(tasks, out, executor=executor, jobs=jobs or default_jobs(study.threads)) if tasks else []
    for failure in failures:
        write_atomic(failure.run.folder(out) / "failure.txt", failure.reason + "\n")
    return write_report(out, failures=tuple(failures))


def _open_folder(study: Study, out: Path) -> None:
    """Create the folder, or refuse one whose runs would not be comparable with those still to be done."""
    path = out / "study.yaml"
    now = study.model_dump(mode="json")
    if path.exists():
        before = read_yaml(path)
        # Seeds and variants may be added; what the finished runs depend on must stay.
        free = ("title", "seeds", "variants", "reference", "base")
        changed = [key for key in now if key not in free and before.get(key) != now[key]]
        changed += [f"variants.{key}" for key, value in before["variants"].items() if now["variants"].get(key) != value]
        changed += ["seeds"] * (not set(before["seeds"]) <= set(now["seeds"]) or before["seeds"][0] != now["seeds"][0])
        if changed:
            raise ValueError(
                f"{out}: holds a study with other settings ({', '.join(changed)}); choose another --out, or undo the change"
            )
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(path, yaml.safe_dump(now, sort_keys=False, allow_unicode=True))


def _render_scenes(study: Study, out: Path, *, workers: int) -> None:
    """Render the study's synthetic datasets, except those that are complete."""
    for name, synth in study.synth.items():
        folder = synth_folder(out, name)
        if (folder / "generator.json").exists():  # written last
            continue
        settings = preset(synth.preset, synth.settings)
        print(f"{folder}: rendering {synth.count} scenes")
        write_dataset(folder, settings=settings, count=synth.count, seed=synth.seed, workers=workers, progress=True)


def _steps(study: Study, variant: str, out: Path) -> int:
    """The budget of a variant in optimizer steps."""
    run = Run(variant, study.seeds[0])
    config = run_config(study, run, out, steps=1)
    crops = config.training.batch_size * config.optimizer.accumulate
    if study.budget.steps is not None:
        return study.budget.steps
    if study.budget.images is not None:
        return -(-study.budget.images // crops)
    known = out / "timing" / f"{variant}.json"
    if not known.exists():
        known.parent.mkdir(exist_ok=True)
        seconds = _seconds_per_step(study, run, out)
        write_atomic(known, json.dumps({"seconds_per_step": seconds}) + "\n")
    seconds = float(json.loads(known.read_text(encoding="utf-8"))["seconds_per_step"])
    assert study.budget.seconds is not None
    return max(1, round(study.budget.seconds / seconds))


def _seconds_per_step(study: Study, run: Run, out: Path) -> float:
    """The median time of the later half of a few steps, trained alone on this machine."""
    config = run_config(study, run, out, steps=_TIMED_STEPS)
    changes = {"log_every": _TIMED_STEPS // 6, "snapshots": (), "pictures_every": 10**9}
    quiet = config.model_copy(
        update={
            "training": config.training.model_copy(update=changes),
            "data": config.data.model_copy(update={"validation": ()}),
        }
    )
    folder = out / "timing" / run.variant
    train(quiet, folder, resume=True)
    rates = [line["images_per_second"] for line in read_metrics(folder / "metrics.jsonl", kind="train")]
    crops = config.training.batch_size * config.optimizer.accumulate
    return crops / statistics.median(rates[len(rates) // 2 :])
