#!/bin/sh
# build-data.sh CACHE OUT [DREAMO] - fetch the drawings that dreamo-mini is trained on, and build the asset folder OUT.
#
# Needs npm, rsvg-convert (Debian: npm librsvg2-bin) and the network once; CACHE (about 210 MB) is reused.  With Debian's
# sweethome3d-furniture installed, its 3D models are drawn as well (FURNITURE= switches that off).
# Every package is pinned, so the same subjects come out; their pixels also depend on the librsvg version.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 CACHE OUT [DREAMO]" >&2; exit 2; }
cache=$1 out=$2 dreamo=${3:-dreamo}
furniture=${FURNITURE-/usr/share/sweethome3d/furniture}

for tool in npm rsvg-convert "$dreamo"; do
    command -v "$tool" >/dev/null || { echo "$0: $tool: not found" >&2; exit 4; }
done

mkdir -p "$cache"
[ -f "$cache/package.json" ] || echo '{ "private": true }' >"$cache/package.json"
npm install --prefix "$cache" --ignore-scripts --no-audit --no-fund --save-exact \
    emojibase-data@17.0.0 \
    @iconify-json/noto@1.2.9 \
    @iconify-json/noto-v1@1.2.5 \
    @iconify-json/fluent-emoji@1.2.7 \
    @iconify-json/fluent-emoji-flat@1.2.6 \
    @iconify-json/fxemoji@1.2.2 \
    @iconify-json/twemoji@1.2.5 \
    @iconify-json/emojione@1.2.3 \
    @iconify-json/streamline-emojis@1.2.4

set -- dataset build --npm "$cache"
if [ -n "$furniture" ] && [ -d "$furniture" ]; then set -- "$@" --furniture "$furniture"; fi
"$dreamo" "$@" --data "$out"
"$dreamo" dataset check --data "$out"
"$dreamo" dataset stats --data "$out"
