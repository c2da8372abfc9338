/* mla.c: multi-head latent attention and the families that have it: DeepSeek-V2, V3 and V3.2,
 * Kimi-K2, Mistral 4, GLM-4.7-Flash and GLM-5. K and V of all heads come from one latent row of
 * kv_lora_rank + rope elements, so that row is all the cache holds. V3.2 and GLM-5 add an index
 * ("DSA"): a small key per token that chooses which tokens attention reads.
 *
 * Sources: transformers, models/deepseek_v2, deepseek_v3, glm4_moe_lite, glm_moe_dsa;
 * DeepSeek-V3.2-Exp, inference/model.py (Indexer). */
#include "family.h"
#include "hybrid.h"

latent read_latent(build *b, uint64_t hidden)
{
    latent a = {
        .hidden = hidden,
        .heads = need(b, "num_attention_heads"),
        .q_lora = want(b, "q_lora_rank", 0),        /* null: one whole q matrix (V2-Lite) */
        .kv_lora = need(b, "kv_lora_rank"),
        .nope = need(b, "qk_nope_head_dim"),
        .rope = need(b, "qk_rope_head_dim"),
        .value = need(b, "v_head_dim"),
        .bias = flag(b, "attention_bias", false),
    };
    return a;
}

void latent_shape(build *b, const latent *a)
{
    oom_shape *s = &b->m->shape;

    s->heads = (uint32_t)a->heads;
    s->kv_heads = 1;                                /* the cache has one row for all heads */
    s->head_dim = (uint32_t)(a->nope + a->rope);
    s->v_head_dim = (uint32_t)a->value;
    s->kv_lora_rank = (uint32_t)a->kv_lora;
    s->rope_dim = (uint32_t)a->rope;
}

void attend_latent(build *b, const latent *a)
{
    uint64_t key = a->nope + a->rope;

    if (a->q_lora) {
        mat_bias(b, OOM_ROLE_ATTN_Q_A, a->q_lora, a->hidden, a->bias);
        vec(b, OOM_ROLE_ATTN_Q_A_NORM, a->q_lora);
        mat(b, OOM_ROLE_ATTN_Q_B, sat_mul(a->heads, key), a->q_lora);
    } else {
        mat(b, OOM_ROLE_ATTN_Q, sat_mul(a->heads, key), a->hidden);
    }
    mat_bias(b, OOM_ROLE_ATTN_KV_A, a->kv_lora + a->rope, a->hidden, a->bias);
    vec(b, OOM_ROLE_ATTN_KV_A_NORM, a->kv_lora);
    mat(b, OOM_ROLE_ATTN_KV_B, sat_mul(a->heads, a->nope + a->value), a->kv_lora);
    if (a->gate)
        mat(b, OOM_ROLE_ATTN_GATE, sat_mul(a->heads, a->value), a->hidden);
    mat_bias(b, OOM_ROLE_ATTN_O, a->hidden, sat_mul(a->heads, a->value), a->bias);
    cache(b, &(oom_cache){ .kind = OOM_CACHE_MLA, .kv_heads = 1, .k_width = a->kv_lora + a->rope });
}

/* The index of sparse attention: queries from q's latent, one key of `dim` a token (with a
 * LayerNorm), one weight a head. */
static void attend_index(build *b, const latent *a, uint64_t heads, uint64_t dim)
{
    mat(b, OOM_ROLE_INDEXER_Q_B, sat_mul(heads, dim), a->q_lora);
    mat(b, OOM_ROLE_INDEXER_K, dim, a->hidden);
    norm(b, OOM_ROLE_INDEXER_K_NORM, NORM_LAYER, dim);
    mat(b, OOM_ROLE_INDEXER_PROJ, heads, a->hidden);
    cache(b, &(oom_cache){ .kind = OOM_CACHE_INDEXER, .kv_heads = 1, .k_width = dim });
}

/* The embedding and head that some releases store once more for an MTP layer. */
void mtp_frame(build *b, uint64_t vocab, uint64_t hidden, bool own_copies)
{
    mtp_extras(b, hidden);
    if (flag(b, "mtp_use_dedicated_embeddings", own_copies)) {
        mat(b, OOM_ROLE_MTP_EMBED, vocab, hidden);
        mat(b, OOM_ROLE_MTP_HEAD, vocab, hidden);
    }
}

typedef struct {
    latent attention;
    moe mixture;
    uint64_t dense_width;
    uint64_t index_heads, index_dim;    /* 0: no index */
} deepseek;

static void deepseek_layer(build *b, const deepseek *d, bool sparse, bool indexed)
{
    uint64_t hidden = d->attention.hidden;

    vec(b, OOM_ROLE_ATTN_NORM, hidden);
    attend_latent(b, &d->attention);
    if (indexed)
        attend_index(b, &d->attention, d->index_heads, d->index_dim);
    vec(b, OOM_ROLE_FFN_NORM, hidden);
    if (sparse)
        mixture(b, &d->mixture);
    else
        mlp(b, hidden, d->dense_width, MLP_GATED, false);
}

