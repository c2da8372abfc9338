/* oomph.c: require "oomph" in a stock Lua 5.4. The functions of the shell with explicit options, in
 * a table; the session (its variables, its history, save, reload) is the shell's alone. Modules and
 * presets come from the table in this library, after the user's own, as in the shell. */
#include <lauxlib.h>
#include <string.h>

#include "bind.h"
#include "shell.h"

#define CATALOGUE "oomph.catalogue"

static int free_catalogue(lua_State *L)
{
    read_catalogue **c = lua_touserdata(L, 1);

    read_catalogue_free(*c);
    *c = NULL;
    return 0;
}

/* The userdata comes before what it owns, so that an error between the two cannot leak. */
static read_catalogue *new_catalogue(lua_State *L)
{
    read_catalogue **c = lua_newuserdatauv(L, sizeof *c, 0);
    oom_error err;

    *c = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_catalogue);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, CATALOGUE);
    *c = read_catalogue_new(&lookup_presets, &oom_libc_alloc, &err);
    if (!*c)
        luaL_error(L, "%s", err.msg);
    return *c;
}

static int search_module(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    int status = strncmp(name, "oomph.", 6) ? -1 : lookup_load(L, name + 6);

    if (status < 0) {
        lua_pushfstring(L, "no module '%s' in oomph", name);
        return 1;
    }
    if (status != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, name);
    return 2;
}

static void add_searcher(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "package") != LUA_TTABLE ||
        lua_getfield(L, -1, "searchers") != LUA_TTABLE)
        luaL_error(L, "oomph needs package.searchers");
    lua_pushcfunction(L, search_module);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 3);
}

/* Functions written in Lua: their module is read on first use, and kept in the table. */
static int absent(lua_State *L)
{
    const bind_doc *d;

    if (lua_type(L, 2) != LUA_TSTRING)
        return 0;
    for (size_t i = 0; (d = bind_doc_at(i)) != NULL; i++) {
        if (strcmp(d->name, lua_tostring(L, 2)) != 0)
            continue;
        if (!d->module || !strcmp(d->module, "oomph.session"))
            return 0;
        lua_getglobal(L, "require");
        lua_pushstring(L, d->module);
        lua_call(L, 1, 1);
        lua_getfield(L, -1, lua_tostring(L, 2));
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 1);
        return 1;
    }
    return 0;
}

__attribute__((visibility("default"))) int luaopen_oomph(lua_State *L);

int luaopen_oomph(lua_State *L)
{
    luaL_checkversion(L);
    add_searcher(L);
    bind_open(L, new_catalogue(L));
    lua_pushliteral(L, OOM_VERSION);
    lua_setfield(L, -2, "version");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, absent);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    return 1;
}
