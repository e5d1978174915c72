"""What generators leave: reals through the last stage of a generator, and the direction from the one to the other."""
