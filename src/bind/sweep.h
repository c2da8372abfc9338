/* sweep.h: a grid and its rows as Lua holds them, for bind_sweep.c and bind_rows.c. */
#ifndef OOM_SWEEP_H
#define OOM_SWEEP_H

#include "request.h"

#define BIND_GRID "oomph.grid"

/* What the grid points at lives in userdata that its uservalue keeps. */
typedef struct {
    oom_grid grid;
    oom_model **models;
    oom_precision *precisions;
    oom_variant *variants;
    const oom_deployment **devices;
    uint64_t *seqs, *batches;
} bind_grid;

/* Rows of the grid that is their uservalue. */
typedef struct { oom_rows rows; oom_column columns[OOM_COLUMNS]; } bind_rows;

/* Pushes rows, none yet, of the grid at `grid`: userdata that frees what is put into them. */
bind_rows *bind_new_rows(lua_State *L, int grid, const oom_column *columns);
const oom_rows *bind_to_rows(lua_State *L, int index);
/* Pushes how many rows were put into the rows at the top; the collector hears of their memory. */
void bind_filled(lua_State *L, const oom_rows *rows);
/* The column named at index; another name raises. */
oom_column bind_column(lua_State *L, int index);

#endif
