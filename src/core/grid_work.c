/* grid_work.c: one worker of a grid: jobs become points, points go through the filter into a count,
 * a group, a top list or columns. It knows nothing of the other workers. */
#include "grid_work.h"

#include <string.h>

/* ---- rows kept ------------------------------------------------------------------------------- */

/* One byte more, so that no list is empty. */
static size_t values_bytes(const oom_rows *r, size_t cap)
{
    return cap * r->n_columns * sizeof *r->values + 1;
}

void oom_rows_free(oom_rows *r)
{
    if (r->index)
        r->alloc->resize(r->alloc->ctx, r->index, r->index_cap * sizeof *r->index, 0);
    if (r->values)
        r->alloc->resize(r->alloc->ctx, r->values, values_bytes(r, r->cap), 0);
    r->index = NULL;
    r->values = NULL;
    r->n = r->cap = r->index_cap = 0;
}

bool grid_make_room(oom_rows *r, size_t more)
{
    const oom_alloc *a = r->alloc;
    size_t cap = r->cap ? r->cap : 1024, width = r->n_columns ? r->n_columns : 1;
    void *bigger;

    if (r->cap - r->n >= more)
        return true;
    while (cap - r->n < more) {
        if (cap > SIZE_MAX / 16 / width / sizeof *r->values)
            return false;
        cap *= 2;
    }
    if (r->index_cap < cap) {
        bigger = a->resize(a->ctx, r->index, r->index_cap * sizeof *r->index,
                           cap * sizeof *r->index);
        if (!bigger)
            return false;
        r->index = bigger;
        r->index_cap = cap;
    }
    bigger = a->resize(a->ctx, r->values, r->values ? values_bytes(r, r->cap) : 0,
                       values_bytes(r, cap));
    if (!bigger)
        return false;
    r->values = bigger;
    r->cap = cap;
    return true;
}

oom_status oom_rows_add(oom_rows *to, const oom_rows *from, size_t row, oom_error *err)
{
    if (!grid_make_room(to, 1))
        return oom_fail(err, OOM_NOMEM, "out of memory");
    to->index[to->n] = from->index[row];
    if (to->n_columns)
        memcpy(to->values + to->n * to->n_columns, from->values + row * to->n_columns,
               to->n_columns * sizeof *to->values);
    to->n++;
    return OOM_OK;
}

/* ---- one worker ----------------------------------------------------------------------------- */

/* Between tiles: whether to stop. Only the calling thread may ask, the others look. */
static bool stopped(worker *w)
{
    if (w->asks && w->q->go_on && !w->q->go_on(w->q->ctx, atomic_load(w->done), w->n_jobs)) {
        w->rows.stopped = true;
        atomic_store(w->stop, true);
    }
    return atomic_load(w->stop);
}

static bool passes(const worker *w, const int64_t *v)
{
    for (size_t i = 0; i < w->q->n_where; i++) {
        const oom_between *b = &w->q->where[i];

        if (v[b->column] == OOM_MISSING || v[b->column] < b->least || v[b->column] > b->most)
            return false;
    }
    return true;
}

/* Better, or as good and earlier: so that the answer does not depend on threads. */
bool grid_beats(const worker *w, int64_t key, uint64_t index, const ranked *r)
{
    if (!r->any)
        return true;
    if (key != r->key)
        return w->q->smallest ? key < r->key : key > r->key;
    return index < r->index;
}

/* The n best stay sorted; n is small. */
static void into_top(worker *w, int64_t key, uint64_t index)
{
    size_t n = w->q->top, at;

    if (w->best[n - 1].any && !grid_beats(w, key, index, &w->best[n - 1]))
        return;
    for (at = n - 1; at > 0 && grid_beats(w, key, index, &w->best[at - 1]); at--)
        w->best[at] = w->best[at - 1];
    w->best[at] = (ranked){ .index = index, .key = key, .any = true };
}

