/* grid.c: everything against everything. Plans are made once per model, precision, variant and
 * kind of device, points go straight through the filter into a count, a group, a top list or
 * columns. Work is dealt to threads in tiles; what comes out does not depend on how. */
#include "grid_work.h"
#include "recipe.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define JOB_POINTS 65536        /* of one device in one job: long against making a plan */

static const char *const column_names[] = {
    "total", "available", "free", "fits", "params", "active_params", "seq", "batch", "weights",
    "kv", "state", "activations", "overhead", "maxbatch", "maxseq"
};

const char *oom_column_name(oom_column c) { return c < OOM_COLUMNS ? column_names[c] : NULL; }

uint64_t oom_grid_size(const oom_grid *g)
{
    uint64_t plans = sat_mul(sat_mul(g->n_models, g->n_precisions), g->n_variants);

    return sat_mul(sat_mul(plans, g->n_devices), sat_mul(g->n_seqs, g->n_batches));
}

void oom_grid_at(const oom_grid *g, uint64_t index, size_t at[OOM_AXES])
{
    const size_t sizes[OOM_AXES] = { g->n_models, g->n_precisions, g->n_variants, g->n_devices,
                                     g->n_seqs, g->n_batches };

    for (int axis = OOM_AXES; axis-- > 0;) {
        at[axis] = (size_t)(index % sizes[axis]);
        index /= sizes[axis];
    }
}

/* ---- the run -------------------------------------------------------------------------------- */

static bool alike(const oom_engine *e, const oom_deployment *a, const oom_deployment *b)
{
    const oom_device *x = &a->group[0].device, *y = &b->group[0].device;

    if (a->n != b->n || a->n_groups != 1 || b->n_groups != 1)
        return false;
    if (memcmp(x->learned_bytes, y->learned_bytes, sizeof x->learned_bytes) != 0)
        return false;
    if (e->alike)
        return e->alike(x, y);
    return x->kind == y->kind && x->context_bytes == y->context_bytes;
}

/* For each device the first that shares its totals under every variant's engine, and the next. */
static void find_alike(const oom_grid *g, uint32_t *first, uint32_t *next)
{
    for (size_t d = 0; d < g->n_devices; d++) {
        first[d] = (uint32_t)d;
        next[d] = NONE;
        for (size_t e = 0; e < d && first[d] == d && g->devices[d]; e++) {
            bool same = g->devices[e] && first[e] == e;

            for (size_t v = 0; v < g->n_variants && same; v++)
                same = alike(g->variants[v].engine, g->devices[e], g->devices[d]);
            if (same)
                first[d] = (uint32_t)e;
        }
        if (first[d] != d) {
            uint32_t last = first[d];

            while (next[last] != NONE)
                last = next[last];
            next[last] = (uint32_t)d;
        }
    }
}

static bool needs_full(const oom_query *q)
{
    bool full = q->by >= OOM_COLUMN_WEIGHTS && (q->top || q->group != OOM_AXES);

    for (size_t i = 0; i < q->n_where; i++)
        full = full || q->where[i].column >= OOM_COLUMN_WEIGHTS;
    for (size_t i = 0; i < q->n_columns; i++)
        full = full || q->columns[i] >= OOM_COLUMN_WEIGHTS;
    return full;
}

/* Long jobs, but some for every thread. */
static size_t seqs_of_a_job(const oom_grid *g, unsigned threads)
{
    uint64_t units = sat_mul(sat_mul(g->n_models, g->n_precisions), g->n_variants);
    uint64_t pieces = units ? div_up(4 * (uint64_t)threads, units) : 1;
    uint64_t most = g->n_batches ? JOB_POINTS / g->n_batches : 1;

    return (size_t)max_u64(min_u64(most, threads > 1 ? div_up(g->n_seqs, pieces) : g->n_seqs), 1);
}

static size_t group_size(const oom_grid *g, oom_axis axis)
{
    const size_t sizes[OOM_AXES] = { g->n_models, g->n_precisions, g->n_variants, g->n_devices,
                                     g->n_seqs, g->n_batches };

    return sizes[axis];
}

static void *get(const oom_alloc *a, size_t n, size_t each)
{
    void *p = n && n > SIZE_MAX / 2 / each ? NULL : a->resize(a->ctx, NULL, 0, n * each + 1);

    return p ? memset(p, 0, n * each + 1) : NULL;
}

static void put(const oom_alloc *a, void *p, size_t n, size_t each)
{
    if (p)
        a->resize(a->ctx, p, n * each + 1, 0);
}

