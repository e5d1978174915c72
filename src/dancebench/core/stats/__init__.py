"""Statistics that several rooms compute: intervals and tests by person; figures of likelihood ratios."""
