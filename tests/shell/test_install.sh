#!/bin/sh
# make install: one binary that works where the tree is not, the core for C, and the module for a
# stock Lua. In one file: two of them would write the same files of the build folder at once.
. tests/shell/tap.sh
stage=$scratch/stage
# what is tested is installed as it was built, whatever flags it was built with
make_() { make -s -o "${BUILD#"$PWD/"}/flags" BUILD="$BUILD" DESTDIR="$stage" PREFIX=/usr "$@"; }
pkg_config() { PKG_CONFIG_SYSROOT_DIR="$stage" PKG_CONFIG_LIBDIR="$stage/usr/lib/pkgconfig" pkg-config "$@" oomph; }

holds "it installs under DESTDIR and PREFIX" make_ install
is "the binary answers away from the tree" 0 "16060522496" "" env -i sh -c "cd / && exec $stage/usr/bin/oomph -e 'print(footprint{model=\"llama-3.1-8b\", device=\"rtx-4090\"}.fp16.bytes)'"
is "and draws" 0 "*fp16*" "" env -i sh -c "cd / && exec $stage/usr/bin/oomph -e 'print(maxcurve{model=\"llama-3.1-8b\", device=\"rtx-4090\"})'"
holds "help lists every target" sh -c 'for t in all deps run test check bench lint install uninstall clean; do make -s help | grep -q "^$t " || exit 1; done'

# ---- the core for C ----
is "pkg-config knows the version that the program says" 0 "$("$oomph" --version | cut -d' ' -f2)" "" pkg_config --modversion
# The tree's own build may carry sanitizers or counters, which whoever links liboom.a needs, too.
extra=$(sed -n 's/.*\(-fsanitize=address\).*/\1 -fsanitize=undefined/p; s/.*\(--coverage\).*/\1/p' "$BUILD/flags")
# shellcheck disable=SC2046,SC2086
holds "the example builds against what was installed, strictly" \
    ${CC:-cc} -std=c11 -Wall -Wextra -Wconversion -Werror $extra examples/c/fits.c $(pkg_config --cflags --libs) -o "$scratch/fits"

# 8030261248 parameters of 2 bytes; 32 layers x 2 x 8 heads x 128 x 2 bytes x 8192 tokens x 4
is "it counts weights and cache as the shell does" 1 "weights      16060522496
kv            4294967296
*" "" "$scratch/fits" 16GiB fp16 8192 4
is "and says what fits" 0 "*: fits
largest batch at this length: 7" "" "$scratch/fits" 24GiB fp16 8192 4
is "a mistake is one line" 2 "" "fits: *fp17*" "$scratch/fits" 24GiB fp17 8192 4
is "too few arguments are wrong usage" 2 "" "usage: fits *" "$scratch/fits"
holds "liboom.a needs nothing but the C library" sh -c "
    ! nm -u '$BUILD/liboom.a' | grep -E ' (lua|cJSON|rl|dl)[A-Z_]'"

# ---- the module ----
uninstalled() { make_ uninstall && test -z "$(find "$stage" ! -type d)"; }
if ! command -v lua5.4 >/dev/null; then
    echo "ok $((count + 1)) - the module runs in a stock Lua # SKIP no lua5.4"
    count=$((count + 1))
    holds "uninstall leaves nothing" uninstalled
    finish
fi
# A module with sanitizers needs their library in a program that has none, by its compiler's name.
preload=
if grep -q 'fsanitize=address' "$BUILD/flags"; then
    compiler=$(cut -d' ' -f1 "$BUILD/flags")
    for name in "libclang_rt.asan-$(uname -m).so" libasan.so; do
        preload=$("$compiler" -print-file-name="$name")
        case $preload in /*) break ;; esac
    done
fi
stock() { (cd / && env -i ${preload:+LD_PRELOAD="$preload" ASAN_OPTIONS=detect_leaks=0} LUA_CPATH="$stage/usr/lib/lua/5.4/?.so" lua5.4 -e "local oomph = require 'oomph' $1"); }
is "require \"oomph\" counts in a stock Lua, away from the tree" 0 16060522496 "" \
    stock 'print(oomph.footprint{model="llama-3.1-8b", device="rtx-4090"}.fp16.bytes)'
is "results draw themselves there" 0 "*rtx-4090*fp16*" "" \
    stock 'print(oomph.maxcurve{model="llama-3.1-8b", device="rtx-4090"})'
is "functions in Lua are there on first use" 0 "1Ki*2Ki*" "" \
    stock 'print((tostring(oomph.sweep{model="llama-3.1-8b", device="l4", precision="int8", seq=oomph.powers(1024, 2048)}):gsub("^.-llama", "llama"):gsub("llama%S+%s+", "")))'
is "a wrong option is an error of Lua's, one line" 0 "false	*bacth*did you mean \"batch\"*" "" \
    stock 'print(pcall(oomph.footprint, {bacth = 4}))'
is "the session is the shell's alone" 0 "nil	nil" "" stock 'print(oomph.save, model)'
is "it sets no global" 0 "" "" \
    stock 'for k in pairs(_G) do if not ("_G _VERSION arg assert collectgarbage coroutine debug dofile error getmetatable io ipairs load loadfile math next os package pairs pcall print rawequal rawget rawlen rawset require select setmetatable string table tonumber tostring type utf8 warn xpcall"):find(k, 1, true) then print(k) end end'
holds "uninstall leaves nothing" uninstalled
finish
