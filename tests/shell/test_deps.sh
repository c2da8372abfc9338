#!/bin/sh
# scripts/deps against stand-ins for the package managers, which record their arguments.
. tests/shell/tap.sh

# A machine of which nothing is known but these commands: stand NAME... makes the folder for PATH.
machine() {
    rm -rf "$scratch/bin"
    mkdir -p "$scratch/bin"
    : >"$scratch/calls"
    for tool in sh env; do ln -s "$(command -v $tool)" "$scratch/bin/$tool"; done
    for name in "$@"; do
        case $name in
        sudo) printf '#!/bin/sh\necho "sudo $*" >>"%s/calls"\n"$@"\n' "$scratch" ;;
        id) printf '#!/bin/sh\necho 1000\n' ;;
        id0) printf '#!/bin/sh\necho 0\n' ;;
        pkg-config) printf '#!/bin/sh\nexit 0\n' ;;
        *) printf '#!/bin/sh\necho "%s $*" >>"%s/calls"\n' "$name" "$scratch" ;;
        esac >"$scratch/bin/${name%0}"
        chmod +x "$scratch/bin/${name%0}"
    done
}
deps() { env -i PATH="$scratch/bin" /bin/sh scripts/deps "$@"; }
called() { matches "$1" "$scratch/calls"; }

machine apt-get id0
is "apt: it says what it installs" 0 "installing with apt-get: pkg-config liblua5.4-dev libcjson-dev libreadline-dev" "" deps run
holds "apt: the lists are fetched, then exactly that" called "apt-get update -qq
apt-get install -y --no-install-recommends pkg-config liblua5.4-dev libcjson-dev libreadline-dev"

machine apt-get id0
deps run test >/dev/null
holds "apt: the tests need more" called "*libcjson-dev libreadline-dev libcmocka-dev libvterm-dev libcairo2-dev"

machine apt-get id0
deps lint >/dev/null
holds "apt: lint needs only its tools" called "*-y --no-install-recommends gcc clang-tidy cppcheck lua-check"
machine apt-get id0
deps fuzz >/dev/null
holds "apt: fuzzing needs clang and its libraries" called "*-y --no-install-recommends clang libclang-rt-dev"
machine apt-get id0 dpkg-deb
deps package >/dev/null
holds "apt: packages are checked with lintian and a stock Lua" called "*-y --no-install-recommends lua5.4 lintian dpkg-dev"
machine id0
is "no clang and no package manager: it says so" 1 "" "missing: clang. No package manager known here*" deps fuzz
machine dnf id0
deps lint >/dev/null
holds "dnf: lint" called "dnf install -y gcc clang-tools-extra cppcheck luacheck"
machine dnf id0
deps run test >/dev/null
holds "dnf" called "dnf install -y pkgconf-pkg-config lua-devel cjson-devel readline-devel libcmocka-devel libvterm-devel cairo-devel"

machine pacman id0
deps run test >/dev/null
holds "pacman" called "pacman -S --needed --noconfirm pkgconf lua54 cjson readline cmocka libvterm cairo"

machine zypper id0
deps run test >/dev/null
holds "zypper" called "zypper --non-interactive install pkgconf-pkg-config lua54-devel cJSON-devel readline-devel libcmocka-devel libvterm-devel cairo-devel"

machine brew id sudo
deps run test >/dev/null
holds "brew, never through sudo" called "brew install pkgconf lua@5.4 cjson readline cmocka libvterm cairo"

machine dnf id sudo
deps run >/dev/null
holds "not root: through sudo" called "sudo dnf install -y*"

machine dnf id
is "not root and no sudo: it says what is missing" 1 "" "missing: pkgconf-pkg-config lua-devel cjson-devel readline-devel. Not root and no sudo*" deps run
machine id0
is "no package manager: it says what is missing" 1 "" "missing: pkgconfig lua cjson readline. No package manager known here*" deps run

machine apt-get id0 pkg-config
is "nothing is touched and nothing said when all is there" 0 "" "" deps run test
holds "nothing was called" called ""
machine apt-get id0
is "without Readline it is not asked for" 0 "installing with apt-get: pkg-config liblua5.4-dev libcjson-dev" "" env -i READLINE=0 PATH="$scratch/bin" /bin/sh scripts/deps run
is "a list that does not exist is wrong usage" 2 "" "deps: no list*" deps everything
finish
