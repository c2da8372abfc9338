/* transformers.c: Hugging Face transformers' generate(): the whole prompt in one step, a cache that
 * grows with every token. It predicts allocated memory (torch.cuda.max_memory_allocated) and the
 * CUDA context beside it; what torch's allocator keeps cached
 * in addition depends on the history of a
 * process and is not counted. docs/engines/transformers.md. */
#include "torch.h"

#include <string.h>

/* Logits of the whole prompt were computed, and copied to fp32, before 4.45 (num_logits_to_keep in
 * generation/utils.py, modeling_*.py). */
#define LAST_LOGITS 4045
/* A cache of windowed layers keeps the window since 4.56
 * (cache_utils.py: DynamicSlidingWindowLayer);
 * before, DynamicCache kept every token, but Gemma's HybridCache did not. */
#define WINDOWS_CUT 4056

/* Until then every step copied the whole cache: the old keys and values live until the new ones are
 * all made (tuples of torch.cat; then DynamicCache.from_legacy_cache around each forward), and with
 * them what the step before returned, its logits (generation/utils.py: `outputs`). */
#define CACHE_KEPT 4042

/* Until then AutoGPTQ ran 4-bit matrices, with ExLlama's kernels (GPTQConfig: exllama_config,
 * version 1), which turn one back to 16 bits in a buffer that stays (auto_gptq/modeling/_utils.py:
 * autogptq_post_init, max_dq_buffer_size); then GPTQModel took over, whose kernels do without. */
#define EXLLAMA 4048

/* Since then torch's attention reads grouped heads where they lie, if there is no mask
 * (integrations/sdpa_attention.py: use_gqa_in_sdpa). */
#define GROUPED_SDPA 4054

static bool older(const oom_plan *p, uint32_t version)
{
    return p->options.version && p->options.version < version;
}

static bool has_full_layers(const oom_plan *p)
{
    for (uint32_t i = 0; i < p->n_kinds; i++)
        if (p->kinds[i].kind == OOM_CACHE_FULL)
            return true;
    return false;
}

static uint64_t rows_kept(const oom_plan *p, const plan_kind *k, const oom_load *load)
{
    if ((k->kind == OOM_CACHE_WINDOW || k->kind == OOM_CACHE_CHUNK) && older(p, WINDOWS_CUT)
        && !has_full_layers(p))
        return load->seq;
    return plan_rows(k, load);
}

/* K, V and latents of the layers of a stage, of one sequence of `seq` tokens; states apart. */
static void one_sequence(const oom_plan *p, const oom_load *load, const plan_class *c, uint64_t *kv,
                         uint64_t *state)
{
    *kv = *state = 0;
    for (uint32_t i = 0; i < p->n_kinds; i++) {
        const plan_kind *k = &p->kinds[i];
        uint64_t row = k->k_row_bytes + k->v_row_bytes + k->state_bytes;
        uint64_t bytes = sat_mul(sat_mul(p->stages[c->stage].layers[i], row),
                                 rows_kept(p, k, load));

        if (k->kind == OOM_CACHE_STATE || k->kind == OOM_CACHE_CROSS)
            *state = sat_add(*state, bytes);
        else
            *kv = sat_add(*kv, bytes);
    }
}

static void tell_caches(const oom_plan *p, const oom_load *load, const plan_class *c,
                        uint64_t batch, const oom_listener *l)
{
    for (uint32_t i = 0; i < p->n_kinds; i++) {
        const plan_kind *k = &p->kinds[i];
        bool fixed = k->kind == OOM_CACHE_STATE || k->kind == OOM_CACHE_CROSS;
        uint64_t row = k->k_row_bytes + k->v_row_bytes + k->state_bytes,
            rows = rows_kept(p, k, load);
        uint32_t layers = p->stages[c->stage].layers[i];

        if (layers)
            plan_tell(l, fixed ? "state" : "kv", OOM_RULE,
                      sat_mul(sat_mul(sat_mul(layers, row), rows), batch),
                      "layers x (K row + V row, or state) x tokens kept x sequences",
                      "transformers: cache_utils.py, DynamicCache", "%u x %llu B x %llu x %llu",
                      layers, (ull)row, (ull)rows, (ull)batch);
    }
}

/* Whether layers turn queries and keys by position: not where positions are learnt. What torch's
 * allocator does not split off behind the matrices of a device. */
typedef struct { bool turns; uint64_t slack[PLAN_STAGES]; } transformers_own;

_Static_assert(sizeof(transformers_own) <= sizeof(((oom_plan *)0)->own.bytes),
               "the engine's numbers fit");

