"""Fakes from elsewhere: folders of finished ones measured, data given out, and what comes back ranked beside ours."""
