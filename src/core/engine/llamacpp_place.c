/* llamacpp_place.c: which buffer a tensor and a layer's cache lie in, and how llama.cpp rounds
 * contexts (llama-model.cpp: load_tensors; llama-context.cpp; llama-kv-cache-iswa.cpp). */
#include "llamacpp_place.h"
#include "recipe.h"

#include <string.h>

#define DEVICE_ALIGN 128
#define HOST_ALIGN 32

int8_t lc_home_of_layer(const lc_own *o, int32_t layer)
{
    if (o->n_devices == 0 || layer < o->from[0])
        return (int8_t)o->n_devices;
    for (uint32_t d = o->n_devices - 1; d > 0; d--)
        if (layer >= o->from[d])
            return (int8_t)d;
    return 0;
}

static bool is_expert(oom_role r)
{
    return r == OOM_ROLE_EXP_GATE || r == OOM_ROLE_EXP_UP || r == OOM_ROLE_EXP_DOWN
           || r == OOM_ROLE_EXP_GATE_UP;
}

int8_t lc_home_of_tensor(const oom_plan *p, const oom_tensor *t)
{
    const lc_own *o = lc_of(p);
    int8_t host = (int8_t)o->n_devices;
    const char *arch = p->inventory->ggml_arch;

    switch (t->role) {
    case OOM_ROLE_EMBED: case OOM_ROLE_TYPE_EMBED: case OOM_ROLE_POS_EMBED: case OOM_ROLE_PL_EMBED:
        return host;                    /* looked up on the host */
    case OOM_ROLE_PL_MODEL_PROJ: case OOM_ROLE_PL_PROJ_NORM:    /* for all layers: with the first */
        return lc_home_of_layer(o, 0);
    case OOM_ROLE_EMBED_NORM:           /* the same; LFM2's is its output norm by another name */
        if (!arch || strncmp(arch, "lfm2", 4) != 0)
            return lc_home_of_layer(o, 0);
        break;
    default:
        break;
    }
    if (is_expert(t->role) && (p->options.cpu_moe_all || (uint32_t)t->layer < p->options.cpu_moe))
        return host;
    return lc_home_of_layer(o, t->layer < 0 ? (int32_t)o->n_blocks : t->layer);
}

uint64_t lc_device_bytes(const lc_own *o, const oom_tensor *t, const oom_format *f, uint64_t bytes)
{
    return o->pads && f ? sat_add(bytes, lc_row_tail(f, tensor_row(t))) : bytes;
}

static uint32_t given_shares(const oom_options *o)
{
    uint32_t n = 0;

    for (uint32_t d = 0; d < OOM_MAX_SHARES; d++)
        n = o->tensor_split[d] > 0 ? d + 1 : n;
    return n;
}

/* Layers to devices by the shares asked for, else of free memory; -ngl counts the output as one. */
static void deal_layers(oom_plan *p)
{
    bool given = given_shares(&p->options) > 0;
    lc_own *o = lc_own_of(p);
    int64_t all = (int64_t)o->n_blocks + 1, asked = p->options.gpu_layers;
    int64_t first = asked < 0 || asked >= all ? 0 : all - asked;
    double share[LC_MAX_DEVICES] = { 0 }, sum = 0, before = 0;

    for (uint32_t d = 0, rank = 0, g = 0; d < o->n_devices; d++, rank += p->options.tp) {
        while (p->has_device && g + 1 < p->where.n_groups && rank >= p->where.group[g].count) {
            rank -= p->where.group[g].count;
            g++;
        }
        share[d] = given ? p->options.tensor_split[d]
                 : p->has_device ? (double)p->where.group[g].device.usable_bytes : 1;
        sum += share[d];
    }
    for (uint32_t d = 0; d < o->n_devices; d++) {
        int64_t from = first;

        /* the first layer whose part of the way is not below the devices before */
        while (from < all && (double)(from - first) / (double)(all - first) < before / sum)
            from++;
        o->from[d] = (int32_t)from;
        before += share[d];
    }
}

/* llama-context.cpp: with flash attention a quantised cache is read head by head. */
static oom_status refuse_head(const oom_plan *p, const oom_format *f, uint64_t width,
                              uint64_t heads, oom_error *err)
{
    uint64_t head = width / max_u64(heads, 1);

    if (p->options.attention == OOM_ATTENTION_EAGER || head % f->block == 0)
        return OOM_OK;
    return oom_fail(err, OOM_BADVALUE, "%s has heads of %llu: llama.cpp needs a multiple of %u "
                    "for a %s cache", p->model->id, (ull)head, f->block, f->name);
}

