"""Online hard example mining (OHEM): which pixels and which RoIs are trained on, and the loss of score maps.

A file imports only from files above it:

    top_k_triton  Top-k selection on CUDA in one Triton kernel, one program a row.
    top_k         Top-k selection over the pixels of each row, without the host waiting for the device.
    pixel         Pixel-level OHEM: the rules that choose and weight the pixels of a score map.
    loss          The loss of score maps against their targets, over the pixels that a rule keeps.
    region        Region-level OHEM: the samplers that choose the RoIs of an image.
"""
