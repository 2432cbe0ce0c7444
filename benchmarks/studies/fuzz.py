"""Feed damaged files to every reader: whatever is in a file, a reader gives words or an error that a person understands.

    python benchmarks/studies/fuzz.py [--seconds 60] [--seed 0] [READER ...]

Each reader starts from whole files and gets copies with bytes flipped, lines swapped, pieces cut, repeated or replaced
by what often breaks parsers. An answer is right where it is a value, or a ValueError (which a Problem is) or OSError.
Anything else is a find: it is printed once for each place in the code, with its input in --out. Run beside
`coverage` to see which lines the damage reaches; fuzz_guided.py lets atheris choose the damage by the code it reaches.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from craft.config import DatasetFormat, DatasetSettings, load_config
from craft.datasets.formats import FORMATS
from craft.datasets.icdar import read_label_file as read_icdar
from craft.datasets.jsonlines import read_json_lines
from craft.datasets.label_format import SceneToWrite
from craft.datasets.reading import read_dataset
from craft.datasets.totaltext import read_label_file as read_totaltext
from craft.evaluation.result_files import read_results
from craft.images.reader import image_size, read_image
from craft.models.weights import read_weights
from craft.scene import Scene
from craft.studies.study import load_study
from craft.teacher.label_files import LabelCounts, origin_of, read_labels, write_labels
from craft.training.checkpoint import read_checkpoint

ROOT = Path(__file__).parents[2]
TOKENS = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n",
        b",",
        b"-",
        b"nan",
        b"inf",
        b"1e999",
        b"9" * 40,
        b"0x",
        b"null",
    ),
    *(b"[", b"]" * 9, b"{", b"}", b'"', b"\\ud800", b"&a *a", b"!!python/object:os.system", b"../", b"/", b"#", b"###"),
)
TOOLS: tuple[DatasetFormat, ...] = (
    "coco",
    "cocotext",
    "cvat",
    "doctr",
    "label-studio",
    "labelme",
    "page-xml",
    "paddleocr",
    "via",
)
ENDINGS = {"cvat": ".xml", "page-xml": ".xml", "paddleocr": ".txt"}
QUAD = "377,117,463,117,465,130,378,130"


def seeds(folder: Path) -> dict[str, tuple[list[bytes], str, Callable[[Path], object]]]:
    """By reader: whole files, what the file is called, and the reader."""
    from PIL import Image

    def zipped(**files: str) -> bytes:
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w") as archive:
            for name, text in files.items():
                archive.writestr(f"{name}.txt", text)
        return memory.getvalue()

    def encoded(kind: str) -> bytes:
        memory = io.BytesIO()
        Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(20, 20, 3)).save(memory, kind)
        return memory.getvalue()

    scenes = (ROOT / "data/sample/scenes.jsonl").read_bytes().splitlines(keepends=True)[:2]
    coco = [{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5, "segmentation": [[1, 1, 9, 1, 9, 9]]}]
    words = {"image": "a.jpg", "words": [{"quad": [[0, 0], [9, 0], [9, 9], [0, 9]], "score": 0.5}]}
    total = b"x: [[206 251 386 542]], y: [[633 811 931 946]], ornt: [u'c'], transcriptions: [u'PETROSAINS']\n"
    shipped = (ROOT / "craft/weights/small-synth.safetensors").read_bytes()
    tools = {
        name: (tool_files(name), f"labels{ENDINGS.get(name, '.json')}", partial(read_tool, name)) for name in TOOLS
    }
    return {
        **tools,
        "teacher's labels": ([teacher_labels()], "labels.jsonl", lambda p: read_labels(p, sample_scenes())),
        "study": (
            [(ROOT / "configs/compare_quick.yaml").read_bytes().replace(b"base: ", f"base: {ROOT}/configs/".encode())],
            "study.yaml",
            load_study,
        ),
        "icdar2013": ([b'38,43,920,215,"Tiredness"\n'], "gt.txt", lambda p: read_icdar(p, format="icdar2013")),
        "icdar2015": (
            [f"{QUAD},Genaxis Theatre\n{QUAD},###\n".encode()],
            "gt.txt",
            lambda p: read_icdar(p, format="icdar2015"),
        ),
        "icdar2017": ([f"{QUAD},Latin,a,b\n".encode()], "gt.txt", lambda p: read_icdar(p, format="icdar2017")),
        "totaltext": ([total], "gt.txt", read_totaltext),
        "jsonl": ([b"".join(scenes)], "scenes.jsonl", read_json_lines),
        "dataset": (
            [b"".join(scenes)],
            "scenes.jsonl",
            lambda p: read_dataset(DatasetSettings(path=str(p), format="jsonl")),
        ),
        "results": ([f"{QUAD},0.5\n".encode()], "res.txt", lambda p: read_results(p.parent, layout="quads")),
        "results zip": ([zipped(res_img_1=QUAD)], "res.zip", lambda p: read_results(p, layout="quads")),
        "results json": (
            [json.dumps(words).encode()],
            "img_1.json",
            lambda p: read_results(p.parent, layout="polygons"),
        ),
        "results coco": ([json.dumps(coco).encode()], "coco.json", lambda p: read_results(p, layout="polygons")),
        "config": ([(ROOT / "configs/quickstart.yaml").read_bytes()], "config.yaml", load_config),
        "images": ([encoded(kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "WEBP")], "image.png", read_image),
        "image headers": ([encoded(kind) for kind in ("PNG", "JPEG", "GIF")], "image.jpg", image_size),
        "weights": ([shipped[:200_000]], "w.safetensors", read_weights),
        "checkpoints": ([zipped(data="x")], "last.pt", lambda p: read_checkpoint(p, device="cpu")),  # type: ignore[arg-type]
    }


def sample_scenes() -> list[Scene]:
    return list(read_json_lines(ROOT / "data/sample/scenes.jsonl").scenes[:2])


def teacher_labels() -> bytes:
    origin = origin_of("small", "0" * 16, LabelCounts(words=1, confidence_sum=0.5), splitter="cuts", height=64)
    with tempfile.TemporaryDirectory() as folder:
        write_labels(Path(folder) / "labels.jsonl", sample_scenes(), sample_scenes(), origin)
        return (Path(folder) / "labels.jsonl").read_bytes()


def tool_files(name: DatasetFormat) -> list[bytes]:
    """Two scenes as an annotation tool would write them."""
    scenes, writer = sample_scenes(), FORMATS[name].writer
    assert writer is not None
    with tempfile.TemporaryDirectory() as folder:
        for scene in scenes:
            (Path(folder) / f"{scene.name}.jpg").write_bytes(b"image")
        named = [SceneToWrite(scene, f"{scene.name}.jpg", (512, 512)) for scene in scenes]
        writer.write(named, Path(folder) / writer.file if writer.file else Path(folder))
        return [path.read_bytes() for path in Path(folder).iterdir() if path.suffix in (".json", ".xml", ".txt")]


def read_tool(name: DatasetFormat, path: Path) -> object:
    return FORMATS[name].read(DatasetSettings(path=str(path), format=name))


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """One to four changes to a file."""
    for _ in range(generator.integers(1, 5)):
        start, end = sorted(generator.integers(0, len(content) + 1, 2).tolist())
        end = min(end, start + int(generator.choice([1, 4, 40, len(content) + 1])))
        token = TOKENS[generator.integers(len(TOKENS))]
        match int(generator.integers(0, 5)):
            case 0:
                content = content[:start] + token + content[end:]
            case 1:
                content = content[:start] + content[start:end] * 3 + content[end:]
            case 2:
                content = content[:start] + content[end:]
            case 3 if content:
                flipped = bytearray(content)
                flipped[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
                content = bytes(flipped)
            case _:
                content = content[:start] + token + content[start:]
    return content


def feed(read: Callable[[Path], object], path: Path, content: bytes) -> str:
    """Read a file of this content: "accepted", "refused", or the place of an exception that is no answer."""
    path.write_bytes(content)
    try:
        read(path)
    except (ValueError, OSError):
        return "refused"
    except Exception as error:  # any other is what is looked for
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/craft/" in frame.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        return f"{type(error).__name__} at {where}"
    return "accepted"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--seconds", type=float, default=60, help="processor time for each reader (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for the inputs that were finds")
    options = parser.parse_args()
    print(f"{'reader':<17}{'files':>9}{'accepted':>10}{'refused':>9}  finds; slowest file")
    for name, (whole, file, read) in seeds(ROOT).items():
        if options.readers and name not in options.readers:
            continue
        generator = np.random.default_rng(options.seed)
        counts: Counter[str] = Counter()
        slowest = 0.0
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file
            end = time.process_time() + options.seconds
            while time.process_time() < end:
                content = damaged(whole[generator.integers(len(whole))], generator)
                start = time.process_time()
                answer = feed(read, path, content)
                slowest = max(slowest, time.process_time() - start)
                counts[answer] += 1
                if options.out and answer not in ("accepted", "refused") and counts[answer] == 1:
                    options.out.mkdir(parents=True, exist_ok=True)
                    (options.out / f"{name}_{answer.replace(' ', '_')}").write_bytes(content)
        finds = {key: count for key, count in counts.items() if key not in ("accepted", "refused")}
        row = f"{name:<17}{counts.total():>9,}{counts['accepted']:>10,}{counts['refused']:>9,}"
        print(f"{row}  {finds or 'none'}; {slowest:.2f} s", flush=True)


if __name__ == "__main__":
    main()
