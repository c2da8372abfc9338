/* generic.c: any serving engine with fused attention: textbook caches, the activations of one
 * forward step, and what a runtime takes for itself. The default. */
#include "plan.h"

/* Prefill step of engines that chunk it. */
#define STEP_TOKENS 2048

/* Buffers of the collectives when ranks exchange activations: 342 MiB a GPU with two, 392 MiB with
 * four to eight (aiconfigurator's measured table for NCCL; 2 GPUs and 4 … 8 GPUs). */
#define COLLECTIVES_2 ((uint64_t)342 << 20)
#define COLLECTIVES_MORE ((uint64_t)392 << 20)

/* What depends on neither batch nor seq. */
typedef struct {
    uint64_t width;                     /* of what a token passes, on one rank */
    bool mixed;                         /* some layers keep every token */
} generic_own;

static const generic_own *own_of(const oom_plan *p) { return (const generic_own *)p->own.bytes; }

/* The dense feed-forward, the experts chosen and the shared ones, or a recurrent layer, whose
 * projections and states make it as wide as three times its convolution (llama.cpp's compute
 * buffers of Mamba). */
static uint64_t active_width(const oom_plan *p)
{
    const oom_shape *s = &p->model->shape;
    uint64_t experts = sat_add(sat_mul(s->experts_used, s->expert_width), s->shared_width);
    uint64_t width = max_u64(s->intermediate_size, experts);

    for (size_t i = 0; i < p->model->n_caches; i++)
        if (p->model->caches[i].kind == OOM_CACHE_STATE)
            width = max_u64(width, sat_mul(3, p->model->caches[i].conv_width));
    return div_up(width, p->options.tp);
}

static oom_status generic_prepare(oom_plan *p, oom_error *err)
{
    generic_own *own = (generic_own *)p->own.bytes;

    (void)err;
    own->width = active_width(p);
    for (uint32_t i = 0; i < p->n_kinds; i++)
        own->mixed = own->mixed || p->kinds[i].kind == OOM_CACHE_FULL;
    return OOM_OK;
}

/* ---- caches --------------------------------------------------------------------------------- */

/* A window keeps itself and the step in flight (llama.cpp: window + n_ubatch cells; vLLM: window -
 * 1 + max_num_batched_tokens). Where every layer has the same window most engines keep every token
 * (llama.cpp for Phi-3 and StarCoder 2, transformers before 4.56): so does this one, not to promise
 * what is not kept. */
static uint64_t rows_kept(const oom_plan *p, const plan_kind *k, const oom_load *load)
{
    uint64_t flight = min_u64(load->prompt, p->options.chunk);

    if (k->kind != OOM_CACHE_WINDOW && k->kind != OOM_CACHE_CHUNK)
        return plan_rows(k, load);
    if (p->options.swa_full == OOM_YES || (k->kind == OOM_CACHE_WINDOW && !own_of(p)->mixed))
        return load->seq;
    return min_u64(load->seq, sat_add(k->window, flight));
}

static void caches(const oom_plan *p, const oom_load *load, const plan_class *c, oom_parts *out,
                   const oom_listener *l)
{
    uint64_t batch = plan_batch(p, load);

    for (uint32_t i = 0; i < p->n_kinds; i++) {
        const plan_kind *k = &p->kinds[i];
        uint32_t layers = p->stages[c->stage].layers[i];
        uint64_t rows = rows_kept(p, k, load);
        uint64_t row = k->k_row_bytes + k->v_row_bytes + k->state_bytes;
        uint64_t bytes = sat_mul(sat_mul(sat_mul(layers, row), rows), batch);
        bool fixed = k->kind == OOM_CACHE_STATE || k->kind == OOM_CACHE_CROSS;

        if (fixed)
            out->state = sat_add(out->state, bytes);
        else
            out->kv = sat_add(out->kv, bytes);
        if (l && layers)
            plan_tell(l, fixed ? "state" : "kv", rows == plan_rows(k, load) ? OOM_EXACT : OOM_RULE,
                      bytes, fixed ? "layers x state bytes x sequences"
                      : rows == load->seq ? "layers x (K row + V row) x seq x sequences"
                                          : "layers x (K row + V row) x tokens kept x sequences",
                      rows == plan_rows(k, load) ? "arithmetic on the model's configuration"
                      : "a window and the step in flight; windows on every layer are kept whole",
                      "%u x %llu B x %llu x %llu", layers, (ull)row, (ull)rows, (ull)batch);
    }
}

