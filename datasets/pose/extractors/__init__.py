"""What finds poses in frames, one module each; base.py holds the interface and the registry."""
