/* moe.c: mixtures of experts on the common decoder. A family says where the experts' keys are
 * and which layers have them. Experts are one stacked tensor for each matrix, also where the
 * checkpoint keeps them apart: the bytes are the same. Source of each: the modelling file of
 * transformers under the same name, unless another is given. */
#include "family.h"

#include <string.h>

/* The keys under all their names; the width is each family's own. */
static moe experts(build *b, const decoder *d, uint64_t width)
{
    moe x = {
        .hidden = d->hidden, .width = width, .kind = MLP_GATED,
        .experts = need(b, "num_local_experts|num_experts|n_routed_experts|moe_num_experts"),
        .used = need(b, "num_experts_per_tok|num_experts_per_token|experts_per_token|"
                        "num_selected_experts|top_k_experts|moe_topk|moe_k"),
    };

    return x;
}

/* ---- every layer a mixture ---- */

static void mixtral(build *b)
{
    decoder d = like_llama(b);

    d.window = sliding_window(b, 0);
    d.x = experts(b, &d, need(b, "intermediate_size"));
    decode(b, &d);
}

static void phimoe(build *b)
{
    decoder d = like_llama(b);

    d.norm = NORM_LAYER;
    d.head_bias = flag(b, "lm_head_bias", false);
    d.window = sliding_window(b, 0);
    d.x = experts(b, &d, need(b, "intermediate_size"));
    decode(b, &d);
}

static void dbrx(build *b)
{
    decoder d = like_llama(b);

    d.norm = NORM_LAYER_NO_BIAS;
    d.a.fused = true;
    d.a.kv_heads = some(b, "attn_config.kv_n_heads", 1);
    d.x = (moe){ .hidden = d.hidden, .kind = MLP_GATED,
                 .width = need(b, "ffn_config.ffn_hidden_size"),
                 .experts = need(b, "ffn_config.moe_num_experts"),
                 .used = need(b, "ffn_config.moe_top_k") };
    decode(b, &d);
}

/* Four norms a layer (xai-org/grok-1 model.py). */
static void grok1(build *b)
{
    decoder d = like_llama(b);

    d.norms = ATTN_BEFORE | ATTN_AFTER | FFN_BEFORE | FFN_AFTER;
    d.x = experts(b, &d, need(b, "intermediate_size"));
    decode(b, &d);
}

static void olmoe(build *b)
{
    decoder d = like_llama(b);

    d.a.qk = QK_FULL;
    d.x = experts(b, &d, need(b, "intermediate_size"));
    decode(b, &d);
}

static void flex_olmo(build *b)
{
    decoder d = like_llama(b);

    d.norms = ATTN_AFTER | FFN_AFTER;
    d.a.qk = QK_FULL;
    d.x = experts(b, &d, need(b, "intermediate_size"));
    decode(b, &d);
}

/* Gate and up of an expert are one matrix; the shared kind has a dense MLP beside them. */
static void granitemoe(build *b)
{
    decoder d = like_llama(b);

    d.x = experts(b, &d, need(b, "intermediate_size"));
    d.x.kind = MLP_FUSED;
    d.x.shared_width = want(b, "shared_intermediate_size", 0);
    decode(b, &d);
}

static void gpt_oss(build *b)
{
    decoder d = like_llama(b);

    d.a.sinks = true;
    d.window = sliding_window(b, 128);
    d.full_every = 2;
    d.x = experts(b, &d, need(b, "intermediate_size"));
    d.x.kind = MLP_FUSED;
    d.x.gate_bias = d.x.expert_bias = true;
    decode(b, &d);
}

static void minimax_m2(build *b)
{
    decoder d = like_llama(b);

    if (flag(b, "use_qk_norm", true))
        d.a.qk = strcmp(word(b, "qk_norm_type", "per_layer"), "per_head") == 0 ? QK_HEAD : QK_FULL;
    d.x = experts(b, &d, need(b, "intermediate_size"));
    d.x.router_bias = flag(b, "use_routing_bias", true);
    d.x.shared_width = want(b, "shared_intermediate_size", 0);
    decode(b, &d);
}

/* ---- some layers dense ---- */

static decoder like_qwen_moe(build *b)
{
    decoder d = like_llama(b);

    if (flag(b, "use_sliding_window", false))
        d.window = sliding_window(b, 4096);
    d.first_windowed = want(b, "max_window_layers", 28);
    d.dense_list = "mlp_only_layers";
    d.moe_every = some(b, "decoder_sparse_step", 1);
    d.x = experts(b, &d, need(b, "moe_intermediate_size"));
    d.width = want(b, "intermediate_size", 0);
    return d;
}

static void qwen2_moe(build *b)
{
    decoder d = like_qwen_moe(b);

    d.a.q_bias = d.a.kv_bias = flag(b, "qkv_bias", true);
    d.a.o_bias = false;
    d.x.shared_width = want(b, "shared_expert_intermediate_size", 5632);
    d.x.shared_gate = true;
    decode(b, &d);
}

