"""From score maps to words, in map indices. No torch.

A file imports only from files above it:

    components       Connected components of thresholded score maps as runs of pixels, with no label image in between.
    component_boxes  Boxes around the components of score maps at several thresholds: what the maps take for words, an
    rectangles       Minimum-area rectangles around widened components, as the original draws them, without drawing a
    decode           From score maps to words: the original's steps, the same maps give the same boxes. numpy and numb
    polygons         What lies inside a decoded word: a polygon along its centre line, and its characters. Map indices
"""
