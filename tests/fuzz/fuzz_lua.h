/* fuzz_lua.h: what the harnesses of Lua share: a state with our module in it, values built from
 * bytes, and the lines of our Lua that run as coverage, so that the fuzzer looks for new ones as it
 * does in C. What is asked and what must hold is in the Lua file beside a harness. */
#ifndef FUZZ_LUA_H
#define FUZZ_LUA_H

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int luaopen_oomph(lua_State *L);

/* ---- coverage of Lua ------------------------------------------------------------------------- */

/* libFuzzer counts what is in this section as it counts the edges of C. */
#define FUZZ_LINES (1 << 14)
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t fuzz_lines[FUZZ_LINES];

/* Lines that one input may run: seconds of it. */
#define FUZZ_PATIENCE 20000000
static long fuzz_lines_run;

static void fuzz_line(lua_State *L, lua_Debug *ar)
{
    uint32_t hash = 2166136261u;        /* FNV-1a */

    if (++fuzz_lines_run > FUZZ_PATIENCE) {
        fprintf(stderr, "it runs on and on\n");
        abort();
    }
    lua_getinfo(L, "Sl", ar);
    for (const char *c = ar->short_src; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;
    fuzz_lines[(hash + (uint32_t)ar->currentline * 31) % FUZZ_LINES]++;
}

/* ---- values from bytes ----------------------------------------------------------------------- */

typedef struct { const uint8_t *at, *end; const char *const *words; size_t n_words; } fuzz_bytes;

static inline uint8_t fuzz_byte(fuzz_bytes *b) { return b->at < b->end ? *b->at++ : 0; }

static inline uint64_t fuzz_word64(fuzz_bytes *b)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | fuzz_byte(b);
    return v;
}

static inline double fuzz_double(fuzz_bytes *b)
{
    static const double special[] = { 0.0, -0.0, 1e308, -1e308, 5e-324, 1e-300, 0.5, 1e15, 1e16,
                                      9007199254740993.0, 9223372036854775808.0, 1e18 };
    uint8_t which = fuzz_byte(b);
    uint64_t bits;
    double v;

    if (which < sizeof special / sizeof *special)
        return special[which];
    if (which < 16)
        return which < 13 ? (double)NAN : which < 14 ? (double)INFINITY : -(double)INFINITY;
    if (which < 128)
        return (double)fuzz_byte(b) / 8;
    bits = fuzz_word64(b);
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline lua_Integer fuzz_integer(fuzz_bytes *b)
{
    uint8_t which = fuzz_byte(b);

    if (which < 64)
        return which;
    if (which < 128)
        return (lua_Integer)((lua_Unsigned)1 << (which - 64));
    if (which < 160)
        return INT64_MAX - (which - 128);
    if (which < 192)
        return INT64_MIN + (which - 160);
    return (lua_Integer)(fuzz_word64(b) >> (which & 63));
}

/* Text that is hard to measure: wide, combining, escapes, bytes that are no UTF-8. */
static inline void fuzz_push_text(lua_State *L, fuzz_bytes *b)
{
    static const char *const pieces[] = { "a", " ", "漢", "é", "e\xcc\x81", "\xf0\x9f\x98\x80",
        "\x1b[31m", "\x1b[0m", "\x1b]8;;x\x07", "\x1b", "\xff", "\xe6\xbc", "\t", "\n", "\r", "\x7f",
        "\xc2\x9b", "\xe2\x80\x8b", "\xe2\x80\xae\xe2\x80\xac", "%s", "%d", "\"", "'", "\\",
        "&lt;", "<", "0" };
    int n = fuzz_byte(b) % 24;
    luaL_Buffer text;

    luaL_buffinit(L, &text);
    for (int i = 0; i < n; i++) {
        uint8_t which = fuzz_byte(b);

        if (which < 128)
            luaL_addstring(&text, pieces[which % (sizeof pieces / sizeof *pieces)]);
        else
            luaL_addchar(&text, (char)fuzz_byte(b));
    }
    luaL_pushresult(&text);
}

static inline void fuzz_push_word(lua_State *L, fuzz_bytes *b)
{
    size_t which = fuzz_byte(b) | (size_t)fuzz_byte(b) << 8;

    lua_pushstring(L, b->words[which % b->n_words]);
}

static inline void fuzz_push(lua_State *L, fuzz_bytes *b, int depth);

/* Sets fields of the table at the top: words or anything else as names. */
static inline void fuzz_fields(lua_State *L, fuzz_bytes *b, int depth)
{
    for (int n = fuzz_byte(b) % 8; n > 0; n--) {
        if (fuzz_byte(b) < 230)
            fuzz_push_word(L, b);
        else
            fuzz_push(L, b, depth + 1);
        if (lua_isnil(L, -1) || (lua_isnumber(L, -1) && lua_tonumber(L, -1) != lua_tonumber(L, -1))) {
            lua_pop(L, 1);              /* no name of a field */
            continue;
        }
        fuzz_push(L, b, depth + 1);
        lua_rawset(L, -3);
    }
}

static inline void fuzz_push(lua_State *L, fuzz_bytes *b, int depth)
{
    uint8_t kind = fuzz_byte(b) % 32;

    luaL_checkstack(L, 8, NULL);
    if (depth > 6)
        kind %= 16;
    if (kind < 5) {
        lua_pushinteger(L, fuzz_integer(b));
    } else if (kind < 8) {
        lua_pushnumber(L, fuzz_double(b));
    } else if (kind < 10) {
        fuzz_push_text(L, b);
    } else if (kind < 13) {
        fuzz_push_word(L, b);
    } else if (kind < 14) {
        lua_pushboolean(L, fuzz_byte(b) & 1);
    } else if (kind < 15) {
        lua_pushnil(L);
    } else if (kind < 16) {
        lua_getglobal(L, "tostring");   /* a function */
    } else if (kind < 24) {             /* a list */
        lua_newtable(L);
        for (int i = 1, n = fuzz_byte(b) % 24; i <= n; i++) {
            fuzz_push(L, b, depth + 1);
            lua_rawseti(L, -2, i);
        }
    } else {                            /* a table by name, or both */
        lua_newtable(L);
        if (kind > 29) {
            fuzz_push(L, b, depth + 1);
            lua_rawseti(L, -2, 1 + fuzz_byte(b) % 3);
        }
        fuzz_fields(L, b, depth);
    }
}

/* ---- the state ------------------------------------------------------------------------------- */

/* Runs the Lua file beside the harness, which returns the function that asks and checks. */
static inline lua_State *fuzz_state(const char *file)
{
    lua_State *L = luaL_newstate();
    read_catalogue **catalogue;

    unsetenv("HOME");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("OOMPH_PATH");
    luaL_openlibs(L);
    luaL_requiref(L, "oomph", luaopen_oomph, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, "oomph.catalogue");
    catalogue = lua_touserdata(L, -1);
    read_catalogue_seal(*catalogue);    /* no file and no machine is an input */
    lua_settop(L, 0);
    if (luaL_dofile(L, file) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(1);
    }
    lua_sethook(L, fuzz_line, LUA_MASKLINE, 0);
    return L;
}

/* Calls the function at the bottom of the stack with what lies above it; it raises when something
 * does not hold. */
static inline void fuzz_ask(lua_State *L)
{
    fuzz_lines_run = 0;
    lua_pushvalue(L, 1);
    lua_insert(L, 2);
    if (lua_pcall(L, lua_gettop(L) - 2, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        abort();
    }
    lua_settop(L, 1);
}

#endif
