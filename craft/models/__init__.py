"""The CRAFT network and its weights.

A file imports only from files above it:

    craft             The CRAFT network: VGG16 with batch norm, a U-shaped decoder, two score maps at half the input's
    device            Which device and which precision the network runs in.
    digest            A short digest of weights, by which runs show that they started from or arrived at the same.
    shipped           Weights that ship with the package, by name: `small`, `synth`. No torch.
    storage           8-bit storage of weights: whole numbers with one step per output channel, restored to float when
    proposal_network  The region proposal network: boxes that may hold a word, from the VGG features at strides 4 and
    region_head       The region-level path: a head that says of a box whether it is a word, and moves it, from the ne
    weights           Weights in files: read in every format that CRAFT's weights come in, written as safetensors or a
    pretrained        torchvision's ImageNet weights for the backbone.
"""