static oom_status refuse(const oom_plan *p, oom_error *err)
{
    const oom_options *o = &p->options;

    if (p->precision.kind == OOM_PRECISION_RECIPE)
        return oom_fail(err, OOM_BADVALUE, "llama.cpp reads GGUF files; %s is not one",
                        p->precision.name);
    if (o->tp > 1)
        return oom_fail(err, OOM_BADVALUE, "llama.cpp splits by layers: pp=%u, not tp=%u", o->tp,
                        o->tp);
    if (o->pp > LC_MAX_DEVICES)
        return oom_fail(err, OOM_BADVALUE, "llama.cpp splits a model over at most %d devices",
                        LC_MAX_DEVICES);
    if (given_shares(o) > o->pp)
        return oom_fail(err, OOM_BADVALUE, "tensor_split has %u shares, expected at most %u, one "
                        "a device", given_shares(o), o->pp);
    if (o->kv_k->ggml_id < 0 || o->kv_v->ggml_id < 0)
        return oom_fail(err, OOM_BADVALUE, "llama.cpp has no %s cache; q8_0 is nearest",
                        o->kv_k->ggml_id < 0 ? o->kv_k->name : o->kv_v->name);
    if (o->attention == OOM_ATTENTION_EAGER && o->kv_v->block > 1)
        return oom_fail(err, OOM_BADVALUE, "llama.cpp needs flash attention for a %s V cache",
                        o->kv_v->name);
    for (size_t i = 0; i < p->model->n_caches && o->kv_k != o->kv_v; i++)
        if (p->model->caches[i].kind == OOM_CACHE_MLA)
            return oom_fail(err, OOM_BADVALUE, "%s caches one row for keys and values: llama.cpp "
                            "takes one type for both, not %s and %s", p->model->id,
                            o->kv_k->name, o->kv_v->name);
    for (size_t i = 0; i < p->model->n_caches; i++) {
        const oom_cache *c = &p->model->caches[i];

        if (c->kind == OOM_CACHE_STATE)
            continue;
        if (refuse_head(p, o->kv_k, c->k_width, c->kv_heads, err) != OOM_OK
            || refuse_head(p, o->kv_v, c->v_width, c->kv_heads, err) != OOM_OK)
            return OOM_BADVALUE;
    }
    if (p->model->shape.encoder_only || p->model->shape.encoder_decoder)
        return oom_fail(err, OOM_NOTFOUND,
                        "%s: llama.cpp's buffers for encoders are not known here", p->model->id);
    return OOM_OK;
}

static void settle(oom_plan *p)
{
    const oom_options *x = &p->options;
    const oom_device *d = p->has_device ? &p->where.group[0].device : NULL;
    lc_own *o = lc_own_of(p);

    memset(o, 0, p->notes ? offsetof(lc_own, memory) : sizeof *o);
    o->n_devices = d && d->kind == OOM_DEVICE_CPU ? 0 : p->n_stages;
    o->n_blocks = p->inventory->shape.n_layers + p->inventory->shape.n_mtp_layers;
    o->pads = o->n_devices && !(d && d->kind == OOM_DEVICE_UNIFIED);
    o->flash = x->attention != OOM_ATTENTION_EAGER;
    o->unified = x->unified == OOM_YES;
    o->swa_full = x->swa_full == OOM_YES;
    o->op_offload = x->op_offload != OOM_NO;
    o->kv_on_host = x->kv_offload == OOM_NO && o->n_devices;
    o->all_outputs = x->outputs != OOM_OUTPUTS_LAST;
    o->batch = x->n_batch ? x->n_batch : 2048;
    o->step = min_u64(x->chunk, o->batch);
    deal_layers(p);
    o->pipeline
        = o->n_devices > 1 && o->from[0] == 0 && !o->kv_on_host && !x->cpu_moe && !x->cpu_moe_all;
}

static void put(oom_plan *p, int8_t home, uint64_t bytes)
{
    lc_own *o = lc_own_of(p);
    bool host = (uint32_t)home == o->n_devices;
    uint64_t *sum = !host ? &p->stages[home].weights
                  : o->n_devices ? &o->host_weights : &p->stages[0].weights;

    *sum = sat_add(*sum, pad_up(bytes, host ? HOST_ALIGN : DEVICE_ALIGN));
}

/* The loader makes a second copy even in the same buffer where it asks for the output before the
 * embedding (src/models/gemma3n.cpp, gemma4.cpp). */
static bool asks_for_output_first(const oom_plan *p)
{
    const char *arch = p->inventory->ggml_arch;

    return strcmp(arch, "gemma3n") == 0 || strcmp(arch, "gemma4") == 0;
}

