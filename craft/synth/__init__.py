"""Synthetic scenes with exact characters.

A file imports only from files above it:

    curves           Glyphs as HarfBuzz draws them to corners: curves are cut into segments too short to be seen.
    lexicon          The word lists that scenes are written with.
    make_word_lists  Makes the word lists beside this file from the package wordfreq, which is needed only for that.
    palette          Colours as things have them, and colours that can be told from what is behind them.
    presets          Settings of the generator's presets: typed, ranged and documented.
    rasterizer       Outlines to antialiased masks, by exact area coverage.
    rendered_scene   What the generator makes: a picture and its words, with exact character quads.
    source           Synthetic scenes that are drawn when they are asked for and never lie on a disk. No torch.
    blending         Laying colours over pixels, and measuring how far ink differs from what is around it.
    fonts            Fonts: their outlines, measures and coverage, and text shaped with HarfBuzz into glyph outlines.
    photographs      The user's own pictures as backgrounds.
    room_walls       Planes of rooms, and what stands along walls: shelves of goods, windows, clothes and posters, non
    textures         Noise at many scales, made once per process and cut, stretched and mixed into pictures.
    backgrounds      What is behind the text: photographs of the user's, or drawn walls, grounds, panels and light.
    placement        Shaped text on a plane sent into the picture: outlines, character quads and word quads move throu
    strokes          Shapes as outlines: polygons, discs, rings and thick lines, all wound the same way so that they j
    text             What is written: words of a script, numbers, prices, plates and addresses.
    typefaces        The fonts of this machine and of installed packages, by script, with their licences.
    camera           Between the scene and the file: optics, exposure, sensor, resampling, compression.
    hard_negatives   Things that look a little like text and are none: repeated strokes, structures, pictures, and let
    layouts          Arrangements of text on a plane: signs, paragraphs, menus, columns, bent lines, plates.
    paint            Colours and effects: how an outline becomes paint, print, metal or light on what is behind it.
    quickstart       The quickstart's preset: small, plain scenes that a narrow network learns in minutes. Frozen.
    rooms            Backgrounds seen in depth: halls and shops with floors, ceiling lights, shelves of goods, shop fr
    canvas           A scene while it is being drawn: its pixels, the text on it, and which parts are taken.
    clutter          Hard negatives over the scene, pictures beside text, and things in front of it.
    blocks           Blocks of text on planes: words are chosen, laid out, put where there is room, and painted.
    full             The full preset: a background, hard negatives, blocks of text, things in front, light, a camera,
    render           One scene by preset, seed and number.
    contact_sheet    A contact sheet: many scenes in one picture, with or without what is known about them.
    writer           Synthetic sets on disk: the ICDAR2017 layout, the exact characters beside it, and what they were
"""

from craft.synth.contact_sheet import write_sheet
from craft.synth.presets import PRESETS, GeneratorSettings, preset
from craft.synth.render import render_scene
from craft.synth.rendered_scene import RenderedScene
from craft.synth.writer import SetSummary, write_set

__all__ = [
    "PRESETS",
    "GeneratorSettings",
    "RenderedScene",
    "SetSummary",
    "preset",
    "render_scene",
    "write_set",
    "write_sheet",
]
