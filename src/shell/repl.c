/* repl.c: read, complete or continue, run, show. The same loop serves a terminal and a pipe; a
 * pipe has no prompts, no echoes, and ends at the first error. */
#include "shell.h"

#include <lauxlib.h>
#include <stdio.h>
#ifdef __linux__
#include <stdio_ext.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Calls slower than this say how long they took. */
#define SLOW_SECONDS 0.5

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Output that ended without a newline would be overwritten by the prompt. */
static void end_line(void)
{
#ifdef __linux__
    if (__fpending(stdout) > 0 && isatty(STDOUT_FILENO))
        putchar('\n');
#endif
    fflush(stdout);
}

/* ---- showing --------------------------------------------------------------------------------- */

/* One value as text on the stack: results know how they look, plain tables are laid out, and a
 * function of ours named without brackets says what it does. */
static int to_text(lua_State *L)
{
    if (lua_isfunction(L, 1)) {
        environment_function(L, "oomph.help", "of_value");
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        if (lua_isstring(L, -1))
            return 1;
    }
    if (lua_type(L, 1) == LUA_TTABLE && luaL_getmetafield(L, 1, "__tostring") == LUA_TNIL) {
        environment_function(L, "oomph.show", "show");
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        return 1;
    }
    lua_settop(L, 1);
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* What changed since the last answer of its kind, as text, or nil: lua/changes.lua. */
static int to_changes(lua_State *L)
{
    luaL_getmetatable(L, "oomph.result");
    if (!lua_getmetatable(L, 1) || !lua_rawequal(L, -1, -2))
        return 0;
    environment_function(L, "oomph.changes", "since");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static bool show_changes(session *s, int index)
{
    lua_State *L = s->L;
    int top = lua_gettop(L);

    lua_pushcfunction(L, to_changes);
    lua_pushvalue(L, index);
    if (!session_call(s, 1))
        return false;
    if (lua_gettop(L) > top && lua_isstring(L, -1))
        printf("%s\n", lua_tostring(L, -1));
    lua_settop(L, top);
    return true;
}

/* Prints the results from stack index `first` up, several plain values in one line, and keeps the
 * first in `_`. */
static bool show(session *s, int first, bool keep, bool silent)
{
    lua_State *L = s->L;
    int last = lua_gettop(L);

    if (last >= first && !lua_isnil(L, first) && keep) {
        environment_push(L);
        lua_pushvalue(L, first);
        lua_setfield(L, -2, "_");
        lua_pop(L, 1);
    }
    for (int i = first; i <= last && !silent; i++) {
        lua_pushcfunction(L, to_text);
        lua_pushvalue(L, i);
        if (!session_call(s, 1))        /* tostring of a result can raise or loop, too */
            return false;
        interrupt_end_echo();           /* a sweep is worked out when it is shown */
        fwrite(lua_tostring(L, -1), 1, lua_rawlen(L, -1), stdout);
        putchar(i == last || strchr(lua_tostring(L, -1), '\n') ? '\n' : '\t');
        lua_pop(L, 1);
        if (s->terminal && lua_istable(L, i) && !show_changes(s, i))
            return false;
    }
    return true;
}

bool repl_call_and_show(session *s, int n_args)
{
    int at = lua_gettop(s->L) - n_args;
    bool fine = session_call(s, n_args) && show(s, at, false, false);

    lua_settop(s->L, at - 1);
    fflush(stdout);
    return fine;
}

/* ---- running --------------------------------------------------------------------------------- */

/* For save(). Memory may end here, too, so it is called like any function. */
static int remember(lua_State *L)
{
    session_worked(session_of(L), lua_tostring(L, 1), lua_toboolean(L, 2), lua_toboolean(L, 3));
    return 0;
}

/* Compiles and calls; leaves the results on the stack. False after an error was shown. */
static bool execute(session *s, const char *code, chunk_kind *kind)
{
    switch (chunk_compile(s->L, code, kind)) {
    case CHUNK_EMPTY:
        return true;
    case CHUNK_INCOMPLETE:
        lua_pushliteral(s->L, "the input ends in the middle of a statement");
        session_error(s);
        return false;
    case CHUNK_BROKEN:
        session_error(s);
        return false;
    case CHUNK_READY:
        return session_call(s, 0);
    }
    return false;
}

/* What a person is told beside the answer: what may have been meant, that it is not all, how long
 * it took. */
static void tell(session *s, const char *text, bool fine, bool is_nil, double seconds)
{
    suggest_after(s, text, fine, is_nil);
    end_line();
    if (fine && interrupt_seen())
        fputs("note: interrupted: this is what was reached by then\n", stderr);
    if (seconds >= SLOW_SECONDS)
        fprintf(stderr, "(%.1f s)\n", seconds);
}

/* Runs one complete statement or block. False after an error was shown. */
static bool run(session *s, const char *text)
{
    lua_State *L = s->L;
    const char *word = chunk_word(text);
    int top = lua_gettop(L);
    double started = now();
    chunk_kind kind = { 0 };
    bool fine, kept, is_nil;

    s->block = word ? NULL : text;
    fine = execute(s, word ? word : text, &kind);
    s->block = NULL;
    interrupt_end_echo();
    kept = fine && kind.expression && lua_gettop(L) > top;
    is_nil = kept && lua_isnil(L, top + 1);
    fine = fine && show(s, top + 1, !word, kind.silent);
    lua_settop(L, top);
    if (fine && !word) {
        lua_pushcfunction(L, remember);
        lua_pushstring(L, text);
        lua_pushboolean(L, kept);
        lua_pushboolean(L, kept && !kind.silent);
        session_call(s, 3);
    }
    if (s->terminal)
        tell(s, text, fine, is_nil, now() - started);
    return fine;
}

/* Runs what was typed or pasted, statement by statement, so that each shows its result. Stops at
 * the first error. */
static bool run_all(session *s, const char *text)
{
    lua_State *L = s->L;

    while (*text) {
        size_t n = chunk_first(L, text), kept = n;
        bool fine;

        while (kept > 0 && text[kept - 1] == '\n')
            kept--;
        lua_pushlstring(L, text, kept);
        fine = run(s, lua_tostring(L, -1));
        lua_pop(L, 1);
        if (!fine || interrupt_pending)
            return false;
        text += n;
    }
    return true;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Appends `line` to *block with a newline between. */
static bool append(char **block, char *line)
{
    char *joined;

    if (!*block) {
        *block = line;
        return true;
    }
    if (asprintf(&joined, "%s\n%s", *block, line) < 0)
        return false;
    free(*block);
    free(line);
    *block = joined;
    return true;
}

/* In a pipe a local lives to the end: what follows it runs as one block. */
static bool append_rest(char **block)
{
    char *line;

    while ((line = input_line(NULL, NULL)) != NULL)
        if (!append(block, line))
            return false;
    return true;
}

static void banner(const session *s)
{
    char text[256];
    const char *dot = term_utf8() ? "\u00b7" : "-";
    int columns, rows, n;

    if (s->options->quiet)
        return;
    term_size(&columns, &rows);
    n = snprintf(text, sizeof text, "oomph " OOM_VERSION
                 " %s %u models, %u devices %s help() for help, Tab completes", dot,
                 lookup_records("presets/models"), lookup_records("presets/devices"), dot);
    term_say(stdout, "%s%s\n", text, n - 2 + 17 <= columns ? ", Ctrl-D leaves" : "");
}

/* The lines read and not yet run. */
typedef struct { char *text; bool ended; } block;

static void forget(block *b)
{
    free(b->text);
    b->text = NULL;
}

/* No line came: Ctrl-C or Ctrl-D at a terminal, the end of a pipe. */
static void no_line(session *s, block *b)
{
    if (s->terminal && interrupt_pending) {
        forget(b);
        return;
    }
    if (s->terminal)
        fputc('\n', isatty(STDOUT_FILENO) ? stdout : stderr);
    b->ended = !s->terminal || !b->text;
    if (b->ended && b->text)            /* a pipe that ends in the middle of a statement */
        run(s, b->text);
    forget(b);
}

/* Reads one line; runs the block when it is whole. Called in protected mode: memory can end
 * anywhere, and the session goes on. */
static int step(lua_State *L)
{
    session *s = session_of(L);
    block *b = lua_touserdata(L, 1);
    char *line = input_line(b->text ? PROMPT_MORE : PROMPT, b->text);
    bool fine;

    if (!line) {
        no_line(s, b);
        return 0;
    }
    chunk_strip_prompts(line);
    if (!append(&b->text, line) ||
        (!s->terminal && chunk_is_local(b->text) && !append_rest(&b->text)))
        return luaL_error(L, "not enough memory");
    if (!chunk_whole(L, b->text))
        return 0;
    if (s->terminal)
        history_add_block(b->text);     /* before it runs: a kill must not lose it */
    fine = run_all(s, b->text);
    forget(b);
    b->ended = !session_flush(s) || (!fine && !s->terminal);
    return 0;
}

void repl_run(session *s)
{
    block b = { 0 };

    if (s->terminal)
        banner(s);
    while (!b.ended) {
        interrupt_reset(s->L);
        lua_settop(s->L, 0);
        lua_pushcfunction(s->L, step);
        lua_pushlightuserdata(s->L, &b);
        if (!session_call(s, 1)) {
            forget(&b);
            b.ended = !s->terminal;
        }
    }
    forget(&b);
}
