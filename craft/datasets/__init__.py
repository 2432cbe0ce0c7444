"""Readers of labelled datasets, augmentation and the loader.

A file imports only from files above it:

    scene_source   Scenes that are rendered or read when they are asked for, and the pixels of any scene.
    labels         What the label readers share: a word checked, a label file's text, a dataset as read.
    file_pairs     Images and label files of one name, and the numbers in their names.
    folders        Datasets with one label file per image, in official folders or in any others.
    label_format   A label format: how it is recognised, read and written, and what of a word it keeps.
    icdar          ICDAR 2013, 2015, 2017 MLT and 2019 MLT: one word a line.
    synthtext      SynthText: rendered text with the quads of words and characters, in one `gt.mat`.
    totaltext      TotalText: words of any shape as polygons, in text or MATLAB files, one per image.
    json_fields    Fields of a JSON Lines record, checked.
    jsonlines      Scenes as JSON Lines, so that people can bring polygons and characters of their own.
    tool_files     Label files of annotation tools: JSON and XML, and a sample by which a format is told.
    line_labels    CTW1500 and MSRA-TD500: whole lines, of any shape and at any angle.
    tool_labels    Labels of annotation tools: scenes as entries of a file, their words checked and their images found.
    coco           COCO with transcriptions, COCO-Text and TextOCR.
    cvat           CVAT for images.
    doctr          docTR's labels.json.
    label_studio   Label Studio's JSON export.
    labelme        LabelMe.
    paddleocr      PaddleOCR's Label.txt.
    page_xml       PAGE XML, of Transkribus and others.
    via            VGG Image Annotator.
    shards         Datasets packed into tar files and read in place.
    formats        The registry of label formats: one line per format.
    reading        A dataset from its settings: labels read, image headers checked, problems gathered.
    check          What is in a labelled dataset and what is wrong with it, for `craft check`.
    suspicious     Labels that can be read but are probably wrong, each with the reason.
    check_page     One HTML page of `craft check`: problems, distributions, and suspicious labels as a contact sheet.
    label_converter  Writes the labels of a dataset in another format, and counts what is lost.
    shard_writer   Packs a labelled dataset into tar shards, completely or not at all.
    order          Which scene comes when: a weighted mix of datasets from (seed, epoch, position) alone.
    warp           Pixels through a 3 x 3 matrix, with the image reduced first where it shrinks.
    colours        Random changes to a crop's pixels that move nothing: colour, grey, blur, noise, JPEG.
    crop_matrix    The homography of a training crop: mirroring, scale, rotation, position and perspective.
    augment        From an image and its words to a training crop: pixels and quads through one matrix, then colours.
    batch          Training crops put together into a batch.
    scene_dataset  Training crops by epoch and position: which scene, which file, which crop of it.
    loader         Batches of training crops for one process, with its loader processes.
"""
