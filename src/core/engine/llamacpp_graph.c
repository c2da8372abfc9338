/* llamacpp_graph.c: writing the graph down. Sizes saturate; the order of operations is that of
 * a depth-first walk from each tensor the engine expands (ggml.c: ggml_visit_parents_graph). */
#include "llamacpp_graph.h"

#include <string.h>

static const uint64_t type_bytes[] = { [LC_F32] = 4, [LC_F16] = 2, [LC_I32] = 4, [LC_I64] = 8,
                                       [LC_OTHER] = 0 };

static void *part(lc_graph *g, oom_arena *arena, size_t n, size_t bytes_each)
{
    void *p = oom_arena_raw(arena, n * bytes_each, NULL);

    g->failed = g->failed || !p;
    return p;
}

/* Nothing is read before it is written: the room, far more than used, need not be zeroed. */
bool lc_open(lc_graph *g, oom_arena *arena, uint32_t cap, const lc_placement *where)
{
    uint32_t backends = where->n_devices + 1, copies = where->pipeline ? LC_COPIES : 1;

    *g = (lc_graph){ .where = *where, .cap = cap, .cap_keep = cap / 16 + 1, .cap_seq = cap * 4,
                     .room = cap * (1 + copies * (backends > 1 ? 2 : 1)) };
    g->t = part(g, arena, g->room, sizeof *g->t);
    g->begins = part(g, arena, cap, sizeof *g->begins);
    g->order = part(g, arena, cap, sizeof *g->order);
    g->leafs = part(g, arena, cap, sizeof *g->leafs);
    g->keep = part(g, arena, g->cap_keep, sizeof *g->keep);
    g->on = part(g, arena, g->room, sizeof *g->on);
    g->copy = part(g, arena, (size_t)cap * backends, sizeof *g->copy);
    g->pipe = part(g, arena, g->room, sizeof *g->pipe);
    g->arrivals = part(g, arena, cap, sizeof *g->arrivals);
    g->seq = part(g, arena, g->cap_seq, sizeof *g->seq);
    g->spot = part(g, arena, g->room, sizeof *g->spot);
    g->buffer = part(g, arena, backends, sizeof *g->buffer);
    g->events = part(g, arena, (size_t)g->room * 2, sizeof *g->events);
    g->marks = part(g, arena, cap, sizeof *g->marks);
    return !g->failed;
}

void lc_clear(lc_graph *g)
{
    g->n = g->n_order = g->n_leafs = g->n_keep = g->n_pipe = g->n_arrivals = g->n_seq = 0;
    g->n_begins = g->n_events = 0;
    g->failed = g->shapes_decide = false;
}

void lc_begin_layer(lc_graph *g)
{
    g->begins[g->n_begins++] = g->n;    /* there are fewer layers than tensors */
}

lc_shape lc_ne(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (lc_shape){ { a, b, c, d } };
}

uint64_t lc_count(const lc_shape *ne)
{
    return sat_mul(sat_mul(ne->n[0], ne->n[1]), sat_mul(ne->n[2], ne->n[3]));
}

/* A new tensor; index 0 stands in for all of them once the graph has failed. */
static lc_t new_tensor(lc_graph *g, lc_op op, lc_type type, lc_shape ne)
{
    lc_tensor *t;

    if (g->failed || g->n == g->cap) {
        g->failed = true;
        return 0;
    }
    t = &g->t[g->n];
    *t = (lc_tensor){ .ne = ne, .op = (uint8_t)op, .type = (uint8_t)type, .root = LC_NONE,
                      .like = g->n, .home = -1, .bytes = sat_mul(lc_count(&ne), type_bytes[type]) };
    return g->n++;
}

static void add_sources(lc_graph *g, lc_t t, const lc_t *src, uint32_t n)
{
    if (g->failed)
        return;
    for (uint32_t i = 0; i < n; i++)
        if (src[i] != LC_NONE)
            g->t[t].src[g->t[t].n_src++] = src[i];
}

lc_t lc_weight(lc_graph *g, lc_shape ne, uint64_t bytes, int8_t home)
{
    lc_t t = new_tensor(g, LC_LEAF, LC_OTHER, ne);

    if (!g->failed) {
        g->t[t].bytes = bytes;
        g->t[t].home = home;
        g->t[t].weight = true;
    }
    return t;
}

