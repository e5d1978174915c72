#!/bin/sh
# Print the Python that the environment is made with: the one that was asked for, else the newest that works. An
# environment that is there is used as it is, and its own Python printed.
# Usage: choose_python.sh VENV [PYTHON]
#
# Each candidate is run, since a command may be there and not work: a pyenv shim of a version that is not active.
# The bounds are those of requires-python in pyproject.toml.
set -u
oldest=11
newest=14
venv=$1
asked=${2:-}
fitting="Python 3.$oldest to 3.$newest"

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

# The version of a Python as "3.13", or nothing where it does not run.
read_version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

fits() {
  case $1 in 3.*) [ "${1#3.}" -ge "$oldest" ] && [ "${1#3.}" -le "$newest" ] ;; *) false ;; esac
}

# Sets `candidate` and `version`, or fails.
choose() {
  found=
  for candidate in "$@"; do
    version=$(read_version "$candidate") || continue
    if fits "$version"; then return; fi
    found="$found${found:+, }$candidate is $version"
  done
  fail "dancebench needs $fitting; ${found:-$(echo "$*" | sed 's/ /, /g') not found or not working}." \
    "Install one of these, or name it: make demo PYTHON=/path/to/python3.13"
}

present=$venv/bin/python
if [ -e "$present" ] || [ -L "$present" ]; then
  made_by=$(read_version "$present") || fail "The Python of $venv does not run." "Run: make clean"
  fits "$made_by" || fail "dancebench needs $fitting; $venv was made by $made_by." "Run: make clean"
  if [ -n "$asked" ]; then
    choose "$asked"
    [ "$made_by" = "$version" ] || fail "$venv was made by Python $made_by; $asked is $version." \
      "Run make clean first, or make the other beside it with VENV=.venv-$version."
  fi
  echo "$present"
  exit
fi

if [ -n "$asked" ]; then choose "$asked"; else choose python3.13 python3.12 python3.11 python3; fi
"$candidate" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "$candidate cannot make $venv: its venv module is not installed." \
    "apt-get install python$version-venv (Debian, Ubuntu)"
echo "$candidate"
