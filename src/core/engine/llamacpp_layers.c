/* llamacpp_layers.c: which operations a layer consists of, in the order in which llama.cpp 0.5.0
 * creates them (src/llama-graph.cpp, src/models/). What a layer does is read from the tensors it
 * has; only what no tensor shows (where logits rows are picked, which layers rotate, the order
 * of two additions) is looked up by architecture. Pure scalings and caps change nothing: they
 * overwrite their source. */
#include "llamacpp_pen.h"

static const struct { const char *arch; uint32_t quirks; } table[] = {
    { "cohere2", ROPE_WINDOW | LAYER_NORM | ATTN_OUT_LAST },
    { "command-r", LAYER_NORM | ATTN_OUT_LAST },
    { "deepseek2", NORM_IF_BIASED },
    { "dots1", SCALED_ROUTER },
    { "exaone4", ROPE_WINDOW },
    { "gemma", EMBED_FIRST },
    { "gemma2", EMBED_FIRST },
    { "gemma3", EMBED_FIRST },
    { "gemma4", EMBED_FIRST | ROWS_AFTER_NORM | SCALED_EXPERTS | VALUE_NORM },
    { "gemma3n", EMBED_FIRST | ROWS_BEFORE_NORM },
    { "gpt-oss", ROWS_BEFORE_NORM },
    { "granite", EMBED_FIRST },
    { "granitemoe", EMBED_FIRST },
    { "granitehybrid", EMBED_FIRST },
    { "jamba", NO_ROPE | RESIDUAL_FIRST | FFN_RESIDUAL_FIRST | PLAIN_ROUTER },
    { "lfm2", RESIDUAL_FIRST | FFN_RESIDUAL_FIRST },
    { "lfm2moe", RESIDUAL_FIRST | FFN_RESIDUAL_FIRST },
    { "llama4", ROPE_3_OF_4 | TEMPERATURE | WEIGH_INPUT | PLAIN_ROUTER },
    { "nemotron_h", NO_ROPE | ROWS_AFTER_NORM },
    { "nemotron_h_moe", NO_ROPE | ROWS_AFTER_NORM | PLAIN_ROUTER },
    { "olmo", LAYER_NORM | BARE_NORMS },
    { "dbrx", LAYER_NORM },
    { "mpt", LAYER_NORM | NO_ROPE },
    { "gpt2", NO_ROPE },
    { "gptneox", PARALLEL },
    { "bloom", NO_ROPE },
    { "starcoder", NO_ROPE },
    { "olmoe", PLAIN_ROUTER },
    { "phi2", ATTN_OUT_FIRST },
    { "phi3", FFN_RESIDUAL_FIRST },
    { "phimoe", FFN_RESIDUAL_FIRST | RMS_BIAS },
    { "qwen2moe", PLAIN_ROUTER },
    { "qwen2vl", FOUR_POSITIONS },
    { "qwen3vl", FOUR_POSITIONS },
    { "qwen3vlmoe", FOUR_POSITIONS },
    { "qwen3next", ROWS_AFTER_NORM | NORM_FIRST },
    { "qwen35", ROWS_AFTER_NORM | NORM_FIRST | FOUR_POSITIONS },
    { "qwen35moe", ROWS_AFTER_NORM | NORM_FIRST | FOUR_POSITIONS },
    { "smollm3", ROPE_3_OF_4 },
};

static uint32_t quirks_of(const oom_model *m)
{
    for (size_t i = 0; m->ggml_arch && i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].arch, m->ggml_arch) == 0)
            return table[i].quirks;
    return 0;
}

/* Architectures whose windows the engine makes something of (hparams.swa_type in src/models);
 * the others keep every token. */
static bool has_windows(const oom_model *m)
{
    static const char *const some[] = {
        "afmoe",   "cohere2", "cohere2moe", "exaone-moe",  "exaone4",      "gemma2", "gemma3",
        "gemma3n", "gemma4",  "gpt-oss",    "granite-swa", "laguna",       "lfm2",   "lfm2moe",
        "llama4",  "mimo2",   "olmo2",      "plamo3",      "smallthinker", "step35",
    };

    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        if (strcmp(some[i], m->ggml_arch) == 0)
            return true;
    return false;
}

bool lc_windowed(const oom_model *m, const oom_cache *c)
{
    return (c->kind == OOM_CACHE_WINDOW || c->kind == OOM_CACHE_CHUNK) && has_windows(m);
}

