"""Entity encoders: from a text to a vector of length one, so that new entities need no training."""
