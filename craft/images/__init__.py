"""Images from files, and drawings over them.

A file imports only from files above it:

    drawing      What is drawn for people: outlines, score maps, captions, tiled images and image files.
    headers      What a JPEG or PNG file says of itself before its pixels: size, depth, channels, EXIF orientation.
    tar_members  Members of tar files, named by a path of their own and read in place. No torch.
    reader       Pictures from files, as people see them: upright, RGB, 8 bits, without transparency.
"""
