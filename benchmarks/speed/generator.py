"""How many synthetic scenes a core draws in a second, and where the time goes.

    python benchmarks/speed/generator.py [--count 200] [--size 768] [--words 20] [--set KEY=VALUE]

First it is checked that a scene drawn twice, with others in between, has the same bytes. Then `count` scenes of the
full preset with about `words` words each are drawn in one thread after as many others (fonts are opened and glyphs
flattened on first use), and each stage is timed apart. Printed are medians and the distance from the 5th to the 95th
percentile, in processor time. Other processes on the machine slow that too, by the caches and cores they share; a
fixed piece of work, decoding a JPEG of 1280 x 720, is therefore timed between the scenes: it says by how much.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from craft.config_files import parse_settings
from craft.memory import keep_freed_memory
from craft.synth import blocks, full
from craft.synth.presets import GeneratorSettings, preset
from craft.synth.render import render_scene

AIMED_SHARE = 0.7  # blocks are drawn whole: the words that come out are more than those aimed at

STAGES = (
    (full, "surface_background", "background"),
    (full, "room_background", "rooms as background"),
    (full, "add_negative", "hard negatives"),
    (blocks, "_new_block", "words, shaping, layout"),
    (blocks, "_find_room", "room for them"),
    (blocks, "_paint_board", "boards"),
    (blocks, "_paint_block", "text"),
    (full, "add_occluder", "things in front"),
    (full, "photograph", "light and camera"),
    (full, "_label", "labels"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="scenes timed (default 200)")
    parser.add_argument("--size", type=int, default=768, help="side of the pictures, pixels (default 768)")
    parser.add_argument("--words", type=int, default=20, help="words per scene, about (default 20)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of full")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the processes that draw sets and loader processes do

    aimed = round(AIMED_SHARE * options.words)
    changes = {"size_hw": (options.size, options.size), "words": (aimed, aimed)} | parse_settings(options.set)
    settings = preset("full", changes)
    check_repeats(settings)
    for name, chosen in (("full", settings), ("quickstart", preset("quickstart"))):
        for index in range(options.count):
            render_scene(chosen, 1, index)
        time_scenes(name, chosen, options.count)
    time_stages(settings, options.count)


def check_repeats(settings: GeneratorSettings) -> None:
    first = [render_scene(settings, 0, index).image for index in range(10)]
    again = [render_scene(settings, 0, index).image for index in reversed(range(10))]
    if not all((one == two).all() for one, two in zip(first, reversed(again), strict=True)):
        raise SystemExit("a scene drawn twice has other bytes")
    print("the same bytes when drawn twice: yes")


def time_scenes(name: str, settings: GeneratorSettings, count: int) -> None:
    times, decoding, words = [], [], 0
    picture = jpeg()
    for index in range(count):
        start = time.process_time()
        scene = render_scene(settings, 2, index)
        middle = time.process_time()
        cv2.imdecode(picture, cv2.IMREAD_COLOR)
        times.append(middle - start)
        decoding.append(time.process_time() - middle)
        words += len(scene.words)
    low, middle, high = 1000 * np.percentile(times, [5, 50, 95])
    print(
        f"{name}: {count / sum(times):.1f} scenes a second and core, {words / count:.1f} words a scene; "
        f"mean {1000 * sum(times) / count:.1f} ms, median {middle:.1f} ms, spread {high - low:.1f} ms; "
        f"a JPEG of 1280 x 720 in {1000 * np.median(decoding):.2f} ms"
    )


def jpeg() -> np.ndarray:
    """A file whose decoding tells how busy the machine is."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), dtype=np.uint8)
    picture = cv2.resize(noise, (1280, 720), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def time_stages(settings: GeneratorSettings, count: int) -> None:
    spent: dict[str, float] = defaultdict(float)
    originals = [(module, name, getattr(module, name)) for module, name, _ in STAGES]
    for module, name, label in STAGES:
        setattr(module, name, timed(getattr(module, name), spent, label))
    start = time.process_time()
    for index in range(count):
        render_scene(settings, 2, index)
    total = time.process_time() - start
    for module, name, original in originals:
        setattr(module, name, original)
    spent["the rest"] = total - sum(spent.values())
    for label, seconds in spent.items():
        print(f"  {label}: {1000 * seconds / count:.2f} ms, {100 * seconds / total:.0f} %")


def timed(function: Callable[..., Any], spent: dict[str, float], label: str) -> Callable[..., Any]:
    def run(*arguments: Any, **keywords: Any) -> Any:
        start = time.process_time()
        result = function(*arguments, **keywords)
        spent[label] += time.process_time() - start
        return result

    return run


if __name__ == "__main__":
    main()
