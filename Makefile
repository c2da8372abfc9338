# oomph: `make run` and `make test` are all one needs; `make help` lists the rest.
# No file is named here: what lies in src/, lua/, presets/ and tests/ is found by its place.

CC      ?= cc
CFLAGS  ?= -O2 -g
BUILD   ?= build
# One spelling, whoever calls: the dependency files name their targets by it.
override BUILD := $(patsubst $(CURDIR)/%,%,$(BUILD))
PREFIX  ?= /usr/local
READLINE ?= 1

# What is on this machine is asked on first use, which is after `deps` may have installed it.
ASK      = $(eval $(1) := $(shell $(2)))$($(1))
DARWIN  := $(filter Darwin,$(shell uname))
BREW     = $(shell command -v brew >/dev/null && brew --prefix)
export PKG_CONFIG_PATH := $(PKG_CONFIG_PATH)$(if $(BREW),:$(BREW)/opt/readline/lib/pkgconfig:$(BREW)/opt/lua@5.4/lib/pkgconfig)
LUA      = $(call ASK,LUA,for p in lua5.4 lua-5.4 lua54 lua; do pkg-config --exists "$$p >= 5.4 $$p < 5.5" && echo $$p && break; done)
PKG      = $(LUA) libcjson $(if $(filter 1,$(READLINE)),readline)
PKG_CFLAGS = $(call ASK,PKG_CFLAGS,pkg-config --cflags $(PKG))
PKG_LIBS   = $(call ASK,PKG_LIBS,pkg-config --libs $(PKG))
MODULE_LIBS = $(call ASK,MODULE_LIBS,pkg-config --libs libcjson)
TEST_LIBS  = $(call ASK,TEST_LIBS,pkg-config --libs cmocka $(PKG))

WARN     = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
# gcc guesses at lengths of text differently, and wrongly, in instrumented code
SAN      = $(if $(SANITIZE),-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
           $(if $(findstring clang,$(CC)),,-Wno-format-truncation))
# sweeps count from several threads: without atomic updates some counts are lost
COV      = $(if $(COVERAGE),--coverage -fprofile-update=atomic)
# Position-independent with nothing exported: the same objects make the program and the module.
SAME     = -fPIC -fvisibility=hidden -ffile-prefix-map=$(CURDIR)=.
OURS     = -std=c11 -D_GNU_SOURCE $(SAME) -DOOMPH_READLINE=$(READLINE) -Isrc/core -Isrc/read -Isrc/bind -Isrc/shell $(WARN) $(SAN) $(COV)
COMPILE  = $(CC) $(OURS) $(PKG_CFLAGS) -MMD -MP $(CFLAGS)
LINK     = $(CC) $(SAN) $(COV) $(CFLAGS) $(LDFLAGS)