/* copies: an MTP layer stores its own embedding and head. */
static void deepseek_line(build *b, bool router_bias, bool copies)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size");
    uint64_t n = depth(b), n_mtp = mtp_depth(b, "num_nextn_predict_layers", 0);
    uint64_t n_dense = want(b, "first_k_dense_replace", 0), step = some(b, "moe_layer_freq", 1);
    uint64_t width = need(b, "moe_intermediate_size");
    deepseek d = {
        .attention = read_latent(b, hidden),
        .mixture = {
            .hidden = hidden, .width = width, .kind = MLP_GATED, .router_bias = router_bias,
            .experts = need(b, "n_routed_experts|num_local_experts|num_experts"),
            .used = need(b, "num_experts_per_tok"),
            .shared_width = want(b, "n_shared_experts", 0) * width,
        },
        .dense_width = need(b, "intermediate_size"),
        .index_heads = want(b, "index_n_heads", 0),
        .index_dim = want(b, "index_head_dim", 0),
    };

    embed(b, vocab, hidden, ties(b, false));
    latent_shape(b, &d.attention);
    b->m->attention = d.index_dim ? "mla+dsa" : "mla";
    for (uint64_t i = 0; i < n + n_mtp; i++) {
        bool sparse = has(b, "mlp_layer_types") ? item_is(b, "mlp_layer_types", (size_t)i, "sparse")
                                                : i >= n_dense && i % step == 0;
        /* GLM-5.2: "shared" layers use the choice of the last "full" one and hold no index. */
        bool indexed = d.index_dim && (i >= n || !item_is(b, "indexer_types", i, "shared"));

        b->layer = (int32_t)i;
        b->part = i < n ? OOM_PART_TEXT : OOM_PART_MTP;
        if (i >= n)
            mtp_frame(b, vocab, hidden, copies);
        deepseek_layer(b, &d, sparse || i >= n, indexed);
    }
    b->layer = -1;
    b->part = OOM_PART_TEXT;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* V2 chooses experts by score alone; from V3 on a correction bias belongs to the router. */
static void deepseek_v2(build *b)
{
    deepseek_line(b, is(word(b, "topk_method", "greedy"), "noaux_tc"), true);
}

static void deepseek_v3(build *b) { deepseek_line(b, true, true); }
static void mistral4(build *b)    { deepseek_line(b, false, true); }    /* softmax, no bias */
/* GLM-5's published total is reached with the MTP layer and no copies of embedding and head. */
static void glm_moe_dsa(build *b) { deepseek_line(b, true, false); }

/* LongCat-Flash: two attentions and two dense MLPs a layer, the experts beside them. Some of the
 * experts are nothing at all ("zero experts"): only the router knows them. */
static void longcat_flash(build *b)
{
    uint64_t hidden = need(b, "hidden_size"), vocab = need(b, "vocab_size");
    uint64_t n = need(b, "num_layers|num_hidden_layers"), width = need(b, "ffn_hidden_size");
    uint64_t n_mtp = mtp_depth(b, "num_nextn_predict_layers", 1);
    uint64_t experts = need(b, "n_routed_experts"), zero = want(b, "zero_expert_num", 0);
    latent a = read_latent(b, hidden);
    moe m = {
        .hidden = hidden, .kind = MLP_GATED, .router_bias = true, .experts = experts,
        .used = need(b, "moe_topk|num_experts_per_tok"), .empty_experts = zero,
        .width = need(b, "expert_ffn_hidden_size|moe_intermediate_size"),
    };

    b->m->shape.n_layers = (uint32_t)n;
    b->m->shape.context = want(b, "max_position_embeddings", 0);
    embed(b, vocab, hidden, ties(b, false));
    latent_shape(b, &a);
    for (uint64_t i = 0; i < n + n_mtp; i++) {
        b->layer = (int32_t)i;
        b->part = i < n ? OOM_PART_TEXT : OOM_PART_MTP;
        for (int half = 0; half < (i < n ? 2 : 1); half++) {
            vec(b, OOM_ROLE_ATTN_NORM, hidden);
            attend_latent(b, &a);
            vec(b, OOM_ROLE_FFN_NORM, hidden);
            mlp(b, hidden, width, MLP_GATED, false);
        }
        if (i < n) {
            mixture(b, &m);
        } else {                                /* its own embedding, the model's head */
            mtp_extras(b, hidden);
            mat(b, OOM_ROLE_MTP_EMBED, vocab, hidden);
        }
    }
    b->layer = -1;
    b->part = OOM_PART_TEXT;
    vec(b, OOM_ROLE_OUTPUT_NORM, hidden);
}

/* transformers, configuration_deepseek_v2.py and _v3.py: only what a text_config may leave out */
static const class_default like_v3[] = {
    { "hidden_size", 7168 }, { "num_hidden_layers", 61 }, { "num_attention_heads", 128 },
    { "intermediate_size", 18432 }, { "moe_intermediate_size", 2048 }, { "vocab_size", 129280 },
    { "n_routed_experts", 256 }, { "n_shared_experts", 1 }, { "num_experts_per_tok", 8 },
    { "kv_lora_rank", 512 }, { "qk_nope_head_dim", 128 }, { "qk_rope_head_dim", 64 },
    { "v_head_dim", 128 }, { "first_k_dense_replace", 3 }, { NULL, 0 }
};

const family mla_families[] = {
    { "deepseek_v2",   deepseek_v2, "deepseek2", NULL },
    { "deepseek_v3",   deepseek_v3, "deepseek2", like_v3 },
    { "deepseek_v32",  deepseek_v3, "deepseek32", like_v3 },
    { "kimi_k2",       deepseek_v3, "deepseek2", like_v3 },
    { "glm4_moe_lite", deepseek_v3, "deepseek2", NULL },
    { "glm_moe_dsa",   glm_moe_dsa, "glm-dsa",   NULL },
    { "mistral4",      mistral4,    "mistral4",  NULL },
    { "longcat_flash", longcat_flash, NULL,      NULL },
    { NULL, NULL, NULL, NULL }
};
