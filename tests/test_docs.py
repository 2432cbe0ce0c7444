"""The examples of docs/python.md run, and the links between documents lead somewhere."""

import re
import shlex
import shutil
import tomllib
from itertools import dropwhile
from pathlib import Path

import cv2
import numpy as np
import pytest

import craft
from craft.cli.command import _parser as command_line_parser
from craft.config import DetectionSettings, load_config

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "data" / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.fixture
def example_folder(tmp_path, monkeypatch):
    """The working folder of the examples: photo.jpg, configs/, and a dataset of four scenes in scenes/."""
    images = tmp_path / "scenes" / "ch4_training_images"
    labels = tmp_path / "scenes" / "ch4_training_localization_transcription_gt"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    image = np.full((96, 128, 3), 230, np.uint8)
    cv2.putText(image, "HI", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 3)
    cv2.imwrite(str(tmp_path / "photo.jpg"), image)
    for number in range(1, 5):
        cv2.imwrite(str(images / f"img_{number}.jpg"), image)
        (labels / f"gt_img_{number}.txt").write_text("20,30,72,30,72,64,20,64,HI\n")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_examples_of_the_python_page_run_in_order(example_folder, capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL | re.MULTILINE)
    namespace = {}

    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), namespace)

    printed = capsys.readouterr().out
    assert "2 True" in printed
    assert "(1, 2, 48, 64) (1, 2, 48, 64)" in printed
    assert namespace["result"].loss.isfinite()
    assert (example_folder / "runs" / "example" / "last.safetensors").exists()


def test_python_page_names_everything_that_is_public():
    page = (ROOT / "docs" / "python.md").read_text()

    assert [name for name in craft.__all__ if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_every_page_lead_to_a_file_and_a_heading(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())

    assert [link for link in links if "://" not in link and not _leads_somewhere(page, link)] == []


def _leads_somewhere(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path) if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page):
    """Headings as GitHub links to them: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_index_of_the_documentation_lists_every_page():
    index = (ROOT / "docs" / "README.md").read_text() + (ROOT / "docs" / "results" / "README.md").read_text()
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "README.md"]

    assert [page.name for page in pages if page.name not in index] == []


def test_site_lists_every_guide_recipe_and_reference():
    listed = {
        ROOT / name for name in re.findall(r"([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    }
    results = {page for page in PAGES if {"results", "studies"} & set(page.parts)}  # the site's search finds them all

    assert set(PAGES) - results <= listed
    assert [page for page in listed if not page.exists()] == []


def test_every_fault_of_the_matrix_names_tests_that_exist():
    rows = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    named = {name for row in rows if row.startswith("| ") for name in re.findall(r"`(test_\w+)`", row)}
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

    assert len(named) > 20
    assert [name for name in sorted(named) if f"def {name}(" not in written] == []
    assert all(
        "`test_" in row for row in rows if row.startswith("| ") and "---" not in row and "fault | what" not in row
    )


SHELL = {"", "sh", "bash", "console"}
# Programs of others, and of the shell, that commands of the docs may begin with.
OTHERS = {"cd", "zip", "eval", "docker", "srun", "sbatch", "export", "git", "mkdocs"}


def commands_of(page):
    """The commands of a page's code blocks, or of a configuration's comments: words of each, without those that set variables."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".yaml":
        commands = re.findall(r"^#   ((?:craft|python) .*(?:\n#     .*)*)", text, re.MULTILINE)
        blocks = [re.sub(r"(?<=\S)   .*", "", command.replace("\n#", "\n")) for command in commands]
    else:
        blocks = [
            body for kind, body in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if kind in SHELL
        ]
    for block in blocks:
        unfinished = ""
        for line in block.replace("\\\n", " ").splitlines():
            unfinished += line + " "
            try:
                words = shlex.split(unfinished, comments=True)
            except ValueError:  # a quotation goes on in the next line
                continue
            unfinished = ""
            for command in _split(words, "&&"):
                if "$(" not in "".join(command[:1]):
                    yield [*dropwhile(lambda word: re.match(r"\w+=", word), command)]
        assert not unfinished, f"{page}: a quotation without an end"


def _split(words, separator):
    part = []
    for word in [*words, separator]:
        if word == separator:
            if part:
                yield part
            part = []
        else:
            part.append(word)


PAGES_WITH_COMMANDS = [
    page
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("configs/**/*.yaml"))]
    if any(commands_of(page))
]


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_every_page_is_one_that_craft_understands(page):
    for command in commands_of(page):
        _check_command(command)


def _check_command(command):
    program, *arguments = command
    if program == "torchrun":
        program, *arguments = arguments[arguments.index("-m") + 1 :]
    if program in ("python", "bash") and arguments[0] != "-m":
        assert (ROOT / arguments[0]).is_file(), command
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in arguments if "=" not in word} <= set(targets), command
    elif program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = {
            extra for word in arguments for extra in re.findall(r"^\.\[(.*)\]$", word) for extra in extra.split(",")
        }
        assert extras <= set(project["optional-dependencies"]), command
    elif program == "craft":
        options = command_line_parser().parse_args(arguments)
        if options.verb in ("detect", "convert", "evaluate"):
            assert {given.partition("=")[0] for given in options.set or ()} <= set(DetectionSettings.model_fields), (
                command
            )
        config = getattr(options, "config", None)
        if config and config != "CONFIG" and (path := ROOT / config).suffix == ".yaml" and "study" not in options:
            load_config(path, overrides=options.set)
    else:
        assert program in OTHERS, (
            f"{program}: not one of craft's commands; show it in a block of another language, or list it"
        )
