"""One run of a study, in a process of its own: train, score, examine the kept pixels, and write run.json at the end.

python -m craft.studies.run STUDY_FOLDER VARIANT SEED STEPS
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import torch
from tqdm import tqdm

from craft.atomic_files import write_atomic
from craft.config import Config, Protocol
from craft.datasets.reading import read_scenes
from craft.detection.detector import Detector
from craft.detection.threshold_search import score_thresholds
from craft.evaluation.thresholds import Thresholds
from craft.memory import peak_memory_bytes
from craft.scene import Scene
from craft.studies.kept_pixels import examine_snapshots, load_crops
from craft.studies.scores import GridScores, concatenate_scores, join_scores, write_scores
from craft.studies.study import DONE, Run, Study, read_study, resolve_datasets, run_config, snapshot_steps, view_steps
from craft.studies.viewer_data import write_run_views
from craft.training.datasets import read_training_datasets
from craft.training.loop import train

STOPPED = 143  # exit status of a run that a signal stopped


def perform(study: Study, run: Run, out: Path, *, steps: int) -> bool:
    """Do a run, or what is left of it, for `steps` optimizer steps.

    Raises ValueError if the run cannot be done with its settings, or another process is doing it.

    Returns:
        False where a signal ended training early; a checkpoint is saved, and the next call resumes from it.
    """
    folder = run.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        return (folder / DONE).exists() or _perform(study, run, out, folder, steps)


def score_dataset(
    detector: Detector, scenes: Sequence[Scene], *, grid: Sequence[Thresholds], protocol: Protocol, name: str
) -> GridScores:
    """Score a network on scenes at every combination of thresholds; `name` is shown by the progress bar."""
    progress = tqdm(scenes, desc=f"score {name}", leave=False)
    columns = score_thresholds(detector, progress, grid=grid, protocol=protocol)
    return join_scores(columns, num_scenes=len(scenes))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from the run; on Windows, which has no fcntl, nothing does."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with open(folder / "lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"{folder}: another process is doing this run; wait for it, or stop it") from None
        yield


def _perform(study: Study, run: Run, out: Path, folder: Path, steps: int) -> bool:
    start = time.perf_counter()
    config = run_config(study, run, out, steps=steps)
    if not train(config, folder, resume=True).finished:
        return False
    on_gpu = torch.cuda.is_available() and config.training.device in ("auto", "cuda")
    memory = torch.cuda.max_memory_allocated() if on_gpu else peak_memory_bytes()
    trained = time.perf_counter() - start
    _score(study, config, out, folder)
    crops = load_crops(read_training_datasets(config.data, echo=print), config, count=study.probe_crops)
    examined = examine_snapshots(folder, config, crops, steps=snapshot_steps(steps))
    write_atomic(folder / "probe.json", json.dumps(examined))
    if run.seed == study.seeds[0] and study.view.scenes:
        write_run_views(study, config, out, folder, steps=view_steps(steps))
    done = {
        "variant": run.variant,
        "seed": run.seed,
        "steps": steps,
        "batch_size": config.training.batch_size * config.optimizer.accumulate,
        "peak_mebibytes": round(memory / 2**20, 1),
        "memory_of": "GPU" if on_gpu else "process",
        "seconds_training": round(trained, 2),
        "seconds": round(time.perf_counter() - start, 2),
    }
    write_atomic(folder / DONE, json.dumps(done, indent=1) + "\n")
    return True


def _score(study: Study, config: Config, out: Path, folder: Path) -> None:
    """Score the weights of the last step on every split: never the weights that did best in validation."""
    detector = Detector.from_weights(
        folder / "last.safetensors", device=config.training.device, precision=config.training.precision
    )
    scored: dict[str, GridScores] = {}  # by dataset: splits may share scenes
    scores = {}
    for name, split in study.splits.items():
        for part in ("choose", "report", "without_text"):
            parts = [join_scores([[]] * len(study.grid()), num_scenes=0)]
            for dataset in resolve_datasets(getattr(split, part), out):
                key = dataset.model_dump_json()
                if key not in scored:
                    scenes = read_scenes(dataset, on_error="skip", echo=print, decode=True)
                    scored[key] = score_dataset(
                        detector, scenes, grid=study.grid(), protocol=study.protocol, name=f"{name}, {part}"
                    )
                parts.append(scored[key])
            scores[f"{name}/{part}"] = concatenate_scores(parts)
    write_scores(folder / "scores.npz", scores)


def _stop_with_parent() -> None:
    """Stop this process, with a checkpoint, when its parent is gone: the other end of our standard input closes then."""

    def watch() -> None:
        while os.read(0, 1024):  # not sys.stdin, whose lock would still be held when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> int:
    """Do the run that the arguments name; exit status 0 done, 1 failed, 143 stopped with a checkpoint."""
    out, run, steps = Path(arguments[0]), Run(arguments[1], int(arguments[2])), int(arguments[3])
    study = read_study(out)
    if study.threads is not None:
        torch.set_num_threads(study.threads)
        cv2.setNumThreads(study.threads)
    _stop_with_parent()
    try:
        finished = perform(study, run, out, steps=steps)
    except (ValueError, FloatingPointError) as error:
        print(f"{run.name}: {error}", file=sys.stderr)
        return 1
    return 0 if finished else STOPPED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
