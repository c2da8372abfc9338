/* llamacpp_compute.c: the compute buffers of a plan. The step at hand is written down
 * (llamacpp_layers.c) and placed (llamacpp_alloc.c) once for each kind of step; the script of that
 * walk (llamacpp_script.c) then answers for all contexts, and each run of it for a range of them in
 * which a buffer is a straight line. Scripts and lines are remembered (llamacpp_memory.c). */
#include "llamacpp_place.h"
#include "recipe.h"

#include <string.h>

/* ---- which layers the graph needs ------------------------------------------------------------ */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* Layers are alike when they have the same tensors in the same places. bytes: what each takes on
 * a device, where it may be copied there. */
static uint64_t likeness(const oom_plan *p, uint32_t layer, uint32_t first, uint32_t n,
                         const uint64_t *bytes)
{
    const lc_own *o = lc_of(p);
    uint64_t h = 0xcbf29ce484222325u;

    for (uint32_t i = first; i < first + n; i++) {
        const oom_tensor *t = &o->view->tensors[i];

        h = mix(mix(mix(mix(h, t->role), t->suffix), t->part),
                (uint64_t)lc_home_of_tensor(p, t) + 1);
        for (uint32_t d = 0; d < t->n_dims; d++)
            h = mix(h, t->dims[d]);
        if (t->role == OOM_ROLE_PL_GATE)        /* its own slice of the embeddings */
            h = mix(h, layer);
        h = mix(h, bytes && lc_home_of_tensor(p, t) == (int8_t)o->n_devices ? bytes[i] : 0);
    }
    for (size_t i = 0; i < o->view->n_caches; i++) {
        const oom_cache *c = &o->view->caches[i];

        if (c->layer == (int32_t)layer)
            h = mix(mix(mix(h, c->kind), c->k_width), c->v_width);
    }
    return mix(mix(h, (uint64_t)lc_home_of_layer(o, (int32_t)layer)),
               lc_layer_trait(o->view, layer));
}

typedef struct { uint32_t first, n; uint64_t like; } span;

/* Where each layer's tensors begin: the view has them in order of layers. */
static void find_spans(const oom_plan *p, span *s, uint32_t n_layers, const uint64_t *bytes)
{
    const oom_model *m = lc_of(p)->view;

    for (uint32_t i = 0; i < m->n_tensors; i++) {
        int32_t layer = m->tensors[i].layer;

        if (layer < 0 || (uint32_t)layer >= n_layers)
            continue;
        if (s[layer].n++ == 0)
            s[layer].first = i;
    }
    for (uint32_t i = 0; i < n_layers; i++)
        s[i].like = likeness(p, i, s[i].first, s[i].n, bytes);
}

/* Of a run of equal groups of layers few are in the graph: the first, one that stands for all
 * between, and the last. Groups are what repeats most often. What comes before or after the run
 * can reach into its margins, so there may be two groups at either end. */
#define FEWEST(margin) (2 * (margin) + 2)       /* groups: of fewer nothing would be saved */
#define LONGEST_GROUP 16        /* layers; the longest period known is 8 */

typedef struct {
    lc_block *blocks; uint32_t n_blocks;
    lc_repeat *repeats; uint32_t n_repeats;
} layer_list;

static uint32_t run_length(const span *s, uint32_t n, uint32_t from, uint32_t group)
{
    uint32_t len = group;

    while (from + len < n && s[from + len].like == s[from + len - group].like)
        len++;
    return len / group;
}

static void keep(layer_list *l, const span *s, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < from + n; i++)
        l->blocks[l->n_blocks++] = (lc_block){ i, s[i].first, s[i].n };
}

static void choose_layers(layer_list *l, const span *s, uint32_t n, uint32_t margin)
{
    uint32_t i = 0;

    while (i < n) {
        uint32_t group = 1, groups = 1;

        for (uint32_t g = 1; g <= LONGEST_GROUP && i + g <= n; g++)
            if (run_length(s, n, i, g) > groups) {
                group = g;
                groups = run_length(s, n, i, g);
            }
        if (groups < FEWEST(margin)) {
            keep(l, s, i++, 1);
            continue;
        }
        l->repeats[l->n_repeats++] = (lc_repeat){ l->n_blocks + margin * group,
                                                  l->n_blocks + (margin + 1) * group,
                                                  groups - 2 * margin };
        keep(l, s, i, (margin + 1) * group);
        keep(l, s, i + (groups - margin) * group, margin * group);
        i += groups * group;
    }
}

