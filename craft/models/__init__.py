"""The CRAFT network and its weights.

A file imports only from files above it:

    backbone          What a backbone is: five stages of features that the decoder joins, and how it starts from ImageNet.
    vgg16_bn          The VGG16 backbone with batch norm, under the parameter names of the authors' release.
    freezing          Parameters and batch norm statistics that training leaves as they are.
    craft             The CRAFT network: a backbone, a U-shaped decoder, and two score maps.
    device            The device and the precision that the network runs in, and the memory it took there.
    inference         One way to run a network over images: normalise, channels last, autocast.
    fusing            Fuses batch norms and ReLUs into the convolutions before them, for networks that only score images.
    shipped           Weights that ship with the package, by name. No torch.
    exported          A network that `craft export` wrote, run by ONNX Runtime, OpenVINO or torch. No torch until it runs.
    storage           8-bit storage of weights, restored to float when read.
    torch_files       Files of torch.save, read only where their checksums fit.
    proposal_network  The region proposal network: boxes that may hold a word.
    region_head       The region path: a head that classifies boxes as words and refines them.
    weight_files      Files of weights in every format: tensors and metadata, whatever network they belong to.
    weights           Weights of a CRAFT: read, checked against a network and copied into it, and written.
    refiner           The LinkRefiner: a small network on CRAFT's maps and features that links the words of a line.
"""
