/* hf_names.c: what a tensor of a checkpoint is, from the name its module has in Hugging Face's
 * modelling code. A name that says nothing known is OTHER: it counts, but is not split. */
#include "safetensors.h"

#include <stdlib.h>
#include <string.h>

/* ---- the last part of a name: which tensor of its module it is ---- */

typedef struct { const char *end; st_leaf leaf; bool packs; } ending;

/* Longer endings first. Packed codes: AWQ and GPTQ qweight, compressed-tensors weight_packed,
 * HQQ W_q, EXL2 q_weight, MXFP4 _blocks; with what belongs to them. */
static const ending endings[] = {
    { ".weight_scale_inv", ST_EXTRA, false },   { ".weight_scale_2", ST_EXTRA, false },
    { ".weight_scale", ST_EXTRA, false },       { ".weight_shape", ST_EXTRA, false },
    { ".weight_zero_point", ST_EXTRA, false },  { ".weight_g_idx", ST_EXTRA, false },
    { ".weight_global_scale", ST_EXTRA, false }, { ".input_global_scale", ST_EXTRA, false },
    { ".input_scale", ST_EXTRA, false },        { ".input_zero_point", ST_EXTRA, false },
    { ".weight.absmax", ST_EXTRA, false },      { ".weight.quant_map", ST_EXTRA, false },
    { ".weight.nested_absmax", ST_EXTRA, false }, { ".weight.nested_quant_map", ST_EXTRA, false },
    { ".weight_format", ST_EXTRA, false },      { ".SCB", ST_EXTRA, false },
    { ".qzeros", ST_EXTRA, false },             { ".scales", ST_EXTRA, false },
    { ".g_idx", ST_EXTRA, false },              { ".biases", ST_EXTRA, false },
    { ".q_scale_max", ST_EXTRA, false },        { ".q_scale", ST_EXTRA, false },
    { ".q_group_map", ST_EXTRA, false },        { ".q_groups", ST_EXTRA, false },
    { ".q_invperm", ST_EXTRA, false },          { ".q_perm", ST_EXTRA, false },
    { "_scales", ST_EXTRA, false },             { ".scale", ST_EXTRA, false },
    { ".zero", ST_EXTRA, false },
    { ".qweight", ST_WEIGHT, true },            { ".weight_packed", ST_WEIGHT, true },
    { ".W_q", ST_WEIGHT, true },                { ".q_weight", ST_WEIGHT, true },
    { "_blocks", ST_WEIGHT, true },             { ".weight", ST_WEIGHT, false },
    { "_bias", ST_BIAS, false },                { ".bias", ST_BIAS, false },
};

/* Kept in old files, made anew by every runtime. */
static bool is_buffer(const st_tensor *t)
{
    static const char *const ends[] = { "inv_freq", ".masked_bias", "position_ids",
                                        "num_batches_tracked", "final_logits_bias" };
    size_t n = strlen(t->name);

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n >= strlen(ends[i]) && strcmp(t->name + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    /* GPT-2's and GPT-NeoX's causal mask: "attn.bias" of shape [1, 1, context, context] */
    return t->n_dims == 4 && n > 10 && (strcmp(t->name + n - 10, ".attn.bias") == 0 ||
                                        strcmp(t->name + n - 10, "ntion.bias") == 0);
}

static const ending *ending_of(const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t len = strlen(endings[i].end);

        if (n <= len || strcmp(name + n - len, endings[i].end) != 0)
            continue;
        /* "down_proj_bias" belongs to down_proj, "dt_bias" and the like are of their own */
        if (strcmp(endings[i].end, "_bias") == 0 &&
            (n < 9 || strcmp(name + n - 9, "proj_bias") != 0))
            continue;
        return &endings[i];
    }
    return NULL;
}

/* ---- what a module is ---- */

/* The first row that fits decides. `path` must be within the module's path (NULL: anything),
 * `last` is its last part. */
