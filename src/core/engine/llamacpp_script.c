/* llamacpp_script.c: writes down what a walk did and does it again with other sizes. Of layers
 * that repeat one is in the script: once the holes are as they were some rounds before, the rounds
 * that are left can only repeat. */
#include "llamacpp_script.h"

#include <string.h>

#define LARGE ((uint64_t)1 << 50)       /* of one tensor: sums of growth stay far away */
#define MAX_LIVE 128                    /* tensors alive between two layers */
#define BUCKETS 512                     /* of different sizes */

typedef struct { int64_t of[LC_MEASURES]; uint32_t align, padding; } size;
typedef struct { uint8_t act, on; uint16_t slot, size, had; } step;
typedef struct { uint32_t begin, end, times, first_move, n_moves; } loop;
typedef struct { uint16_t from, to; } move;

/* Behind the script lie its sizes, loops, steps and moves. */
static size *sizes_of(const lc_script *s) { return (size *)(uintptr_t)(s + 1); }
static loop *loops_of(const lc_script *s) { return (loop *)(void *)(sizes_of(s) + s->n_sizes); }
static step *steps_of(const lc_script *s) { return (step *)(void *)(loops_of(s) + s->n_loops); }
static move *moves_of(const lc_script *s) { return (move *)(void *)(steps_of(s) + s->n_acts); }

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
static void learn(const int64_t f[LC_LESSONS], bool unified, size *out)
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

