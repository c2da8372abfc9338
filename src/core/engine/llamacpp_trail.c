/* llamacpp_trail.c: a trail is a graph. Its nodes are what a layer may find: every place and hole,
 * counted from no cells at all, so that runs for different contexts meet. Its edges are layers:
 * the peaks on the way, and between which contexts the way is this one. */
#include "llamacpp_trail.h"
#include "num.h"

#include <string.h>

typedef uint32_t ref;                   /* in words of 8 bytes from where the trail is kept */
enum { NOWHERE = 0, MOST_BUCKETS = 4096, WORDS_A_BUCKET = 64 };

typedef struct { uint32_t used, n_buckets; } head;      /* before the buckets: first nodes */
typedef struct { uint64_t hash; ref next, edges; uint32_t n, padding; lc_size at[]; } node;
typedef struct { lc_size peak; uint32_t first, last; } passage;
typedef struct { ref next, to; uint32_t layer, padding; passage of[]; } edge;

typedef struct {
    const lc_script *s;
    const lc_point *c;
    lc_trail t;
    lc_found *found;
    oom_arena *arena;
    ref at;                             /* NOWHERE: no room to note where this is */
    uint32_t losses;                    /* how often the trail was full, and emptied */
    bool playing;                       /* what follows holds what lies at `at` */
    lc_size *sizes, *places;            /* places: of each slot; none: 0, 0 */
    lc_buffer *buffers;
} runner;

/* ---- where it is kept ------------------------------------------------------------------------ */

static head *head_of(lc_trail t) { return (head *)(void *)t.bytes; }
static ref *buckets_of(lc_trail t) { return (ref *)(void *)(head_of(t) + 1); }
static node *node_of(lc_trail t, ref r) { return (node *)(void *)(t.bytes + (size_t)r * 8); }
static edge *edge_of(lc_trail t, ref r) { return (edge *)(void *)(t.bytes + (size_t)r * 8); }

void lc_forget_trail(lc_trail t)
{
    uint32_t n = MOST_BUCKETS;

    while (n > t.n / 8 / WORDS_A_BUCKET)
        n /= 2;
    *head_of(t) = (head){ (uint32_t)(sizeof(head) + n * sizeof(ref) + 7) / 8, n };
    memset(buckets_of(t), 0, n * sizeof(ref));
}

/* Room behind all that is used, which the caller may take. */
static ref room_for(lc_trail t, uint64_t bytes)
{
    uint32_t used = head_of(t)->used;

    return used + (bytes + 7) / 8 <= t.n / 8 ? used : NOWHERE;
}

static void use(lc_trail t, uint64_t bytes) { head_of(t)->used += (uint32_t)((bytes + 7) / 8); }

/* ---- nodes ----------------------------------------------------------------------------------- */