/* The layers of the graph; margin 0: all of them. */
static bool list_layers(const oom_plan *p, const uint64_t *bytes, uint32_t margin,
                        oom_arena *arena, layer_list *l)
{
    uint32_t n = lc_of(p)->view->shape.n_layers;
    span *spans = oom_arena_get(arena, ((size_t)n + 1) * sizeof *spans, NULL);

    *l = (layer_list){ .blocks = oom_arena_raw(arena, ((size_t)n + 1) * sizeof *l->blocks, NULL),
                       .repeats = oom_arena_raw(arena, ((size_t)n + 1)
                                                       * sizeof *l->repeats, NULL) };
    if (!spans || !l->blocks || !l->repeats)
        return false;
    find_spans(p, spans, n, bytes);
    if (margin)
        choose_layers(l, spans, n, margin);
    else
        keep(l, spans, 0, n);
    return true;
}

/* ---- preparing ------------------------------------------------------------------------------- */

/* Weights of layers, experts or the output on the host of a device. */
static bool any_host_weights(const oom_plan *p)
{
    const lc_own *o = lc_of(p);
    bool experts = o->view->shape.experts && (p->options.cpu_moe || p->options.cpu_moe_all);

    return o->n_devices && (o->from[0] > 0 || experts);
}

static bool is_head(const oom_model *m, const oom_tensor *t)
{
    return t->suffix == OOM_WEIGHT && t->part == OOM_PART_TEXT
        && (t->role == OOM_ROLE_OUTPUT || (t->role == OOM_ROLE_EMBED && m->shape.tied));
}

/* Bytes of the view's tensors on a device. */
static oom_status weigh(const oom_plan *p, oom_arena *arena, uint64_t **out, oom_error *err)
{
    const lc_own *o = lc_of(p);
    size_t n = o->view->n_tensors + 1;
    const oom_format **format = oom_arena_get(arena, n * sizeof *format, err);
    uint64_t *bytes = oom_arena_get(arena, n * sizeof *bytes, err), total;
    oom_status st = format && bytes ? OOM_OK : OOM_NOMEM;

    if (st == OOM_OK)
        st = precision_weigh(o->view, &p->precision, bytes, format, &total, err);
    for (size_t i = 0; i + 1 < n && st == OOM_OK; i++)
        bytes[i] = lc_device_bytes(o, &o->view->tensors[i], format[i], bytes[i]);
    *out = bytes;
    return st;
}

/* All that lc_build and lc_reserve see besides the context: plans alike in it share scripts. */
static uint64_t graph_hash(const oom_plan *p, const uint64_t *bytes)
{
    const lc_own *o = lc_of(p);
    const oom_model *m = o->view;
    const uint64_t single[] = {
        o->n_devices, o->n_blocks, o->pads, o->flash, o->unified, o->swa_full, o->kv_on_host,
        o->op_offload, o->pipeline, o->all_outputs, o->step, o->batch, o->window, o->copies,
        o->offloads,
        p->options.kv_k->block, p->options.kv_k->block_bytes, (uint64_t)p->options.kv_k->ggml_id,
        p->options.kv_v->block, p->options.kv_v->block_bytes, (uint64_t)p->options.kv_v->ggml_id,
        m->shape.experts, m->shape.experts_used, m->shape.vocab_size, m->shape.tied,
        m->shape.n_layers, (uint64_t)lc_home_of_layer(o, (int32_t)o->n_blocks),
    };
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < sizeof single / sizeof *single; i++)
        h = mix(h, single[i]);
    for (const char *c = m->ggml_arch; c && *c; c++)
        h = mix(h, (uint64_t)*c);
    for (size_t i = 0; i < m->n_tensors; i++) {
        const oom_tensor *t = &m->tensors[i];

        if (bytes)
            h = mix(h, bytes[i]);
        h = mix(h, (uint64_t)t->role << 32 | (uint64_t)t->suffix << 16 | (uint64_t)t->part);
        h = mix(h, (uint64_t)(uint32_t)t->layer << 32 | (uint64_t)lc_home_of_tensor(p, t));
        for (uint32_t d = 0; d < t->n_dims; d++)
            h = mix(h, t->dims[d]);
    }
    for (size_t i = 0; i < m->n_caches; i++) {
        const oom_cache *c = &m->caches[i];
        const uint64_t of[] = { (uint64_t)c->layer, c->kind, c->k_width, c->v_width, c->kv_heads,
                                c->window, c->conv_width, c->conv_kernel, c->state_elements,
                                c->state_heads,
                                (uint64_t)(o->kv_on_host ? 0 : lc_home_of_layer(o, c->layer)) };

        for (size_t k = 0; k < sizeof of / sizeof *of; k++)
            h = mix(h, of[k]);
    }
    return h;
}

