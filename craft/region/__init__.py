"""The region-level path: RoIs, their labels, losses and mining, in training and in detection.

A file imports only from files above it:

    pass_times        How long parts of a step take, without making the host wait for the device.
    rescoring         Words from the maps, scored a second time by the region head; the only file that detection needs.
    roi_labels        Labels of RoIs and anchors: text, background or left out, and the word that each belongs to.
    proposals         The RoIs of a batch from all sources, and the loss of the proposal network.
    loss              The head's loss over the RoIs that a sampler chose, with the passes that each sampler needs.
    meter             What the log says: losses, which RoIs were chosen, recall of the sources, times and memory.
    bootstrapping     Classic bootstrapping: collecting background that the head takes for text.
    figures           Figures of the RoIs that mining chooses, at every step on the same crops.
    training          The region path of a run: loss, log, collections and figures.
"""
