"""A pretrained network that ships with the project: pictures in, features of several depths out; nothing is trained."""
