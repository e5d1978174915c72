"""Outside corpora: read where they lie, audited, written down."""
