/* llamacpp_script.c: writes down what a walk did, layer by layer. Of layers that repeat one is in
 * the script. */
#include "llamacpp_script.h"

#include <string.h>

#define LARGE ((uint64_t)1 << 50)       /* of one tensor: sums of growth stay far away */
#define BUCKETS 512                     /* of different sizes */

/* ---- what sizes are made of ------------------------------------------------------------------ */

bool lc_measure(const lc_step *s, lc_sum *out)
{
    const uint64_t of[LC_MEASURES] = {
        [LC_ONE] = 1, [LC_TOKENS] = s->tokens, [LC_OUTPUTS] = s->outputs,
        [LC_SEQUENCES] = s->sequences, [LC_TOKENS_EACH] = s->tokens / s->sequences,
        [LC_MASK] = sat_mul(s->cells, s->tokens),
        [LC_WINDOW_MASK] = sat_mul(s->window_cells, s->tokens),
        [LC_ROWS_OF_CACHE] = sat_mul(s->cells, s->streams),
        [LC_ROWS_OF_WINDOW] = sat_mul(s->window_cells, s->streams),
    };

    for (int i = 0; i < LC_MEASURES; i++) {
        if (of[i] > LARGE)
            return false;
        out->of[i] = (int64_t)of[i];
    }
    return true;
}

static const struct { uint64_t tokens, outputs, sequences, cells, window; } lessons[LC_LESSONS] = {
    [LC_SMALL] = { 4, 0, 2, 0, 0 },          [LC_MORE_TOKENS] = { 8, 0, 2, 0, 0 },
    [LC_MORE_OUTPUTS] = { 4, 1, 2, 0, 0 },
    [LC_MORE_SEQUENCES] = { 4, 0, 4, 0, 0 }, [LC_MORE_OF_BOTH] = { 8, 0, 4, 0, 0 },
    [LC_A_CELL] = { 4, 0, 2, 1, 0 },         [LC_A_CELL_MORE_TOKENS] = { 8, 0, 2, 1, 0 },
    [LC_A_WINDOW] = { 4, 0, 2, 0, 1 },       [LC_A_WINDOW_MORE_TOKENS] = { 8, 0, 2, 0, 1 },
};

lc_step lc_lesson_step(uint32_t i, const lc_step *like, bool unified)
{
    lc_step s = *like;

    s.tokens = lessons[i].tokens;
    s.outputs = lessons[i].outputs;
    s.sequences = lessons[i].sequences;
    s.streams = unified ? 1 : s.sequences;
    s.cells = lessons[i].cells;
    s.window_cells = lessons[i].window;
    return s;
}

/* Cells count with the tokens (masks, scores) and with the streams (rows of the cache). */
static void cells_of(const int64_t *f, int with, int64_t streams, int64_t *tokens, int64_t *rows)
{
    int64_t few = f[with] - f[LC_SMALL], many = f[with + 1] - f[LC_MORE_TOKENS];

    *tokens = (many - few) / 4;
    *rows = (few - 4 * *tokens) / streams;
}

/* From bytes in each lesson to the sum. */
static void learn(const int64_t f[LC_LESSONS], bool unified, lc_amount *out)
{
    int64_t *of = out->of, streams = unified ? 1 : 2;

    of[LC_OUTPUTS] = f[LC_MORE_OUTPUTS] - f[LC_SMALL];
    of[LC_TOKENS_EACH]
        = f[LC_MORE_SEQUENCES] - f[LC_SMALL] - (f[LC_MORE_OF_BOTH] - f[LC_MORE_TOKENS]);
    of[LC_TOKENS] = (f[LC_MORE_TOKENS] - f[LC_SMALL] - 2 * of[LC_TOKENS_EACH]) / 4;
    of[LC_SEQUENCES] = (f[LC_MORE_SEQUENCES] - f[LC_SMALL] + of[LC_TOKENS_EACH]) / 2;
    of[LC_ONE] = f[LC_SMALL] - 4 * of[LC_TOKENS] - 2 * of[LC_SEQUENCES] - 2 * of[LC_TOKENS_EACH];
    cells_of(f, LC_A_CELL, streams, &of[LC_MASK], &of[LC_ROWS_OF_CACHE]);
    cells_of(f, LC_A_WINDOW, streams, &of[LC_WINDOW_MASK], &of[LC_ROWS_OF_WINDOW]);
}

