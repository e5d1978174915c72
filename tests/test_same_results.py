"""The comparison of two workspaces sees what differs, and nothing else."""

import json
import shutil
from pathlib import Path

from same_results import main, read_results


def test_a_copy_is_the_same_and_a_changed_number_is_named(tiny_demo: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    copy = Path(shutil.copytree(tiny_demo, tmp_path / "copy"))
    for path in copy.glob("synths/*/*/*/*/train.json"):
        path.write_text(path.read_text().replace('"seconds": ', '"seconds": 9'))
    assert len(read_results(copy)) > 100
    assert main(str(tiny_demo), str(copy)) == 0
    (record,) = copy.glob("results/synthesis-nearest-*.json")
    document = json.loads(record.read_text())
    document["metrics"]["body_ssim"]["value"] += 1e-15
    record.write_text(json.dumps(document))
    (copy / "fakes/nearest/demo-tiny/1/tiny-s0/1.json").unlink()
    capsys.readouterr()
    assert main(str(tiny_demo), str(copy)) == 1
    printed = capsys.readouterr().out
    assert f"results/{record.name} metrics" in printed
    assert "only before" in printed


def test_nothing_is_not_the_same_as_nothing(tmp_path: Path) -> None:
    assert main(str(tmp_path), str(tmp_path)) == 1