static bool keep(worker *w, uint64_t index, const size_t at[OOM_AXES], const int64_t *v)
{
    const oom_query *q = w->q;
    oom_rows *r = &w->rows;

    w->matched++;
    if (q->group != OOM_AXES) {
        ranked *best = &w->best[at[q->group]];

        best->n++;
        if (!q->count_only && v[q->by] != OOM_MISSING && grid_beats(w, v[q->by], index, best))
            *best = (ranked){ .index = index, .n = best->n, .key = v[q->by], .any = true };
        return true;
    }
    if (q->count_only)
        return true;
    if (q->top) {
        if (v[q->by] != OOM_MISSING)
            into_top(w, v[q->by], index);
        return true;
    }
    if (q->max_bytes && r->n * (1 + r->n_columns) * 8 > q->max_bytes) {
        w->status = OOM_TOOLARGE;
        return false;
    }
    if (!grid_make_room(r, 1)) {
        w->status = OOM_NOMEM;
        return false;
    }
    r->index[r->n] = index;
    for (size_t c = 0; c < r->n_columns; c++)
        r->values[r->n * r->n_columns + c] = v[q->columns[c]];
    r->n++;
    return true;
}

static int64_t signed_bytes(uint64_t x) { return x > OOM_MAX_BYTES ? OOM_MISSING : (int64_t)x; }

/* Every column of one point, the expensive way. */
static void full_values(worker *w, const oom_load *load, int64_t *v)
{
    oom_memory m;
    uint64_t n;
    bool solves = w->plan->has_device;
    oom_status st;

    for (int c = OOM_COLUMN_WEIGHTS; c < OOM_COLUMNS; c++)
        v[c] = OOM_MISSING;
    for (int c = OOM_COLUMN_TOTAL; c <= OOM_COLUMN_FITS; c++)
        v[c] = OOM_MISSING;
    st = oom_plan_memory(w->plan, load, &m, NULL, NULL);
    if (st == OOM_OK) {
        v[OOM_COLUMN_TOTAL] = signed_bytes(m.device.total);
        if (solves) {
            v[OOM_COLUMN_AVAILABLE] = signed_bytes(m.available);
            v[OOM_COLUMN_FREE] = (int64_t)m.available - (int64_t)m.device.total;
            v[OOM_COLUMN_FITS] = m.fits;
        }
        v[OOM_COLUMN_WEIGHTS] = signed_bytes(m.device.weights);
        v[OOM_COLUMN_KV] = signed_bytes(m.device.kv);
        v[OOM_COLUMN_STATE] = signed_bytes(m.device.state);
        v[OOM_COLUMN_ACTIVATIONS] = signed_bytes(m.device.activations);
        v[OOM_COLUMN_OVERHEAD] = signed_bytes(m.device.overhead);
    }
    for (size_t c = 0; c < w->q->n_columns && solves && st != OOM_NOMEM; c++) {
        oom_column column = w->q->columns[c];

        if (column == OOM_COLUMN_MAXBATCH)
            st = oom_solve_batch(w->plan, load->seq, load->prompt, &n, NULL);
        else if (column == OOM_COLUMN_MAXSEQ)
            st = oom_solve_seq(w->plan, load->batch, load->prompt, &n, NULL);
        else
            continue;
        v[column] = st == OOM_OK ? (int64_t)n : OOM_MISSING;
    }
    if (st == OOM_NOMEM)
        w->status = st;
}

typedef struct { size_t model, precision, variant, first_seq, n_seqs; uint64_t base; } tile;

static tile tile_of(const worker *w, uint64_t job)
{
    const oom_grid *g = w->g;
    uint64_t unit = job / w->jobs_per_unit;
    tile t = { .first_seq = (size_t)(job % w->jobs_per_unit) * w->seqs_per_job };

    t.n_seqs = (size_t)min_u64(w->seqs_per_job, g->n_seqs - t.first_seq);
    t.variant = (size_t)(unit % g->n_variants);
    t.precision = (size_t)(unit / g->n_variants % g->n_precisions);
    t.model = (size_t)(unit / g->n_variants / g->n_precisions);
    t.base = unit * g->n_devices * g->n_seqs * g->n_batches;
    return t;
}