uint64_t lc_layer_trait(const oom_model *m, uint32_t layer)
{
    return quirks_of(m) & ROPE_3_OF_4 ? (layer + 1) % 4 == 0 : 0;
}

/* Of other architectures the tensors tell what is done, but nobody has compared. */
bool lc_known(const oom_model *m)
{
    static const char *const compared[] = {
        "baichuan", "bailingmoe2", "bloom", "chatglm", "cohere2", "command-r", "dbrx", "deepseek2",
        "dots1", "ernie4_5", "ernie4_5-moe", "exaone4", "falcon", "gemma", "gemma2", "gemma3",
        "gemma3n", "gemma4", "glm4", "glm4moe", "gpt-oss", "gpt2", "gptneox", "granite",
        "granitehybrid", "granitemoe", "hunyuan-dense", "internlm2", "jamba", "lfm2", "lfm2moe",
        "llama", "llama4", "mamba", "mamba2", "minicpm", "minimax-m2", "mistral3", "mpt",
        "nemotron", "nemotron_h", "nemotron_h_moe", "olmo", "olmo2", "olmoe", "phi2", "phi3",
        "phimoe", "qwen", "qwen2", "qwen2moe", "qwen3", "qwen35", "qwen35moe", "qwen3moe",
        "qwen3next", "qwen3vl", "qwen3vlmoe", "seed_oss", "smollm3", "stablelm", "starcoder",
        "starcoder2",
    };

    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++)
        if (strcmp(compared[i], m->ggml_arch) == 0)
            return true;
    return false;
}

/* ---- feed forward ---------------------------------------------------------------------------- */

static lc_t feed_forward(pen *b, lc_t x)
{
    lc_t up = project(b, OOM_ROLE_FFN_UP, x), cur;

    if (has(b, OOM_ROLE_FFN_GATE)) {
        cur = gated(b, project(b, OOM_ROLE_FFN_GATE, x), up);
    } else if (dim_of(b, OOM_ROLE_FFN_UP, 1) == 2 * dim_of(b, OOM_ROLE_FFN_DOWN, 0)) {
        lc_shape ne = shape(b, up);

        ne.n[0] /= 2;                   /* gate and up in one matrix */
        cur = OP(b, LC_OP, ne, up);
    } else {
        cur = rms(b, up);               /* an activation overwrites its source */
    }
    return project(b, OOM_ROLE_FFN_DOWN, cur);
}

static lc_t shared_experts(pen *b, lc_t x)
{
    lc_t up = project(b, OOM_ROLE_SHEXP_UP, x), cur;

    cur = has(b, OOM_ROLE_SHEXP_GATE) ? gated(b, project(b, OOM_ROLE_SHEXP_GATE, x), up)
                                      : rms(b, up);
    cur = project(b, OOM_ROLE_SHEXP_DOWN, cur);
    if (has(b, OOM_ROLE_SHEXP_ROUTER)) {
        lc_shape ne = shape(b, x);

        ne.n[0] = 1;
        cur = add(b, cur, rms(b, OP(b, LC_MATMUL, ne, weight(b, OOM_ROLE_SHEXP_ROUTER), x)));
    }
    return cur;
}

static lc_t expert_matmul(const pen *b, oom_role role, lc_t x, lc_t chosen, uint64_t used)
{
    lc_t w = weight(b, role), bias = tensor(b, role, OOM_BIAS), y;

    b->g->failed = b->g->failed || w == LC_NONE;
    y = OP(b, LC_MATMUL_ID, lc_ne(shape(b, w).n[1], used, shape(b, x).n[2], 1), w, x, chosen);
    return bias == LC_NONE ? y : OP(b, LC_INPLACE, shape(b, y), y, bias, chosen);
}

typedef struct { lc_t chosen, weights; } routing;

/* Scores, choice and weights of the experts (build_moe_ffn). What the CUDA back end fuses here
 * it keeps alive to the end of the fusion. */
