"""Studies that compare variants of a configuration over several seeds.

A file imports only from files above it:

    statistics       Means over seeds with Student's interval, paired differences, and the difference a study can detect.
    pixel_locations  Where background pixels lie: inside words, near them, on texture or on plain background.
    scores           Scores of a network at every combination of thresholds of a grid, and their file.
    study            What a study compares, on which scenes and for how long, and the configuration of each run.
    collect          Reads a study's run folders and computes its results, per run and variant.
    conclusions      What a study's numbers support, in words, and no more.
    facts            The facts that a reader needs to judge a study's tables.
    figures          A study's figures as PNG files.
    tables           A study's tables as CSV and Markdown.
    page_data        The content of the page, as plain values for its scripts.
    kept_pixels      Which pixels a run's OHEM rule keeps, and where they lie, at several steps.
    viewer_data      The viewer's files of scenes and runs: images, targets, predictions, kept pixels and words.
    run              One run of a study, in a process of its own.
    execute          Does runs in this process, in processes of this machine, or on a Ray cluster.
    report           Writes a study's report from its folder alone: page, Markdown, CSV and figures.
    compare          `craft compare`: prepares a study's folder, does its runs, and writes its report.
"""