static const transformers_own *own_of(const oom_plan *p)
{
    return (const transformers_own *)p->own.bytes;
}

/* Every matrix is a tensor of its own; an expert's, too, until 5.0 (core_model_loading.py). */
static oom_status transformers_place(oom_plan *p, const uint64_t *tensor_bytes,
                                     const oom_format *const *formats, oom_error *err)
{
    transformers_own *own = (transformers_own *)p->own.bytes;

    (void)formats;
    for (size_t i = 0; i < p->inventory->n_tensors; i++) {
        const oom_tensor *t = &p->inventory->tensors[i];
        uint64_t codes = torch_codes(t, tensor_bytes[i], tensor_bytes[i]);
        uint64_t n = t->n_dims > 2 && older(p, 5000) && t->dims[0] ? t->dims[0] : 1;
        uint64_t *slack = &own->slack[plan_stage_of(p, t)];

        if (t->part != OOM_PART_MTP && t->n_dims > 1)
            *slack = sat_add(*slack, sat_mul(n, torch_slack(codes / n)));
    }
    return plan_place(p, tensor_bytes, err);
}

static oom_status transformers_prepare(oom_plan *p, oom_error *err)
{
    transformers_own *own = (transformers_own *)p->own.bytes;

    (void)err;
    own->turns = p->model->shape.kv_heads > 0;
    for (size_t i = 0; i < p->inventory->n_tensors; i++)
        own->turns = own->turns && p->inventory->tensors[i].role != OOM_ROLE_POS_EMBED;
    return OOM_OK;
}

/* Before 4.45 each layer kept cos and sin of every position (modeling_*.py: cos_cached,
 * sin_cached). */
static uint64_t rotary_tables(const oom_plan *p, uint32_t layers, const oom_listener *l)
{
    const oom_shape *s = &p->model->shape;
    uint64_t one = sat_mul(sat_mul(s->context, s->head_dim), 2 * p->element_bytes);
    uint64_t bytes = sat_mul(layers, one);

    if (!older(p, LAST_LOGITS) || !own_of(p)->turns)
        return 0;
    if (l)
        plan_tell(l, "weights", OOM_RULE, bytes, "layers x positions x head size x 2 x bytes",
                  "cos and sin of every position in every layer, before 4.45",
                  "%u x %llu x %u x 2 x %llu", layers, (ull)s->context, s->head_dim,
                  (ull)p->element_bytes);
    return bytes;
}

static uint64_t widest(const oom_plan *p)
{
    const oom_shape *s = &p->model->shape;

    return max_u64(max_u64(s->intermediate_size, s->shared_width),
                   max_u64(s->expert_width, (uint64_t)s->heads * s->head_dim));
}

static uint64_t exllama_buffer(const oom_plan *p, const oom_listener *l)
{
    const oom_shape *s = &p->model->shape;
    bool used = strncmp(p->precision.name, "gptq-4bit", 9) == 0 && older(p, EXLLAMA);
    uint64_t bytes = used ? sat_mul(sat_mul(widest(p), s->hidden_size), 2) : 0;

    if (l && used)
        plan_tell(l, "weights", OOM_RULE, bytes, "width x hidden x 2 bytes",
                  "ExLlama's buffer for a matrix at 16 bits; AutoGPTQ: max_dq_buffer_size",
                  "%llu x %llu x 2", (ull)widest(p), (ull)s->hidden_size);
    return bytes;
}

static uint64_t slack(const oom_plan *p, const plan_class *c, const oom_listener *l)
{
    uint64_t bytes = own_of(p)->slack[c->stage];

    if (l && bytes)
        plan_tell(l, "weights", OOM_RULE, bytes, "up to 1 MiB behind each large matrix",
                  "what torch's allocator does not split off (CUDACachingAllocator.cpp)",
                  "stage %u of %u", c->stage + 1, p->n_stages);
    return bytes;
}

static uint64_t library(const oom_plan *p, const plan_class *c)
{
    return p->has_device ? torch_library_bytes(&p->where.group[c->group].device) : 0;
}

/* ---- the steps ------------------------------------------------------------------------------- */

/* What is alive beside weights and cache, of one step. */
typedef struct { uint64_t layer, repeated, scores, logits, matrix, rows, width; } step;

/* bitsandbytes turns a matrix back to 16 bits for more than
 * one token at a time: the widest is counted
 * (autograd/_functions.py: MatMul4Bit). GPTQ's and AWQ's
 * kernels read packed weights: the Qwen2.5 table
 * shows no such term in their rows. */
