"""Pack what a GPU machine without a network needs, unpack it there, and split weights for the way back.

    python tools/gpu_drill.py pack PARTS --train a.jsonl b.jsonl --validation c.jsonl --teacher mlt.pth --wheels DIR
    python tools/gpu_drill.py unpack PARTS DATA
    python tools/gpu_drill.py train CONFIG RUN SECONDS
    python tools/gpu_drill.py split WEIGHTS FOLDER NAME
    python tools/gpu_drill.py join FOLDER/NAME.part0 FILE

`pack` re-encodes the images of JSON Lines datasets (those that `craft label` and `craft synth` write) as WebP and fills
folders PARTS/a, PARTS/b, ... of at most `--part-size` MiB each, in the order given: wheels, validation, training, teacher.
The teacher travels in 8 bits. `unpack` writes the images as BMP, which loads fastest. `train` trains until the time is up: the
learning rate falls by the clock, and what is left is RUN/last.pt. `split` writes weights in float16, in parts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import signal
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from pathlib import Path

from PIL import Image

PART_BYTES = 15 << 20  # of a split file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("pack")
    verb.add_argument("parts", type=Path)
    verb.add_argument("--train", type=Path, nargs="*", default=[])
    verb.add_argument("--validation", type=Path, nargs="*", default=[])
    verb.add_argument("--teacher", help="weights, or the name of shipped weights")
    verb.add_argument("--wheels", type=Path)
    verb.add_argument("--quality", type=int, nargs="+", default=[50], help="of WebP, by training dataset (default 50)")
    verb.add_argument("--most", type=int, nargs="+", default=[10**9], help="scenes, by training dataset (default all)")
    verb.add_argument("--part-size", type=float, default=52, help="largest part, MiB (default 52)")
    verb.set_defaults(work=pack)
    verb = verbs.add_parser("unpack")
    verb.add_argument("parts", type=Path)
    verb.add_argument("data", type=Path)
    verb.set_defaults(work=unpack)
    verb = verbs.add_parser("train")
    verb.add_argument("config", type=Path)
    verb.add_argument("run", type=Path)
    verb.add_argument("seconds", type=float)
    verb.add_argument("--set", action="append", default=[])
    verb.set_defaults(work=train_by_the_clock)
    verb = verbs.add_parser("split")
    verb.add_argument("file", type=Path)
    verb.add_argument("folder", type=Path)
    verb.add_argument("name", help="of the parts: NAME.safetensors.part0, ...")
    verb.set_defaults(work=split)
    verb = verbs.add_parser("join")
    verb.add_argument("first", type=Path, help="the part that ends in .part0")
    verb.add_argument("file", type=Path)
    verb.set_defaults(work=join)
    options = parser.parse_args()
    options.work(options)


def pack(options: argparse.Namespace) -> None:
    shutil.rmtree(options.parts, ignore_errors=True)
    limit, parts = int(options.part_size * 2**20), Parts(options.parts)
    for name, data in entries(options):
        parts.add(name, data, limit)
    parts.close()
    for tar in sorted(options.parts.glob("*/*.tar")):
        print(f"{tar.parent}: {tar.stat().st_size / 2**20:.1f} MiB")


class Parts:
    """Tar files of a limited size, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count, self.bytes, self.tar = folder, 0, 0, None

    def add(self, name: str, data: bytes, limit: int) -> None:
        if self.tar is None or self.bytes + len(data) + 1024 > limit:
            self.close()
            path = self.folder / "abcdefgh"[self.count] / "part.tar"
            path.parent.mkdir(parents=True)
            self.tar, self.bytes, self.count = tarfile.open(path, "w"), 20480, self.count + 1  # noqa: SIM115
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self.tar.addfile(info, BytesIO(data))
        self.bytes += 1024 + len(data)

    def close(self) -> None:
        if self.tar is not None:
            self.tar.close()