/* A size in a context, and what it grows by until the next. False: larger than is worked with. */
static bool amount(const size *x, const lc_sum *now, const lc_sum *next, lc_size *out)
{
    int64_t bytes = 0, grows = 0, each;

    for (int k = 0; k < LC_MEASURES; k++)
        if (__builtin_mul_overflow(x->of[k], now->of[k], &each)
            || __builtin_add_overflow(bytes, each, &bytes)
            || __builtin_mul_overflow(x->of[k], next->of[k] - now->of[k], &each)
            || __builtin_add_overflow(grows, each, &grows))
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
    size *sizes; uint32_t n_sizes;
    step *steps; uint32_t n_steps;
    loop *loops; uint32_t n_loops;
    move *moves; uint32_t n_moves, cap_moves;
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
static size size_of(writer *w, lc_t t, int8_t on)
{
    const lc_graph *g = w->g;
    lc_t like = g->t[t].like;
    bool device = (uint32_t)on < g->where.n_devices && !g->t[t].copied;
    size x = { .align = (uint32_t)lc_align(&g->where, on) };
    int64_t f[LC_LESSONS];
    lc_size here;

    for (int i = 0; i < LC_LESSONS; i++)
        f[i] = bytes_on(w, device, w->lesson[i][like].bytes, w->lesson[i][like].scratch);
    learn(f, w->unified, &x);
    w->failed = w->failed || !amount(&x, &w->measures, &w->measures, &here)
             || here.now != bytes_on(w, device, g->t[t].bytes, g->t[t].scratch);
    return x;
}

static uint16_t size_number(writer *w, lc_t t, int8_t on)
{
    size x = size_of(w, t, on);
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
    w->steps[w->n_steps++] = (step){ (uint8_t)act, (uint8_t)on, w->slot[t], bytes, had };
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
static uint32_t only_in(const writer *w, const lc_t *in, const lc_t *out, lc_t list[MAX_LIVE])
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < w->n_slots && found < MAX_LIVE; i++) {
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
static void end_loop(writer *w, const lc_repeat *r, uint32_t begin)
{
    lc_t found[MAX_LIVE], left[MAX_LIVE];
    uint32_t n = only_in(w, w->before, w->holder, found);
    uint16_t to[MAX_LIVE], from[MAX_LIVE];

    w->failed = w->failed || n == MAX_LIVE || w->n_moves + n > w->cap_moves
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
    w->loops[w->n_loops++] = (loop){ begin, w->n_steps, r->times, w->n_moves, n };
    for (uint32_t i = 0; i < n; i++) {
        w->moves[w->n_moves++] = (move){ from[i], to[i] };
        w->slot[left[i]] = to[i];
        w->holder[to[i]] = left[i];
    }
}

static void write_steps(writer *w, const lc_repeat *repeats, uint32_t n_repeats)
{
    const lc_graph *g = w->g;
    uint32_t r = 0, begin = 0;

    for (uint32_t i = 0; i < g->n_events && !w->failed; i++) {
        if (r < n_repeats && i == g->marks[repeats[r].begin]) {
            begin = w->n_steps;
            for (uint32_t k = 0; k < g->n_events; k++)
                w->before[k] = k < w->n_slots ? w->holder[k] : LC_NONE;
        }
        if (r < n_repeats && i == g->marks[repeats[r].end])
            end_loop(w, &repeats[r++], begin);
        write_event(w, &g->events[i]);
    }
    w->failed = w->failed || r < n_repeats;
}

bool lc_write_script(const lc_graph *g, const lc_step *at, lc_lesson *const lesson[LC_LESSONS],
                     bool unified, const lc_repeat *repeats, uint32_t n_repeats, lc_script *room,
                     uint64_t bytes, oom_arena *arena)
{
    uint32_t n = g->n_events + 1;
    writer w = { .g = g, .lesson = lesson, .unified = unified,
                 .cap_moves = n_repeats * MAX_LIVE,
                 .sizes = oom_arena_raw(arena, BUCKETS * sizeof(size), NULL),
                 .steps = oom_arena_raw(arena, n * sizeof(step), NULL),
                 .loops = oom_arena_raw(arena, (n_repeats + 1) * sizeof(loop), NULL),
                 .moves = oom_arena_raw(arena, (size_t)n_repeats * MAX_LIVE * sizeof(move) + 1,
                                        NULL),
                 .slot = oom_arena_raw(arena, g->n * sizeof(uint16_t) + 1, NULL),
                 .holder = oom_arena_raw(arena, n * sizeof(lc_t), NULL),
                 .before = oom_arena_raw(arena, n * sizeof(lc_t), NULL) };
    lc_script s = { .n_buffers = g->where.n_devices + 1, .every_kind = !g->shapes_decide };

    w.failed = !lc_measure(at, &w.measures);
    if (!w.sizes || !w.steps || !w.loops || !w.moves || !w.slot || !w.holder || !w.before)
        return false;
    write_steps(&w, repeats, n_repeats);
    for (uint32_t i = 0; i < w.n_sizes; i++)
        for (int k = 0; k < LC_MEASURES; k++)
            s.uses |= w.sizes[i].of[k] ? 1u << k : 0;
    s.n_sizes = w.n_sizes;
    s.n_loops = w.n_loops;
    s.n_acts = w.n_steps;
    s.n_moves = w.n_moves;
    s.n_slots = w.n_slots;
    s.bytes = (uint32_t)pad_up(sizeof s + s.n_sizes * sizeof(size) + s.n_loops * sizeof(loop)
                                   + s.n_acts * sizeof(step) + s.n_moves * sizeof(move), 8);
    if (w.failed || s.bytes > bytes)
        return false;
    *room = s;
    memcpy(sizes_of(room), w.sizes, s.n_sizes * sizeof(size));
    memcpy(loops_of(room), w.loops, s.n_loops * sizeof(loop));
    memcpy(steps_of(room), w.steps, s.n_acts * sizeof(step));
    memcpy(moves_of(room), w.moves, s.n_moves * sizeof(move));
    return true;
}

/* ---- running --------------------------------------------------------------------------------- */

typedef struct {
    const lc_script *s;
    lc_size *sizes, *at;                /* at: of each slot */
    lc_buffer *buffers, *seen;          /* seen: as they were in an earlier round, */
    lc_size seen_at[MAX_LIVE];          /* and what it found */
} runner;

static bool fill_sizes(runner *r, const lc_point *c)
{
    const size *x = sizes_of(r->s);

    for (uint32_t i = 0; i < r->s->n_sizes; i++) {
        if (!amount(&x[i], &c->now, &c->next, &r->sizes[i]))
            return false;
        r->sizes[i].now = (r->sizes[i].now + x[i].align - 1) / x[i].align * x[i].align;
    }
    return true;
}

static void play(runner *r, uint32_t from, uint32_t to)
{
    const step *steps = steps_of(r->s);

    for (const step *x = steps + from; x < steps + to; x++) {
        lc_buffer *b = &r->buffers[x->on];

        if (x->act == LC_TAKE)
            r->at[x->slot] = lc_take(b, r->sizes[x->size]);
        else if (x->act == LC_GIVE)
            lc_give(b, r->at[x->slot], r->sizes[x->size]);
        else
            lc_shrink(b, r->at[x->slot], r->sizes[x->had], r->sizes[x->size]);
    }
}

static void shift(runner *r, const loop *l)
{
    const move *m = moves_of(r->s) + l->first_move;
    lc_size at[MAX_LIVE];

    for (uint32_t i = 0; i < l->n_moves; i++)
        at[i] = r->at[m[i].from];
    for (uint32_t i = 0; i < l->n_moves; i++)
        r->at[m[i].to] = at[i];
}

static void look(runner *r, const loop *l)
{
    for (uint32_t b = 0; b < r->s->n_buffers; b++) {
        r->seen[b].n = r->buffers[b].n;
        memcpy(r->seen[b].hole, r->buffers[b].hole, r->buffers[b].n * sizeof(lc_hole));
    }
    for (uint32_t i = 0; i < l->n_moves; i++)
        r->seen_at[i] = r->at[moves_of(r->s)[l->first_move + i].to];
}

static bool as_seen(const runner *r, const loop *l)
{
    for (uint32_t i = 0; i < l->n_moves; i++)
        if (memcmp(&r->seen_at[i], &r->at[moves_of(r->s)[l->first_move + i].to],
                   sizeof(lc_size)) != 0)
            return false;
    for (uint32_t b = 0; b < r->s->n_buffers; b++)
        if (r->seen[b].n != r->buffers[b].n
            || memcmp(r->seen[b].hole, r->buffers[b].hole, r->seen[b].n * sizeof(lc_hole)) != 0)
            return false;
    return true;
}

static void play_loop(runner *r, const loop *l)
{
    uint32_t left = l->times, done = 0, looked = 0;

    look(r, l);
    while (left > 0) {
        play(r, l->begin, l->end);
        shift(r, l);
        left--;
        done++;
        if (as_seen(r, l)) {
            left %= done - looked;
        } else if ((done & (done - 1)) == 0) {
            look(r, l);
            looked = done;
        }
    }
}

/* ---- halfway --------------------------------------------------------------------------------- */

/* Everything that a run knows as sizes: what lies in the slots, then peak and holes of a buffer. */
static uint32_t halfway_sizes(const runner *r)
{
    uint32_t n = r->s->n_slots;

    for (uint32_t b = 0; b < r->s->n_buffers; b++)
        n += 1 + 2 * r->buffers[b].n;
    return n;
}

static void stop_halfway(const runner *r, const lc_point *c, uint32_t loops, lc_halfway *h)
{
    lc_size *x = h->sizes;

    for (uint32_t b = 0; b < r->s->n_buffers; b++)      /* from the first unit to the last? */
        if (r->buffers[b].valid.below < (int64_t)c->unit - 1
            || r->buffers[b].valid.above < (int64_t)UINT32_MAX)
            return;
    if (halfway_sizes(r) > LC_HALFWAY_SIZES)
        return;
    h->key = c->key;
    h->unit = c->unit;
    h->loops = loops;
    memcpy(x, r->at, r->s->n_slots * sizeof *x);
    x += r->s->n_slots;
    for (uint32_t b = 0; b < r->s->n_buffers; b++) {
        const lc_buffer *from = &r->buffers[b];

        h->n_holes[b] = from->n;
        *x++ = from->peak;
        memcpy(x, from->hole, from->n * sizeof *from->hole);
        x += (size_t)2 * from->n;
    }
}

static lc_size moved(lc_size x, int64_t units)
{
    return (lc_size){ x.now + units * x.grows, x.grows };
}

static void go_on(runner *r, const lc_point *c, const lc_halfway *h)
{
    const lc_size *x = h->sizes;
    int64_t units = (int64_t)c->unit - (int64_t)h->unit;

    for (uint32_t i = 0; i < r->s->n_slots; i++)
        r->at[i] = moved(*x++, units);
    for (uint32_t b = 0; b < r->s->n_buffers; b++) {
        lc_buffer *to = &r->buffers[b];

        to->n = h->n_holes[b];
        to->peak = moved(*x++, units);
        for (uint32_t i = 0; i < to->n; i++, x += 2)
            to->hole[i] = (lc_hole){ moved(x[0], units), moved(x[1], units) };
    }
}

bool lc_run_script(const lc_script *s, const lc_point *c, lc_halfway *halfway, lc_buffer *buffers,
                   oom_arena *arena)
{
    runner r = { .s = s, .buffers = buffers,
                 .sizes = oom_arena_raw(arena, s->n_sizes * sizeof(lc_size), NULL),
                 .at = oom_arena_get(arena, s->n_slots * sizeof(lc_size), NULL),
                 .seen = oom_arena_raw(arena, s->n_buffers * sizeof(lc_buffer), NULL) };
    const loop *loops = loops_of(s);
    uint32_t done = 0;

    if (!r.sizes || !r.at || !r.seen || !fill_sizes(&r, c))
        return false;
    for (uint32_t b = 0; b < s->n_buffers; b++)
        lc_open_buffer(&buffers[b]);
    if (halfway->key == c->key) {
        go_on(&r, c, halfway);
        done = halfway->loops;
    }
    while (done < s->n_loops) {
        play(&r, done ? loops[done - 1].end : 0, loops[done].begin);
        play_loop(&r, &loops[done]);
        stop_halfway(&r, c, ++done, halfway);
    }
    play(&r, done ? loops[done - 1].end : 0, s->n_acts);
    for (uint32_t b = 0; b < s->n_buffers; b++)
        if (buffers[b].full)
            return false;
    return true;
}