static oom_status know_graph(oom_plan *p, oom_error *err)
{
    lc_own *o = lc_own_of(p);
    oom_arena *arena = NULL;
    uint64_t *bytes = NULL;
    oom_status st = OOM_OK;

    o->offloads = o->op_offload && any_host_weights(p);
    o->copies = any_host_weights(p);
    if (o->copies) {
        arena = oom_arena_new(oom_arena_alloc(p->model->arena), err);
        st = arena ? weigh(p, arena, &bytes, err) : OOM_NOMEM;
    }
    if (st == OOM_OK)
        o->graph = graph_hash(p, bytes);
    oom_arena_free(arena);
    return st;
}

/* ---- writing the step down ------------------------------------------------------------------- */

static int8_t tensor_home(const void *ctx, const oom_tensor *t)
{
    return lc_home_of_tensor(ctx, t);
}

static int8_t cache_home(const void *ctx, int32_t layer)
{
    const lc_own *o = lc_of(ctx);

    return o->kv_on_host ? (int8_t)o->n_devices : lc_home_of_layer(o, layer);
}

static lc_step step_of(const oom_plan *p, const lc_context *c)
{
    const lc_own *o = lc_of(p);

    return (lc_step){ .tokens = c->tokens, .outputs = c->outputs, .sequences = c->sequences,
                      .streams = c->streams, .cells = c->cells,
                      .window_cells = lc_window_cells(o, c, o->window), .flash = o->flash,
                      .pads = o->pads, .kv_k = p->options.kv_k, .kv_v = p->options.kv_v };
}

/* An arena whose plan is told where there is no memory: points have no other way to say so. */
static void *noting_resize(void *ctx, void *q, size_t old_bytes, size_t new_bytes)
{
    oom_plan *p = ctx;
    const oom_alloc *a = oom_arena_alloc(p->model->arena);
    void *got = a->resize(a->ctx, q, old_bytes, new_bytes);

    p->ran_out = p->ran_out || (new_bytes > 0 && !got);
    return got;
}

static oom_arena *room_for_work(const oom_plan *p)
{
    return oom_arena_new(&(oom_alloc){ noting_resize, (oom_plan *)(uintptr_t)p }, NULL);
}

/* A graph to write into, and what is written from. */
typedef struct {
    oom_arena *arena;
    lc_model model;
    layer_list layers;
    lc_graph g;
} sheet;

static bool open_sheet(sheet *x, const oom_plan *p, uint32_t margin)
{
    const lc_own *o = lc_of(p);
    uint32_t used = o->view->shape.experts_used < 256 ? o->view->shape.experts_used : 256;
    lc_placement where = { .n_devices = o->n_devices, .op_offload = o->op_offload,
                           .pipeline = o->pipeline };
    uint64_t *bytes = NULL;

    *x = (sheet){ .arena = room_for_work(p),
                  .model = { .inventory = o->view, .home = tensor_home, .cache_home = cache_home,
                             .ctx = p, .head_home = lc_home_of_layer(o, (int32_t)o->n_blocks) } };
    if (!x->arena || (o->copies && weigh(p, x->arena, &bytes, NULL) != OOM_OK)
        || !list_layers(p, bytes, margin, x->arena, &x->layers))
        return false;
    x->model.device_bytes = bytes;
    for (size_t i = 0; bytes && i < o->view->n_tensors; i++)
        if (is_head(o->view, &o->view->tensors[i]))
            x->model.head_bytes = bytes[i];
    return lc_open(&x->g, x->arena, x->layers.n_blocks * (192 + 3 * used) + 128, &where);
}

