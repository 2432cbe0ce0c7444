"""Synthetic scenes with exact characters.

A file imports only from files above it:

    presets         Presets: the settings of the generator.
    rendered_scene  What the generator makes: an image and its words, with exact character quads.
    outlines        Outlines: contours as corners, shapes made of them, and the rasterizer that turns them into masks.
    glyphs          Glyphs: HarfBuzz gives lines and curves, which are flattened to short segments.
    typeface        One face of a font file: its measures and coverage, and text shaped into an outline.
    text            What is written: words of a script, numbers, prices, plates and addresses.
    fonts           The fonts of this machine and of installed packages, by script, with their licences.
    colours         Colours: natural ones, contrasting ones, and blending over pixels.
    textures        Textures: noise at many scales, cropped, stretched and added to images.
    placement       Placement: planes seen by a camera, and shaped text projected onto the image.
    layouts         Layouts: text arranged on a plane as signs, paragraphs, menus, columns, bent lines and plates.
    paint           Paint: how an outline becomes print, metal or light on what is behind it.
    hard_negatives  Outlines of hard negatives: repeated strokes, structures, symbols and pseudo letters.
    canvas          The canvas: a scene while it is rendered, its words, and which parts are taken.
    clutter         Clutter: hard negatives over the scene, symbols beside text, and occluders in front of it.
    blocks          Blocks of text: chosen, laid out on planes, placed where there is room, and painted.
    backgrounds     Backgrounds: rendered surfaces and the user's photographs, and uneven light.
    walls           Walls of rooms as planes, with shelves of goods, windows, clothes and posters along them.
    rooms           Backgrounds in depth: halls and shops with floors, ceiling lights, shelves, fronts and people.
    camera          The camera: light, optics, exposure, sensor, resampling and compression.
    quickstart      The quickstart preset: small, plain scenes that a narrow network learns in minutes. Frozen.
    full            The full preset: a background, hard negatives, text, occluders, a camera, and honest labels.
    render          One scene by preset, seed and index.
    source          Synthetic scenes rendered on the fly, for training. No torch.
    writer          Synthetic datasets on disk: the ICDAR2017 layout, the exact characters, and how they were made.
"""
