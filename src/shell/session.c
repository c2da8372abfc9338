/* session.c: the Lua state of the shell: libraries without what would break its promises, a limit
 * on memory, modules found in the binary, and one protected call with one way to show an error. */
#include "shell.h"

#include <lauxlib.h>
#include <lualib.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"

#if LUA_VERSION_NUM != 504
#error "Lua 5.4 is needed: 5.3 has other numbers and hooks, 5.5 other globals"
#endif

#define DEFAULT_LIMIT ((size_t)2 << 30)

#define WORKED "oomph.worked"           /* registry: a ring of what host.lines() returns */
#define KEPT_BLOCKS 10000               /* as many as history keeps */
#define INTERRUPT "oomph.interrupt"     /* registry: the flag that loops in C look at */
static const char SESSION = 0;          /* its address is a key of the registry */

session *session_of(lua_State *L)
{
    session *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &SESSION);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

/* Refuses growth beyond the limit, never a shrink. */
void *session_allocate(void *ud, void *p, size_t old_bytes, size_t new_bytes)
{
    session *s = ud;
    void *moved;

    if (!p)
        old_bytes = 0;                  /* Lua passes a type code then */
    if (new_bytes == 0) {
        free(p);
        s->used_bytes -= old_bytes;
        return NULL;
    }
    if (s->limit_bytes && new_bytes > old_bytes &&
        s->used_bytes + (new_bytes - old_bytes) > s->limit_bytes)
        return NULL;
    moved = realloc(p, new_bytes);
    if (moved)
        s->used_bytes += new_bytes - old_bytes;
    return moved;
}

/* OOMPH_MAX_MEMORY: "2GiB"; "0" is no limit. */
static size_t memory_limit(lua_State *L)
{
    const char *text = getenv("OOMPH_MAX_MEMORY");
    uint64_t bytes = DEFAULT_LIMIT;
    oom_error err;

    if (text && *text && oom_text_bytes(text, &bytes, &err) != OOM_OK)
        luaL_error(L, "OOMPH_MAX_MEMORY: %s", err.msg);
    return (size_t)bytes;
}

/* ---- loading: text only ---------------------------------------------------------------------- */

