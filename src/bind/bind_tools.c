/* bind_tools.c: what lua/check.lua, lua/flags.lua and lua/maxlayers.lua need of the core: an
 * engine's log as facts, and what a result was asked for. */
#include "request.h"

#include <string.h>

#include "enginelog.h"

/* ---- logs ---- */

typedef struct { oom_arena *arena; } log_memory;

static int free_log(lua_State *L)
{
    log_memory *m = lua_touserdata(L, 1);

    oom_arena_free(m->arena);
    m->arena = NULL;
    return 0;
}

static void push_number(lua_State *L, double number)
{
    lua_Integer whole;

    if (lua_numbertointeger(number, &whole) && (double)whole == number)
        lua_pushinteger(L, whole);
    else
        lua_pushnumber(L, number);
}

static void push_fact(lua_State *L, const read_fact *f)
{
    lua_createtable(L, 0, 6);
    set_text(L, "engine", f->engine);
    set_text(L, "key", f->key);
    set_text(L, "place", f->place);
    if (f->text) {
        set_text(L, "value", f->text);
    } else {
        push_number(L, f->number);
        lua_setfield(L, -2, "value");
        lua_pushnumber(L, f->slack);
        lua_setfield(L, -2, "slack");
    }
    set_int(L, "line", f->line);
}

