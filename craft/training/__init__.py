"""The training loop and what it writes.

A file imports only from files above it:

    batch            The target maps of a batch, and a digest by which runs show that they saw the same batch.
    bench_report     What `craft bench` found: a table for people and JSON for programs.
    checkpoint       Checkpoints: written whole or not at all, read back bit for bit.
    datasets         The scenes that a configuration names: read, checked, with characters, ready for the loader or fo
    finite_check     Stops a run whose loss is no longer finite, with the batch that did it, without making the host w
    meter            Sums over the steps between two lines of the log, kept on the device until the line is written.
    run_log          What a run writes about itself: settings, environment, metrics.jsonl and, by choice, TensorBoard
    schedule         The learning rate of a step, and the optimizer and moving average it drives.
    signals          Signals that end a run are noted, so that the loop can finish its step, save and leave.
    stopwatch        Times work on a device: by its own clock on CUDA, where the host runs ahead, else by the host's.
    validation       Scores the network on whole scenes with the real decoder and the official protocol.
    preview          Pictures of what training sees: crops with their words, characters, maps and don't-care mask, and
    run_folder       The run folder: made once, resumed only with the settings it was made with.
    state            What a training run carries from step to step, built fresh or taken from a checkpoint.
    provenance       Where weights come from: what the run folder that they lie in says of it, as plain values that tr
    convert          Writes weights in another form: what `craft convert` does.
    step             One step of training: load, forward, loss, backward, finite check, step.
    loop             The training loop: load, forward, loss, backward, finite check, step, log, evaluate, save.
    bench            Times the parts of training with the settings of a run: loader, targets, loss, step without loade
"""