/* Long, and mostly never looked at: only the head is cleared. */
static oom_notes *new_notes(const oom_alloc *a)
{
    oom_notes *n = a->resize(a->ctx, NULL, 0, oom_notes_bytes() + 1);

    return n ? memset(n, 0, PLAN_NOTES_HEAD) : NULL;
}

#define MAX_THREADS 16

/* Rows of one worker that follow each other in the grid. */
typedef struct { uint64_t index; const oom_rows *rows; size_t first, n; } stretch;

static int by_index(const void *a, const void *b)
{
    const stretch *x = a, *y = b;

    return (x->index > y->index) - (x->index < y->index);
}

static int by_rank(const void *a, const void *b)        /* key descending, then index */
{
    const ranked *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Which device of which job a row is of: its rows lie together, in one worker. */
static uint64_t block_of(const worker *w, uint64_t index)
{
    uint64_t line = index / w->g->n_batches;

    return line / w->g->n_seqs * w->jobs_per_unit + line % w->g->n_seqs / w->seqs_per_job;
}

/* The stretches of all workers' rows; with list NULL only how many there are. */
static size_t find_stretches(const worker *w, unsigned n, stretch *list)
{
    size_t found = 0;

    for (unsigned i = 0; i < n; i++) {
        const oom_rows *rows = &w[i].rows;

        for (size_t first = 0, end; first < rows->n; first = end, found++) {
            uint64_t block = block_of(w, rows->index[first]);

            for (end = first + 1; end < rows->n && block_of(w, rows->index[end]) == block;)
                end++;
            if (list)
                list[found] = (stretch){ rows->index[first], rows, first, end - first };
        }
    }
    return found;
}

/* Rows of all workers in order of index. */
static bool merge_stored(worker *w, unsigned n, oom_rows *out)
{
    const oom_alloc *a = out->alloc;
    size_t total = 0, count = find_stretches(w, n, NULL), width = out->n_columns;
    stretch *list = get(a, count, sizeof *list);

    for (unsigned i = 0; i < n; i++)
        total += w[i].rows.n;
    if (!list || !grid_make_room(out, total + 1)) {
        put(a, list, count, sizeof *list);
        return false;
    }
    find_stretches(w, n, list);
    qsort(list, count, sizeof *list, by_index);
    for (size_t i = 0; i < count; i++) {
        const oom_rows *from = list[i].rows;

        memcpy(out->index + out->n, from->index + list[i].first, list[i].n * sizeof *out->index);
        if (width)
            memcpy(out->values + out->n * width, from->values + list[i].first * width,
                   list[i].n * width * sizeof *out->values);
        out->n += list[i].n;
    }
    put(a, list, count, sizeof *list);
    return true;
}

/* How many rows each group has, as the only column. */
static bool merge_counts(worker *w, unsigned n, oom_rows *out)
{
    out->n_columns = 1;
    if (!grid_make_room(out, w[0].n_best + 1))
        return false;
    for (out->n = 0; out->n < w[0].n_best; out->n++) {
        out->index[out->n] = out->n;
        out->values[out->n] = 0;
        for (unsigned i = 0; i < n; i++)
            out->values[out->n] += (int64_t)w[i].best[out->n].n;
    }
    return true;
}

static bool merge_ranked(worker *w, unsigned n, oom_rows *out)
{
    size_t each = w[0].n_best, kept = 0, all = 0;
    ranked *list = get(out->alloc, each * n, sizeof *list);
    bool top = w[0].q->top > 0, fine;

    if (!list)
        return false;
    for (size_t b = 0; b < each && !top; b++) {         /* groups: the better of the workers' */
        for (unsigned i = 0; i < n; i++)
            if (w[i].best[b].any && grid_beats(w, w[i].best[b].key, w[i].best[b].index, &list[all]))
                list[all] = w[i].best[b];
        all += list[all].any;
    }
    for (unsigned i = 0; i < n && top; i++)
        for (size_t b = 0; b < each; b++)
            if (w[i].best[b].any) {
                list[all] = w[i].best[b];
                if (w[0].q->smallest)
                    list[all].key = -list[all].key;
                all++;
            }
    if (top)
        qsort(list, all, sizeof *list, by_rank);
    kept = top ? (size_t)min_u64(all, w[0].q->top) : all;
    fine = grid_make_room(out, kept + 1);
    for (size_t i = 0; i < kept && fine; i++)
        fine = grid_fill_row(w, out, list[i].index);
    put(out->alloc, list, each * n, sizeof *list);
    return fine;
}

/* Everything lazily built in a model is built now: threads only read. What failed half way would be
 * tried again by each of them: such a model is evaluated by one thread alone. */
static oom_status prepare_models(const oom_grid *g, oom_param_counts *counts, unsigned *threads,
                                 oom_error *err)
{
    const oom_model *inventory;
    oom_status st = OOM_OK;

    for (size_t m = 0; m < g->n_models && st == OOM_OK; m++) {
        st = oom_model_count(g->models[m], &counts[m], err);
        for (size_t p = 0; p < g->n_precisions && st == OOM_OK; p++)
            for (size_t v = 0; v < g->n_variants && st == OOM_OK; v++) {
                oom_precision format = g->precisions[p];

                oom_engine_precision(g->variants[v].engine, &format);
                st = oom_precision_inventory(g->models[m], &format, &inventory, err);
                if (st != OOM_NOMEM && g->variants[v].engine->ggml_files)
                    st = gguf_view(g->models[m], &inventory, err);
                if (st != OOM_OK && st != OOM_NOTFOUND && st != OOM_BADVALUE)
                    *threads = 1;
                st = st == OOM_NOMEM ? st : OOM_OK;     /* what cannot be has its reason later */
            }
    }
    return st;
}

/* One run: what its workers share, and the workers. */
typedef struct {
    const oom_grid *g;
    const oom_query *q;
    const oom_alloc *alloc;
    uint32_t *alike, *next_alike;       /* of each device */
    oom_param_counts *counts;           /* of each model */
    atomic_uint_least64_t next, done;   /* jobs */
    atomic_bool stop;
    unsigned n;                         /* workers */
    worker w[MAX_THREADS];
} run;

static oom_status no_memory(oom_error *err) { return oom_fail(err, OOM_NOMEM, "out of memory"); }

static oom_status prepare_worker(run *r, worker *w, bool notes, oom_error *err)
{
    const oom_grid *g = r->g;

    *w = (worker){ .g = g, .q = r->q, .next = &r->next, .stop = &r->stop, .done = &r->done,
                   .seqs_per_job = seqs_of_a_job(g, r->n), .alike = r->alike,
                   .next_alike = r->next_alike, .counts = r->counts, .asks = w == r->w,
                   .full = needs_full(r->q),
                   .rows = { .n_columns = r->q->n_columns, .alloc = r->alloc } };
    w->jobs_per_unit = g->n_seqs ? div_up(g->n_seqs, w->seqs_per_job) : 0;
    w->n_jobs = oom_grid_size(g) == 0 ? 0
              : g->n_models * g->n_precisions * g->n_variants * w->jobs_per_unit;
    w->n_best = r->q->group != OOM_AXES ? group_size(g, r->q->group) : r->q->top;
    w->plan = get(r->alloc, 1, oom_plan_bytes());
    w->notes = notes ? new_notes(r->alloc) : NULL;
    w->available = get(r->alloc, g->n_devices, sizeof *w->available);
    w->best = get(r->alloc, w->n_best, sizeof *w->best);
    return w->plan && (w->notes || !notes) && w->available && w->best ? OOM_OK : no_memory(err);
}

static oom_status begin(run *r, oom_error *err)
{
    const oom_grid *g = r->g;
    bool notes = false;
    oom_status st;

    if (oom_grid_size(g) == SAT_TOOLARGE)
        return oom_fail(err, OOM_TOOLARGE, "sweep: more than 2^63 points");
    r->alike = get(r->alloc, g->n_devices, sizeof *r->alike);
    r->next_alike = get(r->alloc, g->n_devices, sizeof *r->next_alike);
    r->counts = get(r->alloc, g->n_models, sizeof *r->counts);
    if (!r->alike || !r->next_alike || !r->counts)
        return no_memory(err);
    st = prepare_models(g, r->counts, &r->n, err);
    find_alike(g, r->alike, r->next_alike);
    for (size_t v = 0; v < g->n_variants; v++)
        notes = notes || g->variants[v].engine->takes_notes;
    for (unsigned i = 0; i < r->n && st == OOM_OK; i++)
        st = prepare_worker(r, &r->w[i], notes, err);
    return st;
}

static void end(run *r)
{
    const oom_alloc *a = r->alloc;

    for (unsigned i = 0; i < r->n; i++) {
        put(a, r->w[i].plan, 1, oom_plan_bytes());
        put(a, r->w[i].notes, 1, oom_notes_bytes());
        put(a, r->w[i].available, r->g->n_devices, sizeof *r->w[i].available);
        put(a, r->w[i].best, r->w[i].n_best, sizeof *r->w[i].best);
        oom_rows_free(&r->w[i].rows);
    }
    put(a, r->alike, r->g->n_devices, sizeof *r->alike);
    put(a, r->next_alike, r->g->n_devices, sizeof *r->next_alike);
    put(a, r->counts, r->g->n_models, sizeof *r->counts);
}

static void work(run *r)
{
    pthread_t threads[MAX_THREADS];
    unsigned started = 0;

    for (; started + 1 < r->n; started++)       /* fewer threads are only slower */
        if (pthread_create(&threads[started], NULL, grid_work, &r->w[started + 1]) != 0)
            break;
    grid_work(&r->w[0]);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static oom_status merge(run *r, oom_rows *out, oom_error *err)
{
    const oom_query *q = r->q;
    bool merged;

    for (unsigned i = 0; i < r->n; i++) {
        out->points += r->w[i].points;
        out->matched += r->w[i].matched;
        out->stopped = out->stopped || r->w[i].rows.stopped;
        if (r->w[i].status == OOM_NOMEM)
            return no_memory(err);
        if (r->w[i].status == OOM_TOOLARGE)
            return oom_fail(err, OOM_TOOLARGE, "sweep: more rows than memory allows; filter with "
                            ":where, group, or stream with to=\"file.csv\"");
    }
    if (q->count_only && q->group == OOM_AXES)
        return OOM_OK;
    if (q->count_only)
        merged = merge_counts(r->w, r->n, out);
    else if (q->group != OOM_AXES || q->top)
        merged = merge_ranked(r->w, r->n, out);
    else
        merged = merge_stored(r->w, r->n, out);
    return merged ? OOM_OK : no_memory(err);
}

oom_status oom_grid_run(const oom_grid *g, const oom_query *q, const oom_alloc *a, oom_rows *out,
                        oom_error *err)
{
    run r = { .g = g, .q = q, .alloc = a,
              .n = q->threads > 1 ? (unsigned)min_u64(q->threads, MAX_THREADS) : 1 };
    oom_status st = begin(&r, err);

    *out = (oom_rows){ .n_columns = q->n_columns, .alloc = a };
    if (st == OOM_OK) {
        work(&r);
        st = merge(&r, out, err);
    }
    end(&r);
    if (st != OOM_OK)
        oom_rows_free(out);
    return st;
}

oom_status oom_grid_pick(const oom_grid *g, const oom_query *q, const uint64_t *index, size_t n,
                         const oom_alloc *a, oom_rows *out, oom_error *err)
{
    run r = { .g = g, .q = q, .alloc = a, .n = 1 };
    oom_status st = begin(&r, err);

    *out = (oom_rows){ .n_columns = q->n_columns, .alloc = a };
    if (st == OOM_OK && !grid_make_room(out, n + 1))
        st = no_memory(err);
    for (size_t i = 0; i < n && st == OOM_OK && !out->stopped; i++) {
        out->stopped = i % 64 == 0 && q->go_on && !q->go_on(q->ctx, i, n);
        if (!out->stopped && !grid_fill_row(&r.w[0], out, index[i]))
            st = no_memory(err);
    }
    out->points = out->matched = out->n;
    end(&r);
    if (st != OOM_OK)
        oom_rows_free(out);
    return st;
}

oom_status oom_grid_reason(const oom_grid *g, uint64_t index, oom_error *err)
{
    size_t at[OOM_AXES];
    const oom_alloc *a;
    const oom_variant *v;
    oom_plan *plan;
    oom_memory m;
    oom_status st;

    oom_grid_at(g, index, at);
    a = oom_arena_alloc(g->models[at[0]]->arena);
    v = &g->variants[at[OOM_AXIS_VARIANT]];
    plan = get(a, 1, oom_plan_bytes());
    if (!plan)
        return no_memory(err);
    st = oom_plan_make(plan, g->models[at[0]], &g->precisions[at[1]], g->devices[at[3]], v->engine,
                       &v->options, err);
    if (st == OOM_OK)
        st = oom_plan_memory(plan, &(oom_load){ g->batches[at[5]], g->seqs[at[4]], v->prompt }, &m,
                             NULL, err);
    put(a, plan, 1, oom_plan_bytes());
    return st;
}
