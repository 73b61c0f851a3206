#!/bin/sh
# install-into FOLDER PIP-OPTION...: installs packages below a folder, with their bytecode, the same in every build.
set -eu
folder=$1
shift
pip install --root "$folder" --ignore-installed "$@"
# Bytecode that is never compared with its source: nobody changes either in an image.
python3 -m compileall -q --invalidation-mode unchecked-hash -s "$folder" "$folder"
# Files get the same time in every build, so that layers with the same content are the same.
find "$folder" -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH:-1577836800}" {} +
