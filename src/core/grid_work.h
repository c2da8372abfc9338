/* grid_work.h: what a run of a grid (grid.c) and its workers (grid_work.c) share. */
#ifndef OOM_GRID_WORK_H
#define OOM_GRID_WORK_H

#include <stdatomic.h>

#include "plan.h"

#define NONE UINT32_MAX
#define TILE_POINTS 2048        /* totals worked out at once: they stay in the nearest cache */

/* The best row seen of each group and how many it has, or the n best rows. */
typedef struct { uint64_t index, n; int64_t key; bool any; } ranked;

typedef struct {
    const oom_grid *g;
    const oom_query *q;
    atomic_uint_least64_t *next;        /* job to take */
    atomic_bool *stop;
    atomic_uint_least64_t *done;
    uint64_t n_jobs;
    size_t seqs_per_job, jobs_per_unit;
    const uint32_t *alike;              /* device -> first device it shares totals with */
    const uint32_t *next_alike;         /* device -> the next one of the same first; NONE */
    const oom_param_counts *counts;     /* of each model */
    bool full;                          /* a column needs a full evaluation */

    oom_plan *plan;
    uint64_t chosen;                    /* grid_fill_row: whose plan that is, counted from 1 */
    bool possible;
    oom_notes *notes;                   /* shared by the plans it makes one after the other */
    uint64_t totals[TILE_POINTS];
    uint64_t *available;                /* of each device, for the engine of the job */
    ranked *best;
    size_t n_best;
    oom_rows rows;
    uint64_t points, matched;
    oom_status status;
    bool asks;                          /* of the calling thread: it asks whether to go on */
} worker;

/* A thread: takes jobs until there are none or it is told to stop. ctx: its worker. */
void *grid_work(void *ctx);
/* Whether a row is better than the one kept, or as good and earlier. */
bool grid_beats(const worker *w, int64_t key, uint64_t index, const ranked *r);
/* Room for more rows; false when memory runs out, the list as it was. */
bool grid_make_room(oom_rows *r, size_t more);
/* Appends the row at `index`, evaluated again in full. There must be room; false: no memory. */
bool grid_fill_row(worker *w, oom_rows *out, uint64_t index);

#endif