/* load() and loadfile() with mode "t": crafted bytecode crashes the machine. */
static int load_text(lua_State *L)
{
    lua_Integer mode_at = lua_tointeger(L, lua_upvalueindex(2));

    if (lua_gettop(L) < mode_at)
        lua_settop(L, (int)mode_at);
    lua_pushliteral(L, "t");
    lua_replace(L, (int)mode_at);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int dofile_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

static int do_file(lua_State *L)
{
    const char *path = luaL_optstring(L, 1, NULL);

    lua_settop(L, 1);
    if (luaL_loadfilex(L, path, "t") != LUA_OK)
        return lua_error(L);
    lua_callk(L, 0, LUA_MULTRET, 0, dofile_done);
    return dofile_done(L, 0, 0);
}

/* `require "oomph.chart"`: ours, with the plain libraries as its globals, so that nothing a user
 * assigns reaches it. Anything else: a text file along package.path. */
static int search_module(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    int status;

    if (!strncmp(name, "oomph.", 6)) {
        status = lookup_load(L, name + 6);
        if (status < 0) {
            lua_pushfstring(L, "no module '%s' in the binary", name);
            return 1;
        }
        if (status != LUA_OK)
            return lua_error(L);
        environment_push_libraries(L);
        lua_setupvalue(L, -2, 1);
        lua_pushstring(L, name);
        return 2;
    }
    if (session_of(L)->options->sandbox) {
        lua_pushliteral(L, "no files in the sandbox");
        return 1;
    }
    lua_getfield(L, lua_upvalueindex(1), "searchpath");
    lua_pushstring(L, name);
    if (lua_getfield(L, lua_upvalueindex(1), "path") != LUA_TSTRING)
        return luaL_error(L, "package.path must be a string");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return 1;                       /* why not */
    lua_pop(L, 1);
    if (luaL_loadfilex(L, lua_tostring(L, -1), "t") != LUA_OK)
        return luaL_error(L, "error loading module '%s':\n\t%s", name, lua_tostring(L, -1));
    lua_insert(L, -2);
    return 2;
}

static void wrap_load(lua_State *L, const char *name, int mode_at)
{
    lua_getglobal(L, name);
    lua_pushinteger(L, mode_at);
    lua_pushcclosure(L, load_text, 2);
    lua_setglobal(L, name);
}

static void remove_field(lua_State *L, const char *library, const char *name)
{
    lua_getglobal(L, library);
    lua_pushnil(L);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* Folder of the script, else the current one; then the configuration's. */
static void set_path(lua_State *L, const shell_options *o)
{
    const char *slash = o->script ? strrchr(o->script, '/') : NULL;
    const char *config = lookup_config_dir();

    lua_pushlstring(L, slash ? o->script : ".", slash ? (size_t)(slash - o->script) : 1);
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua", lua_tostring(L, -1), lua_tostring(L, -1));
    if (config) {
        lua_pushfstring(L, ";%s/lua/?.lua", config);
        lua_concat(L, 2);
    }
    lua_setfield(L, -3, "path");
    lua_pop(L, 1);
}

static void prepare_packages(lua_State *L, const session *s)
{
    lua_getglobal(L, "package");
    set_path(L, s->options);
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_createtable(L, 2, 0);           /* searchers: preloaded, then ours */
    lua_getfield(L, -2, "searchers");
    lua_rawgeti(L, -1, 1);
    lua_rawseti(L, -3, 1);
    lua_pop(L, 1);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, search_module, 1);
    lua_rawseti(L, -2, 2);
    /* require holds the table it was born with: its own field must change, not be replaced */
    lua_getfield(L, -2, "searchers");
    for (int i = 1; i <= 4; i++) {
        lua_rawgeti(L, -2, i);
        lua_rawseti(L, -2, i);
    }
    lua_pop(L, 3);
}

/* ---- oomph.host: what our Lua modules ask of the shell --------------------------------------- */

static int host_interactive(lua_State *L)
{
    lua_pushboolean(L, session_of(L)->terminal);
    return 1;
}

static int host_path(lua_State *L)
{
    const char *config = lookup_config_dir();

    lua_pushstring(L, config);
    return 1;
}

/* The blocks that worked, oldest first: {text =, kept = (in _), shown =}; and how many there were
 * before them. */
static int host_lines(lua_State *L)
{
    lua_Integer n = session_of(L)->n_worked, first = n > KEPT_BLOCKS ? n - KEPT_BLOCKS : 0;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, WORKED);
    lua_createtable(L, (int)(n - first), 0);
    for (lua_Integer i = first; i < n; i++) {
        lua_rawgeti(L, -2, i % KEPT_BLOCKS + 1);
        lua_rawseti(L, -2, i - first + 1);
    }
    lua_pushinteger(L, first);
    return 2;
}

void session_worked(session *s, const char *text, bool kept, bool shown)
{
    lua_State *L = s->L;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, WORKED);
    lua_createtable(L, 0, 3);
    lua_pushstring(L, text);
    lua_setfield(L, -2, "text");
    lua_pushboolean(L, kept);
    lua_setfield(L, -2, "kept");
    lua_pushboolean(L, shown);
    lua_setfield(L, -2, "shown");
    lua_rawseti(L, -2, s->n_worked % KEPT_BLOCKS + 1);
    s->n_worked++;
    lua_pop(L, 1);
}

/* Says something that is no result, to the person at the terminal. */
static int host_tell(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);

    if (*text == '\r')
        interrupt_echo_gone();
    fputs(text, stderr);
    return 0;
}

static int host_edit(lua_State *L)
{
    lua_pushboolean(L, !session_of(L)->options->sandbox && input_edit());
    return 1;
}

static int open_host(lua_State *L)
{
    static const luaL_Reg host[] = {
        { "term", term_host }, { "picture", picture_host }, { "interactive", host_interactive },
        { "config_dir", host_path },
        { "lines", host_lines }, { "tell", host_tell }, { "edit", host_edit }, { NULL, NULL },
    };

    luaL_newlib(L, host);
    lua_pushboolean(L, session_of(L)->options->sandbox);
    lua_setfield(L, -2, "sandbox");
    return 1;
}

static void preload(lua_State *L, const char *name, lua_CFunction open)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

/* ---- leaving --------------------------------------------------------------------------------- */

static int leave(lua_State *L)
{
    int status = (int)luaL_optinteger(L, 1, EXIT_FINE);

    fflush(stdout);
    exit(status);
}

