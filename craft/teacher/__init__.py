"""Weak supervision: characters of words that are labelled as words only.

A file imports only from files above it:

    crop_kernels     The arithmetic of a word's crop, word by word without numpy's overhead: where it lies, its pixels
    watershed        The watershed of a word's region map, as the paper splits words into characters.
    character_spans  The most likely characters of an upright word of known length, from its region map: numba kernels
    word_crops       Words as upright pictures of one height for the teacher, and the way back from there to the scene
    crop_batches     Gathers the crops of many scenes' words into batches of one size, while others are being worked o
    splitting        Where the characters of an upright word are, from its region map: by watershed, or by the cuts th
    labelling        Labels the characters of words with a network: crops in batches on its device, splitting on other
    label_files      Label files: the characters that a teacher found for one set, with what they came from, refused w
    label_dataset    Labels one set with given weights: what `craft label` does.
    relabelling      Labels the training words anew with the moving average, every so many steps, and says when the la
"""