objects  = $(patsubst %.c,$(BUILD)/obj/%.o,$(sort $(wildcard $(1))))
CORE    := $(call objects,src/core/*.c src/core/family/*.c src/core/engine/*.c)
READ    := $(call objects,src/read/*.c)
BIND    := $(call objects,src/bind/*.c)
REST    := $(filter-out %/mkembed.o %/main.o,$(call objects,src/shell/*.c src/module/*.c)) $(BUILD)/obj/embed.o
MODULE  := $(BUILD)/obj/src/shell/lookup.o $(BUILD)/obj/embed.o
EMBED   := $(sort $(wildcard lua/*.lua lua/*/*.lua presets/*/*.json))
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
RIG     := $(patsubst tests/shell/%.c,$(BUILD)/%,$(wildcard tests/shell/*.c)) $(BUILD)/life $(BUILD)/prompt
MANUAL  := man/man1/oomph.1 bash-completion/completions/oomph zsh/site-functions/_oomph \
           fish/vendor_completions.d/oomph.fish
LIBS    := $(BUILD)/libshell.a $(BUILD)/libbind.a $(BUILD)/libread.a $(BUILD)/liboom.a
BENCH   := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
# What the goals need is installed at once, before anything is built (scripts/deps).
TESTING := $(filter deps test bench coverage fuzz life valgrind reliability completions \
             package-check lint check,$(MAKECMDGOALS))
NEEDED  := $(if $(filter run,$(MAKECMDGOALS))$(TESTING),run) $(if $(TESTING),test) \
           $(if $(filter lint check,$(TESTING)),lint) $(if $(filter fuzz reliability,$(TESTING)),fuzz) \
           $(if $(filter package-check,$(TESTING)),package) $(filter valgrind,$(TESTING))
NEEDS   := $(if $(strip $(NEEDED)),need)

.PHONY: all readme help deps run test bench lint coverage fuzz life golden install install-program install-library \
        install-module uninstall lua-module static reproducible deb package-check valgrind reliability cells completions clean check need FORCE
.DELETE_ON_ERROR:

all: $(BUILD)/oomph                              ## build everything into build/

help:                                           ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1	/p' Makefile | expand -t 20

deps: need                                      ## install what is missing to build, run and test

run: need $(BUILD)/oomph                        ## start the shell
	@$(BUILD)/oomph

test: need all $(UNIT) $(RIG) $(BUILD)/oomph.so ## run every test
	@BUILD=$(BUILD) $(if $(SANITIZE),PATIENCE=900) tests/run

readme: all                                     ## rewrite README's table and sessions (tmux)
	@$(BUILD)/oomph --no-init scripts/readme.lua

check: test                                     ## tests, then lint
	@$(MAKE) --no-print-directory lint

need:
	@READLINE=$(READLINE) scripts/deps $(NEEDED)

# ---- building --------------------------------------------------------------------------------

$(BUILD)/oomph: $(BUILD)/obj/src/shell/main.o $(LIBS)
	$(LINK) -o $@ $^ $(PKG_LIBS) -lm

$(BUILD)/liboom.a: $(CORE)                      # the core: libc only
$(BUILD)/libread.a: $(READ)
$(BUILD)/libbind.a: $(BIND)
$(BUILD)/libshell.a: $(REST)
$(BUILD)/%.a:
	@rm -f $@
	$(AR) $(if $(DARWIN),rcs,rcsD) $@ $^

$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(NEEDS)
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(BUILD)/obj/embed.o: $(BUILD)/embed.c          # lua/ and presets/ become one C table
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<
$(BUILD)/embed.c: $(BUILD)/mkembed $(EMBED) $(BUILD)/embedded
	$(BUILD)/mkembed $(EMBED) > $@
$(BUILD)/mkembed: src/shell/mkembed.c $(BUILD)/flags | $(NEEDS)
	$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -Isrc/shell $(CFLAGS) -o $@ $<

$(BUILD)/unit/test_local: $(BUILD)/fake_nvml.so # stands in for NVIDIA's library
$(BUILD)/fake_nvml.so: tests/unit/fake_nvml.c
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -o $@ $<

# Calls that tests refuse one by one (tests/unit/refuse.h).
REFUSED  = malloc calloc realloc oom_arena_raw oom_arena_get oom_arena_text \
           open read fstat mmap opendir popen fopen fwrite fflush fsync fclose rename
$(BUILD)/unit/test_refused $(BUILD)/unit/test_module: WRAP = $(if $(DARWIN),,$(REFUSED:%=-Wl,--wrap=%))

$(BUILD)/unit/%: tests/unit/%.c $(LIBS) $(BUILD)/flags | $(NEEDS)
	@mkdir -p $(@D)
	$(COMPILE) -Itests/unit -MF $@.d -MT $@ $(LDFLAGS) $(WRAP) -o $@ $(filter %.c %.a,$^) $(TEST_LIBS) -lm

$(BUILD)/accuracy: tests/accuracy/main.c $(BUILD)/libread.a $(BUILD)/liboom.a $(BUILD)/flags | $(NEEDS)
	$(COMPILE) -Itests/unit -MF $@.d -MT $@ $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(TEST_LIBS) -lm

$(BUILD)/%: tests/shell/%.c $(BUILD)/flags | $(NEEDS)
	@mkdir -p $(@D)
	$(COMPILE) -MF $@.d -MT $@ $(LDFLAGS) -o $@ $< $$(pkg-config --cflags --libs vterm) -lutil

$(BUILD)/life: tests/life/life.c
$(BUILD)/prompt: tests/fuzz/prompt.c
$(BUILD)/life $(BUILD)/prompt: $(BUILD)/flags | $(NEEDS)
	$(COMPILE) -MF $@.d -MT $@ $(LDFLAGS) -o $@ $(filter %.c,$^) -lutil

$(BUILD)/bench/%: tests/bench/%.c $(LIBS) $(BUILD)/flags | $(NEEDS)
	@mkdir -p $(@D)
	$(COMPILE) -MF $@.d -MT $@ $(LDFLAGS) -o $@ $(filter %.c %.a,$^) $(PKG_LIBS) -lutil -lm

# Stamps: other flags rebuild everything, other files to embed rebuild the table.
$(BUILD)/flags: FORCE | $(NEEDS)
	@mkdir -p $(BUILD)
	@test -n "$(LUA)" || { echo "Lua 5.4 is missing: run 'make deps'" >&2; exit 1; }
	@pkg-config --exists --print-errors $(PKG) || { echo "run 'make deps'" >&2; exit 1; }
	@echo '$(CC) $(OURS) $(CFLAGS) $(LDFLAGS)' | cmp -s - $@ || echo '$(CC) $(OURS) $(CFLAGS) $(LDFLAGS)' > $@
$(BUILD)/embedded: FORCE
	@mkdir -p $(BUILD)
	@echo '$(EMBED)' | cmp -s - $@ || echo '$(EMBED)' > $@

-include $(shell find $(BUILD) -type f -name '*.d' 2>/dev/null)

# ---- looking after it --------------------------------------------------------------------------

bench: need all $(BENCH)                        ## print the figures of speed and size
	@BUILD=$(BUILD) tests/bench/run

accuracy: $(BUILD)/accuracy                     ## compare with what was measured: docs/accuracy.md
	@$(BUILD)/accuracy --markdown > docs/accuracy.md
	@$(BUILD)/accuracy

# Each file of build/lint/ holds what was found in one source file: nothing, when all is well.
SOURCES := $(sort $(wildcard src/*/*.c src/*/*/*.c tests/*/*.c examples/*/*.c))
LUAS    := $(sort $(wildcard lua/*.lua examples/*.lua scripts/*.lua tests/*/*.lua)) tests/lua/run
FOUND    = $(SOURCES:%=$(BUILD)/lint/%) $(BUILD)/lint/lua $(BUILD)/lint/rules
FLAGS    = $(OURS) -Itests/unit $(call ASK,LINT_CFLAGS,pkg-config --cflags cmocka vterm $(PKG))

