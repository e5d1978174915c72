"""Networks on any floor: layers, trunks, checkpoints, several processes at one training; imports nothing but `core`."""