bool lc_amount_in(const lc_amount *x, const lc_sum *now, const lc_sum *next, lc_size *out)
{
    int64_t bytes = 0, grows = 0, each;

    for (int k = 0; k < LC_MEASURES; k++)
        if (x->of[k]
            && (__builtin_mul_overflow(x->of[k], now->of[k], &each)
                || __builtin_add_overflow(bytes, each, &bytes)
                || __builtin_mul_overflow(x->of[k], next->of[k] - now->of[k], &each)
                || __builtin_add_overflow(grows, each, &grows)))
            return false;
    *out = (lc_size){ bytes, grows };
    return bytes >= 0 && (uint64_t)bytes <= LARGE && grows >= 0 && (uint64_t)grows <= LARGE;
}

/* ---- writing --------------------------------------------------------------------------------- */

typedef struct {
    const lc_graph *g;
    lc_lesson *const *lesson;
    bool unified, failed;
    lc_sum measures;                    /* of the step walked for */
    lc_amount *sizes; uint32_t n_sizes;
    lc_deed *deeds; uint32_t n_deeds;
    uint32_t *layers, n_layers;         /* first deed of each */
    lc_loop *loops; uint32_t n_loops;
    lc_move *moves; uint32_t n_moves, cap_moves;
    uint16_t *slot;                     /* of each tensor */
    lc_t *holder; uint32_t n_slots;     /* of each slot: what lies there, or LC_NONE */
    lc_t *before;                       /* the same when the loop at hand began */
    uint16_t bucket[BUCKETS];           /* size by hash: its number + 1 */
} writer;

/* Bytes of a tensor in a buffer, scratch beside it included. */
static int64_t bytes_on(writer *w, bool device, uint64_t bytes, uint64_t scratch)
{
    uint64_t all = device ? sat_add(bytes, scratch) : bytes;

    w->failed = w->failed || all > LARGE;
    return (int64_t)min_u64(all, LARGE);
}

/* What was learned must tell the size in the step at hand, too. */
static lc_amount size_of(writer *w, lc_t t, int8_t on)
{
    const lc_graph *g = w->g;
    lc_t like = g->t[t].like;
    bool device = (uint32_t)on < g->where.n_devices && !g->t[t].copied;
    lc_amount x = { .align = (uint32_t)lc_align(&g->where, on) };
    int64_t f[LC_LESSONS] = { 0 };
    lc_size here;

    for (int i = 0; i < LC_LESSONS; i++)
        f[i] = bytes_on(w, device, w->lesson[i][like].bytes,
                        w->lesson[i][like].scratch[g->t[t].reads_copy]);
    learn(f, w->unified, &x);
    w->failed = w->failed || !lc_amount_in(&x, &w->measures, &w->measures, &here)
             || here.now != bytes_on(w, device, g->t[t].bytes,
                                     g->t[t].scratch[g->t[t].reads_copy]);
    return x;
}

static uint16_t size_number(writer *w, lc_t t, int8_t on)
{
    lc_amount x = size_of(w, t, on);
    uint64_t h = x.align;

    for (int i = 0; i < LC_MEASURES; i++)
        h = (h ^ (uint64_t)x.of[i]) * 0x9e3779b97f4a7c15u;
    for (uint64_t k = h >> 32;; k++) {
        uint16_t *b = &w->bucket[k % BUCKETS];

        if (*b && memcmp(&w->sizes[*b - 1], &x, sizeof x) == 0)
            return (uint16_t)(*b - 1);
        if (*b)
            continue;
        if (w->n_sizes == BUCKETS - 1) {
            w->failed = true;
            return 0;
        }
        w->sizes[w->n_sizes++] = x;
        return (uint16_t)((*b = (uint16_t)w->n_sizes) - 1);
    }
}

