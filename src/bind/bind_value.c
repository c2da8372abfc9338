/* bind_value.c: models and devices as Lua gives them: a name, a number, a table of keys, or the
 * userdata of one that was read before. */
#include "request.h"

#include <math.h>
#include <string.h>

#define MODELS "oomph.models"       /* spec -> userdata: a model is read once */
#define DEVICES "oomph.devices"
#define LIVE "oomph.live"
#define LAST "oomph.last"           /* keeps a model given as a table alive during the call */
/* Names that are kept of each kind: twice the catalogue. A script that names a million sizes does
 * not keep a million devices. */
#define KEPT_NAMES 1024
/* What a table of configuration keys may take: one whose parts are shared is copied out. */
#define MOST_BYTES ((size_t)64 << 20)

/* ---- userdata ---- */

static int model_gc(lua_State *L)
{
    bind_model *m = luaL_checkudata(L, 1, BIND_MODEL);

    oom_model_free(m->model);
    m->model = NULL;
    return 0;
}

/* The userdata at the top is findable by pointer, and kept until the next of its kind. */
static void remember(lua_State *L, const void *pointer, const char *kind)
{
    lua_getfield(L, LUA_REGISTRYINDEX, LIVE);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, pointer);
    lua_pop(L, 1);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LAST);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, kind);
    lua_pop(L, 1);
}

static bind_model *new_model(lua_State *L)
{
    bind_model *u = lua_newuserdatauv(L, sizeof *u, 1);

    u->model = NULL;
    if (luaL_newmetatable(L, BIND_MODEL)) {
        lua_pushcfunction(L, model_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return u;
}

/* Keeps the userdata at the top under the name at `name`; past KEPT_NAMES all begin anew. Their
 * number is at 1, which is no name. */
static void keep(lua_State *L, const char *kept, int name)
{
    lua_Integer n;

    luaL_getsubtable(L, LUA_REGISTRYINDEX, kept);
    lua_rawgeti(L, -1, 1);
    n = lua_tointeger(L, -1) + 1;
    lua_pop(L, 1);
    if (n > KEPT_NAMES) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, kept);
        n = 1;
    }
    lua_pushinteger(L, n);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, name);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* The userdata that is kept under the name at `name`, pushed; NULL, pushing nothing, for none. */
static void *kept(lua_State *L, const char *names, int name)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, names);
    lua_pushvalue(L, name);
    if (lua_rawget(L, -2) == LUA_TUSERDATA) {
        lua_remove(L, -2);
        return lua_touserdata(L, -1);
    }
    lua_pop(L, 2);
    return NULL;
}

/* ---- a Lua table as a configuration ---- */

#define MAX_DEPTH 16

static void to_value(lua_State *L, oom_arena *arena, int index, oom_value *out, int depth);

static void *get(lua_State *L, oom_arena *arena, size_t bytes)
{
    oom_error err;
    void *p;

    if (oom_arena_bytes(arena) > MOST_BYTES)
        bind_error(L, "model: a table of more than %d MiB", (int)(MOST_BYTES >> 20));
    p = oom_arena_get(arena, bytes, &err);
    if (!p)
        bind_fail(L, &err);
    return p;
}

static void to_list(lua_State *L, oom_arena *arena, int index, size_t n, oom_value *out, int depth)
{
    oom_value *items = get(L, arena, n * sizeof *items);

    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        to_value(L, arena, lua_absindex(L, -1), &items[i], depth);
        lua_pop(L, 1);
    }
    *out = (oom_value){ .kind = OOM_LIST, .u.list = { items, n } };
}

static void to_map(lua_State *L, oom_arena *arena, int index, oom_value *out, int depth)
{
    size_t n = 0, i = 0;
    oom_member *members;
    oom_value *values;
    size_t len;

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        n++;
    members = get(L, arena, n * sizeof *members);
    values = get(L, arena, n * sizeof *values);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), i++) {
        oom_error err;

        if (lua_type(L, -2) != LUA_TSTRING)
            bind_error(L, "model: a table of configuration keys has text as keys, not a %s",
                       luaL_typename(L, -2));
        members[i].key = lua_tolstring(L, -2, &len);
        members[i].key = oom_arena_text(arena, members[i].key, len, &err);
        if (!members[i].key)
            bind_fail(L, &err);
        members[i].value = &values[i];
        to_value(L, arena, lua_absindex(L, -1), &values[i], depth);
    }
    *out = (oom_value){ .kind = OOM_MAP, .u.map = { members, n } };
}