/* ---- activations ---------------------------------------------------------------------------- */

/* Attention kernels read 16 bits: of a cache in blocks, K and V of one layer are turned back
 * (llama.cpp, CUDA: as many bytes more in the compute buffer with q8_0 as with q4_0). */
static uint64_t unpacked_cache(const oom_plan *p, const oom_load *load, const plan_class *c)
{
    uint64_t most = 0;

    if (p->options.kv_k->block == 1 && p->options.kv_v->block == 1)
        return 0;
    for (uint32_t i = 0; i < p->n_kinds; i++) {
        const plan_kind *k = &p->kinds[i];
        uint64_t width = (p->options.kv_k->block > 1 ? k->k_width : 0)
                       + (p->options.kv_v->block > 1 ? k->v_width : 0);

        if (k->kind != OOM_CACHE_STATE && p->stages[c->stage].layers[i])
            most = max_u64(most, sat_mul(sat_mul(2, width), rows_kept(p, k, load)));
    }
    return most;
}

/* What a token of a step and what a sequence adds to the peak above weights and cache, in bytes. A
 * token: 2 (3 f + 4 d) at two bytes an element, the slope of transformers 4.46 with flash attention
 * over Qwen2.5 0.5B … 32B (36.2 … 207.1 kB a token measured, within 2 % of the formula); with eager
 * attention scores in 16 bits beside their softmax in fp32. Logits in 16 and 32 bits, for the last
 * position of each sequence or for every token. */
typedef struct {
    uint64_t layer, scores, logits, unpacked;
    uint64_t token, sequence;           /* sums of what is counted by each */
    bool every_logit, unified;
} rates;

static rates rates_of(const oom_plan *p, const oom_load *load, const plan_class *c)
{
    const oom_shape *s = &p->model->shape;
    uint32_t tp = p->options.tp;
    rates r = { .every_logit = p->options.outputs == OOM_OUTPUTS_ALL,
                .unified = p->options.unified == OOM_YES,
                .unpacked = unpacked_cache(p, load, c) };

    r.layer = sat_mul(p->element_bytes, sat_add(sat_mul(3, own_of(p)->width),
                                                sat_mul(4, s->hidden_size)));
    if (!s->encoder_only)
        r.logits = sat_mul(p->element_bytes + 4, div_up(s->vocab_size, tp));
    if (p->options.attention == OOM_ATTENTION_EAGER)
        r.scores = sat_mul(6 * div_up(s->heads, tp), load->seq);
    r.token = sat_add(sat_add(r.layer, r.scores), r.every_logit ? r.logits : 0);
    r.sequence = sat_add(r.unpacked, r.every_logit ? 0 : r.logits);
    return r;
}

static void activations(const oom_plan *p, const oom_load *load, const plan_class *c,
                        oom_parts *out, const oom_listener *l)
{
    uint64_t t = plan_step_tokens(p, load), batch = plan_batch(p, load);
    rates r = rates_of(p, load, c);
    uint64_t step = sat_mul(t, r.layer), rows = r.every_logit ? t : batch;
    /* one pool: a query looks at every sequence's cells */
    uint64_t seen = r.unified ? batch : 1;
    uint64_t scores = sat_mul(sat_mul(t, r.scores), seen), unpacked = sat_mul(batch, r.unpacked);
    uint64_t logits = sat_mul(rows, r.logits);

    out->activations = sat_add(sat_add(step, logits), sat_add(scores, unpacked));
    if (!l)
        return;
    plan_tell(l, "activations", OOM_FITTED, step,
              "bytes x tokens in a step x (3 x width + 4 x hidden)",
              "slope of the Qwen2.5 memory table, transformers 4.46, flash attention; within 2 %",
              "%llu B x %llu x (3 x %llu + 4 x %llu)", (ull)p->element_bytes, (ull)t,
              (ull)own_of(p)->width, (ull)p->model->shape.hidden_size);
    plan_tell(l, "activations", OOM_RULE, logits, "logits rows x (16-bit + fp32) x vocabulary",
              r.every_logit ? "a row a token, as asked" : "last position only",
              "%llu x %llu B x %llu", (ull)rows, (ull)p->element_bytes + 4,
              (ull)div_up(p->model->shape.vocab_size, p->options.tp));
    if (scores)
        plan_tell(l, "activations", OOM_FITTED, scores, "6 B x heads x step tokens x tokens seen",
                  "eager softmax in fp32 beside 16-bit scores (DeepSeek-LLM-7B table: 5.5 B)",
                  "%llu x %llu B x %llu", (ull)t, (ull)r.scores, (ull)seen);
    if (unpacked)
        plan_tell(l, "activations", OOM_RULE, unpacked,
                  "K and V of one layer at 16 bits x sequences",
                  "attention over a cache in blocks (llama.cpp's CUDA kernels)", "%llu B x %llu",
                  (ull)r.unpacked, (ull)batch);
}