static void write_down(sheet *x, const lc_step *step)
{
    lc_clear(&x->g);
    lc_build(&x->g, &x->model, step, x->layers.blocks, x->layers.n_blocks);
}

static bool walk_once(const oom_plan *p, const lc_context *c, uint64_t *peaks)
{
    lc_step step = step_of(p, c);
    sheet x;
    bool done = open_sheet(&x, p, 0);

    if (done) {
        write_down(&x, &step);
        done = lc_reserve(&x.g, peaks);
    }
    oom_arena_free(x.arena);
    return done;
}

static lc_memory memory_of(const oom_plan *p)
{
    lc_own *o = (lc_own *)(uintptr_t)lc_of(p);

    return p->notes ? (lc_memory){ p->notes->own.bytes, sizeof p->notes->own.bytes }
                    : (lc_memory){ o->memory.bytes, sizeof o->memory.bytes };
}

/* ---- scripts --------------------------------------------------------------------------------- */

/* An operation takes over a source that has its shape; another source has that shape or is 1 where
 * it is spread. So only which of the step's numbers are 1 can change what a walk does; */
static uint32_t kind_of_step(const lc_own *o, const lc_context *c)
{
    if (o->one_kind)
        return o->first_kind;
    return (uint32_t)(c->sequences == 1) | (uint32_t)(c->outputs == 1) << 1
         | (uint32_t)(c->tokens == c->sequences) << 2 | (uint32_t)(c->tokens == 1) << 3;
}

/* and where host weights may be copied, how many rows there are. */
static uint64_t script_key(const lc_own *o, const lc_context *c)
{
    uint64_t key = mix(o->graph, kind_of_step(o, c));

    return (o->offloads ? mix(mix(mix(key, c->tokens), c->outputs), c->sequences) : key) | 1;
}

static bool take_lesson(sheet *x, const lc_step *step, lc_lesson **out)
{
    x->g.unordered = true;
    write_down(x, step);
    x->g.unordered = false;
    *out = oom_arena_raw(x->arena, x->g.n * sizeof **out, NULL);
    for (uint32_t t = 0; *out && t < x->g.n; t++)
        (*out)[t] = (lc_lesson){ x->g.t[t].bytes,
                                  { x->g.t[t].scratch[0], x->g.t[t].scratch[1] } };
    return *out && !x->g.failed;
}

/* Lessons that would teach nothing repeat the one they build on. */
static bool learn_sizes(sheet *x, const oom_plan *p, const lc_step *step, lc_lesson **lessons)
{
    const lc_own *o = lc_of(p);
    bool states = false;

    for (uint32_t i = 0; i < o->n_kinds; i++)
        states = states || o->kinds[i].state;
    for (uint32_t i = 0; i < LC_LESSONS; i++) {
        lc_step s = lc_lesson_step(i, step, o->unified);
        bool sequences = i == LC_MORE_SEQUENCES || i == LC_MORE_OF_BOTH;
        bool window = i == LC_A_WINDOW || i == LC_A_WINDOW_MORE_TOKENS;

        if ((sequences && !states) || (window && !o->window))
            lessons[i] = lessons[s.tokens == lc_lesson_step(LC_SMALL, step, false).tokens
                                     ? LC_SMALL : LC_MORE_TOKENS];
        else if (!take_lesson(x, &s, &lessons[i]))
            return false;
    }
    return true;
}

/* Writes a script into the room there is. *graph: whether there is one to walk. */
static lc_script *write_script(const oom_plan *p, const lc_context *c, uint32_t margin,
                               bool *graph)
{
    uint64_t peaks[LC_MAX_DEVICES + 1], bytes;
    lc_script *room = lc_script_room(memory_of(p), &bytes);
    lc_lesson *lessons[LC_LESSONS];
    lc_step step = step_of(p, c);
    sheet x;
    bool done = open_sheet(&x, p, margin) && learn_sizes(&x, p, &step, lessons);

    if (done) {
        write_down(&x, &step);
        done = lc_reserve(&x.g, peaks);
    }
    *graph = done;
    done = done && lc_write_script(&x.g, &step, lessons, lc_of(p)->unified, x.layers.repeats,
                                   x.layers.n_repeats, room, bytes, x.arena);
    oom_arena_free(x.arena);
    return done ? room : NULL;
}