static void add(writer *w, lc_act act, int8_t on, lc_t t, uint16_t bytes, uint16_t had)
{
    w->deeds[w->n_deeds++] = (lc_deed){ (uint8_t)act, (uint8_t)on, w->slot[t], bytes, had };
}

static uint16_t free_slot(writer *w)
{
    uint32_t i = 0;

    while (i < w->n_slots && w->holder[i] != LC_NONE)
        i++;
    w->n_slots += i == w->n_slots;
    w->failed = w->failed || w->n_slots == UINT16_MAX;
    return (uint16_t)i;
}

static void write_event(writer *w, const lc_event *e)
{
    uint16_t bytes = size_number(w, e->t, e->on), had;

    switch (e->act) {
    case LC_TAKE:
        w->slot[e->t] = free_slot(w);
        w->holder[w->slot[e->t]] = e->t;
        add(w, LC_TAKE, e->on, e->t, bytes, bytes);
        break;
    case LC_TAKE_OVER:
        w->slot[e->t] = w->slot[e->from];
        w->holder[w->slot[e->t]] = e->t;
        had = size_number(w, e->from, e->on);
        if (had != bytes)
            add(w, LC_TAKE_OVER, e->on, e->t, bytes, had);
        break;
    case LC_GIVE:
        w->holder[w->slot[e->t]] = LC_NONE;
        add(w, LC_GIVE, e->on, e->t, bytes, bytes);
        break;
    }
}

/* In the order in which they were written down, a copy behind what is copied. */
static bool comes_before(const lc_graph *g, lc_t a, lc_t b)
{
    lc_t x = g->t[a].like, y = g->t[b].like;

    return x != y ? x < y : a < b;
}

/* Tensors of `in` that are not in `out`. */
static uint32_t only_in(const writer *w, const lc_t *in, const lc_t *out, lc_t list[LC_MAX_LIVE])
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < w->n_slots && found < LC_MAX_LIVE; i++) {
        bool both = in[i] == LC_NONE;
        uint32_t at = found;

        for (uint32_t k = 0; k < w->n_slots && !both; k++)
            both = out[k] == in[i];
        if (both)
            continue;
        for (; at > 0 && comes_before(w->g, in[i], list[at - 1]); at--)
            list[at] = list[at - 1];
        list[at] = in[i];
        found++;
    }
    return found;
}

/* What a round leaves behind the next one finds where the first found it. */
static void end_loop(writer *w, const lc_repeat *r)
{
    lc_t found[LC_MAX_LIVE], left[LC_MAX_LIVE];
    uint32_t n = only_in(w, w->before, w->holder, found);
    uint16_t to[LC_MAX_LIVE], from[LC_MAX_LIVE];

    w->failed = w->failed || n == LC_MAX_LIVE || w->n_moves + n > w->cap_moves
             || only_in(w, w->holder, w->before, left) != n;
    if (w->failed)
        return;
    for (uint32_t i = 0; i < n; i++) {
        int8_t on = w->g->spot[left[i]].on;

        w->failed = w->failed || on != w->g->spot[found[i]].on
                 || size_number(w, left[i], on) != size_number(w, found[i], on);
        from[i] = w->slot[left[i]];
        to[i] = w->slot[found[i]];
        w->holder[from[i]] = LC_NONE;
    }
    w->loops[w->n_loops++]
        = (lc_loop){ r->begin + 1, r->end + 1, r->times, w->n_moves, n };
    for (uint32_t i = 0; i < n; i++) {
        w->moves[w->n_moves++] = (lc_move){ from[i], to[i] };
        w->slot[left[i]] = to[i];
        w->holder[to[i]] = left[i];
    }
}

