"""The verbs of the command line: each adds its arguments, calls one function and prints. Heavy imports wait for its run.

A file imports only from files above it:

    dataset_arguments  The arguments that name a labelled set, the same for every verb that reads one.
    train              train, bench, compare, convert: what is done with networks.
    datasets           check, show, label, synth, pack: what is done with scenes.
    detect             detect and evaluate: words in pictures, and how right they are.
    command            The `craft` command: each verb parses its arguments, calls one function and prints.
"""
