"""One run of a study, in a process of its own: train, look at what was kept, score, and write run.json when all is done.

python -m craft.studies.run STUDY_FOLDER VARIANT SEED STEPS
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import cv2
import torch

from craft.atomic_files import write_atomic
from craft.config import Config, DatasetSettings
from craft.config_files import read_yaml
from craft.datasets.collection import read_scenes
from craft.detection.detector import Detector
from craft.scene import Scene
from craft.studies.kept_pixels import probe_batches, probe_run
from craft.studies.scoring import score_set, write_scores
from craft.studies.study import Run, Study, resolved, run_config, snapshot_steps, validate_study
from craft.studies.viewer_data import write_run_views
from craft.training.datasets import read_training_datasets
from craft.training.loop import train

DONE = "run.json"
"""The file of a run's folder that is there when, and only when, all of it is done."""

_STOPPED = 143


def read_study(out: Path) -> Study:
    """Read the study that a folder holds the runs of."""
    path = out / "study.yaml"
    return validate_study(read_yaml(path), where=str(path))


def perform(study: Study, run: Run, out: Path, *, steps: int) -> bool:
    """Do a run, or what is left of it.

    Args:
        study: the study.
        run: which of its runs.
        out: the study's folder.
        steps: optimizer steps.

    Returns:
        False where a signal ended training early; what was done is saved, and the next call goes on.

    Raises:
        ValueError: the run cannot be done as it is set, or another process is doing it.
    """
    folder = run.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"{folder}: another process is at work on this run; wait for it, or end it") from None
        if (folder / DONE).exists():
            return True
        return _perform(study, run, out, folder, steps)


def _perform(study: Study, run: Run, out: Path, folder: Path, steps: int) -> bool:
    start = time.perf_counter()
    config = run_config(study, run, out, steps=steps)
    outcome = train(config, folder, resume=True)
    if not outcome.finished:
        return False
    memory = _peak_mebibytes(config)
    trained = time.perf_counter() - start
    _score(study, config, out, folder)
    sets = read_training_datasets(config.data, echo=print)
    batches = probe_batches(sets, config, count=study.probe_crops)
    probed = probe_run(folder, config, batches, steps=snapshot_steps(steps))
    (folder / "probe.json").write_text(json.dumps(probed), encoding="utf-8")
    if run.seed == study.seeds[0] and study.view.scenes:
        write_run_views(study, config, out, folder, steps=view_steps(steps))
    done = {
        "variant": run.variant,
        "seed": run.seed,
        "steps": steps,
        "batch_size": config.training.batch_size * config.optimizer.accumulate,
        "peak_mebibytes": memory,
        "memory_of": "GPU" if torch.cuda.is_available() and config.training.device in ("auto", "cuda") else "process",
        "seconds_training": round(trained, 2),
        "seconds": round(time.perf_counter() - start, 2),
    }
    write_atomic(folder / DONE, json.dumps(done, indent=1) + "\n")
    return True


def view_steps(steps: int) -> tuple[int, int, int]:
    """The early, middle and late step of which the viewer shows the kept pixels."""
    all_steps = snapshot_steps(steps)
    return all_steps[0], all_steps[len(all_steps) // 2], all_steps[-1]


def _score(study: Study, config: Config, out: Path, folder: Path) -> None:
    """Score the weights of the last step on every split: never those that did best on the way."""
    detector = Detector.from_weights(folder / "last.safetensors", device=config.training.device)
    scores = {}
    for name, split in study.splits.items():
        for part, sets in (("choose", split.choose), ("report", split.report), ("without_text", split.without_text)):
            scenes = _scenes(sets, out)
            scores[f"{name}/{part}"] = score_set(
                detector, scenes, grid=study.grid(), protocol=study.protocol, name=f"{name}, {part}"
            )
    write_scores(folder / "scores.npz", scores)


def _scenes(sets: tuple[DatasetSettings, ...], out: Path) -> list[Scene]:
    return [scene for one in resolved(sets, out) for scene in read_scenes(one, on_error="skip", echo=print)]


def _peak_mebibytes(config: Config) -> float:
    """Largest memory so far: of the GPU where the run trained on one, else of the process."""
    if torch.cuda.is_available() and config.training.device in ("auto", "cuda"):
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(used / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _stop_with_parent() -> None:
    """End this process, saving, when the one that started it is gone: its end of our standard input closes then."""

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin, whose lock would still be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> int:
    """Do the run that the arguments name; exit status 0 done, 1 failed, 143 stopped with everything saved."""
    out, variant, seed, steps = Path(arguments[0]), arguments[1], int(arguments[2]), int(arguments[3])
    study = read_study(out)
    if study.threads is not None:
        torch.set_num_threads(study.threads)
        cv2.setNumThreads(study.threads)
    _stop_with_parent()
    try:
        finished = perform(study, Run(variant, seed), out, steps=steps)
    except (ValueError, FloatingPointError) as error:
        print(f"{variant}, seed {seed}: {error}", file=sys.stderr)
        return 1
    return 0 if finished else _STOPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
