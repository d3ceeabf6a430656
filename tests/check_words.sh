#!/bin/sh
# Words that must not stand in the tree: functions with a safer wrapper, and marks of one machine.
cd "$(dirname "$0")/.." || exit 2
bad=0
complain() { if [ -n "$2" ]; then echo "$1:"; echo "$2"; bad=1; fi; }

complain "banned functions" "$(grep -nEw '(atoi|atol|atof|strtok|sprintf|vsprintf|strcpy|gets|alloca)' -r src include examples --include='*.[ch]' | grep -E '\b(atoi|atol|atof|strtok|sprintf|vsprintf|strcpy|gets|alloca)\(')"
complain "allocation outside base/mem.c" "$(grep -nE '(^|[^_a-zA-Z>.])(malloc|calloc|realloc|free|strdup)\(' -r src --include='*.[ch]' | grep -vE '^src/(base/mem\.c|cli/|serve/)')"
complain "files opened outside base/file.c" "$(grep -nE '(^|[^_a-zA-Z>.])(fopen|open|openat|creat|freopen)\(' -r src --include='*.[ch]' | grep -vE '^src/(base/file\.c|cli/(options|main)\.c|serve/redis/blobs\.c)|->open\(|\*open\)')"
complain "the library prints or exits" "$(grep -nE '(^|[^_a-zA-Z])(printf|puts|exit|abort|perror)\(' -r src --include='*.[ch]' | grep -vE '^src/cli/')"
complain "machine paths or registry hosts" "$(git grep -InE '/(home|root|work)/[a-z]|registry\.npmjs|pypi\.org|pythonhosted|deb\.debian\.org' -- . ':!tests/check_words.sh' | cut -c1-160)"
exit $bad
