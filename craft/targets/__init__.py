"""Region and affinity maps from quads.

A file imports only from files above it:

    characters     Where a word's characters are: as given, or split evenly.
    lines          Targets of the LinkRefiner: which words make a line, and a strip along the middle of each line.
    shape_kernels  Compiled loops that turn quads into ellipses, grown strips and affinity quads.
    shapes         The definition of the maps: sigma, enlargement, and the shapes to paint.
    paint_cpu      Paints the shapes on one core of the CPU.
    paint_triton   Paints the shapes on a GPU with Triton kernels.
    heatmaps       Draws a batch's targets: checks the quads, makes the shapes, chooses the painter.
"""
