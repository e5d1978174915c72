"""Network building blocks: layers, backbones, checkpoints, distributed training; imports nothing but `core`."""
