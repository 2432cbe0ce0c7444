"""Official scoring protocols and summaries. No torch.

A file imports only from files above it:

    image_score   What a protocol says about one image: who matched whom, and what the image adds to the totals of a s
    result_files  Result files of any detector: one text file an image, in a folder or a zip, one detection a line. No
    deteval       The DetEval protocol of ICDAR 2013: boxes that may be split or merged, one image at a time. No torch
    iou           The IoU protocol of ICDAR 2015, 2017 and 2019: one image's words and detections to a score. No torch
    summary       From image scores to the score of a set: totals, bootstrap intervals, and how they are printed. No t
    matching      Pair detections with labelled scenes and score them by a protocol. No torch.
    ranking       Figures of ranked detections, precision at a recall and average precision, and intervals of their di
    sweep         Find the thresholds that score best on a named split. No torch: whoever calls brings the decoder.
"""
