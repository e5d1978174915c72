"""`bench data`: datasets of the workspace, and outside corpora that are read where they lie."""

from dancebench.benchmark.commands.data.card import card
from dancebench.benchmark.commands.data.corpus import corpus
from dancebench.benchmark.commands.data.datasets import app
from dancebench.benchmark.commands.data.export import export

app.command(
    "corpus",
    epilog="Examples: bench data corpus ffpp /data/FaceForensics++ · "
    "bench data corpus csv clips --list clips.csv --polarity fake=1",
)(corpus)
app.command("card", epilog="Examples: bench data card · bench data card --dataset mine --out card-of-mine")(card)
app.command("export", epilog="Example: bench data export --dataset mine --preset small --out for-them")(export)

__all__ = ["app"]