/* Whether rows of a device can be; false: there was no memory to find out. */
static bool make_plan(worker *w, const tile *t, size_t device, bool *possible)
{
    const oom_variant *v = &w->g->variants[t->variant];
    oom_status st = oom_plan_make_noting(w->plan, w->notes, w->g->models[t->model],
                                         &w->g->precisions[t->precision], w->g->devices[device],
                                         v->engine, &v->options, NULL);

    *possible = st == OOM_OK;
    if (st == OOM_NOMEM)
        w->status = st;
    return st != OOM_NOMEM;
}

static void fixed_values(const worker *w, const tile *t, int64_t *v)
{
    for (int c = 0; c < OOM_COLUMNS; c++)
        v[c] = OOM_MISSING;
    v[OOM_COLUMN_PARAMS] = (int64_t)w->counts[t->model].loaded;
    v[OOM_COLUMN_ACTIVE] = (int64_t)w->counts[t->model].active;
}

/* Points of a device whose plan is made: each one evaluated in full. */
static bool job_in_full(worker *w, const tile *t, size_t device, bool possible)
{
    const oom_grid *g = w->g;
    size_t at[OOM_AXES] = { t->model, t->precision, t->variant, device, 0, 0 };
    int64_t v[OOM_COLUMNS];

    fixed_values(w, t, v);
    for (size_t s = t->first_seq; s < t->first_seq + t->n_seqs; s++)
        for (size_t b = 0; b < g->n_batches; b++) {
            uint64_t index = t->base + (device * g->n_seqs + s) * g->n_batches + b;
            oom_load load = { g->batches[b], g->seqs[s], g->variants[t->variant].prompt };

            if (b % 256 == 0 && stopped(w))
                return false;
            w->points++;
            v[OOM_COLUMN_SEQ] = (int64_t)load.seq;
            v[OOM_COLUMN_BATCH] = (int64_t)load.batch;
            at[OOM_AXIS_SEQ] = s;
            at[OOM_AXIS_BATCH] = b;
            if (possible)
                full_values(w, &load, v);
            if (w->status != OOM_OK)
                return false;
            if ((possible || w->q->keep_reasons) && passes(w, v) && !keep(w, index, at, v))
                return false;
        }
    return true;
}

/* Points of one seq and some batches whose totals are known: a comparison each. */
typedef struct { size_t seq, first_batch, n; } strip;

static bool strip_of_totals(worker *w, const tile *t, const strip *p, size_t device,
                            const uint64_t *totals, int64_t *v)
{
    const oom_grid *g = w->g;
    const oom_query *q = w->q;
    bool only_fits = q->n_where == 1 && q->where[0].column == OOM_COLUMN_FITS
                  && q->where[0].least == 1;
    bool compares = g->devices[device] != NULL;
    size_t at[OOM_AXES] = { t->model, t->precision, t->variant, device, p->seq, 0 };
    uint64_t available = w->available[device];
    uint64_t base = t->base + (device * g->n_seqs + p->seq) * g->n_batches + p->first_batch;

    w->points += p->n;
    if (q->count_only && only_fits && q->group != OOM_AXIS_BATCH) {
        uint64_t n = 0;

        for (size_t i = 0; i < p->n && compares; i++)
            n += totals[i] <= available;
        w->matched += n;
        if (q->group != OOM_AXES)
            w->best[at[q->group]].n += n;
        return true;
    }
    v[OOM_COLUMN_SEQ] = (int64_t)g->seqs[p->seq];
    for (size_t i = 0; i < p->n; i++) {
        if (only_fits && (!compares || totals[i] > available))
            continue;
        v[OOM_COLUMN_TOTAL] = signed_bytes(totals[i]);
        v[OOM_COLUMN_AVAILABLE] = v[OOM_COLUMN_FREE] = v[OOM_COLUMN_FITS] = OOM_MISSING;
        if (compares && totals[i] <= OOM_MAX_BYTES) {
            v[OOM_COLUMN_AVAILABLE] = signed_bytes(available);
            v[OOM_COLUMN_FREE] = (int64_t)available - (int64_t)totals[i];
            v[OOM_COLUMN_FITS] = totals[i] <= available;
        }
        v[OOM_COLUMN_BATCH] = (int64_t)g->batches[p->first_batch + i];
        at[OOM_AXIS_BATCH] = p->first_batch + i;
        if (passes(w, v) && !keep(w, base + i, at, v))
            return false;
    }
    return true;
}

