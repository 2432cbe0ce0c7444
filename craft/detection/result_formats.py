"""Words of an image as the text and JSON files of benchmarks and annotation tools: ICDAR, LabelMe, COCO, CSV."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from craft.datasets.labelme import labelme_content
from craft.decode.detections import Detections
from craft.evaluation.protocols import round_detections
from craft.geometry import bounding_boxes, clockwise, signed_area


def icdar_text(found: Detections, *, boxes: bool = False, scores: bool = False) -> str:
    """The content of an ICDAR result file, in whole pixels.

    ICDAR 2015 and 2017: lines "x1,y1,...,x4,y4", clockwise; 2019 adds the score (`scores`); 2013: "left,top,right,bottom" of
    the words' bounding boxes (`boxes`).
    """
    lines = []
    for quad, score in zip(round_detections(found.quads_xy), found.scores, strict=True):
        numbers = [*quad.min(axis=0), *quad.max(axis=0)] if boxes else clockwise(quad).astype(np.int64).ravel().tolist()
        lines.append(",".join([*map(str, numbers), *([f"{score:.4f}"] if scores else [])]) + "\n")
    return "".join(lines)


def csv_rows(path: str, found: Detections) -> list[list[Any]]:
    """The rows of an image in `detections.csv`: image, word (from 1), score, page ("" if there is one), coordinates."""
    page = "" if found.page is None else found.page
    return [
        [path, index, f"{score:.4f}", page, *(f"{value:.2f}" for value in quad.ravel())]
        for index, (quad, score) in enumerate(zip(found.quads_xy, found.scores, strict=True), 1)
    ]


def labelme_dict(path: str, found: Detections) -> dict[str, Any]:
    """The content of a LabelMe file; `path` leads to the image from the folder of the file.

    Descriptions are empty, as they are read as transcriptions; LabelMe keeps the `score` of a shape though it does not show it.
    """
    content = labelme_content(path, found.size_hw or (0, 0), [(_rounded(outline), "") for outline in outlines(found)])
    for shape, score in zip(content["shapes"], found.scores, strict=True):
        shape["score"] = round(float(score), 4)
    return content


def coco_dict(images: Sequence[tuple[str, Detections]]) -> dict[str, Any]:
    """The content of one COCO file for all images, with scores: both an annotation file and, by its annotations, results."""
    values: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "text"}]}
    for number, (path, found) in enumerate(images, start=1):
        height, width = found.size_hw or (0, 0)
        page = {} if found.page is None else {"page": found.page}
        values["images"].append({"id": number, "file_name": path, "height": height, "width": width, **page})
        for outline, score in zip(outlines(found), found.scores, strict=True):
            left, top, right, bottom = bounding_boxes(outline).tolist()
            values["annotations"].append(
                {
                    "id": len(values["annotations"]) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [round(value, 2) for value in (left, top, right - left, bottom - top)],
                    "segmentation": [np.round(outline.astype(np.float64), 2).ravel().tolist()],
                    "area": round(abs(float(signed_area(outline))), 2),
                    "iscrowd": 0,
                    "score": round(float(score), 4),
                }
            )
    return values


def outlines(found: Detections) -> list[NDArray[np.float32]]:
    """The polygons of words where they were asked for, else their quads."""
    return found.polygons_xy or list(found.quads_xy)


def _rounded(points: NDArray[np.floating]) -> list[Any]:
    return np.round(points.astype(np.float64), 2).tolist()
