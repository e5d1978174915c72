"""The detector that ships: its files and their hashes, and how they are made from material that is named."""
