"""What the adversarial methods share: networks, losses, the training phase."""