static const struct { const char *path, *last; oom_role role; } rules[] = {
    /* feed forward of experts */
    { "shared_expert", "shared_expert_gate", OOM_ROLE_SHEXP_ROUTER },
    { "shared_expert", "gate_proj", OOM_ROLE_SHEXP_GATE },
    { "shared_expert", "up_proj", OOM_ROLE_SHEXP_UP },
    { "shared_expert", "down_proj", OOM_ROLE_SHEXP_DOWN },
    { "shared_mlp", "gate_proj", OOM_ROLE_SHEXP_GATE },
    { "shared_mlp", "up_proj", OOM_ROLE_SHEXP_UP },
    { "shared_mlp", "down_proj", OOM_ROLE_SHEXP_DOWN },
    { "shared_mlp", "input_linear", OOM_ROLE_SHEXP_UP },
    { "shared_mlp", "output_linear", OOM_ROLE_SHEXP_DOWN },
    { "experts", "gate_up_proj", OOM_ROLE_EXP_GATE_UP },
    { "experts", "gate_proj", OOM_ROLE_EXP_GATE },  { "experts", "up_proj", OOM_ROLE_EXP_UP },
    { "experts", "down_proj", OOM_ROLE_EXP_DOWN },  { "experts", "w1", OOM_ROLE_EXP_GATE },
    { "experts", "w3", OOM_ROLE_EXP_UP },           { "experts", "v1", OOM_ROLE_EXP_UP },
    { "experts", "w2", OOM_ROLE_EXP_DOWN },
    { "block_sparse_moe", "input_linear", OOM_ROLE_EXP_GATE_UP },
    { "block_sparse_moe", "output_linear", OOM_ROLE_EXP_DOWN },
    { "block_sparse_moe.router", "layer", OOM_ROLE_ROUTER },
    { "gate", "e_score_correction_bias", OOM_ROLE_ROUTER_BIAS },
    { NULL, "e_score_correction_bias", OOM_ROLE_ROUTER_BIAS },
    { NULL, "expert_bias", OOM_ROLE_ROUTER_BIAS },
    { "moe", "gate", OOM_ROLE_ROUTER },             { "mlp", "gate", OOM_ROLE_ROUTER },
    { "mixer", "gate", OOM_ROLE_ROUTER },           { "feed_forward", "gate", OOM_ROLE_ROUTER },
    { NULL, "router", OOM_ROLE_ROUTER },            { "ffn.router", "layer", OOM_ROLE_ROUTER },
    { NULL, "fc1_latent_proj", OOM_ROLE_EXP_LATENT_IN },
    { NULL, "fc2_latent_proj", OOM_ROLE_EXP_LATENT_OUT },
    /* sparse attention's indexer */
    { "indexer", "wq_b", OOM_ROLE_INDEXER_Q_B },    { "indexer", "wk", OOM_ROLE_INDEXER_K },
    { "indexer", "k_norm", OOM_ROLE_INDEXER_K_NORM },
    { "indexer", "weights_proj", OOM_ROLE_INDEXER_PROJ },
    /* cross attention */
    { "encoder_attn", "q_proj", OOM_ROLE_CROSS_Q }, { "encoder_attn", "k_proj", OOM_ROLE_CROSS_K },
    { "encoder_attn", "v_proj", OOM_ROLE_CROSS_V },
    { "encoder_attn", "out_proj", OOM_ROLE_CROSS_O },
    { NULL, "encoder_attn_layer_norm", OOM_ROLE_CROSS_NORM },
    { "EncDecAttention", "q", OOM_ROLE_CROSS_Q },   { "EncDecAttention", "k", OOM_ROLE_CROSS_K },
    { "EncDecAttention", "v", OOM_ROLE_CROSS_V },   { "EncDecAttention", "o", OOM_ROLE_CROSS_O },
    { "cross_attn", "q_proj", OOM_ROLE_CROSS_Q },   { "cross_attn", "k_proj", OOM_ROLE_CROSS_K },
    { "cross_attn", "v_proj", OOM_ROLE_CROSS_V },   { "cross_attn", "o_proj", OOM_ROLE_CROSS_O },
    { NULL, "wg", OOM_ROLE_ROUTER },                { NULL, "embed_tokens", OOM_ROLE_MTP_EMBED },
    /* recurrent mixers */
    { "linear_attn", "in_proj_qkvz", OOM_ROLE_ATTN_QKV },
    { "linear_attn", "in_proj_qkv", OOM_ROLE_ATTN_QKV },
    { "linear_attn", "in_proj_ba", OOM_ROLE_SSM_BA },
    { "linear_attn", "in_proj_z", OOM_ROLE_ATTN_GATE },
    { "linear_attn", "in_proj_b", OOM_ROLE_SSM_BETA },
    { "linear_attn", "in_proj_a", OOM_ROLE_SSM_ALPHA },
    { NULL, "conv1d", OOM_ROLE_SSM_CONV },          { NULL, "A_log", OOM_ROLE_SSM_A },
    { NULL, "D", OOM_ROLE_SSM_D },                  { NULL, "x_proj", OOM_ROLE_SSM_X },
    { NULL, "dt_proj", OOM_ROLE_SSM_DT },           { NULL, "dt_bias", OOM_ROLE_SSM_DT },
    { NULL, "dt_layernorm", OOM_ROLE_SSM_DT_NORM }, { NULL, "b_layernorm", OOM_ROLE_SSM_B_NORM },
    { NULL, "c_layernorm", OOM_ROLE_SSM_C_NORM },
    { "conv", "in_proj", OOM_ROLE_SHORTCONV_IN },   { "conv", "out_proj", OOM_ROLE_SHORTCONV_OUT },
    { "conv", "conv", OOM_ROLE_SHORTCONV_CONV },
    { "mamba", "in_proj", OOM_ROLE_SSM_IN },        { "mixer", "in_proj", OOM_ROLE_SSM_IN },
    { "mamba", "out_proj", OOM_ROLE_SSM_OUT },      { "mixer", "out_proj", OOM_ROLE_SSM_OUT },
    { "linear_attn", "out_proj", OOM_ROLE_SSM_OUT }, { "mamba", "norm", OOM_ROLE_SSM_NORM },
    { "linear_attn", "norm", OOM_ROLE_SSM_NORM },   { "mixer", "norm", OOM_ROLE_SSM_NORM },
    { NULL, "q_conv1d", OOM_ROLE_SSM_CONV },        { NULL, "k_conv1d", OOM_ROLE_SSM_CONV },
    { NULL, "v_conv1d", OOM_ROLE_SSM_CONV },        { NULL, "f_a_proj", OOM_ROLE_SSM_ALPHA },
    { NULL, "f_b_proj", OOM_ROLE_SSM_ALPHA },       { NULL, "b_proj", OOM_ROLE_SSM_BETA },
    { NULL, "g_a_proj", OOM_ROLE_ATTN_GATE },       { NULL, "g_b_proj", OOM_ROLE_ATTN_GATE },
    { NULL, "o_norm", OOM_ROLE_SSM_NORM },
    /* RWKV */
    { "attention", "receptance", OOM_ROLE_TIME_MIX_RECEPT },
    { "attention", "gate", OOM_ROLE_TIME_MIX_GATE },
    { "attention", "output", OOM_ROLE_TIME_MIX_OUT },
    { "feed_forward", "key", OOM_ROLE_CHANNEL_MIX_KEY },
    { "feed_forward", "value", OOM_ROLE_CHANNEL_MIX_VALUE },
    { "feed_forward", "receptance", OOM_ROLE_CHANNEL_MIX_RECEPT },
    /* attention */
    { NULL, "q_a_proj", OOM_ROLE_ATTN_Q_A },
    { NULL, "q_a_layernorm", OOM_ROLE_ATTN_Q_A_NORM },
    { NULL, "q_b_proj", OOM_ROLE_ATTN_Q_B },
    { NULL, "kv_a_proj_with_mqa", OOM_ROLE_ATTN_KV_A },
    { NULL, "kv_a_layernorm", OOM_ROLE_ATTN_KV_A_NORM }, { NULL, "kv_b_proj", OOM_ROLE_ATTN_KV_B },
    { NULL, "q_proj", OOM_ROLE_ATTN_Q },            { NULL, "k_proj", OOM_ROLE_ATTN_K },
    { NULL, "v_proj", OOM_ROLE_ATTN_V },            { NULL, "o_proj", OOM_ROLE_ATTN_O },
    { "attention", "wq", OOM_ROLE_ATTN_Q },         { "attention", "wk", OOM_ROLE_ATTN_K },
    { "attention", "wv", OOM_ROLE_ATTN_V },         { "attention", "wo", OOM_ROLE_ATTN_O },
    { NULL, "q_lin", OOM_ROLE_ATTN_Q },             { NULL, "k_lin", OOM_ROLE_ATTN_K },
    { NULL, "v_lin", OOM_ROLE_ATTN_V },             { NULL, "out_lin", OOM_ROLE_ATTN_O },
    { "attention.self", "query", OOM_ROLE_ATTN_Q }, { "attention.self", "key", OOM_ROLE_ATTN_K },
    { "attention.self", "value", OOM_ROLE_ATTN_V },
    { "attention.output", "dense", OOM_ROLE_ATTN_O },
    { "attention.output", "LayerNorm", OOM_ROLE_ATTN_POST_NORM },
    { "attention", "key", OOM_ROLE_TIME_MIX_KEY },
    { "attention", "value", OOM_ROLE_TIME_MIX_VALUE },
    { "SelfAttention", "q", OOM_ROLE_ATTN_Q },      { "SelfAttention", "k", OOM_ROLE_ATTN_K },
    { "SelfAttention", "v", OOM_ROLE_ATTN_V },      { "SelfAttention", "o", OOM_ROLE_ATTN_O },
    { NULL, "relative_attention_bias", OOM_ROLE_ATTN_REL_B },
    { NULL, "qkv_proj", OOM_ROLE_ATTN_QKV },        { NULL, "query_key_value", OOM_ROLE_ATTN_QKV },
    { NULL, "c_attn", OOM_ROLE_ATTN_QKV },          { NULL, "Wqkv", OOM_ROLE_ATTN_QKV },
    { NULL, "wqkv", OOM_ROLE_ATTN_QKV },            { NULL, "W_pack", OOM_ROLE_ATTN_QKV },
    { "attn", "c_proj", OOM_ROLE_ATTN_O },          { "attn", "out_proj", OOM_ROLE_ATTN_O },
    { "attn", "dense", OOM_ROLE_ATTN_O },           { "attention", "dense", OOM_ROLE_ATTN_O },
    { "attention", "out_proj", OOM_ROLE_ATTN_O },   { "attn", "Wo", OOM_ROLE_ATTN_O },
    { NULL, "q_norm", OOM_ROLE_ATTN_Q_NORM },       { NULL, "k_norm", OOM_ROLE_ATTN_K_NORM },
    { NULL, "q_layernorm", OOM_ROLE_ATTN_Q_NORM },  { NULL, "k_layernorm", OOM_ROLE_ATTN_K_NORM },
    { NULL, "query_layernorm", OOM_ROLE_ATTN_Q_NORM },
    { NULL, "key_layernorm", OOM_ROLE_ATTN_K_NORM },
    { NULL, "sinks", OOM_ROLE_ATTN_SINKS },         { "attn", "gate_proj", OOM_ROLE_ATTN_GATE },
    /* feed forward */
    { NULL, "gate_up_proj", OOM_ROLE_FFN_UP },      { NULL, "gate_proj", OOM_ROLE_FFN_GATE },
    { NULL, "up_proj", OOM_ROLE_FFN_UP },           { NULL, "down_proj", OOM_ROLE_FFN_DOWN },
    { NULL, "w1", OOM_ROLE_FFN_GATE },              { NULL, "w3", OOM_ROLE_FFN_UP },
    { NULL, "w2", OOM_ROLE_FFN_DOWN },              { NULL, "wi_0", OOM_ROLE_FFN_GATE },
    { NULL, "wi_1", OOM_ROLE_FFN_UP },              { NULL, "wi", OOM_ROLE_FFN_UP },
    { NULL, "wo", OOM_ROLE_FFN_DOWN },              { NULL, "fc1", OOM_ROLE_FFN_UP },
    { NULL, "fc2", OOM_ROLE_FFN_DOWN },             { NULL, "c_fc", OOM_ROLE_FFN_UP },
    { NULL, "c_fc_0", OOM_ROLE_FFN_GATE },          { NULL, "c_fc_1", OOM_ROLE_FFN_UP },
    { "mlp", "c_proj", OOM_ROLE_FFN_DOWN },         { NULL, "fc_in", OOM_ROLE_FFN_UP },
    { NULL, "fc_out", OOM_ROLE_FFN_DOWN },          { NULL, "dense_h_to_4h", OOM_ROLE_FFN_UP },
    { NULL, "dense_4h_to_h", OOM_ROLE_FFN_DOWN },   { NULL, "lin1", OOM_ROLE_FFN_UP },
    { NULL, "lin2", OOM_ROLE_FFN_DOWN },            { "intermediate", "dense", OOM_ROLE_FFN_UP },
    { "pooler", "dense", OOM_ROLE_POOLER },         { "output", "dense", OOM_ROLE_FFN_DOWN },
    { "output", "LayerNorm", OOM_ROLE_FFN_POST_NORM }, { "ffn", "up_proj", OOM_ROLE_FFN_UP },
    { "mlp", "Wi", OOM_ROLE_FFN_UP },               { "mlp", "Wo", OOM_ROLE_FFN_DOWN },
    /* norms of a layer */
    { NULL, "input_layernorm", OOM_ROLE_ATTN_NORM }, { NULL, "attention_norm", OOM_ROLE_ATTN_NORM },
    { NULL, "ln_1", OOM_ROLE_ATTN_NORM },           { NULL, "ln_attn", OOM_ROLE_ATTN_NORM },
    { NULL, "self_attn_layer_norm", OOM_ROLE_ATTN_NORM },
    { NULL, "operator_norm", OOM_ROLE_ATTN_NORM },
    { NULL, "pre_feedforward_layernorm", OOM_ROLE_FFN_NORM },
    { NULL, "post_feedforward_layernorm", OOM_ROLE_FFN_POST_NORM },
    { NULL, "post_attention_layernorm", OOM_ROLE_FFN_NORM },
    { NULL, "ffn_norm", OOM_ROLE_FFN_NORM },
    { NULL, "ln_2", OOM_ROLE_FFN_NORM },            { NULL, "ln_mlp", OOM_ROLE_FFN_NORM },
    { NULL, "pre_ff_layernorm", OOM_ROLE_FFN_NORM },
    { NULL, "sa_layer_norm", OOM_ROLE_ATTN_POST_NORM },
    { NULL, "output_layer_norm", OOM_ROLE_FFN_POST_NORM },
    { NULL, "final_layer_norm", OOM_ROLE_FFN_NORM }, { NULL, "layer_norm", OOM_ROLE_ATTN_NORM },
    { NULL, "norm_1", OOM_ROLE_ATTN_NORM },         { NULL, "norm_2", OOM_ROLE_FFN_NORM },
    { NULL, "attn_norm", OOM_ROLE_ATTN_NORM },      { NULL, "mlp_norm", OOM_ROLE_FFN_NORM },
    { NULL, "attention_layernorm", OOM_ROLE_ATTN_NORM },
    { NULL, "feedforward_layernorm", OOM_ROLE_FFN_NORM },
    { NULL, "ln1", OOM_ROLE_ATTN_NORM },            { NULL, "ln2", OOM_ROLE_FFN_NORM },
    /* multi-token prediction */
    { NULL, "eh_proj", OOM_ROLE_MTP_PROJ },         { NULL, "enorm", OOM_ROLE_MTP_ENORM },
    { NULL, "hnorm", OOM_ROLE_MTP_HNORM },
    { "shared_head", "norm", OOM_ROLE_MTP_HEAD_NORM },
    { "shared_head", "head", OOM_ROLE_MTP_HEAD },
    { NULL, "norm", OOM_ROLE_ATTN_NORM },           /* the only one in a layer of Mamba's */
};

