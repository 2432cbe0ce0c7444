"""Region and affinity maps from quads.

A file imports only from files above it:

    characters    Where a word's characters are: as given, or by splitting the word evenly.
    outlines      What one quad colours, worked out quad by quad in compiled loops: the enlarged ellipse, the grown st
    shapes        What quads colour, as shapes that a map pixel is inside or outside of: the host's share of drawing t
    paint_cpu     Maps and confidence painted row by row in compiled loops on one core: the CPU's way to draw targets.
    paint_torch   Maps and confidence painted with operations of torch: pairs of shapes and pixels, without waiting fo
    paint_triton  Paints targets on a GPU with Triton kernels: one program a piece of a shape, and a maximum where sha
    heatmaps      Region and affinity maps, and how far each of their pixels is trusted, from quads.
"""
