"""From pictures to words: decoding, drawing, export.

A file imports only from files above it:

    failures          The scenes that a detector did worst on, drawn: words it missed and what it took for text. No to
    scene_grid        One scene at every thresholds of a grid: decoded once a pair of levels, scored once for the same
    tiling            Pictures larger than a device holds: the network goes over overlapping tiles, and the maps come
    detector          Finds words in pictures: sizes the picture, runs the network, decodes its maps, returns source p
    grid_jobs         Decodes and scores scenes at a grid of thresholds in processes of their own. No torch, so that t
    export            Detects in many files and writes the results: JSON, ICDAR result files, CSV, drawings. Each file
    score_maps        Score maps of many scenes, computed once: in half precision, kept in a folder where one is named
    threshold_search  Find the decoding thresholds of a network that score best on a split, running the network once a
"""