/* Outside the layers. */
static const struct { const char *last; oom_role role; } outside[] = {
    { "embed_tokens", OOM_ROLE_EMBED },     { "wte", OOM_ROLE_EMBED },
    { "word_embeddings", OOM_ROLE_EMBED },  { "tok_embeddings", OOM_ROLE_EMBED },
    { "embed_in", OOM_ROLE_EMBED },         { "shared", OOM_ROLE_EMBED },
    { "embeddings", OOM_ROLE_EMBED },       { "embedding", OOM_ROLE_EMBED },
    { "lm_head", OOM_ROLE_OUTPUT },         { "embed_out", OOM_ROLE_OUTPUT },
    { "output", OOM_ROLE_OUTPUT },          { "output_layer", OOM_ROLE_OUTPUT },
    { "norm", OOM_ROLE_OUTPUT_NORM },       { "ln_f", OOM_ROLE_OUTPUT_NORM },
    { "norm_f", OOM_ROLE_OUTPUT_NORM },     { "final_layernorm", OOM_ROLE_OUTPUT_NORM },
    { "final_layer_norm", OOM_ROLE_OUTPUT_NORM }, { "embedding_norm", OOM_ROLE_OUTPUT_NORM },
    { "final_norm", OOM_ROLE_OUTPUT_NORM }, { "layer_norm", OOM_ROLE_OUTPUT_NORM },
    { "wpe", OOM_ROLE_POS_EMBED },          { "embed_positions", OOM_ROLE_POS_EMBED },
    { "position_embeddings", OOM_ROLE_POS_EMBED }, { "token_type_embeddings", OOM_ROLE_TYPE_EMBED },
    { "word_embeddings_layernorm", OOM_ROLE_EMBED_NORM }, { "LayerNorm", OOM_ROLE_EMBED_NORM },
    { "layernorm_embedding", OOM_ROLE_EMBED_NORM },
    { "project_in", OOM_ROLE_EMBED_IN },    { "project_out", OOM_ROLE_EMBED_OUT },
    { "embed_tokens_per_layer", OOM_ROLE_PL_EMBED },
    { "per_layer_model_projection", OOM_ROLE_PL_MODEL_PROJ },
};