static void qwen3_moe(build *b)
{
    decoder d = like_qwen_moe(b);

    d.a.qk = QK_HEAD;
    decode(b, &d);
}

/* The DeepSeek pattern: some dense layers first, then routed experts beside shared ones. */
static decoder like_deepseek(build *b)
{
    decoder d = like_llama(b);
    uint64_t width;

    d.width = want(b, "intermediate_size", 0);
    if (has(b, "n_routed_experts|num_experts")) {
        width = need(b, "moe_intermediate_size");
        d.x = experts(b, &d, width);
        d.x.shared_width = sat_mul(width, want(b, "n_shared_experts|num_shared_experts", 0));
    }
    d.first_moe = want(b, "first_k_dense_replace", 0);
    return d;
}

static void deepseek(build *b)
{
    decoder d = like_deepseek(b);

    d.a.o_bias = d.a.q_bias;
    decode(b, &d);
}

static void dots1(build *b)
{
    decoder d = like_deepseek(b);

    d.a.qk = QK_HEAD;
    d.x.router_bias = true;
    d.window = sliding_window(b, 0);
    d.first_windowed = want(b, "max_window_layers", d.layers);
    decode(b, &d);
}

/* GLM-4.5 and 4.7 keep their own copy of embedding and head with the MTP layer, GLM-4.6 does
 * not; config.json does not tell them apart, a preset does ("mtp_use_dedicated_embeddings",
 * the key of Qwen3.5). */
static void glm4_moe(build *b)
{
    decoder d = like_deepseek(b);

    d.a.o_bias = false;
    if (flag(b, "use_qk_norm", false))
        d.a.qk = QK_HEAD;
    d.x.router_bias = true;
    d.mtp = want(b, "num_nextn_predict_layers", 0);
    d.mtp_own_vocab = flag(b, "mtp_use_dedicated_embeddings", true);
    decode(b, &d);
}

/* Ling: as its own modelling file (inclusionAI) has it. */
static void bailing_moe(build *b)
{
    decoder d = like_deepseek(b);

    d.a.fused = true;
    d.a.q_bias = flag(b, "use_qkv_bias", false);
    d.a.o_bias = flag(b, "use_bias", false);
    if (flag(b, "use_qk_norm", false))
        d.a.qk = QK_HEAD;
    d.x.router_bias = flag(b, "moe_router_enable_expert_bias", false);
    d.mtp = want(b, "num_nextn_predict_layers", 0);
    if (d.x.router_bias)                        /* the second generation under the old name */
        b->m->ggml_arch = "bailingmoe2";
    decode(b, &d);
}

static void ernie_moe(build *b)
{
    decoder d = like_llama(b);
    uint64_t width = need(b, "moe_intermediate_size");

    d.width = need(b, "intermediate_size");
    d.a.q_bias = d.a.kv_bias = d.a.o_bias = d.mlp_bias = flag(b, "use_bias", false);
    d.x = experts(b, &d, width);
    d.x.shared_width = sat_mul(width, want(b, "moe_num_shared_experts", 2));
    d.x.router_bias = flag(b, "moe_use_aux_free", true);
    d.first_moe = want(b, "moe_layer_start_index", 1);
    d.moe_every = some(b, "moe_layer_interval", 1);
    decode(b, &d);
}

/* Widths, choices and shared experts may be listed for each layer. */
static void hunyuan_layer(build *b, decoder *mine, uint64_t i)
{
    uint64_t width = want(b, "intermediate_size", 0);

    mine->x.width = item(b, "moe_intermediate_size", i, width);
    mine->x.used = item(b, "moe_topk|num_experts_per_tok", i, 1);
    mine->x.experts = item(b, "num_experts", i, 1);
    mine->x.shared_width = sat_mul(width, item(b, "num_shared_expert", i, 1));
    if (!flag(b, "use_mixed_mlp_moe", true))
        mine->x.shared_width = 0;
}

static void hunyuan_moe(build *b)
{
    decoder d = like_llama(b);

    d.width = need(b, "intermediate_size");
    if (flag(b, "use_qk_norm", true))
        d.a.qk = QK_HEAD;
    d.x = (moe){ .hidden = d.hidden, .kind = MLP_GATED, .experts = 1, .used = 1 };
    d.first_moe = want(b, "moe_layer_num_skipped", 0);
    d.vary = hunyuan_layer;
    if (!has(b, "num_experts"))
        refuse(b, "\"num_experts\" is missing");
    decode(b, &d);
}

/* Attention looks back within a chunk, except where a layer has no rope. One shared expert as
 * wide as a routed one; dense layers have a width of their own. */