static uint64_t unpacked_matrix(const oom_plan *p, uint64_t width)
{
    if (strncmp(p->precision.name, "nf4", 3) != 0)
        return 0;
    return sat_mul(sat_mul(width, p->model->shape.hidden_size), p->element_bytes);
}

/* What a step returns and generate() holds until the next one has returned: logits in fp32, on the
 * device where the prompt was (accelerate: AlignDevicesHook, io_same_device). */
static uint64_t returned(const oom_plan *p, const plan_class *c, uint64_t rows)
{
    const oom_shape *s = &p->model->shape;

    return c->stage == 0 && !s->encoder_only ? sat_mul(sat_mul(rows, s->vocab_size), 4) : 0;
}

/* Width a token passes at a time: experts are run one after the other, each on its share of the
 * tokens (modeling_*moe.py: the loop over experts). */
static uint64_t width_of(const oom_plan *p)
{
    const oom_shape *s = &p->model->shape;
    uint64_t routed = s->experts ? s->expert_width * s->experts_used / s->experts : 0;

    return div_up(max_u64(s->intermediate_size, s->shared_width + routed), p->options.tp);
}

/* Keys and values of one layer, repeated for every query head that shares them, which attention
 * other than flash wants (repeat_kv). */
static uint64_t repeated_heads(const oom_plan *p, const oom_load *load)
{
    const oom_shape *s = &p->model->shape;
    bool sdpa = p->options.attention == OOM_ATTENTION_SDPA;
    uint64_t heads = div_up(s->heads, p->options.tp);

    if ((!sdpa && p->options.attention != OOM_ATTENTION_EAGER) || s->heads <= s->kv_heads
        || !s->kv_heads || s->kv_lora_rank || (sdpa && !older(p, GROUPED_SDPA)))
        return 0;
    return sat_mul(sat_mul(2 * heads * s->head_dim, p->element_bytes),
                   sat_mul(load->seq, plan_batch(p, load)));
}

static step step_of(const oom_plan *p, const oom_load *load, const plan_class *c, uint64_t tokens,
                    uint64_t batch, uint64_t rows)
{
    const oom_shape *s = &p->model->shape;
    bool last = c->stage + 1 == p->n_stages && !s->encoder_only;
    uint64_t f = width_of(p), e = p->element_bytes, d = s->hidden_size;
    step x = { .rows = rows, .width = f };

    x.layer = sat_mul(sat_mul(e, tokens), sat_add(sat_mul(3, f), sat_mul(4, d)));
    x.repeated = repeated_heads(p, load);
    if (p->options.attention == OOM_ATTENTION_EAGER)
        x.scores = sat_mul(sat_mul(6 * div_up(s->heads, p->options.tp), tokens), load->seq);
    if (last)                           /* the last hidden states, and logits in both widths */
        x.logits = sat_add(sat_mul(sat_mul(tokens, d), e),
                           sat_mul(sat_mul(rows, s->vocab_size), e == 4 ? 4 : e + 4));
    else
        x.logits = returned(p, c, rows);
    x.matrix = tokens > batch ? unpacked_matrix(p, f) : 0;
    return x;
}

/* Attention and the feed-forward follow each other; scores are added to either. */
static uint64_t peak_of(const step *x)
{
    uint64_t layer = max_u64(sat_add(x->layer, x->matrix), x->repeated);

    return max_u64(sat_add(layer, x->scores), x->logits);
}

/* The peak of the steps after the prompt, above weights and a cache of all tokens: the last step's,
 * or, while caches were copied, the first one's, when what the prompt's step returned still lives.
 * `growth`: what the cache gains after the prompt, whose own step makes the first token. */
static uint64_t answering(const oom_plan *p, const plan_class *c, const oom_load *load,
                          const step *each, uint64_t rows, uint64_t cache, uint64_t growth)
{
    uint64_t peak = peak_of(each), first;

    if (!older(p, CACHE_KEPT) || load->seq <= load->prompt + 1)
        return peak;
    first = sat_add(sat_add(cache - growth, returned(p, c, rows)), peak);
    if (first != SAT_TOOLARGE)
        first = first > growth ? first - growth : 0;
    return max_u64(sat_add(cache, peak), first);
}

