"""From score maps to words. No torch.

A file imports only from files above it:

    components       Connected components of thresholded score maps, as runs of pixels.
    rectangles       Minimum-area rectangles around dilated components, as the original draws them.
    decode           Words in map indices: the original's steps, the same boxes for the same maps.
    polygons         Polygons along the centre line of decoded words, and their characters.
    reading_order    Words grouped into lines and blocks, in the order in which one reads them.
    detections       The words found in one image, as arrays, plain values, a table or a drawing.
    crops            Upright crops of words or lines, for a recogniser.
    words            Words in source image pixels, by the detection settings.
"""
