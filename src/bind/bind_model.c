/* bind_model.c: what a model or a device is, for people and for lua/: facts and the inventory. */
#include "request.h"

#include <string.h>

/* ---- facts for lua/: echo, tables ---- */

void bind_push_shape(lua_State *L, const oom_model *m)
{
    const oom_shape *s = &m->shape;

    set_int(L, "layers", s->n_layers);
    set_int(L, "hidden_size", s->hidden_size);
    set_int(L, "heads", s->heads);
    set_int(L, "kv_heads", s->kv_heads);
    set_int(L, "head_dim", s->head_dim);
    set_int(L, "vocab_size", s->vocab_size);
    set_int(L, "intermediate_size", s->intermediate_size);
    if (s->context)
        set_int(L, "context", s->context);
    if (s->experts) {
        set_int(L, "experts", s->experts);
        set_int(L, "experts_used", s->experts_used);
    }
}

void bind_push_counts(lua_State *L, const oom_model *m)
{
    oom_param_counts n;
    oom_error err;

    if (oom_model_count(m, &n, &err) != OOM_OK)
        bind_fail(L, &err);
    set_int(L, "params", n.loaded);
    set_int(L, "active_params", n.active);
    set_int(L, "mtp_params", n.mtp);
    set_int(L, "vision_params", n.vision);
    if (n.audio)
        set_int(L, "audio_params", n.audio);
}

/* facts of a model: {id, family, params, …}. For lua/, not for people. */
static int bind_model_facts(lua_State *L)
{
    const oom_model *m = bind_to_model(L, 1);

    lua_newtable(L);
    set_text(L, "id", m->id);
    set_text(L, "family", m->family);
    set_text(L, "attention", m->attention);
    set_text(L, "note", m->note);
    set_text(L, "stored", m->stored_precision);
    set_bool(L, "from_file", m->from_file);
    set_bool(L, "shape_unknown", m->shape_unknown);
    bind_push_counts(L, m);
    bind_push_shape(L, m);
    set_int(L, "kv_bytes_per_token", oom_model_kv_bytes_per_token(m));
    return 1;
}

void bind_push_device(lua_State *L, const oom_device *d)
{
    lua_newtable(L);
    set_text(L, "id", d->id[0] ? d->id : NULL);
    set_text(L, "name", d->name);
    if (d->memory_bytes > 0) {          /* in the catalogue a processor has none of its own */
        set_int(L, "memory", d->memory_bytes);
        set_int(L, "usable", d->usable_bytes);
        if (d->free_bytes)
            set_int(L, "unused", d->free_bytes);
    }
    set_bool(L, "usable_known", d->usable_known);
    set_bool(L, "unified", d->kind == OOM_DEVICE_UNIFIED);
    set_bool(L, "cpu", d->kind == OOM_DEVICE_CPU);
    set_int(L, "context", d->context_bytes);
    set_int(L, "capability", d->capability);
    if (d->per_machine)
        set_int(L, "per_machine", d->per_machine);
    if (d->bandwidth_bytes_per_s > 0) {
        lua_pushnumber(L, d->bandwidth_bytes_per_s);
        lua_setfield(L, -2, "bandwidth");
    }
    if (d->fp16_flops > 0) {
        lua_pushnumber(L, d->fp16_flops);
        lua_setfield(L, -2, "flops");
    }
}

static int bind_device_facts(lua_State *L)
{
    const bind_deployment *d = bind_to_deployment(L, 1);
    uint64_t bytes = 0;

    lua_newtable(L);
    set_text(L, "label", d->label);
    set_int(L, "n", d->where.n);
    lua_newtable(L);
    for (uint32_t g = 0; g < d->where.n_groups; g++) {
        bind_push_device(L, &d->where.group[g].device);
        set_int(L, "count", d->where.group[g].count);
        bytes += d->where.group[g].device.memory_bytes * d->where.group[g].count;
        lua_rawseti(L, -2, (lua_Integer)g + 1);
    }
    lua_setfield(L, -2, "groups");
    set_int(L, "memory", bytes);
    return 1;
}

/* ---- inspect ---- */

