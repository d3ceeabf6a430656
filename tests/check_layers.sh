#!/bin/sh
# Who may include whom: base <- format <- fetch; base <- nn <- model <- weights <- prep <- pipe <- data <- eval <- train; backends see nn; serve sees dreamo.h only, cli that and serve.
# Prints every include that breaks the rule; exit 1 if there is one.
cd "$(dirname "$0")/.." || exit 2
may() { # layer: the folders whose headers it may include, beside its own
    case $1 in
        base) echo "" ;;
        format) echo "base" ;;
        image) echo "base format" ;;
        text) echo "base format" ;;
        fetch) echo "base format" ;;
        nn) echo "base" ;;
        backend) echo "base nn" ;;
        model) echo "base nn" ;;
        weights) echo "base format nn model backend" ;;
        prep) echo "base format image nn model backend weights" ;;
        pipe) echo "base format image text nn model backend weights prep" ;;
        data) echo "base format image text nn model weights prep pipe" ;;
        eval) echo "base format image nn model weights prep pipe data backend" ;;
        train) echo "base format image text nn model weights prep pipe data eval backend" ;;
        serve) echo "" ;;
        cli) echo "serve" ;;
        *) echo "unknown" ;;
    esac
}
bad=0
for file in $(find src -name '*.[ch]' -o -name '*.inc' -o -name '*.cu' -o -name '*.cpp' | sort); do
    layer=$(echo "$file" | cut -d/ -f2)
    allowed=" $layer $(may "$layer") "
    for header in $(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file"); do
        case $header in
            dreamo.h) continue ;;
            */*) from=${header%%/*} ;;
            *) echo "$file: includes \"$header\" without its folder"; bad=1; continue ;;
        esac
        case $allowed in
            *" $from "*) ;;
            *) echo "$file: layer $layer may not include $header"; bad=1 ;;
        esac
    done
done
exit $bad