ifeq ($(MAKECMDGOALS),lint)                     # hundreds of small looks: on all cores
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN)
endif

lint: need $(FOUND)                             ## look for mistakes: gcc, clang-tidy, cppcheck, luacheck, rules
	@cat $(FOUND) >$(BUILD)/lint/found; cat $(BUILD)/lint/found; test ! -s $(BUILD)/lint/found

$(BUILD)/lint/%.c: %.c $(BUILD)/lint/flags $(wildcard scripts/lint?* .clang-tidy tests/.clang-tidy) | $(NEEDS)
	@mkdir -p $(@D)
	@echo 'lint $<'
	@FLAGS='$(FLAGS)' scripts/lint-c $< $@
$(BUILD)/lint/flags: FORCE | $(NEEDS)
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@
$(BUILD)/lint/lua: $(LUAS) .luacheckrc | $(NEEDS)
	@mkdir -p $(@D)
	@luacheck --formatter plain --codes $(LUAS) >$@ || test -s $@
$(BUILD)/lint/rules: FORCE
	@mkdir -p $(@D)
	@scripts/lint >$@

golden: all                                     ## rewrite tests/golden from what is drawn now
	@GOLDEN=write BUILD=$(BUILD) tests/run golden

cells: all                                      ## hold a million cells of sweeps against memory{} (SEED=)
	@OOMPH_CELLS=all OOMPH_SEED=$(SEED) $(BUILD)/oomph --no-init tests/lua/run tests/lua/test_cells.lua

completions: need all $(RIG)                    ## try the completions in zsh and fish, which it needs
	@for shell in zsh fish; do \
	    command -v $$shell >/dev/null || { echo "$$shell is not installed" >&2; exit 1; }; \
	    BUILD=$(BUILD) $(BUILD)/replay tests/completions/$$shell.session || exit 1; done

# A harness for each reader, the options and the charts; and a shell with sanitizers to type at.
FUZZ     = $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_$(or $(ONLY),*).c)) \
           $(if $(filter-out prompt,$(ONLY)),,$(BUILD)/fuzz/oomph $(BUILD)/fuzz/prompt)