static void to_value(lua_State *L, oom_arena *arena, int index, oom_value *out, int depth)
{
    oom_error err;
    size_t len;

    if (depth > MAX_DEPTH)
        bind_error(L, "model: a table nested more than %d deep", MAX_DEPTH);
    luaL_checkstack(L, 8, "model: a table nested too deep");
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        *out = (oom_value){ .kind = OOM_BOOL, .u.truth = lua_toboolean(L, index) };
        break;
    case LUA_TNUMBER: {
        int exact;
        lua_Integer i = lua_tointegerx(L, index, &exact);

        if (exact)
            *out = (oom_value){ .kind = OOM_INT, .u.i = i };
        else
            *out = (oom_value){ .kind = OOM_REAL, .u.real = lua_tonumber(L, index) };
        break;
    }
    case LUA_TSTRING: {
        const char *s = lua_tolstring(L, index, &len);

        *out = (oom_value){ .kind = OOM_STRING, .u.text = oom_arena_text(arena, s, len, &err) };
        if (!out->u.text)
            bind_fail(L, &err);
        break;
    }
    case LUA_TTABLE: {
        size_t n = lua_rawlen(L, index);

        if (n)
            to_list(L, arena, index, n, out, depth + 1);
        else
            to_map(L, arena, index, out, depth + 1);
        break;
    }
    default:
        bind_error(L, "model: a %s among the configuration keys", luaL_typename(L, index));
    }
}

static oom_model *model_from_table(lua_State *L, int index)
{
    bind_model *u = new_model(L);
    oom_value *config;
    oom_error err;

    u->model = oom_model_new(&oom_libc_alloc, &err);
    if (!u->model)
        bind_fail(L, &err);
    u->model->id = "table";
    config = get(L, u->model->arena, sizeof *config);
    to_value(L, u->model->arena, index, config, 0);
    if (config->kind == OOM_LIST)
        bind_error(L,
                   "model is a list, expected a table of configuration keys; lists are sweep axes");
    if (oom_family_build(u->model, config, &err) != OOM_OK)
        bind_fail(L, &err);
    remember(L, u->model, "model");
    bind_holds(L, oom_arena_bytes(u->model->arena));
    return u->model;
}

oom_model *bind_to_model(lua_State *L, int index)
{
    bind_model *u;
    oom_error err;

    index = lua_absindex(L, index);
    switch (lua_type(L, index)) {
    case LUA_TUSERDATA:
        u = luaL_checkudata(L, index, BIND_MODEL);
        lua_pushvalue(L, index);
        return u->model;
    case LUA_TTABLE:
        return model_from_table(L, index);
    case LUA_TSTRING:
        break;
    default:
        bind_error(L, "model is a %s, expected a name, a path or a table of configuration keys",
                   luaL_typename(L, index));
    }
    u = kept(L, MODELS, index);
    if (u)
        return u->model;
    u = new_model(L);
    if (read_model(bind_catalogue(L), lua_tostring(L, index), &oom_libc_alloc, &u->model, &err)
        != OOM_OK)
        bind_fail(L, &err);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);        /* how it was written */
    remember(L, u->model, "model");
    keep(L, MODELS, index);
    return u->model;
}

void bind_forget(lua_State *L, int index)
{
    static const char *const all[] = { MODELS, DEVICES };

    if (lua_type(L, index) != LUA_TSTRING)
        return;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        luaL_getsubtable(L, LUA_REGISTRYINDEX, all[i]);
        lua_pushvalue(L, index);
        lua_pushnil(L);
        lua_rawset(L, -3);
        lua_pop(L, 1);
    }
}

void bind_forget_devices(lua_State *L)
{
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, DEVICES);
}

/* ---- devices ---- */

static uint64_t bytes_field(lua_State *L, int index, const char *key)
{
    uint64_t n;
    oom_error err;

    if (lua_getfield(L, index, key) == LUA_TNIL)
        bind_error(L, "device is a table without %s, expected a name or {%s=\"24GiB\"}", key, key);
    if (lua_type(L, -1) == LUA_TSTRING) {
        if (oom_text_bytes(lua_tostring(L, -1), &n, &err) != OOM_OK)
            bind_error(L, "device.%s: %s", key, err.msg);
    } else {
        n = bind_count(L, lua_absindex(L, -1), key, 1);
    }
    lua_pop(L, 1);
    return n;
}

static double rate_field(lua_State *L, int index, const char *key)
{
    double v = 0;

    if (lua_getfield(L, index, key) != LUA_TNIL) {
        v = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
        if (!(v > 0 && isfinite(v)))
            bind_error(L, "device.%s is not a positive number", key);
    }
    lua_pop(L, 1);
    return v;
}