/* NULL: no graph, or no memory. A script without steps says that such walks must be made. */
static const lc_script *script_for(const oom_plan *p, const lc_context *c)
{
    lc_memory m = memory_of(p);
    uint64_t key = script_key(lc_of(p), c), bytes;
    const lc_script *known = lc_find_script(m, key);
    lc_script *script = NULL;
    bool graph = true;

    if (known)
        return known;
    for (uint32_t margin = 1; margin <= 2 && graph && !script; margin++)
        script = write_script(p, c, margin, &graph);
    if (!graph)
        return NULL;
    if (!script) {                      /* perhaps for want of room */
        lc_forget_scripts(m);
        script = write_script(p, c, 2, &graph);
    }
    if (!script) {
        script = lc_script_room(m, &bytes);
        *script = (lc_script){ .bytes = sizeof *script };
    }
    return lc_keep_script(m, script, key);
}

/* ---- points ---------------------------------------------------------------------------------- */

/* Contexts in which windows are either as long as the context or shorter. */
static void bound(const lc_own *o, const lc_context *c, lc_line *x)
{
    lc_context most = { .cells = UINT64_MAX, .sequences = c->sequences, .step = c->step };
    uint64_t full = lc_window_cells(o, &most, o->window) / LC_PAD_CELLS;

    x->first = 1;
    x->last = UINT32_MAX;
    if (!o->window || o->swa_full || full > UINT32_MAX)
        return;
    if (c->cells / LC_PAD_CELLS < full)
        x->last = (uint32_t)full;
    else
        x->first = (uint32_t)full;
}

static lc_line line_of(const lc_found *f, const lc_line *bounds, uint32_t unit)
{
    lc_line x = { .grows = (uint64_t)f->peak.grows };

    x.at = (uint64_t)f->peak.now - unit * x.grows;
    x.first = unit - (uint32_t)min_u64((uint64_t)f->valid.below, unit - bounds->first);
    x.last = unit + (uint32_t)min_u64((uint64_t)f->valid.above, bounds->last - unit);
    return x;
}

/* Lines of all buffers around a context, by the script. */
static bool run_lines(const oom_plan *p, const lc_context *c, uint64_t key,
                      const lc_script *script, lc_line *lines)
{
    const lc_own *o = lc_of(p);
    lc_context more = *c;
    lc_step step = step_of(p, c), next;
    lc_point point = { .unit = (uint32_t)(c->cells / LC_PAD_CELLS) };
    lc_found found[LC_MAX_DEVICES + 1];
    lc_line bounds;
    oom_arena *arena = room_for_work(p);
    bool done;

    more.cells += LC_PAD_CELLS;
    next = step_of(p, &more);
    bound(o, c, &bounds);
    /* a script can have been written in two ways: with one group at its margins, or two */
    point.key = mix(mix(key, bounds.first), script->bytes);
    done = arena && lc_measure(&step, &point.now) && lc_measure(&next, &point.next)
        && lc_run_script(script, &point, lc_trail_of(memory_of(p)), found, arena);
    for (uint32_t b = 0; done && b < script->n_buffers; b++)
        lines[b] = line_of(&found[b], &bounds, point.unit);
    oom_arena_free(arena);
    return done;
}

static bool walk_lines(const oom_plan *p, const lc_context *c, lc_line *lines)
{
    uint64_t peaks[LC_MAX_DEVICES + 1];
    uint32_t unit = (uint32_t)(c->cells / LC_PAD_CELLS);

    if (!walk_once(p, c, peaks))
        return false;
    for (uint32_t b = 0; b <= lc_of(p)->n_devices; b++)
        lines[b] = (lc_line){ .first = unit, .last = unit, .at = peaks[b] };
    return true;
}

#define KNOWN (1u << LC_MEASURES)
#define CELLS (1u << LC_MASK | 1u << LC_WINDOW_MASK | ROWS)
#define ROWS (1u << LC_ROWS_OF_CACHE | 1u << LC_ROWS_OF_WINDOW)

