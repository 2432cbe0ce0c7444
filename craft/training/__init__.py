"""The training loop and what it writes.

A file imports only from files above it:

    batch         The target maps of a batch, and a digest by which two runs show that they saw the same batch.
    bench_report  The report of `craft bench`: a table for people and JSON for programs.
    checkpoint    Checkpoints: written atomically, read back bit for bit.
    datasets      The datasets that a configuration names, with characters, ready for the loader or for validation.
    finite_check  Stops a run whose loss is no longer finite, and saves the batch.
    meter         Sums over the steps between two log lines, kept on the device until the line is written.
    progress      The progress bar of a run, whose time left counts the validations to come.
    run_log       What a run writes about itself: its environment and metrics.jsonl.
    report        The page of a run, report.html: curves, scores, maps, and the words found in fixed scenes.
    schedule      The learning rate and OHEM ratio of a step, the optimizer, and the moving average.
    signals       Signals that end a run, recorded so that the loop can save a checkpoint and exit.
    validation    Scores the network on whole scenes with the detector's decoder and the official protocol.
    preview       Images of what training sees, and of a model's maps.
    run_folder    The run folder: made once, resumed only with the settings it was made with.
    state         What a training run carries from step to step, built fresh or restored from a checkpoint.
    convert       Conversion of weights to another form, with what is known of their training.
    run           A run from its settings: what is read and built before the first step.
    refiner       Trains a LinkRefiner: CRAFT frozen, lines as targets, rendered or read.
    step          One step of training: load, forward, loss, backward, finite check, step.
    loop          The training loop: load, forward, loss, backward, finite check, step, log, evaluate, save.
    bench         Times the parts of training with the settings of a run.
    rehearsal     What can be known of a run before it starts: what it takes, and which learning rate.
"""