static void check_device_keys(lua_State *L, int index)
{
    static const char *const keys[] = { "memory", "bandwidth", "flops", "count", "name" };

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        bool known = false;

        for (size_t i = 0; i < sizeof keys / sizeof *keys && lua_type(L, -2) == LUA_TSTRING; i++)
            known = known || strcmp(keys[i], lua_tostring(L, -2)) == 0;
        if (!known && lua_type(L, -2) == LUA_TSTRING)
            bind_error(L, "device: no key \"%s\", expected memory, bandwidth, flops, count or name",
                       bind_quote(L, lua_tostring(L, -2)));
        if (!known)
            bind_error(L, "device is a list, expected a name or {memory=, count=}; "
                       "lists are sweep axes");
    }
}

/* {memory = bytes or "24GiB", bandwidth = bytes/s, flops = FLOP/s, count = n, name = text} */
static void deployment_from_table(lua_State *L, int index, bind_deployment *d)
{
    oom_device *device = &d->where.group[0].device;
    uint64_t count = 1, memory;
    char spec[32];
    oom_error err;

    check_device_keys(L, index);
    memory = bytes_field(L, index, "memory");
    snprintf(spec, sizeof spec, "%llu", (unsigned long long)memory);
    if (read_deployment(bind_catalogue(L), spec, &d->where, &err) != OOM_OK)
        bind_fail(L, &err);
    if (lua_getfield(L, index, "count") != LUA_TNIL)
        count = bind_count(L, lua_absindex(L, -1), "device.count", 1);
    lua_pop(L, 1);
    if (count > OOM_MAX_DEVICES)
        bind_error(L, "device.count is %d, expected at most %d", (int)count, OOM_MAX_DEVICES);
    d->where.n = d->where.group[0].count = (uint32_t)count;
    device->bandwidth_bytes_per_s = rate_field(L, index, "bandwidth");
    device->fp16_flops = rate_field(L, index, "flops");
    if (lua_getfield(L, index, "name") == LUA_TSTRING)
        snprintf(device->name, sizeof device->name, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    if (count > 1)
        snprintf(d->label, sizeof d->label, "%ux %s", (unsigned)count, device->name);
    else
        snprintf(d->label, sizeof d->label, "%s", device->name);
}

static bind_deployment *new_deployment(lua_State *L)
{
    bind_deployment *d = lua_newuserdatauv(L, sizeof *d, 0);

    memset(d, 0, sizeof *d);
    luaL_newmetatable(L, BIND_DEPLOYMENT);
    lua_setmetatable(L, -2);
    return d;
}

/* "rtx-4090", "2x h100-sxm", "1x rtx-4090 + 1x rtx-3090": canonical names. */
static void label(bind_deployment *d)
{
    size_t used = 0;

    for (uint32_t g = 0; g < d->where.n_groups && used < sizeof d->label; g++) {
        const char *name = d->where.group[g].device.id[0] ? d->where.group[g].device.id
                                                          : d->where.group[g].device.name;
        int n;

        if (d->where.n == 1)
            n = snprintf(d->label, sizeof d->label, "%s", name);
        else
            n = snprintf(d->label + used, sizeof d->label - used, "%s%ux %s", g ? " + " : "",
                         d->where.group[g].count, name);
        used += n > 0 ? (size_t)n : 0;
    }
}

bind_deployment *bind_to_deployment(lua_State *L, int index)
{
    bind_deployment *d;
    char number[32];
    const char *spec;
    oom_error err;

    index = lua_absindex(L, index);
    switch (lua_type(L, index)) {
    case LUA_TUSERDATA:
        d = luaL_checkudata(L, index, BIND_DEPLOYMENT);
        lua_pushvalue(L, index);
        return d;
    case LUA_TTABLE:
        d = new_deployment(L);
        deployment_from_table(L, index, d);
        remember(L, d, "device");
        return d;
    case LUA_TNUMBER:
        snprintf(number, sizeof number, "%llu",
                 (unsigned long long)bind_count(L, index, "device", 1));
        spec = number;
        break;
    case LUA_TSTRING:
        spec = lua_tostring(L, index);
        break;
    default:
        spec = NULL;
        bind_error(L, "device is a %s, expected a name, a size or {memory=, count=}",
                   luaL_typename(L, index));
    }
    lua_pushstring(L, spec);
    d = kept(L, DEVICES, lua_gettop(L));
    if (!d) {
        d = new_deployment(L);
        if (read_deployment(bind_catalogue(L), spec, &d->where, &err) != OOM_OK)
            bind_fail(L, &err);
        label(d);
        remember(L, d, "device");
        keep(L, DEVICES, lua_gettop(L) - 1);
    }
    lua_remove(L, -2);
    return d;
}
