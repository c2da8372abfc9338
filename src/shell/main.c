/* main.c: what a command line does, in order: code, script, shell; and the exit status. */
#include "shell.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind.h"

/* The global `arg`, as stock Lua has it. */
static void set_arguments(lua_State *L, const shell_options *o)
{
    lua_newtable(L);
    for (int i = 0; i < o->argc; i++) {
        lua_pushstring(L, o->argv[i]);
        lua_rawseti(L, -2, i - (o->script ? o->script_at : o->argc));
    }
    lua_setglobal(L, "arg");
}

static bool run_loaded(session *s, int status, int n_args)
{
    bool fine;

    if (status != LUA_OK) {
        session_error(s);
        return false;
    }
    lua_insert(s->L, -1 - n_args);
    fine = session_call(s, n_args);
    lua_settop(s->L, 0);
    return fine;
}

static bool run_code(session *s, const char *code)
{
    return run_loaded(s, luaL_loadbufferx(s->L, code, strlen(code), "=(-e)", "t"), 0);
}

static bool run_script(session *s)
{
    const shell_options *o = s->options;
    const char *path = strcmp(o->script, "-") ? o->script : NULL;
    int n_args = o->argc - o->script_at - 1;

    luaL_checkstack(s->L, n_args + LUA_MINSTACK, "too many arguments");
    for (int i = o->script_at + 1; i < o->argc; i++)
        lua_pushstring(s->L, o->argv[i]);
    return run_loaded(s, luaL_loadfilex(s->L, path, "t"), n_args);
}

static void run_init(session *s)
{
    const char *dir = lookup_config_dir();
    char path[2048];

    if (s->options->no_init || !dir)
        return;
    snprintf(path, sizeof path, "%s/init.lua", dir);
    if (access(path, R_OK) == 0)        /* an error is shown, the session starts */
        run_loaded(s, luaL_loadfilex(s->L, path, "t"), 0);
    s->status = EXIT_FINE;
}

/* --fits: does what the expression says fit? A boolean, a result with `fits` or with rows that
 * have it, or how many fit (maxbatch). Pushes the verdict. */
static int verdict(lua_State *L)
{
    if (lua_isboolean(L, 1))
        return 1;
    if (lua_isnumber(L, 1)) {
        lua_pushboolean(L, lua_tonumber(L, 1) > 0);
        return 1;
    }
    if (!lua_istable(L, 1))
        return luaL_error(L, "--fits: a %s says nothing about fitting", luaL_typename(L, 1));
    if (lua_getfield(L, 1, "fits") == LUA_TBOOLEAN)
        return 1;
    lua_pop(L, 1);
    if (lua_getfield(L, 1, "rows") != LUA_TTABLE || lua_rawlen(L, -1) == 0)
        return luaL_error(L, "--fits: the result has no `fits`: is a device given?");
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TTABLE; i++) {
        if (lua_getfield(L, -1, "fits") != LUA_TBOOLEAN)
            return luaL_error(L, "--fits: the result has no `fits`: is a device given?");
        if (!lua_toboolean(L, -1))
            return 1;
        lua_pop(L, 2);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int run_fits(session *s)
{
    lua_State *L = s->L;
    chunk_kind kind;
    bool fine;

    if (chunk_compile(L, s->options->fits, &kind) != CHUNK_READY) {
        if (lua_gettop(L) == 0)
            lua_pushliteral(L, "--fits needs an expression");
        session_error(s);
        return EXIT_USAGE;
    }
    lua_pushcfunction(L, verdict);
    lua_insert(L, 1);
    fine = session_call(s, 0);
    if (fine) {
        lua_settop(L, 2);
        fine = session_call(s, 1);
    }
    if (!fine)
        return s->status == EXIT_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_USAGE;
    return lua_toboolean(L, -1) ? EXIT_FINE : EXIT_FAILED;
}

static int act(session *s)
{
    const shell_options *o = s->options;
    bool to_shell = o->interactive || (!o->script && !o->n_code && !o->fits);

    set_arguments(s->L, o);
    if (s->terminal && to_shell)
        run_init(s);
    for (int i = 0; i < o->n_code; i++)
        if (!run_code(s, o->code[i]) && !o->interactive)
            return s->status;
    if (o->fits)
        return run_fits(s);
    if (o->script && !run_script(s) && !o->interactive)
        return s->status;
    if (to_shell) {
        s->status = EXIT_FINE;
        input_init(s);
        repl_run(s);
        if (s->terminal)
            s->status = EXIT_FINE;
    }
    return s->status;
}

/* All of it in protected mode: memory can end anywhere. */
static int protected_run(lua_State *L)
{
    session *s = lua_touserdata(L, 1);

    session_open(s, L);
    lua_settop(L, 0);
    s->status = EXIT_FINE;
    s->status = act(s);
    return 0;
}

/* Opens the state, does what the options say, closes it. */
static int run_with(const shell_options *o)
{
    session s = { .options = o, .status = EXIT_USAGE };     /* until the state is open */
    lua_State *L;
    int status;

    term_init(o->colour);
    s.terminal = isatty(STDIN_FILENO) && (o->interactive || (!o->script && !o->n_code && !o->fits));
    L = lua_newstate(session_allocate, &s);
    if (!L) {
        fputs("oomph: not enough memory\n", stderr);
        return EXIT_FAILED;
    }
    lua_pushcfunction(L, protected_run);
    lua_pushlightuserdata(L, &s);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "oomph: %s\n", lua_tostring(L, -1));
        s.status = s.status == EXIT_USAGE ? EXIT_USAGE : EXIT_FAILED;
    }
    lua_close(L);
    read_catalogue_free(s.catalogue);
    status = s.status;
    return !session_flush(&s) && status == EXIT_FINE ? s.status : status;
}

int main(int argc, char **argv)
{
    shell_options o;
    session s = { .options = &o };
    int status = EXIT_USAGE;

    if (!options_read(argc, argv, &o)) {
        /* said */
    } else if (o.help || o.version) {
        if (o.help)
            options_help();
        else
            puts("oomph " OOM_VERSION);
        status = session_flush(&s) ? EXIT_FINE : EXIT_FAILED;
    } else if (o.dump_dir) {
        status = lookup_dump(o.dump_dir) ? EXIT_FINE : EXIT_FAILED;
    } else {
        status = run_with(&o);
    }
    free(o.code);
    return status;
}