static void put_tensor(oom_plan *p, const oom_tensor *t, const oom_format *f, uint64_t bytes)
{
    const lc_own *o = lc_of(p);
    int8_t home = lc_home_of_tensor(p, t), output = lc_home_of_layer(o, (int32_t)o->n_blocks);
    bool tied = t->role == OOM_ROLE_EMBED && p->inventory->shape.tied;

    switch (t->role) {
    case OOM_ROLE_ROPE_FREQS: case OOM_ROLE_ROPE_LONG: case OOM_ROLE_ROPE_SHORT:
        for (int8_t b = 0; (uint32_t)b <= o->n_devices; b++) {  /* wherever there are layers */
            bool here = false;

            for (uint32_t i = 0; i < o->n_blocks; i++)
                here = here || lc_home_of_layer(o, (int32_t)i) == b;
            if (here)
                put(p, b, bytes);
        }
        return;
    default:
        put(p, home, (uint32_t)home < o->n_devices ? lc_device_bytes(o, t, f, bytes) : bytes);
        /* the embedding again, as the output matrix, unless it lies there already */
        if (tied && (output != home || asks_for_output_first(p)))
            put(p, output,
                (uint32_t)output < o->n_devices ? lc_device_bytes(o, t, f, bytes) : bytes);
    }
}

oom_status lc_place(oom_plan *p, const uint64_t *tensor_bytes, const oom_format *const *formats,
                    oom_error *err)
{
    const oom_model *inv = p->inventory;
    oom_status st = refuse(p, err);

    if (st != OOM_OK)
        return st;
    settle(p);
    for (size_t i = 0; i < inv->n_tensors; i++)
        if (inv->tensors[i].part == OOM_PART_TEXT) /* towers and drafts are files of their own */
            put_tensor(p, &inv->tensors[i], formats[i], tensor_bytes[i]);
    return OOM_OK;
}

/* ---- caches ---------------------------------------------------------------------------------- */

static uint64_t row_bytes(const oom_format *f, uint64_t n)
{
    return sat_mul(div_up(n, f->block), f->block_bytes);
}

void lc_gather_kinds(oom_plan *p, const oom_model *view)
{
    lc_own *o = lc_own_of(p);

    o->vocabulary = view->shape.vocab_size;
    for (size_t i = 0; i < view->n_caches; i++)
        if (view->caches[i].kind != OOM_CACHE_STATE)
            o->widest_v = max_u64(o->widest_v, view->caches[i].v_width);
    for (size_t i = 0; i < view->n_caches; i++) {
        const oom_cache *c = &view->caches[i];
        int8_t home = o->kv_on_host ? (int8_t)o->n_devices : lc_home_of_layer(o, c->layer);
        const oom_format *k = p->options.kv_k, *v = p->options.kv_v;
        lc_kind x = { .windowed = lc_windowed(view, c), .state = c->kind == OOM_CACHE_STATE };
        uint64_t v_width = !c->v_width ? 0 : o->flash ? c->v_width : o->widest_v;
        uint32_t j;

        x.window = x.windowed ? c->window : 0;
        if (x.state) {                  /* fp32 whatever the cache */
            x.k_row = sat_mul(4, sat_mul(c->conv_width, c->conv_kernel ? c->conv_kernel - 1 : 0));
            x.v_row = sat_mul(4, c->state_elements);
        } else {
            x.k_row = row_bytes(k, c->k_width);
            x.v_row = row_bytes(v, v_width);
            x.k_tail = o->pads ? lc_row_tail(k, c->k_width) : 0;
            x.v_tail = o->pads ? lc_row_tail(v, v_width) : 0;
        }
        for (j = 0; j < o->n_kinds; j++)
            if (memcmp(&o->kinds[j], &x, offsetof(lc_kind, layers)) == 0)
                break;
        if (j == o->n_kinds)            /* what differs here differs for plan_gather_kinds, too */
            o->kinds[o->n_kinds++] = x;
        o->kinds[j].layers[home]++;
    }
}

/* ---- contexts -------------------------------------------------------------------------------- */

/* Cells of one stream: each sequence's own, or one pool for all. */
static uint64_t cells_of(const lc_own *o, uint64_t sequences, uint64_t seq)
{
    uint64_t n_ctx = pad_up(sat_mul(sequences, seq), LC_PAD_CELLS);

    if (o->unified || n_ctx == SAT_TOOLARGE)
        return n_ctx;
    return pad_up(n_ctx / sequences, LC_PAD_CELLS);
}

lc_context lc_context_of(const lc_own *o, uint64_t sequences, uint64_t seq)
{
    lc_context c = { .sequences = sequences, .streams = o->unified ? 1 : sequences,
                     .cells = cells_of(o, sequences, seq) };

    /* no batch is larger than the context that was asked for, before it is rounded up */
    c.step = min_u64(o->step, sat_mul(sequences, seq));
    c.outputs = o->all_outputs ? c.step : min_u64(c.step, sequences);
    c.tokens = pad_up(c.step, sequences);
    return c;
}

uint64_t lc_window_cells(const lc_own *o, const lc_context *c, uint64_t window)
{
    uint64_t n = sat_add(sat_mul(window, o->unified ? c->sequences : 1), c->step);

    return o->swa_full ? c->cells : pad_up(min_u64(c->cells, n), LC_PAD_CELLS);
}
