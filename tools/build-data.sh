#!/bin/sh
# build-data.sh CACHE OUT [DREAMO] - fetch the drawings that dreamo-mini is trained on, and build the asset folder OUT.
#
# Needs node, npm, rsvg-convert (Debian: nodejs npm librsvg2-bin) and the network once; CACHE (about 700 MB) is reused.  With Debian's
# sweethome3d-furniture installed, its 3D models are drawn as well, and with dataset-fashion-mnist its garments join; FURNITURE=,
# GARMENTS= and PEOPLE=0 leave out models, garments and persons.  Takes about half an hour on two cores.
# Every package is pinned, so the same subjects and persons come out; their pixels also depend on the librsvg version.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 CACHE OUT [DREAMO]" >&2; exit 2; }
cache=$1 out=$2 dreamo=${3:-dreamo}
furniture=${FURNITURE-/usr/share/sweethome3d/furniture}
garments=${GARMENTS-/usr/share/datasets/fashion-mnist}
people=${PEOPLE-300} # of each of the fourteen ways of drawing

for tool in node npm rsvg-convert "$dreamo"; do
    command -v "$tool" >/dev/null || { echo "$0: $tool: not found" >&2; exit 4; }
done

mkdir -p "$cache"
[ -f "$cache/package.json" ] || echo '{ "private": true }' >"$cache/package.json"
# Two of the packages name different versions of React as their peers; either runs with the one that is pinned here.
npm install --prefix "$cache" --legacy-peer-deps --ignore-scripts --no-audit --no-fund --save-exact \
    emojibase-data@17.0.0 \
    @iconify-json/noto@1.2.9 \
    @iconify-json/noto-v1@1.2.5 \
    @iconify-json/fluent-emoji@1.2.7 \
    @iconify-json/fluent-emoji-flat@1.2.6 \
    @iconify-json/fxemoji@1.2.2 \
    @iconify-json/twemoji@1.2.5 \
    @iconify-json/emojione@1.2.3 \
    @iconify-json/streamline-emojis@1.2.4 \
    react@17.0.2 react-dom@17.0.2 \
    facesjs@5.0.3 \
    avataaars@2.0.0 \
    @bigheads/core@0.3.3 \
    @dicebear/core@9.4.3 \
    @dicebear/open-peeps@9.4.3 \
    @dicebear/pixel-art@9.4.3 \
    @dicebear/personas@9.4.3 \
    @dicebear/micah@9.4.3 \
    @dicebear/toon-head@9.4.3 \
    @dicebear/miniavs@9.4.3 \
    @dicebear/notionists@9.4.3 \
    @dicebear/lorelei@9.4.3 \
    @dicebear/adventurer@9.4.3 \
    @dicebear/big-smile@9.4.3 \
    @dicebear/croodles@9.4.3

set -- dataset build --npm "$cache"
if [ -n "$furniture" ] && [ -d "$furniture" ]; then set -- "$@" --furniture "$furniture"; fi
if [ -n "$garments" ] && [ -d "$garments" ]; then set -- "$@" --garments "$garments"; fi
if [ "$people" != 0 ]; then
    rm -rf "$cache/people"
    NODE_ENV=production node "$(dirname "$0")/people.mjs" "$cache" "$cache/people" "$people"
    set -- "$@" --people "$cache/people"
fi
"$dreamo" "$@" --data "$out"
"$dreamo" dataset check --data "$out"
"$dreamo" dataset stats --data "$out"
