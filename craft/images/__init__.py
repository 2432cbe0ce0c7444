"""Image files read and written, and everything that is drawn for people.

A file imports only from files above it:

    drawing      Outlines, score maps, captions, tiled images, and image files written.
    headers      Headers of JPEG and PNG files: size, depth, channels, EXIF orientation.
    tar_members  Members of tar files, read in place.
    unreadable   What is said about a file that cannot be read as an image.
    pixels       Decoded pixels made RGB with 8 bits, and upright.
    reader       Images from files: upright, RGB, 8 bits, without transparency.
    image_like   Images in the forms in which people hold them, as RGB arrays.
    files        Image files below a folder, through its links.
    pages        Pages of files: all of a TIFF or PDF, frames by choice, standard input.
    html_page    One HTML file with tables, bars, curves and images in it, that needs no other file.
"""