/* ---- the parts of a path ---- */

static const struct { const char *start; oom_part part; oom_role role; } towers[] = {
    { "vision_tower", OOM_PART_VISION, OOM_ROLE_TOWER },
    { "vision_model", OOM_PART_VISION, OOM_ROLE_TOWER },
    { "vision_encoder", OOM_PART_VISION, OOM_ROLE_TOWER },
    { "vision_embed_tokens", OOM_PART_VISION, OOM_ROLE_TOWER },
    { "visual", OOM_PART_VISION, OOM_ROLE_TOWER },
    { "multi_modal_projector", OOM_PART_VISION, OOM_ROLE_PROJECTOR },
    { "mm_projector", OOM_PART_VISION, OOM_ROLE_PROJECTOR },
    { "embed_vision", OOM_PART_VISION, OOM_ROLE_PROJECTOR },
    { "image_newline", OOM_PART_VISION, OOM_ROLE_PROJECTOR },
    { "audio_tower", OOM_PART_AUDIO, OOM_ROLE_TOWER },
    { "audio_encoder", OOM_PART_AUDIO, OOM_ROLE_TOWER },
    { "embed_audio", OOM_PART_AUDIO, OOM_ROLE_PROJECTOR },
};

/* Does the path start with `part`, perhaps behind "model."? As a whole name. */
static bool starts(const char *path, const char *part)
{
    size_t n = strlen(part);

    if (strncmp(path, "model.", 6) == 0)
        path += 6;
    if (strncmp(path, "language_model.", 15) == 0)
        path += 15;
    return strncmp(path, part, n) == 0 && (path[n] == '.' || path[n] == '\0');
}