/* No files, no processes, no door to either. */
static void lock(lua_State *L)
{
    static const char *const os[] = { "execute", "remove", "rename", "tmpname", "getenv" };
    static const char *const globals[] = { "io", "debug", "dofile", "loadfile", "collectgarbage" };

    for (size_t i = 0; i < sizeof os / sizeof *os; i++)
        remove_field(L, "os", os[i]);
    remove_field(L, "package", "loadlib");
    remove_field(L, "package", "searchpath");
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, globals[i]);
        lua_pushnil(L);
        lua_setglobal(L, globals[i]);
    }
    lua_pop(L, 1);
}

void session_open(session *s, lua_State *L)
{
    const shell_options *o = s->options;
    oom_error err;

    s->L = L;
    lua_pushlightuserdata(L, s);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &SESSION);
    luaL_openlibs(L);
    prepare_packages(L, s);
    wrap_load(L, "load", 3);
    wrap_load(L, "loadfile", 2);
    lua_pushcfunction(L, do_file);
    lua_setglobal(L, "dofile");
    remove_field(L, "os", "setlocale"); /* decimals must not change under us */
    preload(L, "oomph.host", open_host);
    lua_pushcfunction(L, leave);
    lua_setglobal(L, "exit");
    lua_pushcfunction(L, leave);
    lua_setglobal(L, "quit");

    s->catalogue = read_catalogue_new(&lookup_presets, &oom_libc_alloc, &err);
    if (!s->catalogue)
        luaL_error(L, "%s", err.msg);
    if (o->sandbox)
        read_catalogue_seal(s->catalogue);
    bind_open(L, s->catalogue);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "oomph");
    lua_pop(L, 1);
    if (o->sandbox)
        lock(L);
    environment_install(L, lua_gettop(L));
    lua_pop(L, 1);
    interrupt_install(L, s->terminal);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&interrupt_pending);
    lua_setfield(L, LUA_REGISTRYINDEX, INTERRUPT);
    s->limit_bytes = memory_limit(L);   /* off until here, so that what is ours always fits */
}

/* ---- calling --------------------------------------------------------------------------------- */

/* Makes every error a string, adds "did you mean", and a traceback when asked for. */
static int on_error(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING) {
        if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL)
            luaL_tolstring(L, 1, NULL);
        else
            lua_pushfstring(L, "an error that is a %s value", luaL_typename(L, 1));
        lua_replace(L, 1);
        lua_settop(L, 1);
    }
    suggest_in_message(L);
    if (session_of(L)->options->debug) {
        const char *frame;

        luaL_traceback(L, L, lua_tostring(L, -1), 1);
        frame = strstr(lua_tostring(L, -1), "\n\t[C]: in ?");       /* our own frames begin here */
        if (frame)
            lua_pushlstring(L, lua_tostring(L, -1), (size_t)(frame - lua_tostring(L, -1)));
    }
    return 1;
}

bool session_call(session *s, int n_args)
{
    lua_State *L = s->L;
    int at = lua_gettop(L) - n_args, status;

    lua_pushcfunction(L, on_error);
    lua_insert(L, at);
    status = lua_pcall(L, n_args, LUA_MULTRET, at);
    lua_remove(L, at);
    if (status == LUA_OK)
        return true;
    if (status == LUA_ERRMEM)
        lua_gc(L, LUA_GCCOLLECT);
    session_error(s);
    return false;
}

void session_error(session *s)
{
    const char *text = lua_tostring(s->L, -1), *message = text;
    const char *colour = term_colours(STDERR_FILENO) ? "\033[1;31m" : "";
    const char *plain = *colour ? "\033[0m" : "";

    fflush(stdout);
    interrupt_end_echo();
    if (interrupt_pending)
        message = "interrupted";
    /* a block of one line has no need of a position */
    if (message && !strncmp(message, "input:1: ", 9) && (!s->block || !strchr(s->block, '\n')))
        message += 9;
    term_say(stderr, "%serror:%s %s\n", colour, plain, message ? message : "unknown");
    if (s->terminal && s->block && message && !interrupt_pending)
        point_at(s->block, text);
    lua_pop(s->L, 1);
    s->status = interrupt_pending ? EXIT_INTERRUPTED : EXIT_FAILED;
}

bool session_flush(session *s)
{
    if ((fflush(stdout) == 0 && !ferror(stdout)) || interrupt_cut_output())
        return true;
    if (!interrupt_output_gone()) {
        fprintf(stderr, "oomph: cannot write: %s\n", strerror(errno));
        s->status = EXIT_FAILED;
    }
    return false;
}
