#!/bin/sh
# The shared library exports dreamo_* and nothing else.  usage: check_exports.sh LIBRARY
other=$(nm -D --defined-only "$1" | awk '$2 ~ /[A-Z]/ && $3 !~ /^(dreamo_|_init$|_fini$|__bss_start$|_edata$|_end$)/ { print $3 }')
[ -z "$other" ] || { echo "exported beside dreamo_*:"; echo "$other"; exit 1; }
nm -D --defined-only "$1" | grep -q ' dreamo_open$' || { echo "dreamo_open is not exported"; exit 1; }
