/* bind_sweep.c: grids as Lua sees them. lua/sweep.lua turns options into lists; here the lists
 * become a grid, a query runs over it, and rows come back one at a time or as CSV. */
#include "request.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRID "oomph.grid"
#define ROWS "oomph.rows"
#define INTERRUPT "oomph.interrupt"     /* light userdata: the shell's flag, a sig_atomic_t */

typedef struct {
    oom_grid grid;
    oom_model **models;
    oom_precision *precisions;
    oom_variant *variants;
    const oom_deployment **devices;
    uint64_t *seqs, *batches;
} bind_grid;

typedef struct { oom_rows rows; oom_column columns[OOM_COLUMNS]; } bind_rows;

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
    luaL_newmetatable(L, GRID);
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

static oom_column column_at(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);

    for (int c = 0; c < OOM_COLUMNS; c++)
        if (strcmp(oom_column_name((oom_column)c), name) == 0)
            return (oom_column)c;
    bind_error(L, "sweep: no column \"%s\"; there are total, available, free, fits, params, "
               "active_params, seq, batch, weights, kv, state, activations, overhead, maxbatch, "
               "maxseq", name);
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
               name);
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
            b->column = column_at(L, -3);
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
            q->columns[q->n_columns++] = column_at(L, -1);
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
        q->by = column_at(L, -1);
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

static int rows_gc(lua_State *L)
{
    bind_rows *r = luaL_checkudata(L, 1, ROWS);

    oom_rows_free(&r->rows);
    return 0;
}