/* The devices that share totals with `first`, whose plan is made: totals are worked out a tile at
 * a time, then held against what each device has. */
static bool job_of_alike(worker *w, const tile *t, size_t first)
{
    const oom_grid *g = w->g;
    uint64_t prompt = g->variants[t->variant].prompt;
    int64_t v[OOM_COLUMNS];

    fixed_values(w, t, v);
    for (size_t d = first; d != NONE; d = w->next_alike[d])
        w->available[d] = !g->devices[d] ? 0
                        : plan_available(w->plan, &g->devices[d]->group[0].device);
    for (size_t s = t->first_seq; s < t->first_seq + t->n_seqs;) {
        size_t rows = g->n_batches < TILE_POINTS ? TILE_POINTS / g->n_batches : 1;
        size_t last = (size_t)min_u64(s + rows, t->first_seq + t->n_seqs);

        for (size_t b = 0; b < g->n_batches; b += TILE_POINTS) {
            size_t n = (size_t)min_u64(TILE_POINTS, g->n_batches - b);

            if (stopped(w))
                return false;
            for (size_t r = s; r < last; r++)
                plan_totals(w->plan, g->seqs[r], prompt, g->batches + b, n,
                            w->totals + (r - s) * n);
            if (plan_ran_out(w->plan)) {
                w->status = OOM_NOMEM;
                return false;
            }
            for (size_t d = first; d != NONE; d = w->next_alike[d])
                for (size_t r = s; r < last; r++) {
                    strip p = { r, b, n };

                    if (!strip_of_totals(w, t, &p, d, w->totals + (r - s) * n, v))
                        return false;
                }
        }
        s = last;
    }
    return true;
}

static bool run_job(worker *w, uint64_t job)
{
    const oom_grid *g = w->g;
    tile t = tile_of(w, job);

    for (size_t d = 0; d < g->n_devices; d++) {
        bool possible;

        if (w->alike[d] != d)
            continue;
        if (!make_plan(w, &t, d, &possible))
            return false;
        if (!w->full && possible && w->plan->n_classes == 1) {
            if (!job_of_alike(w, &t, d))
                return false;
            continue;
        }
        for (size_t e = d; e != NONE; e = w->next_alike[e])
            if ((e != d && !make_plan(w, &t, e, &possible)) || !job_in_full(w, &t, e, possible))
                return false;
    }
    return true;
}

void *grid_work(void *ctx)
{
    worker *w = ctx;

    while (!stopped(w)) {
        uint64_t job = atomic_fetch_add(w->next, 1);

        if (job >= w->n_jobs)
            break;
        if (!run_job(w, job))
            atomic_store(w->stop, true);
        atomic_fetch_add(w->done, 1);
    }
    return NULL;
}

/* Values of chosen rows: each evaluated in full. Neighbours share their plan. */
bool grid_fill_row(worker *w, oom_rows *out, uint64_t index)
{
    const oom_grid *g = w->g;
    uint64_t plan = index / (g->n_seqs * g->n_batches) + 1;
    size_t at[OOM_AXES];
    int64_t v[OOM_COLUMNS];
    tile t;

    oom_grid_at(g, index, at);
    t = (tile){ .model = at[0], .precision = at[1], .variant = at[2] };
    fixed_values(w, &t, v);
    v[OOM_COLUMN_SEQ] = (int64_t)g->seqs[at[OOM_AXIS_SEQ]];
    v[OOM_COLUMN_BATCH] = (int64_t)g->batches[at[OOM_AXIS_BATCH]];
    if (w->chosen != plan) {
        w->chosen = 0;
        if (!make_plan(w, &t, at[OOM_AXIS_DEVICE], &w->possible))
            return false;
        w->chosen = plan;
    }
    if (w->possible)
        full_values(w, &(oom_load){ g->batches[at[OOM_AXIS_BATCH]], g->seqs[at[OOM_AXIS_SEQ]],
                                    g->variants[t.variant].prompt }, v);
    out->index[out->n] = index;
    for (size_t c = 0; c < out->n_columns; c++)
        out->values[out->n * out->n_columns + c] = v[w->q->columns[c]];
    out->n++;
    return w->status == OOM_OK;
}