static routing route(pen *b, lc_t x, uint64_t used)
{
    bool after = look(b, OOM_ROLE_ROUTER, OOM_BIAS) != NULL;    /* softmax over the chosen only */
    uint64_t n = dim_of(b, OOM_ROLE_ROUTER, 1), t = shape(b, x).n[1];
    lc_t logits = project(b, OOM_ROLE_ROUTER, x), probs, ranked, sorted;
    lc_t sum = LC_NONE, norm_sum = LC_NONE;
    lc_t bias = tensor(b, OOM_ROLE_ROUTER_BIAS, OOM_BIAS), weights, normed = LC_NONE;
    routing r;

    bias = bias == LC_NONE ? weight(b, OOM_ROLE_ROUTER_BIAS) : bias;
    probs = after ? logits : rms(b, logits);
    ranked = bias == LC_NONE ? probs : add(b, probs, bias);
    ranked = b->quirks & WEIGH_INPUT ? logits : ranked;
    sorted = lc_result(b->g, LC_OP, LC_I32, lc_ne(n, t, 1, 1), &ranked, 1);
    r.chosen = lc_view(b->g, sorted, lc_ne(used, t, 1, 1));
    weights
        = OP(b, LC_ROWS, lc_ne(1, used, t, 1), lc_view(b->g, probs, lc_ne(1, n, t, 1)), r.chosen);
    r.weights = weights;
    if (after) {
        r.weights = lc_view(b->g, weights, lc_ne(used, t, 1, 1));
        r.weights = lc_view(b->g, rms(b, r.weights), lc_ne(1, used, t, 1));
    } else if (!(b->quirks & PLAIN_ROUTER) && (bias != LC_NONE || !(b->quirks & NORM_IF_BIASED))) {
        lc_t flat_weights = lc_view(b->g, weights, lc_ne(used, t, 1, 1));

        sum = OP(b, LC_OP, lc_ne(1, t, 1, 1), flat_weights);
        norm_sum = rms(b, sum);         /* clamped away from zero */
        normed = add(b, flat_weights, norm_sum);
        r.weights = lc_view(b->g, normed, lc_ne(1, used, t, 1));
        if (b->quirks & (SCALED_ROUTER | NORM_IF_BIASED))
            r.weights = rms(b, r.weights);
    }
    lc_expand(b->g, r.weights);
    /* ggml-cuda.cu: ggml_cuda_should_use_topk_moe */
    if (!after && !(b->quirks & WEIGH_INPUT) && (n & (n - 1)) == 0 && n <= 512)
        lc_fuse(b->g, probs, r.weights,
                (const lc_t[]){ logits, probs, ranked == probs ? LC_NONE : ranked, sorted,
                                weights, sum, norm_sum, normed, r.weights },
                9);
    return r;
}

/* scores: what the router sees, usually the same as what the experts see. */
static lc_t mixture(pen *b, lc_t x, lc_t scores)
{
    uint64_t used = max_u64(b->m->shape.experts_used, 1), t = shape(b, x).n[1], e;
    lc_t cur, up, out, input = x, in3;
    routing r;

    r = route(b, scores, used);
    if (has(b, OOM_ROLE_EXP_LATENT_IN))
        input = project(b, OOM_ROLE_EXP_LATENT_IN, x);
    e = shape(b, input).n[0];
    in3 = lc_view(b->g, input, lc_ne(e, 1, t, 1));
    if (b->quirks & WEIGH_INPUT)
        in3 = add(b, OP(b, LC_OP, lc_ne(e, used, t, 1), in3), r.weights);
    if (has(b, OOM_ROLE_EXP_GATE_UP)) {
        lc_t both = expert_matmul(b, OOM_ROLE_EXP_GATE_UP, in3, r.chosen, used);
        lc_shape ne = shape(b, both);

        ne.n[0] /= 2;
        cur = OP(b, LC_OP, ne, lc_view(b->g, both, ne), lc_view(b->g, both, ne));
    } else {
        up = expert_matmul(b, OOM_ROLE_EXP_UP, in3, r.chosen, used);
        cur = has(b, OOM_ROLE_EXP_GATE)
            ? gated(b, expert_matmul(b, OOM_ROLE_EXP_GATE, in3, r.chosen, used), up) : rms(b, up);
    }
    cur = expert_matmul(b, OOM_ROLE_EXP_DOWN, cur, r.chosen, used);
    if (b->quirks & SCALED_EXPERTS) {
        lc_t each = OP(b, LC_OP, lc_ne(1, b->m->shape.experts, t, 1), LC_NONE);

        cur = add(b, cur, OP(b, LC_ROWS, lc_ne(1, used, t, 1), each, r.chosen));
    }
    if (b->quirks & WEIGH_INPUT) {
        out = cur;
    } else {
        out = add(b, cur, r.weights);
        lc_expand(b->g, out);
    }
    e = shape(b, out).n[0];
    {
        lc_t sum = lc_view(b->g, out, lc_ne(e, t, 1, 1)), each[256];
        uint64_t n = min_u64(used, 256);

        lc_expand(b->g, sum);
        for (uint64_t i = 1; i < n; i++) {
            each[i] = lc_view(b->g, out, lc_ne(e, t, 1, 1));
            lc_expand(b->g, each[i]);
        }
        for (uint64_t i = 1; i < n; i++) {
            sum = add(b, sum, each[i]);
            lc_expand(b->g, sum);
        }
        if (n == 1)
            sum = same(b, LC_OP, sum, LC_NONE);
        else if (!(b->quirks & WEIGH_INPUT))    /* the weighted sum is one fused operation */
            lc_fuse(b->g, out, sum, (const lc_t[]){ cur, r.weights }, 2);
        out = sum;
    }
    if (has(b, OOM_ROLE_EXP_LATENT_OUT))
        out = project(b, OOM_ROLE_EXP_LATENT_OUT, out);
    return has(b, OOM_ROLE_SHEXP_UP) ? add(b, out, shared_experts(b, x)) : out;
}