static void llama4(build *b)
{
    decoder d = like_llama(b);
    uint64_t width = need(b, "intermediate_size");

    d.width = some(b, "intermediate_size_mlp", 16384);
    d.a.chunked = true;
    d.window = some(b, "attention_chunk_size", 8192);
    d.window_list = "no_rope_layers";
    d.full_every = some(b, "no_rope_layer_interval", 4);
    d.x = experts(b, &d, width);
    d.x.kind = MLP_FUSED;
    d.x.shared_width = width;
    d.moe_every = some(b, "interleave_moe_layer_step", 1);
    d.sparse_list = "moe_layers";
    decode(b, &d);
}

/* ---- layers that differ ---- */

/* Sliding layers have head counts of their own, values are narrower than keys, and sinks stand
 * where the configuration says (XiaomiMiMo/MiMo-V2-Flash). */
static void mimo_v2_layer(build *b, decoder *mine, uint64_t i)
{
    attention *a = &mine->a;

    if (window_at(b, mine, i)) {
        a->heads = some(b, "swa_num_attention_heads", a->heads);
        a->kv_heads = some(b, "swa_num_key_value_heads", a->kv_heads);
        a->head_dim = some(b, "swa_head_dim", a->head_dim);
        a->v_head_dim = some(b, "swa_v_head_dim", a->v_head_dim);
        a->sinks = flag(b, "add_swa_attention_sink_bias", false);
    } else {
        a->sinks = flag(b, "add_full_attention_sink_bias", false);
    }
}

static void mimo_v2(build *b)
{
    decoder d = like_deepseek(b);

    d.a.v_head_dim = some(b, "v_head_dim", d.a.head_dim);
    d.a.o_bias = false;
    d.window = sliding_window(b, 128);
    d.window_list = "hybrid_layer_pattern";
    d.moe_list = "moe_layer_freq";
    d.x.router_bias = strcmp(word(b, "topk_method", "noaux_tc"), "noaux_tc") == 0;
    d.vary = mimo_v2_layer;
    decode(b, &d);
}

/* Sparse layers choose blocks of keys by an index: a query for each index head, one key with
 * its norms, cached beside K and V. */
static void minimax_m3_layer(build *b, decoder *mine, uint64_t i)
{
    uint64_t heads = some(b, "sparse_attention_config.sparse_num_index_heads", 4);
    uint64_t dim = some(b, "sparse_attention_config.sparse_index_dim", 128);

    if (!flag(b, "sparse_attention_config.use_sparse_attention", false) ||
        !item(b, "sparse_attention_config.sparse_attention_freq", i, 0))
        return;
    mat(b, OOM_ROLE_INDEXER_Q_B, sat_mul(heads, dim), mine->hidden);
    mat(b, OOM_ROLE_INDEXER_K, dim, mine->hidden);
    vec(b, OOM_ROLE_INDEXER_Q_NORM, dim);
    vec(b, OOM_ROLE_INDEXER_K_NORM, dim);
    cache(b, &(oom_cache){ .kind = OOM_CACHE_INDEXER, .kv_heads = 1, .k_width = dim });
}

static void minimax_m3(build *b)
{
    decoder d = like_llama(b);
    uint64_t width = need(b, "moe_intermediate_size|intermediate_size");

    d.width = want(b, "dense_intermediate_size", width);
    d.a.qk = strcmp(word(b, "qk_norm_type", "per_head"), "per_head") == 0 ? QK_HEAD : QK_FULL;
    d.x = experts(b, &d, width);
    d.x.router_bias = flag(b, "use_routing_bias", true);
    d.x.shared_width = want(b, "shared_intermediate_size", 0);
    if (d.x.shared_width == 0)
        d.x.shared_width = sat_mul(width, want(b, "n_shared_experts", 0));
    d.first_moe = want(b, "first_k_dense_replace", 0);
    d.moe_list = "moe_layer_freq";
    d.vary = minimax_m3_layer;
    decode(b, &d);
}

/* Step 3.5 and 3.7 (stepfun-ai): sliding layers have their own head counts, every head a gate. */
static void step3_layer(build *b, decoder *mine, uint64_t i)
{
    attention *a = &mine->a;

    if (window_at(b, mine, i)) {
        a->heads = some(b, "attention_other_setting.num_attention_heads", a->heads);
        a->kv_heads = some(b, "attention_other_setting.num_attention_groups", a->kv_heads);
        a->head_dim = some(b, "attention_other_setting.head_dim", a->head_dim);
    }
    if (flag(b, "use_head_wise_attn_gate", true))
        mat(b, OOM_ROLE_ATTN_GATE, a->heads, mine->hidden);
}

