"""Names that networks and tasks have for sizes of the data."""

INPUTS, CHANNELS, PIXELS, TOKENS = "inputs", "channels", "pixels", "tokens"
CLASSES, LABELS, OUTPUTS, TARGETS = "classes", "labels", "outputs", "targets"
CARDINALITIES = "cardinalities"
NAMES = {
    INPUTS: "in_features input_features input_dim input_size in_dim num_features n_features num_inputs n_inputs",
    CHANNELS: "in_channels in_chans input_channels num_channels n_channels",
    PIXELS: "image_size img_size",
    TOKENS: "num_tokens n_tokens vocab_size num_embeddings",
    CLASSES: "num_classes n_classes nb_classes num_class n_class",
    LABELS: "num_labels n_labels",
    OUTPUTS: "out_features output_features output_dim output_size out_dim num_outputs n_outputs",
    TARGETS: "num_targets n_targets num_labels n_labels",
    CARDINALITIES: "cardinalities",
}
"""Names of arguments by what they count."""
ROLES = {name: role for role, names in NAMES.items() for name in names.split()}
"""What an argument counts, by its name."""
IMAGENET = {"num_classes": 1000, "in_channels": 3, "in_chans": 3, "image_size": 224, "img_size": 224}
"""Defaults of networks that were made for ImageNet, which has 1000 classes."""
