"""Let atheris choose damaged files by the lines of code that they reach; the readers and what counts as a find are fuzz.py's.

    python benchmarks/studies/fuzz_guided.py [--seconds 60] [--out FOLDER] [READER ...]      (pip install atheris)

Prints, for each reader: files tried, places in the code reached by the whole files alone and in the end, and finds, whose
inputs --out keeps. atheris works on Linux and macOS, and each reader in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["craft"]):
    import fuzz


def fuzz_reader(name: str, seconds: float, folder: Path, found: dict[str, bytes]) -> None:
    """Fuzz one reader until the time is over, which ends the process."""
    whole, file, read = fuzz.seeds(fuzz.ROOT)[name]
    corpus, counts = folder / "corpus", Counter[str]()
    corpus.mkdir()
    for number, content in enumerate(whole):
        (corpus / f"{number}").write_bytes(content)

    def test_input(content: bytes) -> None:
        answer = fuzz.feed(read, folder / file, content)
        counts[answer] += 1
        if answer not in ("accepted", "refused") and counts[answer] == 1:
            found[answer] = content

    with open(folder / "log", "wb") as log:
        os.dup2(log.fileno(), 2)
    limits = [
        f"-max_total_time={seconds:.0f}",
        "-timeout=60",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        "-max_len=8192",
    ]
    atheris.Setup([sys.argv[0], *limits, str(corpus)], test_input)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER")
    parser.add_argument("--seconds", type=float, default=60, help="time for each reader (default 60)")
    parser.add_argument("--out", type=Path, help="folder for the inputs that were finds")
    options = parser.parse_args()
    context = multiprocessing.get_context("fork")
    for name in options.readers or fuzz.seeds(fuzz.ROOT):
        with tempfile.TemporaryDirectory() as folder, context.Manager() as manager:
            found = manager.dict()
            process = context.Process(target=fuzz_reader, args=(name, options.seconds, Path(folder), found))
            process.start()
            process.join()
            log = (Path(folder) / "log").read_text(errors="replace")
            reached = [int(number) for number in re.findall(r"cov: (\d+)", log)] or [0]
            tried = re.findall(r"number_of_executed_units: *(\d+)", log) or ["died"]
            print(f"{name:<17} {tried[0]:>9} files, {reached[0]:>5} to {reached[-1]:>5} places, finds:", end=" ")
            print(", ".join(found.keys()) or "none", flush=True)
            if tried[0] == "died":
                print(log[-2000:])
            for answer, content in found.items() if options.out else ():
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / f"{name}_{answer}".replace(" ", "_")).write_bytes(content)


if __name__ == "__main__":
    main()
