"""The verbs of the command line. Each adds its arguments, calls one function and prints.

A file imports only from files above it:

    arguments  Arguments that several verbs share.
    train      Verbs on networks: train, watch, refine, bench, compare, convert.
    datasets   Verbs on datasets: check, show, synth.
    labels     Verbs that write the labels of a dataset anew: convert-labels, label, pack.
    detect     Verbs that run networks: detect and export.
    evaluate   The verb evaluate: scores, the search for thresholds, calibration.
    settings   Verbs that say what is set and what is installed: config and doctor.
    log_lines  Progress bars in a file: a line each time, without the moves of a cursor.
    command    The parser that gathers the verbs, and the exit status.
"""
