"""Readers of labelled sets, augmentation and the loader.

A file imports only from files above it:

    scene_source   Scenes that are rendered or read when they are asked for, and the pixels of any scene.
    labels         What the label readers share: a set as read, a word checked, a label file's text.
    noise          Sensor noise from normal numbers that are drawn once and read from random places. No torch.
    order          Which scene comes when: a weighted mix of sets that follows from (seed, epoch, position) alone. No
    packed_labels  Labels of many scenes in a few arrays, so that loader processes share them instead of each growing
    warp           Pixels through a 3 x 3 matrix: one warp, with the picture reduced first where it shrinks. No torch.
    colours        Random changes to a crop's pixels that move nothing: colour, grey, blur, noise, JPEG. No torch.
    icdar          Label files of the ICDAR robust reading competitions: 2013, 2015, 2017 MLT and 2019 MLT. One word a
    jsonlines      Scenes as JSON Lines: one scene a line, so that people can bring polygons and characters of their o
    synthtext      SynthText: pictures with rendered text and the quads of words and of every character, in one `gt.ma
    augment        From a picture and its words to a training crop: one random matrix for pixels and quads, then colou
    shards         Sets packed into tar files, read in place: any scene at any time, without unpacking. No torch.
    totaltext      TotalText: words of any shape as polygons, in text files or MATLAB files, one per picture.
    folders        Folders of labelled sets: which ones the official sets have, and which picture belongs to which lab
    loader         Batches of training crops for one process, in an order that follows from (seed, epoch, position) al
    reading        A labelled set from its settings: picks the reader, gathers what is wrong, looks at every picture's
    collection     One dataset to train on or to score: refused, or read without the scenes that have errors.
    check          What is in a labelled set and what is wrong with it, for `craft check`.
    shard_writer   Packs a labelled set into tar shards with an index, whole or not at all. No torch.
"""