static void write_layers(writer *w, const lc_repeat *repeats, uint32_t n_repeats)
{
    const lc_graph *g = w->g;
    const lc_repeat *r = repeats, *end = repeats + n_repeats;

    w->layers[w->n_layers++] = 0;
    for (uint32_t i = 0; i <= g->n_events && !w->failed; i++) {
        for (; w->n_layers <= g->n_begins && g->marks[w->n_layers - 1] == i; w->n_layers++)
            w->layers[w->n_layers] = w->n_deeds;
        if (r < end && i == g->marks[r->begin])
            for (uint32_t k = 0; k < g->n_events; k++)
                w->before[k] = k < w->n_slots ? w->holder[k] : LC_NONE;
        if (r < end && i == g->marks[r->end])
            end_loop(w, r++);
        if (i < g->n_events)
            write_event(w, &g->events[i]);
    }
    w->layers[w->n_layers] = w->n_deeds;
    w->failed = w->failed || r < end;
}

static uint64_t bytes_of(const lc_script *s)
{
    return pad_up(sizeof *s + s->n_sizes * sizeof(lc_amount) + s->n_loops * sizeof(lc_loop)
                      + (s->n_layers + 1) * sizeof(uint32_t) + s->n_deeds * sizeof(lc_deed)
                      + s->n_moves * sizeof(lc_move), 8);
}

bool lc_write_script(const lc_graph *g, const lc_step *at, lc_lesson *const lesson[LC_LESSONS],
                     bool unified, const lc_repeat *repeats, uint32_t n_repeats, lc_script *room,
                     uint64_t bytes, oom_arena *arena)
{
    uint32_t n = g->n_events + 1;
    writer w = { .g = g, .lesson = lesson, .unified = unified,
                 .cap_moves = n_repeats * LC_MAX_LIVE,
                 .sizes = oom_arena_raw(arena, BUCKETS * sizeof *w.sizes, NULL),
                 .deeds = oom_arena_raw(arena, n * sizeof *w.deeds, NULL),
                 .layers = oom_arena_raw(arena, (g->n_begins + 2) * sizeof *w.layers, NULL),
                 .loops = oom_arena_raw(arena, (n_repeats + 1) * sizeof *w.loops, NULL),
                 .moves = oom_arena_raw(arena, (n_repeats * LC_MAX_LIVE + 1) * sizeof *w.moves,
                                        NULL),
                 .slot = oom_arena_raw(arena, g->n * sizeof *w.slot + 1, NULL),
                 .holder = oom_arena_raw(arena, n * sizeof *w.holder, NULL),
                 .before = oom_arena_raw(arena, n * sizeof *w.before, NULL) };
    lc_script s = { .n_buffers = g->where.n_devices + 1, .every_kind = !g->shapes_decide };

    w.failed = !lc_measure(at, &w.measures);
    if (!w.sizes || !w.deeds || !w.layers || !w.loops || !w.moves || !w.slot || !w.holder
        || !w.before)
        return false;
    write_layers(&w, repeats, n_repeats);
    for (uint32_t i = 0; i < w.n_sizes; i++)
        for (int k = 0; k < LC_MEASURES; k++)
            s.uses |= w.sizes[i].of[k] ? 1u << k : 0;
    s.n_sizes = w.n_sizes;
    s.n_loops = w.n_loops;
    s.n_layers = w.n_layers;
    s.n_deeds = w.n_deeds;
    s.n_moves = w.n_moves;
    s.n_slots = w.n_slots;
    s.bytes = (uint32_t)bytes_of(&s);
    if (w.failed || s.bytes > bytes)
        return false;
    *room = s;
    memcpy(lc_amounts(room), w.sizes, s.n_sizes * sizeof *w.sizes);
    memcpy(lc_loops(room), w.loops, s.n_loops * sizeof *w.loops);
    memcpy(lc_layers(room), w.layers, (s.n_layers + 1) * sizeof *w.layers);
    memcpy(lc_deeds(room), w.deeds, s.n_deeds * sizeof *w.deeds);
    memcpy(lc_moves(room), w.moves, s.n_moves * sizeof *w.moves);
    return true;
}
