/* llamacpp_alloc.c: the scheduler that deals operations to devices and the allocator that finds
 * each result a place, as in llama.cpp (ggml-backend.cpp: ggml_backend_sched_split_graph;
 * ggml-alloc.c: ggml_gallocr_alloc_graph_impl). Only sizes move here.
 *
 * The rules that decide the figures: results are rounded up to the buffer's alignment and take
 * the smallest hole that holds them (of equal ones the last), else the open end; an in-place
 * operation takes over a source of the same shape that nobody else reads, unless that source is a
 * view; a block is free once its last reader, and the last reader of every view of it, has run;
 * tensors read on another device than they lie on are copied at the start of the run of
 * operations (split) that needs them. */
#include "llamacpp_graph.h"

#include <string.h>

#define OFFLOAD_BATCH 32        /* CUDA back end: rows from which a host weight is worth copying */
#define DEVICE_ALIGN 128        /* ggml_backend_cuda_buffer_type_get_alignment */
#define HOST_ALIGN 32           /* ggml-backend.cpp: TENSOR_ALIGNMENT */

/* ---- which back end runs what ---------------------------------------------------------------- */

static int8_t host_of(const lc_graph *g) { return (int8_t)g->where.n_devices; }

/* ggml-cuda.cu: get_op_batch_size */
static uint64_t batch_of(const lc_tensor *t)
{
    switch ((lc_op)t->op) {
    case LC_ROWS: return 0;
    case LC_MATMUL: return t->ne.n[1];
    case LC_MATMUL_ID: return t->ne.n[2];
    default: return sat_mul(t->ne.n[1], sat_mul(t->ne.n[2], t->ne.n[3]));
    }
}

/* Where its data or the weights it reads put a tensor (ggml_backend_sched_backend_id_from_cur). */
static int8_t from_data(const lc_graph *g, lc_t i)
{
    const lc_tensor *t = &g->t[i];

    if (t->home >= 0)
        return t->home;
    if (t->root != LC_NONE && g->t[t->root].home >= 0)
        return g->t[t->root].home;
    if (t->input)
        return host_of(g);
    if (t->op == LC_ROPE || t->op == LC_FLASH)
        return -1;
    for (uint32_t k = 0; k < t->n_src; k++) {
        const lc_tensor *s = &g->t[t->src[k]];

        if (!s->weight)
            continue;
        if (g->where.op_offload && s->home == host_of(g) && host_of(g) > 0
            && batch_of(t) >= OFFLOAD_BATCH)
            return 0;
        return s->home;
    }
    return -1;
}

/* Neighbours without an opinion follow; first those of devices, then the CPU's. */
static void follow(lc_graph *g, bool down, bool cpu_too)
{
    int8_t current = -1;

    for (uint32_t k = 0; k < g->n_order; k++) {
        lc_t i = g->order[down ? k : g->n_order - 1 - k];

        if (g->t[i].op == LC_VIEW)
            continue;
        if (g->on[i] >= 0)
            current = g->on[i] == host_of(g) && !cpu_too ? -1 : g->on[i];
        else if (current >= 0)
            g->on[i] = current;
    }
}

static void deal_out(lc_graph *g)
{
    for (uint32_t i = 0; i < g->n; i++)
        g->on[i] = from_data(g, i);
    follow(g, true, false);
    follow(g, false, false);
    follow(g, true, true);
    follow(g, false, true);
    /* The matrix of the output has a home, so every operation has an opinion or a neighbour: what
     * is left are views. */
    for (uint32_t k = 0; k < g->n_order; k++)
        if (g->on[g->order[k]] < 0)
            g->on[g->order[k]] = g->on[g->t[g->order[k]].root];
}

/* ---- splits, copies, and the sequence that is allocated -------------------------------------- */

static void add_step(lc_graph *g, lc_step_kind kind, lc_t t, int8_t on)
{
    if (g->n_seq < g->cap_seq)
        g->seq[g->n_seq++] = (lc_seq){ kind, on, t };
    else
        g->failed = true;
}

static lc_t duplicate(lc_graph *g, lc_t of, int8_t on)
{
    lc_t t = g->n;

    if (g->failed || g->n == g->room) {
        g->failed = true;
        return 0;
    }
    g->n++;
    g->t[t] = (lc_tensor){ .ne = g->t[of].ne, .bytes = g->t[of].bytes, .root = LC_NONE,
                           .op = LC_LEAF, .type = g->t[of].type, .like = g->t[of].like, .home = -1,
                           .copied = true };
    g->on[t] = on;
    if (g->where.pipeline) {
        g->t[t].output = true;          /* never overwritten */
        g->pipe[g->n_pipe++] = t;
    }
    return t;
}