static void push_tensors(lua_State *L, const oom_model *inv, const uint64_t *bytes)
{
    static const char *const parts[] = { "text", "vision", "audio", "mtp" };
    char name[256];

    lua_createtable(L, (int)inv->n_tensors, 0);
    for (size_t i = 0; i < inv->n_tensors; i++) {
        const oom_tensor *t = &inv->tensors[i];

        lua_createtable(L, 0, 8);
        set_text(L, "name", oom_tensor_name(t, name, sizeof name));
        set_text(L, "role", oom_role_stem(t->role));
        if (t->layer >= 0)
            set_int(L, "layer", (uint64_t)t->layer);
        set_text(L, "part", parts[t->part]);
        lua_createtable(L, (int)t->n_dims, 0);
        for (uint32_t d = 0; d < t->n_dims; d++) {
            lua_pushinteger(L, (lua_Integer)t->dims[d]);
            lua_rawseti(L, -2, (lua_Integer)d + 1);
        }
        lua_setfield(L, -2, "shape");
        set_int(L, "params", t->params);
        set_int(L, "bytes", bytes[i]);
        if (t->stored)
            set_text(L, "stored", t->stored->name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_caches(lua_State *L, const oom_model *m)
{
    static const char *const kinds[] = { "full", "window", "chunk", "mla", "indexer", "compressed",
                                         "cross", "state" };

    lua_createtable(L, (int)m->n_caches, 0);
    for (size_t i = 0; i < m->n_caches; i++) {
        const oom_cache *c = &m->caches[i];

        lua_createtable(L, 0, 6);
        set_int(L, "layer", (uint64_t)(c->layer < 0 ? 0 : c->layer));
        set_text(L, "kind", kinds[c->kind]);
        if (c->kind == OOM_CACHE_STATE) {
            set_int(L, "conv_elements",
                    c->conv_width * (c->conv_kernel ? c->conv_kernel - 1 : 0));
            set_int(L, "state_elements", c->state_elements);
        } else {
            set_int(L, "k_width", c->k_width);
            set_int(L, "v_width", c->v_width);
            set_int(L, "kv_heads", c->kv_heads);
            if (c->window)
                set_int(L, "window", c->window);
            if (c->ratio > 1)
                set_int(L, "ratio", c->ratio);
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

/* What a file holds beyond what ordinary inference loads: its blocks for multi-token prediction. */
static uint64_t mtp_bytes(const oom_model *inv, const uint64_t *bytes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < inv->n_tensors; i++)
        if (inv->tensors[i].part == OOM_PART_MTP)
            sum += bytes[i];
    return sum;
}

static bool is_options(lua_State *L, int index)
{
    static const char *const keys[] = { "model", "precision", "engine", "device" };

    if (lua_type(L, index) != LUA_TTABLE)
        return false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        bool there = lua_getfield(L, index, keys[i]) != LUA_TNIL;

        lua_pop(L, 1);
        if (there)
            return true;
    }
    return lua_rawlen(L, index) == 0 && (lua_pushnil(L), !lua_next(L, index) || (lua_pop(L, 2), 0));
}

static int bind_inspect(lua_State *L)
{
    request r;
    oom_precision format;
    const oom_model *inv;
    uint64_t *bytes, total, mtp;
    oom_error err;
    bool options;

    lua_settop(L, 1);
    options = is_options(L, 1);
    if (!options && !lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_pushvalue(L, 1);
        lua_setfield(L, -2, "model");
        lua_replace(L, 1);
    }
    request_read(L, "inspect", &r);
    request_need_model(L, "inspect", &r);
    if (!r.n_precisions)
        oom_precision_parse("stored", &r.precisions[0], NULL);
    format = r.precisions[0];
    oom_engine_precision(r.engine, &format);
    if (oom_precision_inventory(r.model, &format, &inv, &err) != OOM_OK)
        bind_fail(L, &err);
    bytes = lua_newuserdatauv(L, (inv->n_tensors + 1) * sizeof *bytes, 0);
    if (oom_precision_weigh(inv, &format, bytes, &total, &err) != OOM_OK)
        bind_fail(L, &err);
    lua_newtable(L);
    set_text(L, "model", r.model->id);
    set_text(L, "family", r.model->family);
    set_text(L, "attention", r.model->attention);
    set_text(L, "note", r.model->note);
    set_text(L, "precision", r.n_precisions || !r.model->stored_precision
             ? r.precisions[0].name : r.model->stored_precision);
    bind_push_counts(L, r.model);
    push_tensors(L, inv, bytes);
    lua_setfield(L, -2, "tensors");
    push_caches(L, r.model);
    lua_setfield(L, -2, "caches");
    mtp = mtp_bytes(inv, bytes);
    set_int(L, "bytes", total + mtp);
    set_int(L, "mtp_bytes", mtp);
    set_int(L, "kv_bytes_per_token", oom_model_kv_bytes_per_token(r.model));
    bind_result(L, "inspect", &r, 0);
    return 1;
}

/* count("32Ki" [, name]) -> 32768, for lua/; another value is refused under that name. */
static int bind_count_text(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)bind_count(L, 1, luaL_optstring(L, 2, "count"), 0));
    return 1;
}

const bind_entry bind_model_entries[] = {
    { "inspect", bind_inspect, "inspect([x]) -> inventory",
      "The inventory of a model: tensors by role and layer, caches by kind, with totals.",
      "inspect(\"llama-3.1-8b\")" },
    { "model_facts", bind_model_facts, NULL, NULL, NULL },
    { "device_facts", bind_device_facts, NULL, NULL, NULL },
    { "count", bind_count_text, NULL, NULL, NULL },
    { 0 }
};
