"""What generators leave: reals through the last stage of a generator, and a network that tells them from the reals."""