static lc_t *copy_of(lc_graph *g, lc_t t, int8_t on)
{
    return &g->copy[(size_t)t * (g->where.n_devices + 1) + (size_t)on];
}

/* Pipeline parallelism keeps every input of the graph four times. */
static void multiply_input(lc_graph *g, lc_t t)
{
    lc_tensor *x = &g->t[t];

    if (!g->where.pipeline || !x->input || *copy_of(g, t, g->on[t]) != LC_NONE)
        return;
    *copy_of(g, t, g->on[t]) = t;
    x->output = true;
    for (int c = 1; c < LC_COPIES; c++)
        duplicate(g, t, g->on[t]);
}

static void fetch(lc_graph *g, lc_t *src, int8_t on)
{
    lc_t t = *src, *copy;

    multiply_input(g, t);
    if (g->on[t] == on)
        return;
    copy = copy_of(g, t, on);
    if (*copy == LC_NONE) {
        *copy = duplicate(g, t, on);
        for (int c = 1; g->where.pipeline && c < LC_COPIES; c++)
            duplicate(g, t, on);
        g->arrivals[g->n_arrivals++] = t;
    }
    *src = *copy;
}

/* A host weight read on a device starts a new split, so that the copy before it can go. */
static bool brings_a_weight(const lc_graph *g, const lc_tensor *t, int8_t on)
{
    for (uint32_t k = 0; k < t->n_src; k++)
        if (g->t[t->src[k]].weight && g->on[t->src[k]] != on)
            return true;
    return false;
}

static void hold(lc_graph *g, const lc_keep *k, int8_t on)
{
    for (uint32_t j = 0; j < k->n; j++) {
        lc_t t = k->tensor[j], here = g->on[t] == on ? t : *copy_of(g, t, on);

        if (here != LC_NONE)
            add_step(g, LC_HOLD, here, on);
    }
}

static bool runs(const lc_graph *g, uint32_t from, uint32_t to, lc_t t)
{
    while (to > from && g->order[to] != t)
        to--;
    return g->order[to] == t;
}

static void emit(lc_graph *g, uint32_t from, uint32_t to, int8_t on)
{
    for (uint32_t k = 0; k < g->n_arrivals; k++) {
        lc_t t = g->arrivals[k];

        add_step(g, LC_HOLD, t, g->on[t]);
        add_step(g, LC_ARRIVE, *copy_of(g, t, on), on);
    }
    for (uint32_t k = from; k < to; k++) {
        lc_t t = g->order[k];

        add_step(g, LC_RUN, t, g->on[t]);
        for (uint32_t i = 0; g->t[t].keeps && on != host_of(g) && i < g->n_keep; i++)
            if (g->keep[i].last == t && runs(g, from, k, g->keep[i].first))
                hold(g, &g->keep[i], on);
    }
    g->n_arrivals = 0;
}

static void cut(lc_graph *g)
{
    uint32_t start = 0;
    int8_t on = -1;

    for (uint32_t i = 0; i < g->n_order; i++) {
        lc_tensor *t = &g->t[g->order[i]];
        int8_t here = g->on[g->order[i]];

        if (t->op == LC_VIEW)
            continue;
        on = on < 0 ? here : on;
        if (here != on || (g->n_arrivals > 0 && brings_a_weight(g, t, on))) {
            emit(g, start, i, on);
            start = i;
            on = here;
        }
        for (uint32_t k = 0; k < t->n_src; k++)
            fetch(g, &t->src[k], on);
        t->reads_copy = t->op == LC_FLASH && g->t[t->src[1]].copied;
    }
    emit(g, start, g->n_order, on);
}

/* ---- walking the sequence -------------------------------------------------------------------- */

uint64_t lc_align(const lc_placement *where, int8_t on)
{
    return (uint32_t)on < where->n_devices ? DEVICE_ALIGN : HOST_ALIGN;
}

/* What a tensor takes in a buffer. */
static lc_size size_on(const lc_graph *g, lc_t i, int8_t on)
{
    const lc_tensor *t = &g->t[i];
    uint64_t bytes = on < host_of(g) ? sat_add(t->bytes, t->scratch[t->reads_copy]) : t->bytes;

    return lc_fixed(pad_up(bytes, lc_align(&g->where, on)));
}

static void record(lc_graph *g, lc_act act, lc_t t, lc_t from)
{
    g->events[g->n_events++] = (lc_event){ act, g->spot[t].on, t, from };
}

static void free_spot(lc_graph *g, lc_t i)
{
    lc_spot *p = &g->spot[i];

    if (!p->placed || g->t[i].output)
        return;
    lc_give(&g->buffer[p->on], lc_fixed(p->at), size_on(g, i, p->on));
    record(g, LC_GIVE, i, LC_NONE);
    p->placed = false;
}