/* With so many units of cells more. */
static lc_size moved(lc_size x, int64_t units)
{
    return (lc_size){ (int64_t)((uint64_t)x.now + (uint64_t)units * (uint64_t)x.grows), x.grows };
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* The node of n sizes that lie in the room for it, which becomes one unless there is one. */
static ref meet(lc_trail t, ref room, uint64_t hash)
{
    node *x = node_of(t, room);
    ref *bucket = &buckets_of(t)[hash & (head_of(t)->n_buckets - 1)];
    size_t bytes = x->n * sizeof *x->at;

    for (ref r = *bucket; r; r = node_of(t, r)->next) {
        const node *y = node_of(t, r);

        if (y->hash == hash && y->n == x->n && memcmp(x->at, y->at, bytes) == 0)
            return r;
    }
    x->hash = hash;
    x->next = *bucket;
    x->edges = NOWHERE;
    use(t, sizeof *x + bytes);
    return *bucket = room;
}

/* Where every run of a key begins: nothing is placed. */
static ref begin(lc_trail t, uint64_t key)
{
    ref room = room_for(t, sizeof(node));

    if (!room)
        return NOWHERE;
    node_of(t, room)->n = 0;
    return meet(t, room, key);
}

static uint32_t count_sizes(const runner *r)
{
    uint32_t n = r->s->n_slots + r->s->n_buffers;

    for (uint32_t b = 0; b < r->s->n_buffers; b++)
        n += 2 * r->buffers[b].n;
    return n;
}

/* Places, then of each buffer how many holes there are, and the holes. */
static ref note(const runner *r)
{
    uint32_t n = count_sizes(r);
    ref room = room_for(r->t, sizeof(node) + n * sizeof(lc_size));
    int64_t back = -(int64_t)r->c->unit;
    uint64_t hash = r->c->key;
    lc_size *x;

    if (!room)
        return NOWHERE;
    node_of(r->t, room)->n = n;
    x = node_of(r->t, room)->at;
    for (uint32_t i = 0; i < r->s->n_slots; i++)
        *x++ = moved(r->places[i], back);
    for (uint32_t b = 0; b < r->s->n_buffers; b++) {
        const lc_buffer *from = &r->buffers[b];

        *x++ = lc_fixed(from->n);
        for (uint32_t i = 0; i < from->n; i++) {
            *x++ = moved(from->hole[i].at, back);
            *x++ = moved(from->hole[i].bytes, back);
        }
    }
    x = node_of(r->t, room)->at;
    for (uint32_t i = 0; i < n; i++)
        hash = mix(mix(hash, (uint64_t)x[i].now), (uint64_t)x[i].grows);
    return meet(r->t, room, hash);
}

/* ---- playing --------------------------------------------------------------------------------- */

static bool make_room(runner *r)
{
    const lc_script *s = r->s;
    const lc_amount *x = lc_amounts(s);

    r->sizes = oom_arena_raw(r->arena, s->n_sizes * sizeof *r->sizes, NULL);
    r->places = oom_arena_raw(r->arena, s->n_slots * sizeof *r->places, NULL);
    r->buffers = oom_arena_raw(r->arena, s->n_buffers * sizeof *r->buffers, NULL);
    if (!r->sizes || !r->places || !r->buffers)
        return false;
    for (uint32_t i = 0; i < s->n_sizes; i++) {
        if (!lc_amount_in(&x[i], &r->c->now, &r->c->next, &r->sizes[i]))
            return false;
        r->sizes[i].now = (r->sizes[i].now + x[i].align - 1) / x[i].align * x[i].align;
    }
    return true;
}

/* Everything lies as the node says. */
static bool take_up(runner *r)
{
    const node *from = r->at ? node_of(r->t, r->at) : NULL;
    const lc_size *x = from ? from->at : NULL;
    int64_t units = r->c->unit;

    if (!r->sizes && !make_room(r))
        return false;
    r->playing = true;
    memset(r->places, 0, r->s->n_slots * sizeof *r->places);
    for (uint32_t b = 0; b < r->s->n_buffers; b++)
        lc_open_buffer(&r->buffers[b]);
    if (!from || from->n == 0)
        return true;
    for (uint32_t i = 0; i < r->s->n_slots; i++)
        r->places[i] = moved(*x++, units);
    for (uint32_t b = 0; b < r->s->n_buffers; b++) {
        lc_buffer *to = &r->buffers[b];

        to->n = (uint32_t)(x++)->now;
        for (uint32_t i = 0; i < to->n; i++, x += 2)
            to->hole[i] = (lc_hole){ moved(x[0], units), moved(x[1], units) };
    }
    return true;
}

static void play(runner *r, uint32_t layer)
{
    const lc_deed *deeds = lc_deeds(r->s), *end = deeds + lc_layers(r->s)[layer + 1];

    for (const lc_deed *x = deeds + lc_layers(r->s)[layer]; x < end; x++) {
        lc_buffer *b = &r->buffers[x->on];
        lc_size *place = &r->places[x->slot];

        if (x->act == LC_TAKE) {
            *place = lc_take(b, r->sizes[x->size]);
        } else if (x->act == LC_GIVE) {
            lc_give(b, *place, r->sizes[x->size]);
            *place = lc_fixed(0);
        } else {
            lc_shrink(b, *place, r->sizes[x->had], r->sizes[x->size]);
        }
    }
}

static void shift(runner *r, const lc_loop *l)
{
    const lc_move *m = lc_moves(r->s) + l->first_move;
    lc_size at[LC_MAX_LIVE];

    for (uint32_t i = 0; i < l->n_moves; i++) {
        at[i] = r->places[m[i].from];
        r->places[m[i].from] = lc_fixed(0);
    }
    for (uint32_t i = 0; i < l->n_moves; i++)
        r->places[m[i].to] = at[i];
}

/* ---- edges ----------------------------------------------------------------------------------- */

static passage passage_of(const runner *r, const lc_buffer *b)
{
    int64_t above = b->valid.above, room = lc_room_above(b), unit = r->c->unit;

    above = room < above ? room : above;
    return (passage){ .peak = moved(b->peak, -unit),
                      .first = (uint32_t)(b->valid.below < unit ? unit - b->valid.below : 0),
                      .last = (uint32_t)(above < UINT32_MAX - unit ? unit + above : UINT32_MAX) };
}

static void lead(const runner *r, ref from, uint32_t layer, const passage *of)
{
    uint64_t bytes = r->s->n_buffers * sizeof *of;
    ref room = room_for(r->t, sizeof(edge) + bytes);
    edge *e;

    if (!room)
        return;
    use(r->t, sizeof(edge) + bytes);
    e = edge_of(r->t, room);
    *e = (edge){ node_of(r->t, from)->edges, r->at, layer, 0 };
    memcpy(e->of, of, bytes);
    node_of(r->t, from)->edges = room;
}

static bool leads(const runner *r, const edge *e, uint32_t layer)
{
    if (e->layer != layer)
        return false;
    for (uint32_t b = 0; b < r->s->n_buffers; b++)
        if (r->c->unit < e->of[b].first || r->c->unit > e->of[b].last)
            return false;
    return true;
}

static const edge *known(const runner *r, uint32_t layer)
{
    ref e = r->at ? node_of(r->t, r->at)->edges : NOWHERE;

    while (e && !leads(r, edge_of(r->t, e), layer))
        e = edge_of(r->t, e)->next;
    return e ? edge_of(r->t, e) : NULL;
}

static void pass(const runner *r, const passage *of)
{
    int64_t unit = r->c->unit;

    for (uint32_t b = 0; b < r->s->n_buffers; b++) {
        lc_found *f = &r->found[b];
        lc_size peak = moved(of[b].peak, unit);

        f->valid.below = (int64_t)min_u64((uint64_t)f->valid.below, r->c->unit - of[b].first);
        f->valid.above = (int64_t)min_u64((uint64_t)f->valid.above, of[b].last - r->c->unit);
        if (!lc_at_least(&f->valid, f->peak, peak))
            f->peak = peak;
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

/* loop: the one that ends with this layer. False: a buffer is full, or no memory. */
static bool go(runner *r, uint32_t layer, const lc_loop *loop)
{
    const edge *e = known(r, layer);
    ref from = r->at;
    passage of[LC_MAX_DEVICES + 1];

    if (e) {
        pass(r, e->of);
        r->at = e->to;
        r->playing = false;
        return true;
    }
    if (!r->playing && !take_up(r))
        return false;
    for (uint32_t b = 0; b < r->s->n_buffers; b++)
        lc_look_anew(&r->buffers[b]);
    play(r, layer);
    if (loop)
        shift(r, loop);
    for (uint32_t b = 0; b < r->s->n_buffers; b++) {
        if (r->buffers[b].full)
            return false;
        of[b] = passage_of(r, &r->buffers[b]);
    }
    pass(r, of);
    r->at = note(r);
    if (!r->at) {
        lc_forget_trail(r->t);
        r->losses++;
    } else if (from) {
        lead(r, from, layer, of);
    }
    return true;
}

static bool go_round(runner *r, const lc_loop *l)
{
    for (uint32_t i = 0; i < l->times; i++) {
        ref from = r->at;
        uint32_t losses = r->losses;

        for (uint32_t layer = l->begin; layer < l->end; layer++)
            if (!go(r, layer, layer + 1 == l->end ? l : NULL))
                return false;
        if (r->at && r->at == from && r->losses == losses)
            break;                      /* what is left would find and leave the same */
    }
    return true;
}

bool lc_run_script(const lc_script *s, const lc_point *c, lc_trail t, lc_found *found,
                   oom_arena *arena)
{
    runner r = { .s = s, .c = c, .t = t, .found = found, .arena = arena };
    const lc_loop *l = lc_loops(s), *end = l + s->n_loops;
    uint32_t layer = 0;

    r.at = begin(t, c->key);
    for (uint32_t b = 0; b < s->n_buffers; b++)
        found[b] = (lc_found){ .valid = { INT64_MAX, INT64_MAX } };
    while (layer < s->n_layers) {
        if (l < end && layer == l->begin) {
            if (!go_round(&r, l))
                return false;
            layer = l->end;
            l++;
        } else if (!go(&r, layer++, NULL)) {
            return false;
        }
    }
    return true;
}
