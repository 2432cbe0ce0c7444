"""Weak supervision: the characters of words that are labelled as words only.

A file imports only from files above it:

    crop_kernels     Compiled arithmetic of word crops.
    character_spans  Finds the most likely characters of a word of known length in its region map.
    splitter         Splits a word's region map into characters by a splitter's name.
    word_crops       Crops words upright out of their scene, and sends characters back to the scene.
    crop_batches     Gathers the word crops of many scenes into batches of one size.
    label_files      Reads and writes label files: a dataset's characters and where they came from.
    labeller         Labels scenes, or a dataset, with a network; does the work of `craft label`.
    relabeller       Labels the training words again with the moving average during training.
"""
