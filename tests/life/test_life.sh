#!/bin/sh
# A long life, briefly: `make life` is the long one. Sanitizers take memory their own way.
grep -q sanitize "${BUILD:-build}/flags" && set -- --sanitized
exec "${BUILD:-build}/life" "$@"
