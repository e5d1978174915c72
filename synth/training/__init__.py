"""Training a synthesizer: batches, the training loop, the folder of a trained synthesizer."""