/* Which numbers of a step its sizes depend on. 0: there is no graph. */
static uint32_t uses_of(const oom_plan *p, const lc_context *c)
{
    /* With what it remembers the only thing in a plan that changes once it is made. */
    uint32_t *uses = &((lc_own *)(uintptr_t)lc_of(p))->uses[kind_of_step(lc_of(p), c)];
    const lc_script *script;

    if (*uses == 0 && (script = script_for(p, c)) != NULL)
        *uses = script->n_deeds && !lc_of(p)->offloads ? script->uses | KNOWN : UINT32_MAX;
    return *uses;
}

/* Steps of the same key have the same sizes in every context. */
static uint64_t line_key(const lc_own *o, const lc_context *c, uint32_t uses)
{
    uint64_t key = mix(mix(mix(script_key(o, c), c->tokens), c->outputs), c->step);
    bool differs = uses & (1u << LC_SEQUENCES | 1u << LC_TOKENS_EACH)
                || (o->unified ? o->window > 0 : uses & ROWS);

    return (differs ? mix(key, c->sequences) : key) << 4 | 1 << 20; /* room for the buffer */
}

/* The line that a context lies on. False: no graph, or no memory. */
static bool line_for(const oom_plan *p, const lc_context *c, uint32_t buffer, lc_line *out)
{
    uint32_t unit = (uint32_t)(c->cells / LC_PAD_CELLS), uses = uses_of(p, c);
    uint64_t key = line_key(lc_of(p), c, uses);
    const lc_line *known = uses ? lc_find_line(memory_of(p), key + buffer, unit) : NULL;
    const lc_script *script;
    lc_line lines[LC_MAX_DEVICES + 1];

    if (known) {
        *out = *known;
        return true;
    }
    script = uses ? script_for(p, c) : NULL;
    if (!script || (!(script->n_deeds && run_lines(p, c, key, script, lines))
                    && !walk_lines(p, c, lines)))
        return false;
    for (uint32_t b = 0; b <= lc_of(p)->n_devices; b++) {
        lines[b].key = key + b;
        lc_keep_line(memory_of(p), &lines[b], unit);
    }
    *out = lines[buffer];
    return true;
}

uint64_t lc_compute(const oom_plan *p, const lc_context *c, uint32_t buffer)
{
    lc_own *o = (lc_own *)(uintptr_t)lc_of(p);
    lc_read_line *r = &o->read[c->sequences % LC_READ_LINES];
    uint64_t unit = c->cells / LC_PAD_CELLS;
    lc_context most = *c;

    if (r->sequences != c->sequences || r->tokens != c->tokens || r->outputs != c->outputs
        || r->buffer != buffer || unit < r->line.first || unit > r->line.last) {
        if (unit > UINT32_MAX && uses_of(p, c) & CELLS)
            return lc_compute_once(p, c, buffer);
        most.cells = min_u64(c->cells, (uint64_t)UINT32_MAX * LC_PAD_CELLS);
        if (!line_for(p, &most, buffer, &r->line))
            return SAT_TOOLARGE;
        r->sequences = c->sequences;
        r->tokens = c->tokens;
        r->outputs = c->outputs;
        r->buffer = buffer;
    }
    return r->line.at + unit * r->line.grows;
}

uint64_t lc_compute_once(const oom_plan *p, const lc_context *c, uint32_t buffer)
{
    uint64_t peaks[LC_MAX_DEVICES + 1];

    return walk_once(p, c, peaks) ? peaks[buffer] : SAT_TOOLARGE;
}

oom_status lc_prepare_compute(oom_plan *p, const oom_model *view, oom_error *err)
{
    lc_own *o = lc_own_of(p);
    lc_context c = lc_context_of(o, 1, LC_PAD_CELLS);
    const lc_script *script;
    oom_status st;

    o->view = view;
    for (uint32_t i = 0; i < o->n_kinds; i++)
        o->window = max_u64(o->window, o->kinds[i].window);
    st = know_graph(p, err);
    if (st != OOM_OK)
        return st;
    script = script_for(p, &c);
    if (!script && plan_ran_out(p))
        return oom_fail(err, OOM_NOMEM, "out of memory");
    if (!script)
        return oom_fail(err, OOM_NOTFOUND,
                        "%s: what llama.cpp computes for %s models is not known here",
                        p->model->id, p->model->family);
    o->first_kind = kind_of_step(o, &c);
    o->one_kind = script->every_kind;
    return OOM_OK;
}