static void step3(build *b)
{
    decoder d = like_llama(b);

    d.a.kv_heads = some(b, "num_attention_groups|num_key_value_heads", d.a.heads);
    d.a.qk = QK_HEAD;
    d.width = need(b, "intermediate_size");
    d.window = sliding_window(b, 0);
    d.x = (moe){ .hidden = d.hidden, .kind = MLP_GATED,
                 .experts = need(b, "moe_num_experts|num_experts"),
                 .used = need(b, "moe_top_k|num_experts_per_tok"),
                 .width = need(b, "moe_intermediate_size"),
                 .shared_width = want(b, "share_expert_dim|share_expert_dims", 0),
                 .router_bias = flag(b, "use_moe_router_bias", true) };
    d.first_moe = want(b, "first_k_dense_replace", 3);
    d.vary = step3_layer;
    if (!has(b, "attention_other_setting"))
        b->m->note = "the head counts of the sliding layers are not in the configuration: "
                     "taken as those of the full layers";
    decode(b, &d);
}

/* ---- rows ---- */

#define CLASS static const class_default
#define END { NULL, 0 }

CLASS mixtral_class[] = {
    { "vocab_size", 32000 }, { "hidden_size", 4096 }, { "intermediate_size", 14336 },
    { "num_hidden_layers", 32 }, { "num_attention_heads", 32 }, { "num_key_value_heads", 8 },
    { "num_local_experts", 8 }, { "num_experts_per_tok", 2 },
    { "max_position_embeddings", 131072 }, END
};
CLASS phimoe_class[] = { { "num_key_value_heads", 8 }, END };
CLASS tied_class[] = { { "tie_word_embeddings", 1 }, END };
CLASS ernie_moe_class[] = { { "num_key_value_heads", 4 }, { "tie_word_embeddings", 1 }, END };
CLASS qwen3_moe_class[] = {
    { "vocab_size", 151936 }, { "hidden_size", 2048 }, { "intermediate_size", 6144 },
    { "num_hidden_layers", 24 }, { "num_attention_heads", 32 }, { "num_key_value_heads", 4 },
    { "max_position_embeddings", 32768 }, { "moe_intermediate_size", 768 },
    { "num_experts_per_tok", 8 }, { "num_experts", 128 }, END
};
CLASS gpt_oss_class[] = {
    { "head_dim", 64 }, { "num_key_value_heads", 8 }, { "attention_bias", 1 }, END
};
CLASS minimax_m2_class[] = { { "num_key_value_heads", 8 }, { "head_dim", 128 }, END };
CLASS llama4_class[] = {
    { "vocab_size", 202048 }, { "hidden_size", 5120 }, { "intermediate_size", 8192 },
    { "intermediate_size_mlp", 16384 }, { "num_hidden_layers", 48 },
    { "num_attention_heads", 40 }, { "num_key_value_heads", 8 }, { "head_dim", 128 },
    { "max_position_embeddings", 131072 }, { "num_experts_per_tok", 1 },
    { "num_local_experts", 16 }, END
};

const family moe_families[] = {
    { "mixtral",        mixtral,     "llama",         mixtral_class },
    { "phimoe",         phimoe,      "phimoe",        phimoe_class },
    { "dbrx",           dbrx,        "dbrx",          NULL },
    { "grok-1",         grok1,       "grok",          tied_class },
    { "olmoe",          olmoe,       "olmoe",         NULL },
    { "flex_olmo",      flex_olmo,   NULL,            NULL },
    { "granitemoe",     granitemoe,  "granitemoe",    NULL },
    { "granitemoeshared", granitemoe, "granitemoe",   NULL },
    { "gpt_oss",        gpt_oss,     "gpt-oss",       gpt_oss_class },
    { "minimax_m2",     minimax_m2,  "minimax-m2",    minimax_m2_class },
    { "minimax_m3",     minimax_m3,  NULL,            NULL },
    { "qwen2_moe",      qwen2_moe,   "qwen2moe",      NULL },
    { "qwen3_moe",      qwen3_moe,   "qwen3moe",      qwen3_moe_class },
    { "deepseek",       deepseek,    "deepseek",      NULL },
    { "dots1",          dots1,       "dots1",         NULL },
    { "glm4_moe",       glm4_moe,    "glm4moe",       NULL },
    { "bailing_moe",    bailing_moe, "bailingmoe",    NULL },
    { "bailing_moe_v2", bailing_moe, "bailingmoe2",   NULL },
    { "ernie4_5_moe",   ernie_moe,   "ernie4_5-moe",  ernie_moe_class },
    { "hunyuan_v1_moe", hunyuan_moe, "hunyuan-moe",   NULL },
    { "llama4_text",    llama4,      "llama4",        llama4_class },
    { "mimo_v2_flash",  mimo_v2,     "mimo2",         NULL },
    { "step3p5",        step3,       "step35",        NULL },
    { "step3p7",        step3,       NULL,            NULL },
    { NULL, NULL, NULL, NULL }
};
