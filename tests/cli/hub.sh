#!/bin/sh
# hub.sh FOLDER CONFIG: lay out files under the hub's addresses, for a web server on this machine.  Each is a few bytes that name it, but for
# the vocabularies, whose checksums are known: those come from CONFIG.  What there is to lay out, `dreamo fetch --list` says.
set -eu
hub=$1 config=$2
dreamo=${DREAMO:-build/dreamo}
{ "$dreamo" fetch --list --json; "$dreamo" fetch v1 --list --json --t5 fp8; } |
    sed -n 's/.*"path":"\([^"]*\)","repository":"\([^"]*\)","file":"\([^"]*\)".*/\1 \2 \3/p' |
    while read -r path repository file; do
        to=$hub/$repository/resolve/main/$file
        mkdir -p "$(dirname "$to")"
        case $file in
            tokenizer*/vocab.json | tokenizer*/merges.txt | tokenizer*/spiece.model | tokenizer*/tokenizer.json) cp "$config/$path" "$to" ;;
            *) echo "$repository $file" >"$to" ;;
        esac
    done
