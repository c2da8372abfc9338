/* deepseek_v4.c: DeepSeek-V4. One head of keys that are also the values, seen through a short
 * window; most layers see the rest of the past compressed, one row for every 4 or 128 tokens, and
 * at 4 an index chooses among the rows. The residual stream is hc_mult streams wide
 * ("hyper-connections"). The first layers choose experts by a table of tokens, not by a bias.
 *
 * Source: DeepSeek-V4, inference/model.py, as vLLM (models/deepseek_v4.py) has it too. The sums
 * agree with the published totals to the size of their fp8 scales, not to the unit. */
#include "family.h"
#include "hybrid.h"

typedef struct {
    uint64_t hidden, heads, dim;            /* dim: of a head, rope inside */
    uint64_t q_lora, o_lora, o_groups, window;
    uint64_t index_heads, index_dim;
    uint64_t streams;
    moe mixture;
} v4;

/* Rows of `dim` made from every `ratio` tokens: content and weight projections, a learned place
 * within the row, a norm. At ratio 4 neighbouring rows overlap, which doubles the width. What is
 * not yet a full row waits as fp32 state, content and score. */
static void compressor(build *b, uint64_t hidden, uint64_t dim, uint64_t ratio)
{
    uint64_t overlap = ratio == 4 ? 2 : 1, width = overlap * dim;

    mat(b, OOM_ROLE_COMPRESSOR, 2 * width, hidden);
    mat(b, OOM_ROLE_COMPRESSOR, ratio, width);
    vec(b, OOM_ROLE_COMPRESSOR, dim);
    cache(b, &(oom_cache){ .kind = OOM_CACHE_COMPRESSED, .kv_heads = 1, .k_width = dim,
                           .ratio = (uint32_t)ratio });
    cache(b, &(oom_cache){ .kind = OOM_CACHE_STATE, .state_heads = 1, .state_bytes_each = 4,
                           .state_elements = sat_mul(2 * overlap * ratio, width) });
}

static void v4_attention(build *b, const v4 *d, uint64_t ratio)
{
    uint64_t values = sat_mul(d->heads, d->dim);

    mat(b, OOM_ROLE_ATTN_Q_A, d->q_lora, d->hidden);
    vec(b, OOM_ROLE_ATTN_Q_A_NORM, d->q_lora);
    mat(b, OOM_ROLE_ATTN_Q_B, values, d->q_lora);
    mat(b, OOM_ROLE_ATTN_KV_A, d->dim, d->hidden);
    vec(b, OOM_ROLE_ATTN_KV_A_NORM, d->dim);
    cube(b, OOM_ROLE_ATTN_O_A, d->o_groups, d->o_lora, values / d->o_groups);
    mat(b, OOM_ROLE_ATTN_O_B, d->hidden, sat_mul(d->o_groups, d->o_lora));
    vec(b, OOM_ROLE_ATTN_SINKS, d->heads);
    cache(b, &(oom_cache){ .kind = OOM_CACHE_WINDOW, .kv_heads = 1, .k_width = d->dim,
                           .window = d->window });
    if (ratio > 1)
        compressor(b, d->hidden, d->dim, ratio);
    if (ratio == 4) {
        compressor(b, d->hidden, d->index_dim, ratio);
        mat(b, OOM_ROLE_INDEXER_Q_B, sat_mul(d->index_heads, d->index_dim), d->q_lora);
        mat(b, OOM_ROLE_INDEXER_PROJ, d->index_heads, d->hidden);
    }
}

/* Mixes s streams into a block and back: weights from all streams at once, a base, three scales. */
static void hyper(build *b, uint64_t hidden, uint64_t s)
{
    mat(b, OOM_ROLE_HYPER, sat_mul(2 + s, s), sat_mul(s, hidden));
    vec(b, OOM_ROLE_HYPER, sat_mul(2 + s, s));
    vec(b, OOM_ROLE_HYPER, 3);
}

static void hyper_head(build *b, uint64_t hidden, uint64_t s)
{
    mat(b, OOM_ROLE_HYPER, s, sat_mul(s, hidden));
    vec(b, OOM_ROLE_HYPER, s);
    vec(b, OOM_ROLE_HYPER, 1);
}

static void v4_layer(build *b, const v4 *d, uint64_t ratio, bool hashed)
{
    moe m = d->mixture;

    m.router_bias = !hashed;
    hyper(b, d->hidden, d->streams);
    vec(b, OOM_ROLE_ATTN_NORM, d->hidden);
    v4_attention(b, d, ratio);
    hyper(b, d->hidden, d->streams);
    vec(b, OOM_ROLE_FFN_NORM, d->hidden);
    mixture(b, &m);
}

/* Tokens in a row of layer i's compressed cache; 0: it has none. */
static uint64_t ratio_at(build *b, uint64_t i)
{
    if (has(b, "compress_ratios"))
        return item(b, "compress_ratios", (size_t)i, 0);
    if (item_is(b, "layer_types", (size_t)i, "compressed_sparse_attention"))
        return 4;
    return item_is(b, "layer_types", (size_t)i, "heavily_compressed_attention") ? 128 : 0;
}

static void deepseek_v4(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size"), n = depth(b);
    uint64_t n_mtp = mtp_depth(b, "num_nextn_predict_layers", 0);
    uint64_t n_hash = want(b, "num_hash_layers", 0), width = need(b, "moe_intermediate_size");
    v4 d = {
        .hidden = hidden, .heads = need(b, "num_attention_heads"), .dim = need(b, "head_dim"),
        .q_lora = need(b, "q_lora_rank"), .o_lora = need(b, "o_lora_rank"),
        .o_groups = need(b, "o_groups"), .window = need(b, "sliding_window"),
        .index_heads = need(b, "index_n_heads"), .index_dim = need(b, "index_head_dim"),
        .streams = need(b, "hc_mult"),
        .mixture = {
            .hidden = hidden, .width = width, .kind = MLP_GATED,
            .experts = need(b, "n_routed_experts"), .used = need(b, "num_experts_per_tok"),
            .shared_width = want(b, "n_shared_experts", 0) * width,
        },
    };

    require(b, "compress_ratios|layer_types", "tokens in a compressed row, for each layer");
    embed(b, vocab, hidden, ties(b, false));
    b->m->attention = "mqa+swa+compressed";
    b->m->shape.heads = (uint32_t)d.heads;
    b->m->shape.kv_heads = 1;
    b->m->shape.head_dim = b->m->shape.v_head_dim = (uint32_t)d.dim;
    b->m->shape.rope_dim = (uint32_t)want(b, "qk_rope_head_dim", 0);
    for (uint64_t i = 0; i < n + n_mtp; i++) {
        b->layer = (int32_t)i;
        b->part = i < n ? OOM_PART_TEXT : OOM_PART_MTP;
        if (i >= n) {
            mtp_frame(b, vocab, hidden, true);
            hyper_head(b, hidden, d.streams);
        }
        v4_layer(b, &d, ratio_at(b, i), i < n_hash);
    }
    b->layer = -1;
    b->part = OOM_PART_TEXT;
    hyper_head(b, hidden, d.streams);
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

const family v4_families[] = {
    { "deepseek_v4", deepseek_v4, "deepseek4", NULL },
    { NULL, NULL, NULL, NULL }
};