static bool take_over(lc_graph *g, lc_t i)
{
    const lc_tensor *t = &g->t[i];

    for (uint32_t k = 0; k < t->n_src; k++) {
        lc_t from = t->src[k];
        const lc_tensor *s = &g->t[from];
        lc_spot *p = &g->spot[from], *mine = &g->spot[i];
        bool same;

        if (!p->placed || s->output || s->type != t->type || p->readers != 1 || p->views != 0)
            continue;
        same = memcmp(&s->ne, &t->ne, sizeof s->ne) == 0;
        g->shapes_decide = g->shapes_decide || k > 0 || !same;
        if (!same)
            continue;
        mine->on = p->on;
        mine->at = p->at;
        p->placed = false;
        lc_shrink(&g->buffer[p->on], lc_fixed(mine->at), size_on(g, from, p->on),
                  size_on(g, i, p->on));
        record(g, LC_TAKE_OVER, i, from);
        return true;
    }
    return false;
}

static void find_spot(lc_graph *g, lc_t i, int8_t on)
{
    const lc_tensor *t = &g->t[i];
    lc_spot *p = &g->spot[i];

    if (p->placed || t->home >= 0 || t->root != LC_NONE)
        return;
    p->placed = true;
    if ((t->op == LC_INPLACE || t->op == LC_ROPE) && take_over(g, i))
        return;
    p->on = on;
    p->at = (uint64_t)lc_take(&g->buffer[on], size_on(g, i, on)).now;
    record(g, LC_TAKE, i, LC_NONE);
}

static void release(lc_graph *g, lc_t i)
{
    const lc_tensor *t = &g->t[i];
    lc_spot *p = &g->spot[i], *root;

    p->readers--;
    if (p->readers != 0 || p->views != 0)
        return;
    if (t->root == LC_NONE) {
        free_spot(g, i);
        return;
    }
    root = &g->spot[t->root];
    root->views--;
    if (root->views == 0 && root->readers == 0)
        free_spot(g, t->root);
}

static void count_readers(lc_graph *g)
{
    memset(g->spot, 0, g->n * sizeof *g->spot);
    for (uint32_t i = 0; i < g->n_seq; i++) {
        const lc_seq *x = &g->seq[i];
        const lc_tensor *t = &g->t[x->t];

        if (x->kind == LC_HOLD)
            g->spot[x->t].readers++;
        if (x->kind != LC_RUN)
            continue;
        if (t->root != LC_NONE)
            g->spot[t->root].views++;
        for (uint32_t k = 0; k < t->n_src; k++)
            g->spot[t->src[k]].readers++;
    }
}

/* Layers begin with the first operation on one of their tensors. */
static void mark_layers(lc_graph *g, const lc_seq *x, uint32_t *layer)
{
    while (x->kind == LC_RUN && *layer < g->n_begins && x->t >= g->begins[*layer])
        g->marks[(*layer)++] = g->n_events;
}

static void walk(lc_graph *g)
{
    uint32_t layer = 0;

    count_readers(g);
    for (uint32_t i = 0; i < g->n_pipe; i++)
        find_spot(g, g->pipe[i], g->on[g->pipe[i]]);
    for (uint32_t i = 0; i < g->n_leafs; i++)
        find_spot(g, g->leafs[i], g->on[g->leafs[i]]);
    for (uint32_t i = 0; i < g->n_seq; i++) {
        const lc_seq *x = &g->seq[i];
        const lc_tensor *t = &g->t[x->t];

        mark_layers(g, x, &layer);
        for (uint32_t k = 0; x->kind == LC_RUN && k < t->n_src; k++)
            find_spot(g, t->src[k], x->on);
        find_spot(g, x->t, x->on);
        if (x->kind == LC_HOLD)
            release(g, x->t);
        for (uint32_t k = 0; x->kind == LC_RUN && k < t->n_src; k++)
            release(g, t->src[k]);
    }
    while (layer < g->n_begins)
        g->marks[layer++] = g->n_events;
}

bool lc_reserve(lc_graph *g, uint64_t *peaks)
{
    uint32_t backends = g->where.n_devices + 1;

    if (g->failed)
        return false;
    for (uint32_t i = 0; i < g->n * backends; i++)
        g->copy[i] = LC_NONE;
    deal_out(g);
    cut(g);
    if (g->failed)
        return false;
    for (uint32_t b = 0; b < backends; b++)
        lc_open_buffer(&g->buffer[b]);
    walk(g);
    for (uint32_t b = 0; b < backends; b++)
        peaks[b] = g->buffer[b].full ? SAT_TOOLARGE : (uint64_t)g->buffer[b].peak.now;
    return !g->failed;
}