/* ".17." or ".17" at `s`: the number, and what is behind it. */
static const char *number_at(const char *s, int32_t *number)
{
    char *end;
    long v;

    if (s[0] != '.' || s[1] < '0' || s[1] > '9')
        return NULL;
    v = strtol(s + 1, &end, 10);
    if ((*end != '.' && *end != '\0') || v > 99999)
        return NULL;
    *number = (int32_t)v;
    return end;
}

/* "model.layers.17.mlp.up_proj": 17, and the path within the layer. NULL: outside the layers. */
static const char *within_layer(const char *path, int32_t *layer)
{
    static const char *const containers[] = { "layers", "h", "blocks", "block", "layer",
                                              "mtp_layers" };

    for (const char *s = path; *s; s = strchr(s, '.') ? strchr(s, '.') + 1 : s + strlen(s))
        for (size_t i = 0; i < sizeof containers / sizeof *containers; i++) {
            size_t n = strlen(containers[i]);
            const char *rest;

            if (strncmp(s, containers[i], n) == 0 && (rest = number_at(s + n, layer)))
                return *rest == '.' ? rest + 1 : rest;
        }
    return NULL;
}

static oom_role role_within(const char *rest, const char *last)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].last, last) == 0 && (!rules[i].path || strstr(rest, rules[i].path)))
            return rules[i].role;
    return OOM_ROLE_OTHER;
}

