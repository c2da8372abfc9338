/* delta.c: hybrids of gated delta nets with a full attention layer now and then: Qwen3-Next,
 * Qwen3.5 and later (dense and mixture), Kimi Linear and K3. A delta-net layer keeps one matrix
 * key x value a head and the last inputs of a short convolution, whatever the context.
 *
 * Sources: transformers, models/qwen3_next and qwen3_5; Kimi-Linear, modeling_kimi.py. */
#include "family.h"
#include "hybrid.h"

/* ---- Qwen ---- */

typedef struct {
    uint64_t hidden, key_heads, key_dim, value_heads, value_dim, kernel;
    bool split_ba;              /* Qwen3.5 stores beta and alpha apart, Qwen3-Next as one */
    uint32_t state_bytes_each;
} delta_net;

static void delta_layer(build *b, const delta_net *d)
{
    uint64_t keys = sat_mul(d->key_heads, d->key_dim);
    uint64_t values = sat_mul(d->value_heads, d->value_dim);
    uint64_t conv = sat_add(sat_mul(2, keys), values);

    mat(b, OOM_ROLE_ATTN_QKV, conv, d->hidden);
    mat(b, OOM_ROLE_ATTN_GATE, values, d->hidden);
    if (d->split_ba) {
        mat(b, OOM_ROLE_SSM_BETA, d->value_heads, d->hidden);
        mat(b, OOM_ROLE_SSM_ALPHA, d->value_heads, d->hidden);
    } else {
        mat(b, OOM_ROLE_SSM_BA, 2 * d->value_heads, d->hidden);
    }
    mat(b, OOM_ROLE_SSM_CONV, conv, d->kernel);
    bias(b, OOM_ROLE_SSM_DT, d->value_heads);
    vec_bare(b, OOM_ROLE_SSM_A, d->value_heads);
    vec(b, OOM_ROLE_SSM_NORM, d->value_dim);
    mat(b, OOM_ROLE_SSM_OUT, d->hidden, values);
    cache(b, &(oom_cache){
        .kind = OOM_CACHE_STATE,
        .conv_width = conv, .conv_kernel = (uint32_t)d->kernel,
        .state_elements = sat_mul(values, d->key_dim), .state_bytes_each = d->state_bytes_each,
        .state_heads = (uint32_t)d->value_heads,
    });
}

/* layer_types where the file has them, else every full_attention_interval-th layer. */
static bool is_full(build *b, uint64_t i)
{
    uint64_t interval = some(b, "full_attention_interval", 4);

    if (has(b, "layer_types"))
        return item_is(b, "layer_types", (size_t)i, "full_attention");
    return (i + 1) % interval == 0;
}

static void qwen_hybrid(build *b, bool sparse, bool split_ba, uint64_t n_mtp)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size"), n = depth(b);
    uint64_t width = sparse ? 0 : need(b, "intermediate_size");
    attention a = {
        .hidden = hidden, .heads = need(b, "num_attention_heads"),
        .kv_heads = need(b, "num_key_value_heads"), .head_dim = want(b, "head_dim", 256),
        .output_gate = true, .qk = QK_HEAD,
    };
    delta_net d = {
        .hidden = hidden, .split_ba = split_ba, .kernel = want(b, "linear_conv_kernel_dim", 4),
        .key_heads = need(b, "linear_num_key_heads"),
        .key_dim = want(b, "linear_key_head_dim", 128),
        .value_heads = need(b, "linear_num_value_heads"),
        .value_dim = want(b, "linear_value_head_dim", 128),
        .state_bytes_each = state_bytes(b, 2),
    };
    moe m = { .hidden = hidden, .kind = MLP_GATED, .shared_gate = true };

    if (sparse) {
        m.experts = need(b, "num_experts");
        m.used = need(b, "num_experts_per_tok");
        m.width = need(b, "moe_intermediate_size");
        m.shared_width = want(b, "shared_expert_intermediate_size", 0);
    }
    embed(b, vocab, hidden, ties(b, false));
    for (uint64_t i = 0; i < n + n_mtp; i++) {
        b->layer = (int32_t)i;
        b->part = i < n ? OOM_PART_TEXT : OOM_PART_MTP;
        if (i >= n)
            mtp_frame(b, vocab, hidden, false);
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (i >= n || is_full(b, i))
            attend(b, &a, 0);
        else
            delta_layer(b, &d);
        vec(b, OOM_ROLE_ATTN_POST_NORM, hidden);
        if (sparse)
            mixture(b, &m);
        else
            mlp(b, hidden, width, MLP_GATED, false);
    }
    b->layer = -1;
    b->part = OOM_PART_TEXT;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* Qwen3-Next's config does not name the one MTP layer that its files hold (published totals with
 * and without it differ by exactly that layer). */
static void qwen3_next(build *b)
{
    qwen_hybrid(b, true, false, mtp_depth(b, "num_nextn_predict_layers|mtp_num_hidden_layers", 1));
}

static void qwen3_5(build *b)
{
    qwen_hybrid(b, false, true, mtp_depth(b, "mtp_num_hidden_layers", 0));
}

static void qwen3_5_moe(build *b)
{
    qwen_hybrid(b, true, true, mtp_depth(b, "mtp_num_hidden_layers", 0));
}

