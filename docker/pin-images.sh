#!/bin/sh
# Writes the digests that the tags in docker/images.env have now into that file (or the file given). Needs docker with
# buildx, and the registry. Changes nothing unless every digest was found.
set -eu
file=${1:-$(dirname -- "$0")/images.env}
trap 'rm -f "$file.new"' EXIT

{
    echo "# The base images by digest, for docker/compose.production.yaml and for builds of releases. Written by"
    echo "# docker/pin-images.sh."
    grep '^[A-Z_]*_IMAGE=' "$file" | while IFS='=@' read -r name image _; do
        digest=$(docker buildx imagetools inspect "$image" --format '{{.Manifest.Digest}}')
        if ! echo "$digest" | grep -Eqx 'sha256:[0-9a-f]{64}'; then
            echo "pin-images: the registry has no digest of $image: $digest" >&2
            exit 1
        fi
        echo "$name=$image@$digest"
    done
} >"$file.new"
mv "$file.new" "$file"
