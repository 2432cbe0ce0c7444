"""Studies that compare mining rules.

A file imports only from files above it:

    pixel_locations  Where background pixels lie: inside words, close to one, on texture, on plain ground. No torch.
    scoring          Score a network on scenes at many thresholds at once: the network runs once a scene, decoding onc
    statistics       Means over seeds with Student's interval, paired differences, and which of many differences stand
    study            Studies: what is compared, on which scenes, for how long, and what each run of it trains with. No
    kept_pixels      Look at what mining keeps: fixed training crops, a run's weights at several steps, and where the
    viewer_data      What the viewer shows of scenes and runs: pictures, targets, predictions, kept pixels and words,
    run              One run of a study, in a process of its own: train, look at what was kept, score, and write run.j
    collect          Read a study's run folders and work out its figures: per run, per variant, and against the refere
    conclusions      What a study's numbers support, in words, and no more. No torch.
    facts            What a reader needs to know to judge a study's tables: scenes, rule of scoring, thresholds, defin
    figures          A study's figures as PNG.
    tables           A study's tables as CSV and Markdown. No torch.
    page_data        Everything the page shows, as plain values for its scripts.
    report           A study's report from its folder alone: one self-contained page, and the same as Markdown, CSV an
    compare          `craft compare`: prepare a study's folder, do the runs that are not done, and make its report.
    execute          Does the runs of a study: in this process, in processes of this machine with a GPU each, or throu
    execute_ray      Does the runs of a study on a Ray cluster whose machines share the study's folder and scenes.
"""
