"""Official scoring protocols, the score of a dataset, and the choice of thresholds. No torch.

A file imports only from files above it:

    image_score        The score of one image: matches, precision, recall, and what it adds to a dataset's totals.
    iou                The IoU protocol of ICDAR 2015, 2017 and 2019.
    deteval            The DetEval protocol of ICDAR 2013.
    pseudo_characters  Where a word's characters should be, and how words and detections lie on each other.
    tedeval            The TedEval protocol: matches of words and parts, scored by characters.
    cleval             The CLEval protocol: characters found, less one for each cut and each merge.
    crowded            Images with very many words, scored in groups that do not touch each other.
    protocols          The protocols by name, applied to the detections of one scene.
    summary            The score of a dataset, from the scores of its images.
    breakdown          Recall of words by height, angle, length and script.
    calibration        A logistic curve from raw scores to the share of words that are right.
    bootstrap          Bootstrap intervals of a dataset's score and of the difference between two systems.
    result_files       Result files of any detector: text files or JSON in a folder or zip, or one COCO file.
    evaluate           Result files scored against a labelled dataset.
    thresholds         Grids of thresholds, and the best of them on a named split.
"""