/* grid_run(grid, query [, progress]) -> rows, n, points, matched, stopped */
static int sweep_run(lua_State *L)
{
    bind_grid *g = luaL_checkudata(L, 1, GRID);
    watch w = { .L = L };
    oom_query q;
    bind_rows *r;
    oom_error err;

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
    r = lua_newuserdatauv(L, sizeof *r, 1);
    memset(r, 0, sizeof *r);
    memcpy(r->columns, q.columns, sizeof r->columns);
    if (luaL_newmetatable(L, ROWS)) {
        lua_pushcfunction(L, rows_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    luaL_checkstack(L, 8, NULL);
    if (oom_grid_run(&g->grid, &q, &oom_libc_alloc, &r->rows, &err) != OOM_OK)
        bind_fail(L, &err);
    bind_holds(L, r->rows.cap * (r->rows.n_columns + 1) * sizeof *r->rows.values);
    lua_pushinteger(L, (lua_Integer)r->rows.n);
    lua_pushinteger(L, (lua_Integer)r->rows.points);
    lua_pushinteger(L, (lua_Integer)r->rows.matched);
    lua_pushboolean(L, r->rows.stopped);
    return 5;
}

/* ---- rows ---- */

static size_t row_at(lua_State *L, const bind_rows *r)
{
    lua_Integer i = luaL_checkinteger(L, 2);

    if (i < 1 || (uint64_t)i > r->rows.n)
        bind_error(L, "sweep: row %I of %I", i, (lua_Integer)r->rows.n);
    return (size_t)i - 1;
}

/* rows_get(rows, i) -> values by column name, positions on the axes (1-based), index */
static int sweep_get(lua_State *L)
{
    bind_rows *r = luaL_checkudata(L, 1, ROWS);
    size_t i = row_at(L, r), at[OOM_AXES];
    bind_grid *g;

    lua_getiuservalue(L, 1, 1);
    g = lua_touserdata(L, -1);
    oom_grid_at(&g->grid, r->rows.index[i], at);
    lua_createtable(L, 0, (int)r->rows.n_columns + 8);
    for (size_t c = 0; c < r->rows.n_columns; c++) {
        int64_t v = r->rows.values[i * r->rows.n_columns + c];

        if (v == OOM_MISSING)
            continue;
        if (r->columns[c] == OOM_COLUMN_FITS)
            lua_pushboolean(L, (int)v);
        else
            lua_pushinteger(L, v);
        lua_setfield(L, -2, oom_column_name(r->columns[c]));
    }
    set_int(L, "seq", g->seqs[at[OOM_AXIS_SEQ]]);
    set_int(L, "batch", g->batches[at[OOM_AXIS_BATCH]]);
    for (int a = 0; a < 4; a++)
        lua_pushinteger(L, (lua_Integer)at[a] + 1);
    lua_pushinteger(L, (lua_Integer)r->rows.index[i]);
    return 6;
}

static int sweep_reason(lua_State *L)
{
    bind_grid *g = luaL_checkudata(L, 1, GRID);
    oom_error err;

    if (oom_grid_reason(&g->grid, (uint64_t)luaL_checkinteger(L, 2), &err) == OOM_OK)
        return 0;
    lua_pushstring(L, err.msg);
    return 1;
}

static void add_number(luaL_Buffer *b, int64_t v)
{
    char digits[24];
    size_t n = sizeof digits;
    uint64_t u = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;

    do
        digits[--n] = (char)('0' + u % 10);
    while ((u /= 10) != 0);
    if (v < 0)
        digits[--n] = '-';
    luaL_addlstring(b, digits + n, sizeof digits - n);
}

/* The reason of the last row that could not be: rows of one plan share it, unless a point is too
 * large. */
typedef struct { uint64_t plan; oom_error err; } reason;

/* Why a row cannot be, quoted for CSV. */
static void add_reason(luaL_Buffer *b, const oom_grid *g, uint64_t index, reason *why)
{
    uint64_t plan = index / (g->n_seqs * g->n_batches);

    if (why->plan != plan || why->err.status == OOM_TOOLARGE) {
        why->err = (oom_error){ OOM_OK, "" };
        why->plan = plan;
        oom_grid_reason(g, index, &why->err);
    }
    luaL_addchar(b, '"');
    for (const char *c = why->err.msg; *c; c++) {
        if (*c == '"')
            luaL_addchar(b, '"');
        luaL_addchar(b, *c);
    }
    luaL_addchar(b, '"');
}

/* rows_csv(rows, from, to, labels) -> text of those rows. labels: for the axes model, precision,
 * variant and device a list of ready cells each (a variant's may be several cells). */
static int sweep_csv(lua_State *L)
{
    bind_rows *r = luaL_checkudata(L, 1, ROWS);
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    reason why = { .plan = UINT64_MAX };
    bind_grid *g;
    luaL_Buffer b;

    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    for (int a = 1; a <= 4; a++)
        lua_rawgeti(L, 4, a);           /* 5 … 8 */
    lua_getiuservalue(L, 1, 1);
    g = lua_touserdata(L, -1);
    luaL_buffinit(L, &b);
    for (lua_Integer i = from; i <= to && (uint64_t)i <= r->rows.n; i++) {
        size_t row = (size_t)i - 1, at[OOM_AXES];
        bool missing = false;

        oom_grid_at(&g->grid, r->rows.index[row], at);
        for (int a = 0; a < 4; a++) {
            if (lua_isnil(L, 5 + a))    /* an axis without a column */
                continue;
            lua_rawgeti(L, 5 + a, (lua_Integer)at[a] + 1);
            luaL_addvalue(&b);
            luaL_addchar(&b, ',');
        }
        add_number(&b, (int64_t)g->seqs[at[OOM_AXIS_SEQ]]);
        luaL_addchar(&b, ',');
        add_number(&b, (int64_t)g->batches[at[OOM_AXIS_BATCH]]);
        for (size_t c = 0; c < r->rows.n_columns; c++) {
            int64_t v = r->rows.values[row * r->rows.n_columns + c];

            if (r->columns[c] == OOM_COLUMN_SEQ || r->columns[c] == OOM_COLUMN_BATCH)
                continue;
            luaL_addchar(&b, ',');
            missing = missing || v == OOM_MISSING;
            if (v == OOM_MISSING)
                continue;
            if (r->columns[c] == OOM_COLUMN_FITS)
                luaL_addstring(&b, v ? "true" : "false");
            else
                add_number(&b, v);
        }
        luaL_addchar(&b, ',');
        if (missing)
            add_reason(&b, &g->grid, r->rows.index[row], &why);
        luaL_addchar(&b, '\n');
    }
    luaL_pushresult(&b);
    return 1;
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
    { "grid_reason", sweep_reason, NULL, NULL, NULL },
    { "rows_get", sweep_get, NULL, NULL, NULL },
    { "rows_csv", sweep_csv, NULL, NULL, NULL },
    { 0 }
};