static void transformers_parts(const oom_plan *p, const oom_load *load, const plan_class *c,
                               oom_parts *out, const oom_listener *l)
{
    uint64_t batch = plan_batch(p, load), tokens = plan_step_tokens(p, load), early, ignored,
        growth;
    bool all = p->options.outputs == OOM_OUTPUTS_ALL
            || (p->options.outputs == OOM_OUTPUTS_DEFAULT && older(p, LAST_LOGITS));
    oom_load filled = { .batch = load->batch, .seq = load->prompt, .prompt = load->prompt };
    step first = step_of(p, &filled, c, tokens, batch, all ? tokens : batch);
    step each = step_of(p, load, c, batch, batch, batch);
    uint64_t context = p->has_device ? p->where.group[c->group].device.context_bytes : 0;
    uint64_t prefill = peak_of(&first), decode, peak;

    out->weights = sat_add(rotary_tables(p, p->stages[c->stage].n_layers, l), exllama_buffer(p, l));
    out->weights = sat_add(out->weights, slack(p, c, l));
    one_sequence(p, load, c, &out->kv, &out->state);
    out->kv = sat_mul(out->kv, batch);
    out->state = sat_mul(out->state, batch);
    one_sequence(p, &filled, c, &early, &ignored);
    early = sat_mul(early, batch);
    growth = out->kv - early;           /* what the cache still gains after the prompt */
    decode = answering(p, c, load, &each, first.rows, out->kv, growth);
    out->activations = max_u64(prefill > growth && prefill != SAT_TOOLARGE ? prefill - growth
                               : prefill == SAT_TOOLARGE ? prefill : 0, decode);
    peak = out->activations;
    out->activations = sat_add(peak, library(p, c));
    out->overhead = context;
    if (!l)
        return;
    if (library(p, c))
        plan_tell(l, "activations", OOM_RULE, library(p, c), "scratch of the matrix library",
                  "torch: CublasHandlePool.cpp, by the device's generation", "%s",
                  p->where.group[c->group].device.name);
    tell_caches(p, load, c, batch, l);
    if (peak > decode)
        plan_tell(l, "activations", OOM_FITTED, peak, first.logits >= prefill
                  ? "step tokens x hidden x bytes + rows x vocabulary x (16 bits + fp32) - later "
                      "cache"
                  : "bytes x step tokens x (3 x width + 4 x hidden) + scores - later cache",
                  "allocated memory; Qwen2.5 table (4.46, flash attention): within 2 %",
                  "%llu tokens, width %llu, hidden %llu, %llu rows of %llu, scores %llu B, later "
                  "%llu B",
                  (ull)tokens, (ull)first.width, (ull)p->model->shape.hidden_size, (ull)first.rows,
                  (ull)p->model->shape.vocab_size, (ull)first.scores, (ull)growth);
    else
        plan_tell(l, "activations", OOM_FITTED, peak,
                  older(p, CACHE_KEPT) && load->seq > load->prompt + 1
                  ? "one token of each sequence, while the old cache lives beside the new, at "
                    "first with the prompt's logits"
                  : "one token of each sequence through a layer, or its logits",
                  "allocated memory; the end of a long answer after a short prompt",
                  "%llu sequences, width %llu, vocabulary %llu", (ull)batch, (ull)each.width,
                  (ull)p->model->shape.vocab_size);
    plan_tell(l, "overhead", OOM_FITTED, context, "CUDA context of the device",
              "not allocated by torch; measured contexts by generation (docs/devices.md)", "%s",
              p->has_device ? p->where.group[c->group].device.name : "no device");
}

/* Everything but weights, context, scratch and the unpacked matrix is proportional to the batch. */
static void transformers_row(const oom_plan *p, const plan_class *c, uint64_t seq, uint64_t prompt,
                             const uint64_t *batches, size_t n, uint64_t *totals)
{
    bool proportional = p->options.chunk == 0 && unpacked_matrix(p, 1) == 0;
    oom_load load = { .batch = 1, .seq = seq, .prompt = prompt };
    uint64_t weights = p->stages[c->stage].weights, scratch = library(p, c), each;
    oom_parts one = { 0 };

    transformers_parts(p, &load, c, &one, NULL);
    each = sat_add(sat_add(one.kv, one.state), one.activations - scratch);
    for (size_t i = 0; i < n; i++) {
        if (!proportional) {
            one = (oom_parts){ 0 };
            load.batch = batches[i];
            transformers_parts(p, &load, c, &one, NULL);
            each = sat_add(sat_add(one.kv, one.state), one.activations - scratch);
        }
        totals[i] = sat_add(sat_add(sat_add(weights, one.weights), sat_add(one.overhead, scratch)),
                            proportional ? sat_mul(each, batches[i]) : each);
    }
}

const oom_engine oom_engine_transformers = {
    .name = "transformers",
    .versions = "4.30 to 5.x",
    .newest = 5999,
    .summary =
    "Hugging Face transformers' generate(): memory allocated at the peak, and the CUDA context",
    .splits_layers = true,
    .place = transformers_place,
    .prepare = transformers_prepare,
    .parts = transformers_parts,
    .row = transformers_row,
};