lc_t lc_cache(lc_graph *g, lc_type type, lc_shape ne, int8_t home)
{
    lc_t t = new_tensor(g, LC_LEAF, type, ne);

    if (!g->failed)
        g->t[t].home = home;
    return t;
}

lc_t lc_input(lc_graph *g, lc_type type, lc_shape ne)
{
    lc_t t = new_tensor(g, LC_LEAF, type, ne);

    if (!g->failed)
        g->t[t].input = true;
    return t;
}

lc_t lc_result(lc_graph *g, lc_op op, lc_type type, lc_shape ne, const lc_t *src, uint32_t n_src)
{
    lc_t t = new_tensor(g, op, type, ne);

    add_sources(g, t, src, n_src);
    return t;
}

lc_t lc_view_bytes(lc_graph *g, lc_t of, lc_shape ne, uint64_t bytes)
{
    lc_t t = new_tensor(g, LC_VIEW, LC_F32, ne);

    g->failed = g->failed || of >= t;
    if (g->failed)
        return 0;
    g->t[t].type = g->t[of].type;
    g->t[t].bytes = bytes;
    g->t[t].root = g->t[of].root == LC_NONE ? of : g->t[of].root;
    add_sources(g, t, &of, 1);
    return t;
}

lc_t lc_view(lc_graph *g, lc_t of, lc_shape ne)
{
    uint64_t n = lc_count(&ne);

    g->failed = g->failed || of >= g->n;
    if (g->failed)
        return 0;
    /* Another shape of the same elements spans what the original spans. */
    return lc_view_bytes(g, of, ne,
                         n == lc_count(&g->t[of].ne) ? g->t[of].bytes
                                                     : sat_mul(n, type_bytes[g->t[of].type]));
}

lc_t lc_slice(lc_graph *g, lc_t of, lc_shape ne)
{
    uint64_t rows, n = lc_count(&ne);

    g->failed = g->failed || of >= g->n;
    if (g->failed)
        return 0;
    /* From the first element to the last: all rows but one whole (ggml_nbytes). */
    rows = max_u64(lc_count(&g->t[of].ne) / max_u64(g->t[of].ne.n[0], 1), 1);
    return lc_view_bytes(g, of, ne, sat_add(g->t[of].bytes / rows * (rows - 1),
                                            sat_mul(n / rows, type_bytes[g->t[of].type])));
}

lc_t lc_store(lc_graph *g, lc_t into, const lc_t *src, uint32_t n_src)
{
    lc_t t = new_tensor(g, LC_STORE, LC_OTHER, lc_ne(1, 1, 1, 1));

    g->failed = g->failed || into >= t || src[0] >= t;
    if (g->failed)
        return t;
    g->t[t].ne = g->t[src[0]].ne;       /* rows of the batch decide whether it is offloaded */
    g->t[t].root = g->t[into].root == LC_NONE ? into : g->t[into].root;
    add_sources(g, t, src, n_src);
    return t;
}

void lc_output(lc_graph *g, lc_t t)
{
    g->failed = g->failed || t >= g->n;
    if (!g->failed)
        g->t[t].output = true;
}

void lc_scratch(lc_graph *g, lc_t t, uint64_t bytes, uint64_t reading_copies)
{
    if (g->failed)
        return;
    g->t[t].scratch[0] = bytes;
    g->t[t].scratch[1] = reading_copies;
}

void lc_expand(lc_graph *g, lc_t t)
{
    if (g->failed || g->unordered || t == LC_NONE || g->t[t].seen)
        return;
    g->t[t].seen = true;
    for (uint32_t i = 0; i < g->t[t].n_src; i++)
        lc_expand(g, g->t[t].src[i]);
    if (g->t[t].op != LC_LEAF)
        g->order[g->n_order++] = t;
    else if (g->t[t].input)
        g->leafs[g->n_leafs++] = t;
}

void lc_fuse(lc_graph *g, lc_t first, lc_t last, const lc_t *list, uint32_t n)
{
    lc_keep *k;

    if (g->failed || g->n_keep == g->cap_keep) {
        g->failed = true;
        return;
    }
    k = &g->keep[g->n_keep++];
    k->first = first;
    k->last = last;
    g->t[last].keeps = true;
    k->n = 0;
    for (uint32_t i = 0; i < n; i++)
        if (list[i] != LC_NONE)
            k->tensor[k->n++] = list[i];
}
