"""The verbs of the command line. Each adds its arguments, calls one function and prints.

A file imports only from files above it:

    arguments  Arguments that several verbs share.
    train      Verbs on networks: train, bench, compare, convert.
    datasets   Verbs on datasets: check, show, convert-labels, label, synth, pack.
    detect     Verbs on detections: detect and evaluate.
    settings   Verbs that say what is set and what is installed: config and doctor.
    command    The parser that gathers the verbs, and the exit status.
"""
