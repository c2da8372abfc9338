/* bind_rows.c: the rows of a sweep as Lua sees them. They stay here, eight bytes a value; Lua gets
 * them one at a time, filtered or sorted into new ones, or as CSV. */
#include "sweep.h"

#include <stdlib.h>
#include <string.h>

#define ROWS "oomph.rows"

static int rows_gc(lua_State *L)
{
    bind_rows *r = luaL_checkudata(L, 1, ROWS);

    oom_rows_free(&r->rows);
    return 0;
}

bind_rows *bind_new_rows(lua_State *L, int grid, const oom_column *columns)
{
    bind_rows *r;

    grid = lua_absindex(L, grid);
    r = lua_newuserdatauv(L, sizeof *r, 1);
    memset(r, 0, sizeof *r);
    memcpy(r->columns, columns, sizeof r->columns);
    if (luaL_newmetatable(L, ROWS)) {
        lua_pushcfunction(L, rows_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    lua_pushvalue(L, grid);
    lua_setiuservalue(L, -2, 1);
    return r;
}

const oom_rows *bind_to_rows(lua_State *L, int index)
{
    return &((const bind_rows *)luaL_checkudata(L, index, ROWS))->rows;
}

void bind_filled(lua_State *L, const oom_rows *rows)
{
    bind_holds(L, rows->cap * (rows->n_columns + 1) * sizeof *rows->values);
    lua_pushinteger(L, (lua_Integer)rows->n);
}

/* The rows at stack index 1, with their grid pushed. */
static bind_rows *rows_of(lua_State *L, bind_grid **g)
{
    bind_rows *r = luaL_checkudata(L, 1, ROWS);

    lua_getiuservalue(L, 1, 1);
    *g = lua_touserdata(L, -1);
    return r;
}

static int64_t value(const bind_rows *r, size_t row, size_t column)
{
    return r->rows.values[row * r->rows.n_columns + column];
}

/* ---- one row ---- */

static size_t row_at(lua_State *L, const bind_rows *r)
{
    lua_Integer i = luaL_checkinteger(L, 2);

    if (i < 1 || (uint64_t)i > r->rows.n)
        bind_error(L, "sweep: row %I of %I", i, (lua_Integer)r->rows.n);
    return (size_t)i - 1;
}

/* rows_get(rows, i) -> values by column name, positions on the axes (1-based), index */
static int rows_get(lua_State *L)
{
    bind_grid *g;
    bind_rows *r = rows_of(L, &g);
    size_t i = row_at(L, r), at[OOM_AXES];

    oom_grid_at(&g->grid, r->rows.index[i], at);
    lua_createtable(L, 0, (int)r->rows.n_columns + 8);
    for (size_t c = 0; c < r->rows.n_columns; c++) {
        int64_t v = value(r, i, c);

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

static int grid_reason(lua_State *L)
{
    bind_grid *g = luaL_checkudata(L, 1, BIND_GRID);
    oom_error err;

    if (oom_grid_reason(&g->grid, (uint64_t)luaL_checkinteger(L, 2), &err) == OOM_OK)
        return 0;
    lua_pushstring(L, err.msg);
    return 1;
}

/* rows_whole(rows) -> whether no row lacks a value */
static int rows_whole(lua_State *L)
{
    bind_rows *r = luaL_checkudata(L, 1, ROWS);
    size_t n = r->rows.n * r->rows.n_columns, i = 0;

    while (i < n && r->rows.values[i] != OOM_MISSING)
        i++;
    lua_pushboolean(L, i == n);
    return 1;
}

/* rows_counts(rows) -> a list of the first column: what a count by groups gives */
static int rows_counts(lua_State *L)
{
    bind_rows *r = luaL_checkudata(L, 1, ROWS);

    lua_createtable(L, (int)r->rows.n, 0);
    for (size_t i = 0; i < r->rows.n; i++) {
        lua_pushinteger(L, value(r, i, 0));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* ---- other rows of them ---- */

static void add(lua_State *L, bind_rows *to, const bind_rows *from, size_t row)
{
    oom_error err;

    if (oom_rows_add(&to->rows, &from->rows, row, &err) != OOM_OK)
        bind_fail(L, &err);
}

static bind_rows *rows_like(lua_State *L, const bind_rows *r)
{
    bind_rows *out = bind_new_rows(L, -1, r->columns);

    out->rows.n_columns = r->rows.n_columns;
    out->rows.alloc = &oom_libc_alloc;
    return out;
}

static int made(lua_State *L, const bind_rows *out)
{
    bind_filled(L, &out->rows);
    return 2;
}

/* rows_keep(rows, keep) -> those for which keep(i) is true, and how many */
static int rows_keep(lua_State *L)
{
    bind_grid *g;
    bind_rows *r = rows_of(L, &g), *out = rows_like(L, r);

    for (size_t i = 0; i < r->rows.n; i++) {
        lua_pushvalue(L, 2);
        lua_pushinteger(L, (lua_Integer)i + 1);
        lua_call(L, 1, 1);
        if (lua_toboolean(L, -1))
            add(L, out, r, i);
        lua_pop(L, 1);
    }
    return made(L, out);
}

/* rows_pick(rows, list) -> the rows at these positions, and how many */
static int rows_pick(lua_State *L)
{
    bind_grid *g;
    bind_rows *r = rows_of(L, &g), *out = rows_like(L, r);
    size_t n = lua_rawlen(L, 2);

    for (size_t i = 0; i < n; i++) {
        lua_Integer at;

        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        at = luaL_checkinteger(L, -1);
        luaL_argcheck(L, at >= 1 && (uint64_t)at <= r->rows.n, 2, "no such row");
        add(L, out, r, (size_t)at - 1);
        lua_pop(L, 1);
    }
    return made(L, out);
}

typedef struct { int64_t key; size_t row; } sorted;

/* What is missing comes last, equals stay in their order. */
static int upwards(const void *a, const void *b)
{
    const sorted *x = a, *y = b;

    if (x->key == y->key)
        return (x->row > y->row) - (x->row < y->row);
    if (x->key == OOM_MISSING || y->key == OOM_MISSING)
        return x->key == OOM_MISSING ? 1 : -1;
    return x->key > y->key ? 1 : -1;
}

static int downwards(const void *a, const void *b)
{
    const sorted *x = a, *y = b;

    if (x->key == y->key || x->key == OOM_MISSING || y->key == OOM_MISSING)
        return upwards(a, b);
    return x->key < y->key ? 1 : -1;
}

/* The keys of all rows, in a userdata left on the stack: values of a column, or of an axis the rank
 * of each of its values, a list at `ranks`. */
static sorted *keys_of(lua_State *L, const bind_rows *r, const bind_grid *g, int name, int ranks)
{
    sorted *list = lua_newuserdatauv(L, (r->rows.n + 1) * sizeof *list, 0);
    bool by_axis = lua_type(L, name) == LUA_TNUMBER;
    size_t axis = by_axis ? (size_t)lua_tointeger(L, name) - 1 : 0, c = 0;
    oom_column column = by_axis ? OOM_COLUMNS : bind_column(L, name);

    while (c < r->rows.n_columns && r->columns[c] != column)
        c++;
    for (size_t i = 0; i < r->rows.n; i++) {
        size_t at[OOM_AXES];

        list[i] = (sorted){ OOM_MISSING, i };
        oom_grid_at(&g->grid, r->rows.index[i], at);
        if (by_axis && axis < OOM_AXES) {
            lua_rawgeti(L, ranks, (lua_Integer)at[axis] + 1);
            list[i].key = (int64_t)lua_tointeger(L, -1);
            lua_pop(L, 1);
        } else if (column == OOM_COLUMN_SEQ) {
            list[i].key = (int64_t)g->seqs[at[OOM_AXIS_SEQ]];
        } else if (column == OOM_COLUMN_BATCH) {
            list[i].key = (int64_t)g->batches[at[OOM_AXIS_BATCH]];
        } else if (c < r->rows.n_columns) {
            list[i].key = value(r, i, c);
        }
    }
    return list;
}

/* rows_sort(rows, column, down) or rows_sort(rows, axis, down, ranks) -> the rows in order. axis:
 * 1 model, 2 precision, 3 variant, 4 device; ranks: of each value of it its place. */
static int rows_sort(lua_State *L)
{
    bind_grid *g;
    bind_rows *r, *out;
    sorted *list;

    lua_settop(L, 4);
    r = rows_of(L, &g);
    list = keys_of(L, r, g, 2, 4);
    qsort(list, r->rows.n, sizeof *list, lua_toboolean(L, 3) ? downwards : upwards);
    lua_getiuservalue(L, 1, 1);
    out = rows_like(L, r);
    for (size_t i = 0; i < r->rows.n; i++)
        add(L, out, r, list[i].row);
    return made(L, out);
}

/* ---- CSV ---- */

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

/* A column of the text: of an axis the ready cells of its values, a list on the stack; or the
 * reason; or one of the rows' own. */
typedef struct { int cells; size_t axis; bool reason; oom_column column; size_t at; } csv_column;

#define CSV_COLUMNS 64

static csv_column csv_column_at(lua_State *L, const bind_rows *r)
{
    csv_column c = { .column = OOM_COLUMNS };

    if (lua_type(L, -1) == LUA_TTABLE) {
        lua_getfield(L, -1, "axis");
        c.axis = (size_t)luaL_checkinteger(L, -1) - 1;
        luaL_argcheck(L, c.axis < OOM_AXES, 4, "no such axis");
        lua_pop(L, 1);
        c.cells = lua_gettop(L);
        return c;
    }
    c.reason = strcmp(luaL_checkstring(L, -1), "reason") == 0;
    if (!c.reason)
        c.column = bind_column(L, -1);
    while (c.at < r->rows.n_columns && r->columns[c.at] != c.column)
        c.at++;
    return c;
}

static void add_cell(luaL_Buffer *b, const csv_column *c, const bind_rows *r, const bind_grid *g,
                     size_t row, const size_t at[OOM_AXES])
{
    int64_t v = c->at < r->rows.n_columns ? value(r, row, c->at) : OOM_MISSING;

    if (c->cells) {
        lua_rawgeti(b->L, c->cells, (lua_Integer)at[c->axis] + 1);
        luaL_addvalue(b);
    } else if (c->column == OOM_COLUMN_SEQ) {
        add_number(b, (int64_t)g->seqs[at[OOM_AXIS_SEQ]]);
    } else if (c->column == OOM_COLUMN_BATCH) {
        add_number(b, (int64_t)g->batches[at[OOM_AXIS_BATCH]]);
    } else if (v != OOM_MISSING && c->column == OOM_COLUMN_FITS) {
        luaL_addstring(b, v ? "TRUE" : "FALSE");    /* as R, too, knows them */
    } else if (v != OOM_MISSING) {
        add_number(b, v);
    }
}

static bool lacks_a_value(const bind_rows *r, size_t row)
{
    for (size_t c = 0; c < r->rows.n_columns; c++)
        if (value(r, row, c) == OOM_MISSING)
            return true;
    return false;
}

/* rows_csv(rows, from, to, columns) -> text of those rows. columns: a list of names, "reason" among
 * them, or {axis=, cell, cell, …} with the ready cell of each value of an axis. */
static int rows_csv(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3);
    reason why = { .plan = UINT64_MAX };
    csv_column columns[CSV_COLUMNS];
    size_t n;
    bind_grid *g;
    bind_rows *r;
    luaL_Buffer b;

    luaL_checktype(L, 4, LUA_TTABLE);
    lua_settop(L, 4);
    n = lua_rawlen(L, 4);
    if (n > CSV_COLUMNS)
        bind_error(L, "sweep: more than %d columns", CSV_COLUMNS);
    r = rows_of(L, &g);
    luaL_checkstack(L, CSV_COLUMNS + 8, NULL);
    for (size_t c = 0; c < n; c++) {            /* they stay on the stack */
        lua_rawgeti(L, 4, (lua_Integer)c + 1);
        columns[c] = csv_column_at(L, r);
    }
    luaL_buffinit(L, &b);
    for (lua_Integer i = from; i <= to && (uint64_t)i <= r->rows.n; i++) {
        size_t row = (size_t)i - 1, at[OOM_AXES];

        oom_grid_at(&g->grid, r->rows.index[row], at);
        for (size_t c = 0; c < n; c++) {
            if (c)
                luaL_addchar(&b, ',');
            if (!columns[c].reason)
                add_cell(&b, &columns[c], r, g, row, at);
            else if (lacks_a_value(r, row))
                add_reason(&b, &g->grid, r->rows.index[row], &why);
        }
        luaL_addchar(&b, '\n');
    }
    luaL_pushresult(&b);
    return 1;
}

const bind_entry bind_rows_entries[] = {
    { "grid_reason", grid_reason, NULL, NULL, NULL },
    { "rows_get", rows_get, NULL, NULL, NULL },
    { "rows_whole", rows_whole, NULL, NULL, NULL },
    { "rows_counts", rows_counts, NULL, NULL, NULL },
    { "rows_keep", rows_keep, NULL, NULL, NULL },
    { "rows_pick", rows_pick, NULL, NULL, NULL },
    { "rows_sort", rows_sort, NULL, NULL, NULL },
    { "rows_csv", rows_csv, NULL, NULL, NULL },
    { 0 }
};