static lc_t any_feed_forward(pen *b, lc_t x)
{
    return has(b, OOM_ROLE_ROUTER) ? mixture(b, x, x) : feed_forward(b, x);
}

/* A dense feed forward and experts side by side, each normed before and after (Gemma 4). */
static lc_t both_feed_forwards(pen *b, lc_t x)
{
    lc_t dense = feed_forward(b, norm(b, OOM_ROLE_FFN_NORM, x)), experts;

    dense = norm(b, OOM_ROLE_FFN_POST_NORM_1, dense);
    experts = norm(b, OOM_ROLE_FFN_NORM_2, x);
    experts = mixture(b, experts, rms(b, x));
    return add(b, dense, norm(b, OOM_ROLE_FFN_POST_NORM_2, experts));
}

/* ---- one layer ------------------------------------------------------------------------------- */

static lc_t mixer(pen *b, lc_t x)
{
    if (b->state && has(b, OOM_ROLE_SHORTCONV_CONV))
        return lc_short_conv(b, x);
    if (b->state && (has(b, OOM_ROLE_SSM_A) || look(b, OOM_ROLE_SSM_A, OOM_BARE)))
        return has(b, OOM_ROLE_ATTN_QKV) ? lc_delta_net(b, x) : lc_mamba(b, x);
    if (!b->cache)                      /* a state, and no tensors that would work on it */
        return x;
    return has(b, OOM_ROLE_ATTN_K_B) ? lc_latent_attention(b, x) : lc_attention(b, x);
}

static lc_t pick_rows(pen *b, lc_t x)
{
    if (b->rows == LC_NONE)
        b->rows = lc_input(b->g, LC_I32, lc_ne(b->s->outputs, 1, 1, 1));
    return OP(b, LC_ROWS, lc_ne(shape(b, x).n[0], b->s->outputs, 1, 1), x, b->rows);
}

/* Falcon-H1: attention and Mamba side by side, each after a norm of its own with one weight. */
static lc_t both_mixers(pen *b, lc_t x)
{
    lc_t attended = lc_attention(b, norm(b, OOM_ROLE_ATTN_NORM, x));
    lc_t cur = lc_mamba(b, norm(b, OOM_ROLE_ATTN_NORM, x));

    cur = add(b, add(b, attended, cur), x);
    cur = b->layer == b->last ? pick_rows(b, cur) : cur;
    return add(b, feed_forward(b, norm(b, OOM_ROLE_FFN_NORM, cur)), cur);
}

