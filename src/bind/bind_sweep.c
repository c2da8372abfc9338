/* bind_sweep.c: grids as Lua sees them. lua/sweep.lua turns options into lists; here the lists
 * become a grid and a query runs over it. bind_rows.c has what comes of it. */
#include "sweep.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERRUPT "oomph.interrupt"     /* light userdata: the shell's flag, a sig_atomic_t */

/* ---- the grid ---- */

static size_t list_length(lua_State *L, const char *name)
{
    if (lua_type(L, -1) != LUA_TTABLE || lua_rawlen(L, -1) == 0)
        bind_error(L, "sweep: %s is an empty list", name);
    return lua_rawlen(L, -1);
}

/* A list of C values in a userdata that the grid's uservalue table keeps. */
static void *list_of(lua_State *L, int keep, size_t n, size_t each, const char *name)
{
    void *p;

    if (n > SIZE_MAX / each / 2)
        bind_error(L, "sweep: %s is too long", name);
    p = lua_newuserdatauv(L, n * each, 0);
    memset(p, 0, n * each);
    lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
    return p;
}

static uint64_t *counts_of(lua_State *L, int table, int keep, const char *name, size_t *n)
{
    uint64_t *list;

    lua_getfield(L, table, name);
    *n = list_length(L, name);
    list = list_of(L, keep, *n, sizeof *list, name);
    for (size_t i = 0; i < *n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        list[i] = bind_count(L, lua_absindex(L, -1), name, 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return list;
}

/* Model and device userdata go into `keep`, too, so that they live as long as the grid. */
static void keep_top(lua_State *L, int keep)
{
    lua_rawseti(L, keep, (lua_Integer)lua_rawlen(L, keep) + 1);
}

static void read_models_axis(lua_State *L, int table, int keep, bind_grid *g)
{
    lua_getfield(L, table, "model");
    g->grid.n_models = list_length(L, "model");
    g->models = list_of(L, keep, g->grid.n_models, sizeof *g->models, "model");
    for (size_t i = 0; i < g->grid.n_models; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        g->models[i] = bind_to_model(L, -1);
        keep_top(L, keep);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    g->grid.models = g->models;
}

static void read_devices_axis(lua_State *L, int table, int keep, bind_grid *g)
{
    if (lua_getfield(L, table, "device") == LUA_TNIL) {     /* totals alone */
        g->grid.n_devices = 1;
        g->devices = list_of(L, keep, 1, sizeof *g->devices, "device");
    } else {
        g->grid.n_devices = list_length(L, "device");
        g->devices = list_of(L, keep, g->grid.n_devices, sizeof *g->devices, "device");
        for (size_t i = 0; i < g->grid.n_devices; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i + 1);
            g->devices[i] = &bind_to_deployment(L, -1)->where;
            keep_top(L, keep);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    g->grid.devices = g->devices;
}

static void read_precisions_axis(lua_State *L, int table, int keep, bind_grid *g)
{
    oom_error err;

    lua_getfield(L, table, "precision");
    g->grid.n_precisions = list_length(L, "precision");
    g->precisions = list_of(L, keep, g->grid.n_precisions, sizeof *g->precisions, "precision");
    for (size_t i = 0; i < g->grid.n_precisions; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            bind_error(L, "sweep: precision is a list with a %s in it, expected names of formats",
                       luaL_typename(L, -1));
        if (oom_precision_parse(lua_tostring(L, -1), &g->precisions[i], &err) != OOM_OK)
            bind_fail(L, &err);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    g->grid.precisions = g->precisions;
}

/* variants: a list of option tables (engine, kv, tp, chunk …), each over the session's. */
static void read_variants_axis(lua_State *L, int table, int keep, bind_grid *g)
{
    lua_getfield(L, table, "variants");
    g->grid.n_variants = list_length(L, "variants");
    g->variants = list_of(L, keep, g->grid.n_variants, sizeof *g->variants, "variants");
    for (size_t i = 0; i < g->grid.n_variants; i++) {
        request r;

        memset(&r, 0, sizeof r);
        r.options.gpu_layers = -1;
        r.engine = oom_engine_at(0);
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        request_merge(L, "sweep", -1, &r);
        lua_pop(L, 1);
        g->variants[i] = (oom_variant){ r.engine, r.options, r.load.prompt };
    }
    lua_pop(L, 1);
    g->grid.variants = g->variants;
}

static int sweep_grid(lua_State *L)
{
    bind_grid *g;
    int keep;

    luaL_checktype(L, 1, LUA_TTABLE);
    g = lua_newuserdatauv(L, sizeof *g, 1);
    memset(g, 0, sizeof *g);
    luaL_newmetatable(L, BIND_GRID);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, 1);
    keep = lua_gettop(L);
    read_models_axis(L, 1, keep, g);
    read_precisions_axis(L, 1, keep, g);
    read_variants_axis(L, 1, keep, g);
    read_devices_axis(L, 1, keep, g);
    g->grid.seqs = g->seqs = counts_of(L, 1, keep, "seq", &g->grid.n_seqs);
    g->grid.batches = g->batches = counts_of(L, 1, keep, "batch", &g->grid.n_batches);
    if (oom_grid_size(&g->grid) > OOM_MAX_BYTES)
        bind_error(L, "sweep: more than 2^63 points");
    lua_pop(L, 1);
    lua_pushinteger(L, (lua_Integer)oom_grid_size(&g->grid));
    return 2;
}

/* ---- a query ---- */

oom_column bind_column(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);

    for (int c = 0; c < OOM_COLUMNS; c++)
        if (strcmp(oom_column_name((oom_column)c), name) == 0)
            return (oom_column)c;
    bind_error(L, "sweep: no column \"%s\"; there are total, available, free, fits, params, "
               "active_params, seq, batch, weights, kv, state, activations, overhead, maxbatch, "
               "maxseq", bind_quote(L, name));
    return OOM_COLUMNS;
}

static oom_axis axis_at(lua_State *L, int index)
{
    static const char *const names[] = { "model", "precision", "variant", "device", "seq",
        "batch" };
    const char *name = luaL_checkstring(L, index);

    for (int a = 0; a < OOM_AXES; a++)
        if (strcmp(names[a], name) == 0)
            return (oom_axis)a;
    bind_error(L, "sweep: cannot group by \"%s\"; there are model, precision, device, seq, batch",
               bind_quote(L, name));
    return OOM_AXES;
}

static void read_where(lua_State *L, int table, oom_query *q)
{
    if (lua_getfield(L, table, "where") == LUA_TTABLE)
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TTABLE; i++, lua_pop(L, 1)) {
            oom_between *b = &q->where[q->n_where];

            if (q->n_where == sizeof q->where / sizeof *q->where)
                bind_error(L, "sweep: more than %d conditions", (int)q->n_where);
            lua_rawgeti(L, -1, 1);
            lua_rawgeti(L, -2, 2);
            lua_rawgeti(L, -3, 3);
            b->column = bind_column(L, -3);
            b->least = luaL_checkinteger(L, -2);
            b->most = luaL_checkinteger(L, -1);
            q->n_where++;
            lua_pop(L, 3);
        }
    lua_settop(L, table);
}

static void read_query(lua_State *L, int table, oom_query *q)
{
    memset(q, 0, sizeof *q);
    q->group = OOM_AXES;
    read_where(L, table, q);
    if (lua_getfield(L, table, "columns") == LUA_TTABLE)
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++, lua_pop(L, 1)) {
            if (q->n_columns == OOM_COLUMNS)
                bind_error(L, "sweep: a column twice");
            q->columns[q->n_columns++] = bind_column(L, -1);
        }
    lua_settop(L, table);
    lua_getfield(L, table, "count");
    q->count_only = lua_toboolean(L, -1);
    lua_getfield(L, table, "reasons");
    q->keep_reasons = lua_toboolean(L, -1);
    lua_getfield(L, table, "smallest");
    q->smallest = lua_toboolean(L, -1);
    if (lua_getfield(L, table, "group") != LUA_TNIL)
        q->group = axis_at(L, -1);
    if (lua_getfield(L, table, "by") != LUA_TNIL)
        q->by = bind_column(L, -1);
    if (lua_getfield(L, table, "top") != LUA_TNIL) {
        lua_Integer n = luaL_checkinteger(L, -1);

        if (n < 1 || n > 100000)
            bind_error(L, "sweep: top takes 1 to 100000 rows");
        q->top = (size_t)n;
    }
    lua_getfield(L, table, "threads");
    q->threads = (unsigned)luaL_optinteger(L, -1, sysconf(_SC_NPROCESSORS_ONLN));
    lua_getfield(L, table, "max_bytes");
    q->max_bytes = (size_t)luaL_optinteger(L, -1, (lua_Integer)1 << 30);
    lua_settop(L, table);
}

/* ---- running it ---- */

typedef struct {
    lua_State *L;
    volatile sig_atomic_t *interrupt;
    bool whole;                         /* part of the answer is none: Ctrl-C stops the script */
    int progress;                       /* stack index of the function to call, 0: none */
    struct timespec started, told;
} watch;

static double seconds(const struct timespec *a, const struct timespec *b)
{
    return (double)(b->tv_sec - a->tv_sec) + 1e-9 * (double)(b->tv_nsec - a->tv_nsec);
}

/* From the calling thread, between tiles. An error of the progress function is dropped: nothing may
 * jump over the threads. */
static bool go_on(void *ctx, uint64_t done, uint64_t all)
{
    watch *w = ctx;
    struct timespec now;

    if (w->interrupt && *w->interrupt) {
        if (!w->whole)
            *w->interrupt = 0;          /* taken: the rows so far are the answer */
        return false;
    }
    if (!w->progress)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (seconds(&w->started, &now) < 1 || seconds(&w->told, &now) < 0.2)
        return true;
    w->told = now;
    lua_pushvalue(w->L, w->progress);
    lua_pushnumber(w->L, (double)done / (double)(all ? all : 1));
    lua_pushnumber(w->L, seconds(&w->started, &now));
    if (lua_pcall(w->L, 2, 0, 0) != LUA_OK)
        lua_pop(w->L, 1);
    return true;
}

/* The rows the query is for: those of other rows, or a list of numbers, as C has them in a userdata
 * left on the stack. NULL: all. */
static const uint64_t *chosen(lua_State *L, int query, size_t *n)
{
    static const uint64_t none;
    uint64_t *list;

    if (lua_getfield(L, query, "index") == LUA_TUSERDATA) {
        const oom_rows *rows = bind_to_rows(L, -1);

        *n = rows->n;
        return rows->n ? rows->index : &none;
    }
    if (!lua_istable(L, -1))
        return NULL;
    *n = lua_rawlen(L, -1);
    list = lua_newuserdatauv(L, (*n + 1) * sizeof *list, 0);
    for (size_t i = 0; i < *n; i++) {
        lua_rawgeti(L, -2, (lua_Integer)i + 1);
        list[i] = (uint64_t)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    return list;
}

/* grid_run(grid, query [, progress]) -> rows, n, points, matched, stopped. query.index: other
 * rows, or a list of rows of the grid, counted from 0: these are evaluated and no others. */
static int sweep_run(lua_State *L)
{
    bind_grid *g = luaL_checkudata(L, 1, BIND_GRID);
    watch w = { .L = L };
    const uint64_t *index;
    oom_query q;
    oom_rows *rows;
    oom_status st;
    oom_error err;
    size_t n = 0;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 3);
    lua_insert(L, 2);                   /* grid, progress, query */
    read_query(L, 3, &q);
    w.progress = lua_isfunction(L, 2) ? 2 : 0;
    lua_getfield(L, 3, "whole");
    w.whole = lua_toboolean(L, -1);
    lua_getfield(L, LUA_REGISTRYINDEX, INTERRUPT);
    w.interrupt = lua_touserdata(L, -1);
    clock_gettime(CLOCK_MONOTONIC, &w.started);
    q.go_on = go_on;
    q.ctx = &w;
    index = chosen(L, 3, &n);
    rows = &bind_new_rows(L, 1, q.columns)->rows;
    luaL_checkstack(L, 8, NULL);
    st = index ? oom_grid_pick(&g->grid, &q, index, n, &oom_libc_alloc, rows, &err)
               : oom_grid_run(&g->grid, &q, &oom_libc_alloc, rows, &err);
    if (st != OOM_OK)
        bind_fail(L, &err);
    bind_filled(L, rows);
    lua_pushinteger(L, (lua_Integer)rows->points);
    lua_pushinteger(L, (lua_Integer)rows->matched);
    lua_pushboolean(L, rows->stopped);
    return 5;
}

/* bytes("2GiB") -> 2147483648, for conditions */
static int sweep_bytes(lua_State *L)
{
    uint64_t n;
    oom_error err;

    if (oom_text_bytes(luaL_checkstring(L, 1), &n, &err) != OOM_OK)
        return bind_fail(L, &err);
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
}

const bind_entry bind_sweep_entries[] = {
    { "bytes", sweep_bytes, NULL, NULL, NULL },
    { "grid", sweep_grid, NULL, NULL, NULL },
    { "grid_run", sweep_run, NULL, NULL, NULL },
    { 0 }
};
