"""Training a synthesizer: batches, its phases, the folder of a trained synthesizer."""