static lc_t layer(pen *b, lc_t x)
{
    bool mixes = b->cache || b->state;
    bool feeds = has(b, OOM_ROLE_FFN_DOWN) || has(b, OOM_ROLE_EXP_DOWN);
    oom_role before_ffn = has(b, OOM_ROLE_FFN_NORM) ? OOM_ROLE_FFN_NORM : OOM_ROLE_ATTN_POST_NORM;
    bool sandwich = has(b, OOM_ROLE_ATTN_POST_NORM)
                 && (has(b, OOM_ROLE_FFN_NORM) || has(b, OOM_ROLE_FFN_POST_NORM));
    bool bare = b->quirks & BARE_NORMS;
    bool parallel = mixes && feeds && !has(b, before_ffn) && !bare;
    bool picks = b->layer == b->last && !(b->quirks & (ROWS_AFTER_NORM | ROWS_BEFORE_NORM));
    lc_t residual = x, cur = x, normed, out;

    if (b->cache && b->state)
        return both_mixers(b, x);
    if (has(b, OOM_ROLE_ATTN_NORM) || bare)
        cur = norm(b, OOM_ROLE_ATTN_NORM, x);
    if (b->quirks & NORM_FIRST)
        lc_expand(b->g, cur);
    normed = cur;
    if (has(b, OOM_ROLE_ATTN_NORM_2))   /* Falcon 40B: attention has a norm of its own */
        cur = norm(b, OOM_ROLE_ATTN_NORM_2, x);
    if (!mixes)                         /* Nemotron-H: a layer that only feeds forward */
        return add(b, any_feed_forward(b, cur), x);
    cur = mixer(b, cur);
    if (picks) {
        cur = pick_rows(b, cur);
        residual = pick_rows(b, residual);
        normed = parallel ? pick_rows(b, normed) : normed;
    }
    if (b->quirks & PARALLEL)
        return add(b, add(b, feed_forward(b, norm(b, before_ffn, residual)), residual), cur);
    if (parallel) {
        out = feed_forward(b, normed);
        if (b->quirks & ATTN_OUT_FIRST)
            return add(b, add(b, cur, out), residual);
        return b->quirks & ATTN_OUT_LAST ? add(b, add(b, out, residual), cur)
                                         : add(b, add(b, out, cur), residual);
    }
    if (sandwich)
        cur = norm(b, OOM_ROLE_ATTN_POST_NORM, cur);
    cur = b->quirks & RESIDUAL_FIRST ? add(b, residual, cur) : add(b, cur, residual);
    if (!feeds)
        return cur;
    if (has(b, OOM_ROLE_FFN_NORM_2))
        out = both_feed_forwards(b, cur);
    else if (sandwich && !has(b, OOM_ROLE_FFN_NORM))
        out = any_feed_forward(b, cur);
    else
        out = any_feed_forward(b, norm(b, before_ffn, cur));
    if (has(b, OOM_ROLE_FFN_POST_NORM))
        out = norm(b, OOM_ROLE_FFN_POST_NORM, out);
    out = b->quirks & FFN_RESIDUAL_FIRST ? add(b, cur, out) : add(b, out, cur);
    return has(b, OOM_ROLE_PL_GATE) ? lc_with_layer_input(b, out) : out;
}

/* ---- the whole step -------------------------------------------------------------------------- */

/* A layer without a cache of its own uses the last one of its kind (Gemma 3n): full or windowed
 * by the pattern that the layers with a cache show, the shortest there is. */
static const oom_cache *borrowed_cache(const pen *b)
{
    const oom_cache *list = b->m->caches;
    size_t n = b->m->n_caches, period = 1;
    oom_cache_kind kind;

    for (size_t i = 1; i < n;)
        i = list[i].kind == list[i - period].kind ? i + 1 : ++period;
    kind = list[n - period + ((size_t)b->layer - n) % period].kind;
    while (list[n - 1].kind != kind)
        n--;
    return &list[n - 1];
}

static void find_caches(pen *b)
{
    b->cache = b->state = NULL;
    for (size_t i = 0; i < b->m->n_caches; i++) {
        const oom_cache *c = &b->m->caches[i];

        if (c->layer != b->layer)
            continue;
        if (c->kind == OOM_CACHE_STATE)
            b->state = c;
        else
            b->cache = c;
    }
    if (!b->cache && !b->state
        && (b->altup_streams || has(b, OOM_ROLE_ATTN_Q) || has(b, OOM_ROLE_ATTN_QKV)))
        b->cache = borrowed_cache(b);
    b->borrows = b->cache && b->cache->layer != b->layer;
    b->windowed = b->cache && lc_windowed(b->m, b->cache);
}

