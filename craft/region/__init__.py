"""The region-level path: RoIs, their labels, losses and mining, in training and in detection.

A file imports only from files above it:

    pass_times        How long parts of a step take, without making the host wait for the device.
    rescoring         Words from the maps, judged a second time by the region head: other scores, fewer words, better
    roi_labels        What RoIs and anchors are: text, not text, or left out of everything, and which word each belong
    static_proposals  Boxes to train the region head on that need no network: jittered words and a dense grid. numpy,
    proposals         The RoIs of a batch: from the proposal network, the score maps, the labelled words and a grid, w
    loss              The loss of the region path: proposals and RoIs, with the passes over RoIs that each sampler nee
    batch_rois        The RoIs of a loaded batch, and the loss of the network that proposed some of them.
    meter             What the log says about the region path: losses, what was mined, recall of the sources, times an
    bootstrapping     Classic bootstrapping: stop, look for background that the head takes for text, keep it, go on wi
    figures           Pictures of the RoIs that mining finds: the same crops at every step, boxes coloured by loss and
    training          The region path in training: from a batch's features to its loss, its log and its pictures.
"""
