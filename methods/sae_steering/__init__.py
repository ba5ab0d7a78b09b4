"""SAE feature steering: sparse features of the base's own activations, chosen by what they cause. See README.md."""
