"""The command line, the runner that ties the stages together, presets and metrics."""
