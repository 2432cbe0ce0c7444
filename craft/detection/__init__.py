"""From images to words: the network with its sizes and thresholds, result files, and the search for thresholds.

A file imports only from files above it:

    failures          Drawings of the scenes with the most missed words and false alarms. No torch.
    scene_grid        One scene decoded and scored at every combination of thresholds. No torch.
    decode            The decoder under its former path.
    network_input     Images resized and padded for the network.
    sizing            Sizing by content: when to search an image once more, and words from both passes. No torch.
    tiling            Images larger than a device can hold, scored tile by tile.
    scored_image      Images after the network: sized, scored in batches of one padded size or in tiles.
    network_files     Networks read from files of weights.
    detector          The detector: from images to words in source image pixels.
    score_calibration  Scores of a network calibrated on labelled scenes.
    label_audit       Labels against a network: words that it does not see, and text that is not labelled.
    network_export    Networks exported to ONNX, OpenVINO or torch.export: written, and checked against torch.
    image_search      Images that files, folders and globs stand for.
    result_names      Names of the results of images, and what of theirs is in a folder already.
    result_table      The table of words of many images, which grows image by image.
    result_formats    Words as text and JSON files of benchmarks and annotation tools.
    layout_formats    Words as layout files: hOCR, ALTO and PAGE.
    result_writer     The files of a detection run.
    export            Detection in many files, read ahead and written behind.
    map_cache         Score maps of many scenes, computed once and kept in a folder.
    threshold_search  The search for the thresholds at which a network scores best.
"""