def entries(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    for wheel in sorted(options.wheels.glob("*.whl")) if options.wheels else []:
        yield f"wheels/{wheel.name}", wheel.read_bytes()
    yield from datasets(options.validation, "validation", options)
    yield from datasets(options.train, "train", options)
    if options.teacher:
        from craft.training.convert import convert_weights

        path = options.parts / "teacher.safetensors"
        convert_weights(options.teacher, path, to="int8")
        yield "teacher.safetensors", path.read_bytes()
        path.unlink()


def datasets(files: list[Path], use: str, options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    for index, file in enumerate(files):
        quality, most = (values[min(index, len(values) - 1)] for values in (options.quality, options.most))
        folder = f"{use}/{index}_{file.stem if file.stem != 'scenes' else file.parent.name}"
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        records = [record for record in records if "image" in record][:most]
        jobs = [(file.parent / record["image"], quality) for record in records]
        with ProcessPoolExecutor() as pool:
            for record, data in zip(records, pool.map(webp, jobs, chunksize=8), strict=True):
                record.setdefault("name", Path(record["image"]).stem)
                record["image"] = f"{record['name']}.bmp"
                yield f"{folder}/{record['name']}.webp", data
        lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        yield f"{folder}/scenes.jsonl", lines.encode()


def webp(job: tuple[Path, int]) -> bytes:
    path, quality = job
    data = BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(data, "WEBP", quality=quality, method=4)
    return data.getvalue()


def unpack(options: argparse.Namespace) -> None:
    for tar in sorted(options.parts.glob("*/part.tar")):
        done = options.data / f"{tar.parent.name}.{tar.stat().st_size}.unpacked"
        if not done.exists():
            with tarfile.open(tar) as file:
                file.extractall(options.data, filter="data")
            done.touch()
    with ProcessPoolExecutor() as pool:
        count = sum(pool.map(to_bmp, sorted(options.data.rglob("*.webp")), chunksize=16))
    print(f"{options.data}: {count} images")


def to_bmp(path: Path) -> int:
    with Image.open(path) as image:
        image.convert("RGB").save(path.with_suffix(".bmp"))
    path.unlink()
    return 1


def train_by_the_clock(options: argparse.Namespace) -> None:
    """Train with a cosine over the time that is left, which ends with a checkpoint."""
    from craft.config import OptimizerSettings, load_config
    from craft.training import loop

    start = time.monotonic()

    def rate(step: int, *, steps: int, settings: OptimizerSettings) -> float:
        done = min(1.0, (time.monotonic() - start) / options.seconds)
        if done == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        falling = settings.final_share + (1 - settings.final_share) * 0.5 * (1 + math.cos(math.pi * done))
        return settings.learning_rate * min(1.0, (step + 1) / settings.warmup_steps) * falling

    loop.learning_rate_at = rate
    print(loop.train(load_config(options.config, overrides=options.set), options.run))


def split(options: argparse.Namespace) -> None:
    from safetensors.torch import save
    from torch import float16

    from craft.models.weight_files import METADATA_KEY
    from craft.models.weights import read_weights

    weights = read_weights(options.file)
    state = {name: (value.to(float16) if value.is_floating_point() else value) for name, value in weights.state.items()}
    metadata = {"format": "pt", METADATA_KEY: json.dumps(dict(weights.metadata))}
    data = save({name: value.contiguous() for name, value in state.items()}, metadata)
    options.folder.mkdir(parents=True, exist_ok=True)
    for index, start in enumerate(range(0, len(data), PART_BYTES)):
        path = options.folder / f"{options.name}.safetensors.part{index}"
        path.write_bytes(data[start : start + PART_BYTES])
    print(f"{options.file}: SHA-256 {hashlib.sha256(data).hexdigest()}")


def join(options: argparse.Namespace) -> None:
    stem = str(options.first).removesuffix("0")
    count = sum(1 for _ in options.first.parent.glob(f"{Path(stem).name}*"))
    data = b"".join(Path(f"{stem}{index}").read_bytes() for index in range(count))
    options.file.write_bytes(data)
    print(f"{options.file}: SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
