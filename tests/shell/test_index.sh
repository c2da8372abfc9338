#!/bin/sh
# Every test that tests/shell/README.md names is there.
. tests/shell/tap.sh
named() {
    sed -n 's/^|[^|]*| \([a-z]*\) | \(.*\) |$/\1 \2/p' tests/shell/README.md | sed 1d >"$scratch/named"
    test -s "$scratch/named" || return 1
    while read -r file name; do
        grep -qxF -- "# $name" "tests/shell/$file.session" || { echo "$file: $name"; return 1; }
    done <"$scratch/named"
}
holds "every test that the index names exists" named
finish