static oom_role role_outside(const char *last)
{
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (strcmp(outside[i].last, last) == 0)
            return outside[i].role;
    return OOM_ROLE_OTHER;
}

/* Writes the key; the number behind "experts." becomes "*". */
static int32_t starred(const char *path, char *key, size_t key_bytes)
{
    const char *experts = strstr(path, "experts."), *rest = NULL;
    int32_t expert = -1;
    size_t head;

    if (experts)
        rest = number_at(experts + 7, &expert);
    if (!rest || strlen(path) >= key_bytes) {
        strncpy(key, path, key_bytes - 1);
        key[key_bytes - 1] = '\0';
        return -1;
    }
    head = (size_t)(experts + 8 - path);
    memcpy(key, path, head);
    key[head] = '*';
    memcpy(key + head + 1, rest, strlen(rest) + 1);
    return expert;
}

st_place st_place_of(const st_tensor *t, char *key, size_t key_bytes)
{
    st_place p = { .leaf = ST_BARE, .layer = -1, .role = OOM_ROLE_OTHER, .part = OOM_PART_TEXT };
    const ending *e = ending_of(t->name);
    const char *rest, *last, *state = strstr(t->name, ".weight.quant_state.");
    char path[512];
    size_t n = strlen(t->name);

    if (is_buffer(t))
        p.leaf = ST_BUFFER;
    else if (state)
        p.leaf = ST_EXTRA;
    else if (e)
        p.leaf = e->leaf;
    if (e && e->packs)
        p.packing = e->end + 1;
    n = state ? (size_t)(state - t->name) : e ? n - strlen(e->end) : n;
    n = n < sizeof path ? n : sizeof path - 1;
    memcpy(path, t->name, n);
    path[n] = '\0';
    p.expert = starred(path, key, key_bytes);
    rest = within_layer(path, &p.layer);
    last = strrchr(path, '.') ? strrchr(path, '.') + 1 : path;
    for (size_t i = 0; i < sizeof towers / sizeof *towers; i++)
        if (starts(path, towers[i].start)) {
            p.part = towers[i].part;
            p.role = towers[i].role;
            return p;
        }
    if (starts(path, "mtp") || starts(path, "mtp_layers"))
        p.part = OOM_PART_MTP;
    p.role = rest ? role_within(rest, last) : role_outside(last);
    return p;
}