static lc_t embed(pen *b)
{
    uint64_t e = dim_of(b, OOM_ROLE_EMBED, 0), t = b->s->tokens;
    lc_t ids = lc_input(b->g, LC_I32, lc_ne(t, 1, 1, 1)), rows;

    rows = OP(b, LC_ROWS, lc_ne(e, t, 1, 1), weight(b, OOM_ROLE_EMBED), ids);
    lc_expand(b->g, rows);
    lc_expand(b->g, lc_input(b->g, LC_F32, lc_ne(e, t, 1, 1)));    /* for those who bring vectors */
    if (has(b, OOM_ROLE_POS_EMBED))
        rows = add(b, rows, OP(b, LC_ROWS, lc_ne(e, t, 1, 1), weight(b, OOM_ROLE_POS_EMBED),
                               lc_positions(b)));
    if (has(b, OOM_ROLE_EMBED_NORM) && has(b, OOM_ROLE_OUTPUT_NORM))
        rows = norm(b, OOM_ROLE_EMBED_NORM, rows);
    return b->quirks & EMBED_FIRST ? rms(b, rows) : rows;
}

static void head(pen *b, lc_t x)
{
    oom_role role;

    open_layer(b, NULL);
    role = has(b, OOM_ROLE_OUTPUT_NORM) ? OOM_ROLE_OUTPUT_NORM : OOM_ROLE_EMBED_NORM;
    if (b->altup_streams)
        x = lc_altup_close(b, x);
    else if (b->quirks & ROWS_BEFORE_NORM)
        lc_output(b->g, x);
    if (b->quirks & ROWS_BEFORE_NORM)
        x = pick_rows(b, x);
    x = norm(b, role, x);
    lc_output(b->g, x);
    if (b->quirks & ROWS_AFTER_NORM) {
        x = pick_rows(b, x);
        lc_output(b->g, x);
    }
    x = with_bias(b, OOM_ROLE_OUTPUT,
                  matmul(b, lc_weight(b->g, lc_ne(shape(b, x).n[0], b->m->shape.vocab_size, 1, 1),
                                      b->model->head_bytes, b->model->head_home), x));
    lc_output(b->g, x);
    lc_expand(b->g, x);
}

static uint64_t widest_v(const oom_model *m)
{
    uint64_t w = 0;

    for (size_t i = 0; i < m->n_caches; i++)
        if (m->caches[i].kind != OOM_CACHE_STATE)
            w = max_u64(w, m->caches[i].v_width);
    return w;
}

void lc_build(lc_graph *g, const lc_model *model, const lc_step *step, const lc_block *blocks,
              uint32_t n_blocks)
{
    pen b = { .g = g, .model = model, .m = model->inventory, .s = step,
              .quirks = quirks_of(model->inventory), .v_width_max = widest_v(model->inventory),
              .positions = LC_NONE, .temperature = LC_NONE, .rows = LC_NONE,
              .state_rows = LC_NONE, .no_rows = LC_NONE, .layer_inputs = LC_NONE };
    lc_t x;

    g->failed = b.m->n_caches == 0;     /* nothing to attend to, nor a state */
    if (g->failed)
        return;
    b.in[0] = b.in[1] = (cache_inputs){ LC_NONE, LC_NONE, LC_NONE, LC_NONE, LC_NONE };
    for (size_t i = 0; i < b.m->n_caches; i++)
        b.has_windows = b.has_windows || lc_windowed(b.m, &b.m->caches[i]);
    b.last = (int32_t)blocks[n_blocks - 1].layer;
    for (int i = 0; i <= LC_MAX_DEVICES; i++)
        b.factors[i] = LC_NONE;
    open_layer(&b, NULL);
    for (const oom_role *r
         = (const oom_role[]){ OOM_ROLE_ROPE_FREQS, OOM_ROLE_ROPE_LONG, OOM_ROLE_OTHER };
         *r != OOM_ROLE_OTHER && !b.factor_bytes; r++)
        if (look(&b, *r, OOM_WEIGHT))
            b.factor_bytes = 4 * dim(look(&b, *r, OOM_WEIGHT), 0);
    x = embed(&b);
    if (has(&b, OOM_ROLE_ALTUP_PROJ))
        x = lc_altup_open(&b, x);
    else if (has(&b, OOM_ROLE_PL_EMBED))
        lc_layer_inputs(&b, x);
    for (uint32_t i = 0; i < n_blocks; i++) {
        lc_begin_layer(g);
        open_layer(&b, &blocks[i]);
        find_caches(&b);
        x = b.altup_streams ? lc_altup_layer(&b, x) : layer(&b, x);
    }
    head(&b, x);
}
