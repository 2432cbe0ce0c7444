"""Online hard example mining and the losses it serves.

A file imports only from files above it:

    top_k_triton  Keeps the highest-ranked pixels of each row on a GPU in one Triton kernel, one program a row.
    top_k         Count pixels row by row and keep the highest-ranked of each, without the host waiting for the device
    pixel         Pixel-level hard example mining: which pixels of a score map count in the loss, and how much.
    loss          The loss of score maps against their targets, over the pixels that a rule keeps.
    region        Region-level hard example mining: which RoIs of an image are trained on.
"""