/* engine_log(text) -> list of {engine=, key=, place=, value=, slack=, line=}, number of lines */
static int bind_engine_log(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    log_memory *m = lua_newuserdatauv(L, sizeof *m, 0);
    read_log log;
    oom_error err;

    m->arena = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_log);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    m->arena = oom_arena_new(&oom_libc_alloc, &err);
    if (!m->arena || read_engine_log(m->arena, text, n, &log, &err) != OOM_OK)
        bind_fail(L, &err);
    lua_createtable(L, (int)log.n, 0);
    for (size_t i = 0; i < log.n; i++) {
        push_fact(L, &log.facts[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    oom_arena_free(m->arena);
    m->arena = NULL;
    lua_pushinteger(L, log.lines);
    return 2;
}

/* ---- what a result was asked for ---- */

static void set_choice(lua_State *L, const char *key, oom_choice c)
{
    if (c != OOM_DEFAULT)
        set_bool(L, key, c == OOM_YES);
}

static void set_given(lua_State *L, const char *key, uint64_t n)
{
    if (n)
        set_int(L, key, n);
}

/* As they are written: "3,1". */
static void set_shares(lua_State *L, const double *shares)
{
    size_t n = OOM_MAX_SHARES;
    luaL_Buffer b;

    while (n > 0 && shares[n - 1] <= 0)
        n--;
    if (n == 0)
        return;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i++) {
        char share[32];

        snprintf(share, sizeof share, "%s%.15g", i ? "," : "", shares[i]);
        luaL_addstring(&b, share);
    }
    luaL_pushresult(&b);
    lua_setfield(L, -2, "tensor_split");
}

static void set_options(lua_State *L, const oom_options *o)
{
    static const char *const attention[] = { "flash", "sdpa", "eager" };

    set_text(L, "kv_k", o->kv_k ? o->kv_k->name : NULL);
    set_text(L, "kv_v", o->kv_v ? o->kv_v->name : NULL);
    set_given(L, "tp", o->tp);
    set_given(L, "pp", o->pp);
    set_given(L, "ep", o->ep);
    set_given(L, "dp", o->dp);
    set_given(L, "chunk", o->chunk);
    set_given(L, "n_batch", o->n_batch);
    set_given(L, "max_seqs", o->max_seqs);
    set_given(L, "block_size", o->block_size);
    if (o->utilization > 0) {
        lua_pushnumber(L, o->utilization);
        lua_setfield(L, -2, "utilization");
    }
    if (o->gpu_layers >= 0)
        set_int(L, "gpu_layers", (uint64_t)o->gpu_layers);
    set_text(L, "attention", attention[o->attention]);
    set_choice(L, "unified", o->unified);
    set_choice(L, "swa_full", o->swa_full);
    set_choice(L, "kv_offload", o->kv_offload);
    set_choice(L, "op_offload", o->op_offload);
    set_choice(L, "eager", o->eager);
    set_choice(L, "prefix_caching", o->prefix_caching);
    set_given(L, "cpu_moe", o->cpu_moe);
    if (o->cpu_moe_all)
        set_bool(L, "cpu_moe", true);
    set_shares(L, o->tensor_split);
    set_given(L, "version", o->version);
    set_given(L, "reserve", o->reserve);
    if (o->outputs != OOM_OUTPUTS_DEFAULT)
        set_text(L, "outputs", o->outputs == OOM_OUTPUTS_LAST ? "last" : "all");
}

/* asked_of(result) -> {model=, precision=, engine=, batch=, seq=, devices=, kv_k=, …}: what was
 * given, with what the call itself assumed; nil where the engine's own value is used. */
static int bind_asked_of(lua_State *L)
{
    uint32_t i = 0;
    const request *r = bind_result_request(L, 1, &i);
    const read_preset *preset;

    if (!r || !r->model)
        return 0;
    lua_newtable(L);
    set_text(L, "model", r->model->id);
    bind_result_handle(L, 1, 1);
    lua_getiuservalue(L, -1, 1);
    lua_setfield(L, -3, "spec");        /* a path, a Hugging Face id; nil for a table */
    lua_setfield(L, -2, "model_handle");
    bind_result_handle(L, 1, 2);
    lua_setfield(L, -2, "device_handle");
    preset = read_model_preset(bind_catalogue(L), r->model->id, NULL);
    set_text(L, "hf_id", preset ? preset->hf_id : NULL);
    set_bool(L, "from_file", r->model->from_file);
    set_bool(L, "is_gguf", r->model->is_gguf);
    set_int(L, "layers", r->model->shape.n_layers);
    set_int(L, "experts", r->model->shape.experts);
    set_text(L, "engine", oom_engine_name(r->engine));
    if (i < r->n_precisions) {
        set_text(L, "precision", r->precisions[i].name);
        set_text(L, "format", request_precision_name(r, i));
    }
    set_given(L, "batch", r->load.batch);
    set_given(L, "seq", r->load.seq);
    set_given(L, "prompt", r->load.prompt);
    if (r->device)
        set_int(L, "devices", r->device->where.n);
    set_options(L, &r->options);
    return 1;
}

/* ---- what a log taught ---- */

/* learn(path, device, engine, bytes, from): kept in the file at path, and used from now on. */
static int bind_learn(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1), *device = luaL_checkstring(L, 2);
    const char *engine = luaL_checkstring(L, 3), *from = luaL_checkstring(L, 5);
    uint64_t bytes = bind_count(L, 4, "learned bytes", 0);
    read_catalogue *c = bind_catalogue(L);
    size_t room = 64 << 10;
    char *text = lua_newuserdatauv(L, room, 0);
    oom_error err;

    if (read_learn(c, device, engine, bytes, from, &err) != OOM_OK
        || read_learned_text(c, text, room, &err) != OOM_OK
        || read_replace(path, text, strlen(text), &err) != OOM_OK)
        bind_fail(L, &err);
    bind_forget_devices(L);
    lua_getfield(L, LUA_REGISTRYINDEX, BIND_SESSION);
    if (lua_getfield(L, -1, "device") != LUA_TNIL)
        bind_assign(L, "device", -1, false);
    return 0;
}

/* is_plain(path): a new file may take this name; false for links, devices and pipes. */
static int bind_is_plain(lua_State *L)
{
    lua_pushboolean(L, read_is_plain(luaL_checkstring(L, 1)));
    return 1;
}

const bind_entry bind_tools_entries[] = {
    { "is_plain", bind_is_plain, NULL, NULL, NULL },
    { "learn", bind_learn, NULL, NULL, NULL },
    { "engine_log", bind_engine_log, NULL, NULL, NULL },
    { "asked_of", bind_asked_of, NULL, NULL, NULL },
    { 0 }
};