/* ---- Kimi Linear ---- */

typedef struct {
    uint64_t hidden, heads, dim, kernel;
    bool full_gate;             /* K3: the output gate is one matrix, not a pair through `dim` */
} kda;

static void kda_layer(build *b, const kda *k)
{
    uint64_t p = sat_mul(k->heads, k->dim);

    mat(b, OOM_ROLE_ATTN_Q, p, k->hidden);
    mat(b, OOM_ROLE_ATTN_K, p, k->hidden);
    mat(b, OOM_ROLE_ATTN_V, p, k->hidden);
    mat(b, OOM_ROLE_SSM_CONV, sat_mul(3, p), k->kernel);
    mat(b, OOM_ROLE_SSM_ALPHA, k->dim, k->hidden);      /* decay, through a low rank */
    mat(b, OOM_ROLE_SSM_ALPHA, p, k->dim);
    mat(b, OOM_ROLE_SSM_BETA, k->heads, k->hidden);
    vec_bare(b, OOM_ROLE_SSM_A, k->heads);
    bias(b, OOM_ROLE_SSM_DT, p);
    if (k->full_gate) {
        mat(b, OOM_ROLE_ATTN_GATE, p, k->hidden);
    } else {
        mat(b, OOM_ROLE_ATTN_GATE, k->dim, k->hidden);
        mat(b, OOM_ROLE_ATTN_GATE, p, k->dim);
    }
    vec(b, OOM_ROLE_SSM_NORM, k->dim);
    mat(b, OOM_ROLE_SSM_OUT, k->hidden, p);
    cache(b, &(oom_cache){
        .kind = OOM_CACHE_STATE, .conv_width = sat_mul(3, p), .conv_kernel = (uint32_t)k->kernel,
        .state_elements = sat_mul(p, k->dim), .state_bytes_each = 4,
        .state_heads = (uint32_t)k->heads,
    });
}

static void kimi_linear(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size"), n = depth(b);
    uint64_t n_dense = want(b, "first_k_dense_replace", 0), step = some(b, "moe_layer_freq", 1);
    uint64_t width = need(b, "intermediate_size");
    bool residual = has(b, "attn_res_block_size");      /* K3: residual mixing, 4 vectors a layer */
    latent a = read_latent(b, hidden);
    kda k = {
        .hidden = hidden,
        .heads = need(b, "linear_attn_config.num_heads"),
        .dim = need(b, "linear_attn_config.head_dim"),
        .kernel = want(b, "linear_attn_config.short_conv_kernel_size", 4),
        .full_gate = flag(b, "linear_attn_config.use_full_rank_gate", false),
    };
    moe m = {
        .hidden = hidden, .kind = MLP_GATED, .router_bias = true,
        .latent = want(b, "routed_expert_hidden_size", 0),
        .latent_norm = flag(b, "latent_moe_use_norm", false),
        .experts = need(b, "num_experts|n_routed_experts"),
        .used = need(b, "num_experts_per_token|num_experts_per_tok"),
        .width = need(b, "moe_intermediate_size"),
    };

    a.gate = flag(b, "mla_use_output_gate", false);
    m.shared_width = want(b, "num_shared_experts|n_shared_experts", 0) * m.width;
    if (m.latent)
        b->m->ggml_arch = NULL;         /* llama.cpp has Kimi Linear, not K3 */
    require(b, "linear_attn_config.full_attn_layers", "the layers with full attention, from 1");
    embed(b, vocab, hidden, ties(b, false));
    latent_shape(b, &a);
    for (uint64_t i = 0; i < n; i++) {
        b->layer = (int32_t)i;
        vec(b, OOM_ROLE_ATTN_NORM, hidden);
        if (listed(b, "linear_attn_config.full_attn_layers", i + 1))    /* counted from 1 */
            attend_latent(b, &a);
        else
            kda_layer(b, &k);
        vec(b, OOM_ROLE_FFN_NORM, hidden);
        for (int r = 0; residual && r < 4; r++)
            vec(b, OOM_ROLE_RESIDUAL_MIX, hidden);
        if (i >= n_dense && i % step == 0)
            mixture(b, &m);
        else
            mlp(b, hidden, width, MLP_GATED, false);
    }
    b->layer = -1;
    for (int r = 0; residual && r < 2; r++)
        vec(b, OOM_ROLE_RESIDUAL_MIX, hidden);
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* transformers, configuration_qwen3_5.py and _moe: what a text_config may leave out */
static const class_default like_qwen3_5[] = {
    { "linear_num_key_heads", 16 }, { "linear_num_value_heads", 32 }, { "head_dim", 256 },
    { "vocab_size", 248320 }, { NULL, 0 }
};

const family delta_families[] = {
    { "qwen3_next",       qwen3_next,  "qwen3next", NULL },
    { "qwen3_5_text",     qwen3_5,     "qwen35",    like_qwen3_5 },
    { "qwen3_5_moe_text", qwen3_5_moe, "qwen35moe", like_qwen3_5 },
    { "kimi_linear",      kimi_linear, "kimi-linear", NULL },
    { NULL, NULL, NULL, NULL }
};
