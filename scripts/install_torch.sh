#!/bin/sh
# Where there is no NVIDIA GPU, install a CPU build of torch if pip can find one.
# Usage: install_torch.sh PYTHON
#
# A CPU build has the local version +cpu. pip finds it in an index or a folder of the user's configuration
# (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS, pip.conf); the package index itself has only builds with CUDA for Linux on
# x86_64, gigabytes large. They run without a GPU too, so then nothing is done, and what is there is installed later.
set -u
python=$1
version=$(sed -n 's/^torch==//p' "$(dirname "$0")/../constraints.txt")

"$python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null && exit 0
nvidia-smi -L >/dev/null 2>&1 && exit 0
[ "$(uname -sm)" = "Linux x86_64" ] || exit 0 # elsewhere the usual build is one for CPUs
"$python" -m pip --disable-pip-version-check install --quiet "torch==$version+cpu" >/dev/null 2>&1 ||
  echo "No NVIDIA GPU here, and pip finds no CPU build of torch $version: what follows installs the one with CUDA (gigabytes)." >&2