SECONDS ?= 60
fuzz: need all $(BUILD)/unit/test_recount       ## fuzz readers, options, charts, the prompt (clang; SECONDS= each, RUNS=, ONLY=gguf)
	@test -z '$(strip $(FUZZ))' || $(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang $(FUZZ) \
	    CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all'
	@BUILD=$(BUILD)/fuzz PLAIN=$(BUILD) TIME=$(SECONDS) RUNS=$(RUNS) ONLY=$(ONLY) tests/fuzz/run

$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(LIBS) $(BUILD)/flags
	$(COMPILE) -fsanitize=fuzzer -MF $@.d -MT $@ -o $@ $(filter %.c %.a,$^) $(TEST_LIBS) -lm

life: need all $(BUILD)/life                    ## a million commands, 200 interrupts, lost terminals (minutes)
	@BUILD=$(BUILD) $(BUILD)/life --long

valgrind: need all $(UNIT) $(BUILD)/fake_nvml.so ## the unit tests under memcheck
	@scripts/valgrind $(BUILD)

# Shorter than `make fuzz` alone unless asked for more; LONG=1 lives as long as `make life`.
reliability: SECONDS = 10
reliability: test                               ## refuse, interrupt, fuzz, and write docs/reliability.md (SECONDS=, LONG=1)
	@$(MAKE) --no-print-directory fuzz SECONDS=$(SECONDS)
	@BUILD=$(BUILD) SECONDS=$(SECONDS) LONG=$(LONG) scripts/reliability > $(BUILD)/reliability.md
	@mv $(BUILD)/reliability.md docs/reliability.md && cat docs/reliability.md

coverage:                                       ## lines and branches of src/ that the tests reach; fails on too few
	@mkdir -p $(BUILD)/coverage && find $(BUILD)/coverage -name '*.gcda' -delete
	@PATIENCE=600 $(MAKE) --no-print-directory BUILD=$(BUILD)/coverage COVERAGE=1 CFLAGS='-O0 -g' test
	@scripts/coverage $(BUILD)/coverage

LIBDIR    ?= $(PREFIX)/lib
LUADIR    ?= $(LIBDIR)/lua/5.4
VERSION    = $(shell sed -n 's/.define OOM_VERSION "\(.*\)"/\1/p' src/core/oom.h)
HEADERS   := oom.h roles.h
PUT        = install -D -m
installed  = $(PREFIX)/bin/oomph $(MANUAL:%=$(PREFIX)/share/%) $(HEADERS:%=$(PREFIX)/include/oomph/%) \
             $(LIBDIR)/liboom.a $(LIBDIR)/pkgconfig/oomph.pc $(LUADIR)/oomph.so

install: install-program install-library install-module ## copy program, manual, library (PREFIX=, DESTDIR=)

install-program: all $(MANUAL:%=$(BUILD)/manual/%) ## the one binary, its manual and completions
	$(PUT) 755 $(BUILD)/oomph $(DESTDIR)$(PREFIX)/bin/oomph
	for kind in $(MANUAL); do $(PUT) 644 $(BUILD)/manual/$$kind $(DESTDIR)$(PREFIX)/share/$$kind; done

install-library: $(BUILD)/liboom.a $(BUILD)/oomph.pc    ## the core for C: headers, liboom.a, oomph.pc
	for name in $(HEADERS); do $(PUT) 644 src/core/$$name $(DESTDIR)$(PREFIX)/include/oomph/$$name; done
	$(PUT) 644 $(BUILD)/liboom.a $(DESTDIR)$(LIBDIR)/liboom.a
	$(PUT) 644 $(BUILD)/oomph.pc $(DESTDIR)$(LIBDIR)/pkgconfig/oomph.pc

install-module: lua-module                      ## require "oomph" for the system's Lua
	$(PUT) 644 $(BUILD)/oomph.so $(DESTDIR)$(LUADIR)/oomph.so

uninstall:                                      ## remove what install copied
	rm -f $(installed:%=$(DESTDIR)%)
	-rmdir $(DESTDIR)$(PREFIX)/include/oomph 2>/dev/null

$(BUILD)/oomph.pc: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$${prefix}/include/oomph' '' \
	    'Name: oomph' 'Description: counts what a language model takes on a device' \
	    'Version: $(VERSION)' 'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -loom -pthread -lm' > $@

lua-module: $(BUILD)/oomph.so                   ## build/oomph.so: require "oomph" for stock Lua 5.4
$(BUILD)/oomph.so: $(BUILD)/obj/src/module/oomph.o $(MODULE) $(LIBS)
	$(LINK) $(if $(DARWIN),-bundle -undefined dynamic_lookup,-shared) -o $@ $(filter %.o,$^) \
	    $(BUILD)/libbind.a $(BUILD)/libread.a $(BUILD)/liboom.a $(MODULE_LIBS) -lm

static: $(BUILD)/oomph-static                   ## one binary on the C library alone, where archives exist
$(BUILD)/oomph-static: $(BUILD)/obj/src/shell/main.o $(LIBS) FORCE
	$(LINK) -o $@ $(filter %.o %.a,$^) $$(CC="$(CC)" scripts/static $(PKG))

reproducible: $(BUILD)/flags                    ## build twice in two places and compare the bytes
	@CC="$(CC)" scripts/reproducible $(BUILD)/reproducible oomph oomph.so liboom.a

deb: install-program                            ## Debian packages into build/
	@BUILD=$(BUILD) VERSION=$(VERSION) packaging/deb
	@if command -v lintian >/dev/null; then lintian --allow-root --fail-on error,warning $(BUILD)/*_$(VERSION)_*.deb; \
	else echo 'lintian is not installed: the packages are not checked'; fi

package-check: need all lua-module                 ## build, check, install and remove every package, one line each
	@BUILD=$(BUILD) scripts/package-check

# The manual and the completions come from the table that help comes from.
kind    = $(firstword $(filter man bash zsh fish,$(subst /, ,$(subst -, ,$*))))
$(BUILD)/manual/%: scripts/manual.lua $(BUILD)/oomph
	@mkdir -p $(@D)
	$(BUILD)/oomph --no-init scripts/manual.lua $(kind) > $@

clean:                                          ## remove build/
	rm -rf $(BUILD)