/* ---- the runtime ---------------------------------------------------------------------------- */

static void overhead(const oom_plan *p, const plan_class *c, oom_parts *out, const oom_listener *l)
{
    uint64_t context = p->has_device ? p->where.group[c->group].device.context_bytes : 0;
    uint64_t collectives = p->options.tp == 1 ? 0
                         : p->options.tp == 2 ? COLLECTIVES_2 : COLLECTIVES_MORE;

    out->overhead = sat_add(context, collectives);
    if (!l)
        return;
    plan_tell(l, "overhead", OOM_FITTED, context, "runtime context of the device",
              "measured contexts by generation (docs/devices.md)", "%s",
              p->has_device ? p->where.group[c->group].device.name : "no device");
    if (collectives)
        plan_tell(l, "overhead", OOM_RULE, collectives, "buffers of the collectives",
                  "aiconfigurator: 342 MiB with 2 GPUs, 392 MiB with 4 to 8", "tp %u",
                  p->options.tp);
}

static void generic_parts(const oom_plan *p, const oom_load *load, const plan_class *c,
                          oom_parts *out, const oom_listener *l)
{
    caches(p, load, c, out, l);
    activations(p, load, c, out, l);
    overhead(p, c, out, l);
}

/* The same for a row of batches: what each sequence adds is worked out once. */
static void generic_row(const oom_plan *p, const plan_class *c, uint64_t seq, uint64_t prompt,
                        const uint64_t *batches, size_t n, uint64_t *totals)
{
    oom_load load = { .batch = 1, .seq = seq, .prompt = prompt };
    rates r = rates_of(p, &load, c);
    oom_parts one = { 0 };
    uint64_t fixed, each, chunk = p->options.chunk, most = 0, end;

    caches(p, &load, c, &one, NULL);
    overhead(p, c, &one, NULL);
    fixed = sat_add(p->stages[c->stage].weights, one.overhead);
    each = sat_add(sat_add(one.kv, one.state), r.sequence);
    for (size_t i = 0; i < n; i++)
        most = max_u64(most, batches[i]);
    end = sat_mul(most, prompt);
    if (end != SAT_TOOLARGE)
        end = sat_add(sat_mul(r.token, min_u64(end, chunk)), sat_add(fixed, sat_mul(each, most)));
    if (end != SAT_TOOLARGE && !r.unified) {    /* none of the row overflows: plain arithmetic */
        for (size_t i = 0; i < n; i++)
            totals[i] = fixed + each * batches[i] + r.token * min_u64(batches[i] * prompt, chunk);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t t = min_u64(sat_mul(batches[i], prompt), chunk);
        uint64_t token = r.unified ? sat_add(r.token, sat_mul(r.scores, batches[i] - 1)) : r.token;

        totals[i] = sat_add(sat_add(fixed, sat_mul(each, batches[i])), sat_mul(token, t));
    }
}

const oom_engine oom_engine_generic = {
    .name = "generic",
    .summary = "any serving engine: caches, one forward step with fused attention, a runtime",
    .chunk = STEP_TOKENS,
    .prepare = generic_prepare,
    .parts = generic_parts,
    .row = generic_row,
};
