/* Families: parameter counts worked out by hand from published shapes, published totals to the
 * last parameter, caches by layer, and what is refused in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "failing.h"
#include "folder.h"
#include "read.h"

/* ---- a configuration as text, built ---- */

static oom_status build_with(const oom_alloc *a, const char *json, oom_model **out, oom_error *err)
{
    oom_model *m = oom_model_new(a, err);
    const oom_value *config = NULL;
    oom_status status;

    if (!m)
        return OOM_NOMEM;
    status = read_json(m->arena, "config.json", json, strlen(json), &config, err);
    if (status == OOM_OK)
        status = oom_family_build(m, config, err);
    if (status != OOM_OK) {
        oom_model_free(m);
        return status;
    }
    *out = m;
    return OOM_OK;
}

static oom_model *built(const char *json)
{
    oom_error err = { 0 };
    oom_model *m = NULL;

    if (build_with(&oom_libc_alloc, json, &m, &err) != OOM_OK)
        fail_msg("%s\n%s", err.msg, json);
    return m;
}

static const char *refused(const char *json)
{
    static oom_error err;
    oom_model *m = NULL;
    oom_status status = build_with(&oom_libc_alloc, json, &m, &err);

    if (status == OOM_OK)
        fail_msg("accepted: %s", json);
    assert_non_null(strlen(err.msg) > 0 ? err.msg : NULL);
    assert_null(strchr(err.msg, '\n'));
    return err.msg;
}

static void assert_refused(const char *json, const char *words)
{
    const char *msg = refused(json);

    if (!strstr(msg, words))
        fail_msg("\"%s\" does not say \"%s\"", msg, words);
}

static oom_param_counts counted(const char *json)
{
    oom_model *m = built(json);
    oom_param_counts c = { 0 };

    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    oom_model_free(m);
    return c;
}

static uint64_t params(const char *json) { return counted(json).loaded; }

static const oom_tensor *tensor(const oom_model *m, const char *name)
{
    char buf[128];

    for (size_t i = 0; i < m->n_tensors; i++)
        if (strcmp(oom_tensor_name(&m->tensors[i], buf, sizeof buf), name) == 0)
            return &m->tensors[i];
    return NULL;
}

static void assert_shape(const oom_model *m, const char *name, uint64_t out, uint64_t in)
{
    const oom_tensor *t = tensor(m, name);

    if (!t)
        fail_msg("no tensor %s", name);
    assert_int_equal(t->dims[0], out);
    assert_int_equal(t->n_dims > 1 ? t->dims[1] : 0, in);
}

/* One letter a cache: f full, w window, c chunk, x cross, in the order of the layers. */
static void assert_caches(const char *json, const char *expected)
{
    static const char letters[] = { 'f', 'w', 'c', 'm', 'i', 'z', 'x', 's' };
    oom_model *m = built(json);
    char kinds[256] = "";

    for (size_t i = 0; i < m->n_caches && i < sizeof kinds - 1; i++)
        kinds[i] = letters[m->caches[i].kind];
    kinds[m->n_caches < sizeof kinds ? m->n_caches : 0] = '\0';
    assert_string_equal(kinds, expected);
    oom_model_free(m);
}

/* ---- counts, by hand ---- */

#define LLAMA_8B \
    "\"hidden_size\": 4096, \"intermediate_size\": 14336, \"num_attention_heads\": 32, " \
    "\"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"vocab_size\": 128256"

static void a_llama_is_embeddings_attention_gated_mlp_and_two_norms(void **state)
{
    const uint64_t h = 4096, f = 14336, kv = 8 * 128;
    const uint64_t layer = h * h + 2 * h * kv + h * h       /* q, k, v, o */
                         + 3 * h * f + 2 * h;

    (void)state;
    assert_int_equal(params("{\"model_type\": \"llama\", " LLAMA_8B "}"),
                     2 * 128256 * h + 32 * layer + h);
    assert_int_equal(2 * 128256 * h + 32 * layer + h, 8030261248);      /* as published */
}

static void a_tied_head_is_counted_once(void **state)
{
    (void)state;
    assert_int_equal(params("{\"model_type\": \"llama\", " LLAMA_8B "}") -
                     params("{\"model_type\": \"llama\", \"tie_word_embeddings\": true, "
                            LLAMA_8B "}"),
                     128256ull * 4096);
}

/* Qwen2.5-0.5B, published 494,032,768: biases on q (896), k and v (2 x 64) only, head tied. */
static void qwen2_has_biases_on_q_k_and_v(void **state)
{
    const uint64_t h = 896, f = 4864, layer = h * h + 2 * h * 128 + h * h + (h + 128 + 128)
                                            + 3 * h * f + 2 * h;

    (void)state;
    assert_int_equal(151936 * h + 24 * layer + h, 494032768);
    assert_int_equal(params("{\"model_type\": \"qwen2\", \"hidden_size\": 896, "
        "\"intermediate_size\": 4864, \"num_attention_heads\": 14, \"num_key_value_heads\": 2, "
        "\"num_hidden_layers\": 24, \"vocab_size\": 151936, \"tie_word_embeddings\": true}"),
        494032768);
}

/* Qwen3-0.6B, published 596,049,920: head size 128 although 1024 / 16 = 64, a norm of 128 each on
 * q and k, no bias. The class gives the head size when the key is left out. */
static void qwen3_has_norms_on_the_heads_of_q_and_k(void **state)
{
    const uint64_t h = 1024, f = 3072, q = 16 * 128, kv = 8 * 128;
    const uint64_t layer = h * q + 2 * h * kv + q * h + 2 * 128 + 3 * h * f + 2 * h;
    const char *json = "{\"model_type\": \"qwen3\", \"hidden_size\": 1024, "
        "\"intermediate_size\": 3072, \"num_attention_heads\": 16, \"num_key_value_heads\": 8, "
        "\"num_hidden_layers\": 28, \"vocab_size\": 151936, \"tie_word_embeddings\": true}";

    (void)state;
    assert_int_equal(151936 * h + 28 * layer + h, 596049920);
    assert_int_equal(params(json), 596049920);
}

/* Gemma 2 9B, published 9,241,705,984: four norms a layer, head size 256, tied by default. */
static void gemma2_has_four_norms_and_a_tied_head(void **state)
{
    const uint64_t h = 3584, f = 14336, q = 16 * 256, kv = 8 * 256;
    const uint64_t layer = h * q + 2 * h * kv + q * h + 3 * h * f + 4 * h;

    (void)state;
    assert_int_equal(256000 * h + 42 * layer + h, 9241705984);
    assert_int_equal(params("{\"model_type\": \"gemma2\", \"hidden_size\": 3584, "
        "\"intermediate_size\": 14336, \"num_attention_heads\": 16, \"num_key_value_heads\": 8, "
        "\"num_hidden_layers\": 42, \"vocab_size\": 256000}"), 9241705984);
}

/* OLMo 7B, published 6,888,095,744: no norm has weights. */
static void olmo_has_norms_without_weights(void **state)
{
    const uint64_t h = 4096, f = 11008;

    (void)state;
    assert_int_equal(2 * 50304 * h + 32 * (4 * h * h + 3 * h * f), 6888095744);
    assert_int_equal(params("{\"model_type\": \"olmo\", \"hidden_size\": 4096, "
        "\"intermediate_size\": 11008, \"num_attention_heads\": 32, \"num_hidden_layers\": 32, "
        "\"vocab_size\": 50304}"), 6888095744);
}

/* Command R7B, published 8,028,033,024: attention and MLP side by side behind one norm. */
static void cohere2_has_one_norm_for_a_parallel_block(void **state)
{
    const uint64_t h = 4096, f = 14336, kv = 8 * 128;

    (void)state;
    assert_int_equal(256000 * h + 32 * (2 * h * h + 2 * h * kv + 3 * h * f + h) + h, 8028033024);
    assert_int_equal(params("{\"model_type\": \"cohere2\", \"hidden_size\": 4096, "
        "\"intermediate_size\": 14336, \"num_attention_heads\": 32, \"num_key_value_heads\": 8, "
        "\"num_hidden_layers\": 32, \"vocab_size\": 256000}"), 8028033024);
}

/* Phi-2, published 2,779,683,840: biases everywhere, also on the head, a plain MLP, one norm. */
static void phi_has_biases_everywhere(void **state)
{
    const uint64_t h = 2560, f = 10240, V = 51200;

    (void)state;
    assert_int_equal(2 * V * h + V + 2 * h + 32 * (4 * (h * h + h) + 2 * h * f + f + h + 2 * h),
                     2779683840);
    assert_int_equal(params("{\"model_type\": \"phi\", \"hidden_size\": 2560, "
        "\"intermediate_size\": 10240, \"num_attention_heads\": 32, \"num_hidden_layers\": 32, "
        "\"vocab_size\": 51200}"), 2779683840);
}

/* GPT-2, 124,439,808 (karpathy/llm.c): 12h^2 + 13h a layer, learned positions, tied. */
static void gpt2_has_learned_positions_and_biases(void **state)
{
    const uint64_t h = 768;
    oom_model *m = built("{\"model_type\": \"gpt2\", \"n_embd\": 768, \"n_head\": 12, "
                         "\"n_layer\": 12, \"n_positions\": 1024, \"vocab_size\": 50257}");
    oom_param_counts c;

    (void)state;
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.loaded, 50257 * h + 1024 * h + 2 * h + 12 * (12 * h * h + 13 * h));
    assert_int_equal(c.loaded, 124439808);
    assert_shape(m, "blk.11.attn_qkv.weight", 3 * h, h);
    assert_shape(m, "position_embd.weight", 1024, h);
    assert_int_equal(m->shape.context, 1024);
    assert_true(m->shape.tied);
    oom_model_free(m);
}

/* BLOOM-560M, published 559,214,592; its first files say n_embd and num_attention_heads. */
static void bloom_reads_its_older_keys(void **state)
{
    const uint64_t h = 1024;

    (void)state;
    assert_int_equal(250880 * h + 4 * h + 24 * (12 * h * h + 13 * h), 559214592);
    assert_int_equal(params("{\"model_type\": \"bloom\", \"n_embd\": 1024, \"n_layer\": 24, "
        "\"num_attention_heads\": 16, \"vocab_size\": 250880}"), 559214592);
    assert_int_equal(params("{\"model_type\": \"bloom\", \"hidden_size\": 1024, "
        "\"num_hidden_layers\": 24, \"n_head\": 16, \"vocab_size\": 250880}"), 559214592);
}

/* Falcon 7B is tied in transformers: 6,921,720,704; the 40B has two norms side by side. */
static void falcon_has_one_key_head_or_a_few(void **state)
{
    const uint64_t h = 4544, d = 64;
    oom_model *m;

    (void)state;
    assert_int_equal(params("{\"model_type\": \"falcon\", \"hidden_size\": 4544, "
        "\"num_hidden_layers\": 32, \"num_attention_heads\": 71, \"vocab_size\": 65024}"),
        65024 * h + 2 * h + 32 * (h * (71 + 2) * d + h * h + 8 * h * h + 2 * h));
    m = built("{\"model_type\": \"RefinedWeb\", \"hidden_size\": 8192, \"n_layer\": 60, "
              "\"n_head\": 128, \"n_head_kv\": 8, \"new_decoder_architecture\": true, "
              "\"vocab_size\": 65024}");
    assert_shape(m, "blk.0.attn_qkv.weight", (128 + 2 * 8) * 64, 8192);
    assert_shape(m, "blk.0.attn_norm_2.weight", 8192, 0);
    assert_int_equal(m->shape.kv_heads, 8);
    assert_string_equal(m->attention, "gqa");
    oom_model_free(m);
}

/* OPT-350M, 331,196,416: embeddings of 512 projected in and out, no final norm. */
static void opt_projects_narrow_embeddings(void **state)
{
    const uint64_t h = 1024, w = 512;
    const char *json = "{\"model_type\": \"opt\", \"hidden_size\": 1024, \"ffn_dim\": 4096, "
        "\"num_attention_heads\": 16, \"num_hidden_layers\": 24, \"vocab_size\": 50272, "
        "\"max_position_embeddings\": 2048, \"word_embed_proj_dim\": 512, "
        "\"do_layer_norm_before\": false}";

    (void)state;
    assert_int_equal(params(json), 50272 * w + 2 * w * h + 2050 * h + 24 * (12 * h * h + 13 * h));
    assert_int_equal(params(json), 331196416);
}

/* Phi-3 keeps q, k and v in one matrix, and gate and up in another. */
static void fused_matrices_are_one_tensor(void **state)
{
    oom_model *m = built("{\"model_type\": \"phi3\", \"hidden_size\": 3072, "
        "\"intermediate_size\": 8192, \"num_attention_heads\": 24, \"num_key_value_heads\": 8, "
        "\"num_hidden_layers\": 2, \"vocab_size\": 200064}");

    (void)state;
    assert_shape(m, "blk.1.attn_qkv.weight", (24 + 8 + 8) * 128, 3072);
    assert_shape(m, "blk.1.ffn_up.weight", 2 * 8192, 3072);
    assert_null(tensor(m, "blk.1.attn_q.weight"));
    assert_null(tensor(m, "blk.1.ffn_gate.weight"));
    oom_model_free(m);
}

/* Mixtral 8x7B: 46.7 B published, 12.9 B used for a token: two experts of eight. */
static void mixtral_uses_two_experts_of_eight(void **state)
{
    const uint64_t h = 4096, f = 14336, kv = 8 * 128, V = 32000;
    const uint64_t rest = 2 * V * h + h + 32 * (2 * h * h + 2 * h * kv + 2 * h + 8 * h);
    oom_param_counts c = counted("{\"model_type\": \"mixtral\", \"hidden_size\": 4096, "
        "\"intermediate_size\": 14336, \"num_attention_heads\": 32, \"num_key_value_heads\": 8, "
        "\"num_hidden_layers\": 32, \"num_local_experts\": 8, \"num_experts_per_tok\": 2, "
        "\"vocab_size\": 32000}");

    (void)state;
    assert_int_equal(c.loaded, rest + 32 * 8 * 3 * h * f);
    assert_int_equal(c.loaded, 46702792704);
    assert_int_equal(c.active, rest + 32 * 2 * 3 * h * f);
}

/* gpt-oss-20b, 20,914,757,184: biases on attention, router and experts, a sink for each head. */
static void gpt_oss_has_biases_in_its_experts_and_sinks(void **state)
{
    const uint64_t h = 2880, f = 2880, E = 32, q = 64 * 64, kv = 8 * 64;
    const uint64_t attn = 2 * h * q + 2 * h * kv + (q + 2 * kv) + h + 64;
    const uint64_t experts = h * E + E + E * (2 * h * f + 2 * f + f * h + h);
    const char *json = "{\"model_type\": \"gpt_oss\", \"hidden_size\": 2880, "
        "\"intermediate_size\": 2880, \"num_attention_heads\": 64, \"num_hidden_layers\": 24, "
        "\"num_local_experts\": 32, \"num_experts_per_tok\": 4, \"vocab_size\": 201088, "
        "\"max_position_embeddings\": 131072, "
        "\"quantization_config\": {\"quant_method\": \"mxfp4\"}}";
    oom_model *m = built(json);

    (void)state;
    assert_int_equal(2 * 201088 * h + h + 24 * (attn + experts + 2 * h), 20914757184);
    assert_int_equal(params(json), 20914757184);
    assert_shape(m, "blk.0.ffn_gate_up_exps.weight", 32, 2 * 2880);
    assert_string_equal(m->stored_precision, "mxfp4");
    assert_string_equal(m->attention, "gqa+swa");
    assert_int_equal(m->shape.experts_used, 4);
    oom_model_free(m);
}

/* Qwen1.5-MoE-A2.7B, published 14,315,784,192: a shared expert of its own width, and its gate. */
static void qwen2_moe_has_a_shared_expert_with_a_gate(void **state)
{
    const uint64_t h = 2048, m = 1408, s = 5632;
    const uint64_t layer = 4 * h * h + 3 * h + 60 * 3 * h * m + 60 * h + 3 * h * s + h + 2 * h;
    const char *json = "{\"model_type\": \"qwen2_moe\", \"hidden_size\": 2048, "
        "\"intermediate_size\": 5632, \"moe_intermediate_size\": 1408, "
        "\"shared_expert_intermediate_size\": 5632, \"num_attention_heads\": 16, "
        "\"num_key_value_heads\": 16, \"num_hidden_layers\": 24, \"num_experts\": 60, "
        "\"num_experts_per_tok\": 4, \"vocab_size\": 151936}";

    (void)state;
    assert_int_equal(2 * 151936 * h + h + 24 * layer, 14315784192);
    assert_int_equal(params(json), 14315784192);
}

/* The first layers of DeepSeek's pattern are dense; listed ones of Qwen's are. */
static void some_layers_of_a_mixture_are_dense(void **state)
{
    oom_model *m = built("{\"model_type\": \"deepseek\", \"hidden_size\": 64, "
        "\"intermediate_size\": 256, \"moe_intermediate_size\": 32, \"num_attention_heads\": 4, "
        "\"num_hidden_layers\": 3, \"n_routed_experts\": 8, \"n_shared_experts\": 2, "
        "\"num_experts_per_tok\": 2, \"first_k_dense_replace\": 1, \"vocab_size\": 100}");

    (void)state;
    assert_shape(m, "blk.0.ffn_up.weight", 256, 64);
    assert_null(tensor(m, "blk.0.ffn_up_exps.weight"));
    assert_shape(m, "blk.1.ffn_up_exps.weight", 8, 32);
    assert_shape(m, "blk.1.ffn_up_shexp.weight", 2 * 32, 64);
    assert_int_equal(m->shape.shared_width, 64);
    oom_model_free(m);

    m = built("{\"model_type\": \"qwen3_moe\", \"hidden_size\": 64, \"intermediate_size\": 256, "
        "\"moe_intermediate_size\": 32, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
        "\"num_hidden_layers\": 4, \"num_experts\": 8, \"num_experts_per_tok\": 2, "
        "\"decoder_sparse_step\": 2, \"mlp_only_layers\": [3], \"vocab_size\": 100}");
    assert_non_null(tensor(m, "blk.0.ffn_up.weight"));          /* (0 + 1) % 2 */
    assert_non_null(tensor(m, "blk.1.ffn_up_exps.weight"));
    assert_non_null(tensor(m, "blk.3.ffn_up.weight"));          /* listed */
    oom_model_free(m);
}

/* MiMo-7B, published 7,833,409,536 with one MTP layer: a layer, 2h^2 and 3h. Not
 * loaded by ordinary inference, which keeps no cache for it. */
static void an_mtp_layer_is_counted_apart(void **state)
{
    const uint64_t h = 4096, f = 11008, q = 32 * 128, kv = 8 * 128;
    const uint64_t layer = 2 * h * q + 2 * h * kv + q + 2 * kv + 3 * h * f + 2 * h;
    const char *json = "{\"model_type\": \"mimo\", \"hidden_size\": 4096, "
        "\"intermediate_size\": 11008, \"num_attention_heads\": 32, \"num_key_value_heads\": 8, "
        "\"head_dim\": 128, \"num_hidden_layers\": 36, \"num_nextn_predict_layers\": 1, "
        "\"vocab_size\": 151680}";
    oom_param_counts c = counted(json);
    oom_model *m = built(json);

    (void)state;
    assert_int_equal(c.loaded, 2 * 151680 * h + h + 36 * layer);
    assert_int_equal(c.mtp, layer + 2 * h * h + 3 * h);
    assert_int_equal(c.loaded + c.mtp, 7833409536);
    assert_int_equal(m->n_caches, 36);
    oom_model_free(m);
}

/* A searched architecture: a layer may lack its attention or its MLP, and the norm with it; the
 * MLP is 2/3 x 1.1 x 1024 = 750.9, rounded up to 768; a matrix may stand in for attention. */
static void nemotron_nas_layers_are_as_their_blocks_say(void **state)
{
    const uint64_t h = 1024;
    oom_model *m = built("{\"model_type\": \"nemotron-nas\", \"hidden_size\": 1024, "
        "\"num_attention_heads\": 8, \"num_hidden_layers\": 3, \"vocab_size\": 100, "
        "\"num_key_value_heads\": null, \"intermediate_size\": null, \"block_configs\": ["
        "{\"attention\": {\"n_heads_in_group\": 4}, \"ffn\": {\"ffn_mult\": 1.1}}, "
        "{\"attention\": {\"no_op\": true}, \"ffn\": {\"no_op\": true}}, "
        "{\"attention\": {\"replace_with_linear\": true}, \"ffn\": {\"ffn_mult\": 3}}]}");
    oom_param_counts c;

    (void)state;
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.loaded, 2 * 100 * h + h
        + h + 2 * h * h + 2 * h * 2 * 128 + h + 3 * h * 768
        + 0
        + h + h * h + h + 3 * h * 2048);
    assert_int_equal(m->n_caches, 1);
    oom_model_free(m);
}

/* DeciLM-7B lists the key heads of each layer. */
static void key_heads_may_be_listed_by_layer(void **state)
{
    oom_model *m = built("{\"model_type\": \"deci\", \"hidden_size\": 64, "
        "\"intermediate_size\": 128, \"num_attention_heads\": 8, \"num_hidden_layers\": 3, "
        "\"num_key_value_heads_per_layer\": [4, 2, 1], \"vocab_size\": 100}");

    (void)state;
    assert_shape(m, "blk.0.attn_k.weight", 4 * 8, 64);
    assert_shape(m, "blk.2.attn_v.weight", 1 * 8, 64);
    assert_int_equal(m->caches[1].k_width, 2 * 8);
    oom_model_free(m);
}

/* BERT base, 109,482,240 as AutoModel.num_parameters() prints it; as a masked-language model,
 * 109,514,298: no pooler, but a head of h^2 + h, a norm, and a bias for each word. */
static void bert_has_a_pooler_or_a_mask_head(void **state)
{
    const uint64_t h = 768, f = 3072, V = 30522;
    const uint64_t stack = (V + 512 + 2) * h + 2 * h
                         + 12 * (4 * (h * h + h) + 2 * h * f + f + h + 4 * h);
    const char *keys = "\"model_type\": \"bert\", \"hidden_size\": 768, \"num_hidden_layers\": 12, "
        "\"num_attention_heads\": 12, \"intermediate_size\": 3072, \"vocab_size\": 30522";
    char json[512];

    (void)state;
    snprintf(json, sizeof json, "{%s, \"architectures\": [\"BertModel\"]}", keys);
    assert_int_equal(params(json), stack + h * h + h);
    assert_int_equal(params(json), 109482240);
    snprintf(json, sizeof json, "{%s, \"architectures\": [\"BertForMaskedLM\"]}", keys);
    assert_int_equal(params(json), stack + h * h + h + 2 * h + V);
    assert_int_equal(params(json), 109514298);
}

/* nomic-embed-text-v1.5, 136,731,648; all-mpnet-base-v2, 109,486,464 (safetensors totals). */
static void other_berts_differ_in_positions_and_mlp(void **state)
{
    const uint64_t h = 768, f = 3072;

    (void)state;
    assert_int_equal(30528 * h + 2 * h + 2 * h + 12 * (4 * h * h + 3 * h * f + 4 * h), 136731648);
    assert_int_equal(params("{\"model_type\": \"nomic_bert\", \"n_embd\": 768, \"n_layer\": 12, "
        "\"n_head\": 12, \"n_inner\": 3072, \"vocab_size\": 30528, \"type_vocab_size\": 2}"),
        136731648);
    assert_int_equal(params("{\"model_type\": \"mpnet\", \"hidden_size\": 768, "
        "\"num_hidden_layers\": 12, \"num_attention_heads\": 12, \"intermediate_size\": 3072, "
        "\"vocab_size\": 30527, \"max_position_embeddings\": 514}"), 109486464);
}

/* BitNet b1.58 2B4T: 2.4 B; a norm of h and one of f more in each layer, tied. */
static void bitnet_has_norms_inside_its_blocks(void **state)
{
    const uint64_t h = 2560, f = 6912, kv = 5 * 128;

    (void)state;
    assert_int_equal(params("{\"model_type\": \"bitnet\", \"hidden_size\": 2560, "
        "\"num_hidden_layers\": 30, \"num_attention_heads\": 20, \"num_key_value_heads\": 5, "
        "\"intermediate_size\": 6912, \"vocab_size\": 128256}"),
        128256 * h + h + 30 * (2 * h * h + 2 * h * kv + 3 * h * f + 2 * h + h + f));
}

/* T5-small, published 60,506,624. */
static void t5_has_two_stacks_and_two_tables_of_positions(void **state)
{
    const uint64_t h = 512, f = 2048, inner = 8 * 64;
    const char *json = "{\"model_type\": \"t5\", \"d_model\": 512, \"num_layers\": 6, "
        "\"num_heads\": 8, \"d_kv\": 64, \"d_ff\": 2048, \"vocab_size\": 32128}";
    oom_model *m = built(json);

    (void)state;
    assert_int_equal(params(json), 32128 * h + 6 * (4 * h * inner + 2 * h * f + 2 * h)
                     + 6 * (8 * h * inner + 2 * h * f + 3 * h) + 2 * 32 * 8 + 2 * h);
    assert_int_equal(params(json), 60506624);
    assert_shape(m, "enc.blk.0.attn_rel_b.weight", 32, 8);
    assert_null(tensor(m, "enc.blk.1.attn_rel_b.weight"));
    assert_shape(m, "dec.blk.5.cross_attn_k.weight", 512, 512);
    assert_true(m->shape.encoder_decoder);
    oom_model_free(m);
    assert_caches(json, "fxfxfxfxfxfx");
}

/* BART base, published 139,420,416. */
static void bart_has_biases_and_norms_everywhere(void **state)
{
    const uint64_t h = 768, f = 3072, attn = 4 * (h * h + h), norm = 2 * h;
    const uint64_t mlp = 2 * h * f + f + h;
    const char *json = "{\"model_type\": \"bart\", \"d_model\": 768, \"encoder_layers\": 6, "
        "\"decoder_layers\": 6, \"encoder_ffn_dim\": 3072, \"decoder_ffn_dim\": 3072, "
        "\"encoder_attention_heads\": 12, \"decoder_attention_heads\": 12, \"vocab_size\": 50265, "
        "\"max_position_embeddings\": 1024}";

    (void)state;
    assert_int_equal(params(json), 50265 * h + 2 * (1026 * h + norm)
                     + 6 * (attn + mlp + 2 * norm) + 6 * (2 * attn + mlp + 3 * norm));
    assert_int_equal(params(json), 139420416);
}

/* ---- published totals, from the preset's configuration ---- */

static const read_preset *preset(const read_preset *list, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].id, id) == 0)
            return &list[i];
    return NULL;
}

static void counts_equal_the_published_totals_to_the_last_parameter(void **state)
{
    folder files = { .text = NULL };
    read_source source = { folder_file, &files };
    read_catalogue *c = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    FILE *csv = fopen("tests/truth/params.csv", "r");
    const read_preset *list;
    size_t n = read_models(c, &list, NULL), rows = 0, wrong = 0;
    char line[512], id[128];
    unsigned long long published;

    (void)state;
    assert_non_null(csv);
    while (fgets(line, sizeof line, csv)) {
        const read_preset *p;
        oom_param_counts counts = { 0 };
        oom_error err = { 0 };
        oom_model *m;

        if (sscanf(line, "%127[^,],%llu", id, &published) != 2)
            continue;
        p = preset(list, n, id);
        assert_non_null(p);
        m = oom_model_new(&oom_libc_alloc, NULL);
        if (oom_family_build(m, oom_value_get(p->record, "config"), &err) == OOM_OK)
            assert_int_equal(oom_model_count(m, &counts, NULL), OOM_OK);
        /* a total of a file with MTP layers counts them */
        if (counts.loaded != published && counts.loaded + counts.mtp != published) {
            print_error("%s: published %llu, counted %llu + %llu MTP %s\n", id, published,
                        (unsigned long long)counts.loaded, (unsigned long long)counts.mtp, err.msg);
            wrong++;
        }
        rows++;
        oom_model_free(m);
    }
    fclose(csv);
    read_catalogue_free(c);
    free(files.text);
    assert_int_equal(wrong, 0);
    assert_in_range(rows, 120, 10000);
}

static void every_preset_builds(void **state)
{
    folder files = { .text = NULL };
    read_source source = { folder_file, &files };
    read_catalogue *c = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    const read_preset *list;
    size_t n = read_models(c, &list, NULL), wrong = 0;

    (void)state;
    assert_in_range(n, 300, 100000);
    for (size_t i = 0; i < n; i++) {
        oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
        oom_error err = { 0 };

        if (oom_family_build(m, oom_value_get(list[i].record, "config"), &err) != OOM_OK) {
            print_error("%s: %s\n", list[i].id, err.msg);
            wrong++;
        }
        oom_model_free(m);
    }
    read_catalogue_free(c);
    free(files.text);
    assert_int_equal(wrong, 0);
}

/* ---- caches ---- */

#define SMALL \
    "\"hidden_size\": 64, \"intermediate_size\": 128, \"num_attention_heads\": 4, " \
    "\"num_key_value_heads\": 2, \"head_dim\": 16, \"vocab_size\": 100, " \
    "\"num_hidden_layers\": 8, \"max_position_embeddings\": 4096"
#define EXPERTS "\"num_local_experts\": 4, \"num_experts_per_tok\": 2"

static void windows_follow_each_family_s_pattern(void **state)
{
    (void)state;
    assert_caches("{\"model_type\": \"llama\", " SMALL "}", "ffffffff");
    assert_caches("{\"model_type\": \"mistral\", \"sliding_window\": 512, " SMALL "}", "wwwwwwww");
    assert_caches("{\"model_type\": \"mistral\", \"sliding_window\": null, " SMALL "}", "ffffffff");
    assert_caches("{\"model_type\": \"gemma2\", \"sliding_window\": 512, " SMALL "}", "wfwfwfwf");
    assert_caches("{\"model_type\": \"gemma3_text\", \"sliding_window\": 512, " SMALL "}",
                  "wwwwwfww");
    assert_caches("{\"model_type\": \"gemma3_text\", \"sliding_window\": 512, "
                  "\"sliding_window_pattern\": 3, " SMALL "}", "wwfwwfww");
    assert_caches("{\"model_type\": \"cohere2\", \"sliding_window\": 512, " SMALL "}", "wwwfwwwf");
    assert_caches("{\"model_type\": \"olmo3\", \"sliding_window\": 512, " SMALL "}", "wwwfwwwf");
    assert_caches("{\"model_type\": \"exaone4\", \"sliding_window\": 512, "
                  "\"sliding_window_pattern\": \"LLLG\", " SMALL "}", "wwwfwwwf");
    assert_caches("{\"model_type\": \"gpt_oss\", " EXPERTS ", " SMALL "}", "wfwfwfwf");
    assert_caches("{\"model_type\": \"qwen2\", \"sliding_window\": 512, "
                  "\"max_window_layers\": 5, " SMALL "}", "ffffffff");
    assert_caches("{\"model_type\": \"qwen2\", \"use_sliding_window\": true, "
                  "\"sliding_window\": 512, \"max_window_layers\": 5, " SMALL "}", "fffffwww");
    assert_caches("{\"model_type\": \"gpt_neo\", \"hidden_size\": 64, \"num_heads\": 4, "
                  "\"num_layers\": 4, \"vocab_size\": 100, "
                  "\"attention_types\": [[[\"global\", \"local\"], 2]]}", "fwfw");
}

static void llama4_keeps_chunks_except_where_it_has_no_rope(void **state)
{
    (void)state;
    assert_caches("{\"model_type\": \"llama4_text\", \"attention_chunk_size\": 256, " EXPERTS ", "
                  "\"no_rope_layers\": [], " SMALL "}", "cccfcccf");
    assert_caches("{\"model_type\": \"llama4_text\", \"attention_chunk_size\": 256, " EXPERTS ", "
                  "\"no_rope_layers\": [1, 0, 1, 0, 1, 0, 1, 0], " SMALL "}", "cfcfcfcf");
}

static void layer_types_win_over_the_pattern(void **state)
{
    (void)state;
    assert_caches("{\"model_type\": \"gemma2\", \"sliding_window\": 512, \"layer_types\": ["
                  "\"full_attention\", \"full_attention\", \"full_attention\", \"full_attention\", "
                  "\"sliding_attention\", \"sliding_attention\", \"sliding_attention\", "
                  "\"sliding_attention\"], " SMALL "}", "ffffwwww");
}

/* phi-3.5-mini writes a window of 262144 beside a context of 131072. */
static void a_window_that_the_context_never_fills_is_none(void **state)
{
    (void)state;
    assert_caches("{\"model_type\": \"phi3\", \"sliding_window\": 8192, " SMALL "}", "ffffffff");
}

static void a_cache_has_the_widths_of_its_layer(void **state)
{
    oom_model *m = built("{\"model_type\": \"mistral\", \"sliding_window\": 512, " SMALL "}");

    (void)state;
    assert_int_equal(m->caches[7].layer, 7);
    assert_int_equal(m->caches[7].kv_heads, 2);
    assert_int_equal(m->caches[7].k_width, 32);
    assert_int_equal(m->caches[7].v_width, 32);
    assert_int_equal(m->caches[7].window, 512);
    oom_model_free(m);
}

static void an_encoder_keeps_no_cache(void **state)
{
    oom_model *m = built("{\"model_type\": \"bert\", " SMALL "}");

    (void)state;
    assert_int_equal(m->n_caches, 0);
    assert_true(m->shape.encoder_only);
    oom_model_free(m);
}

/* ---- what is said of the whole ---- */

static void assert_stored(const char *more, const char *expected)
{
    char json[1024];
    oom_model *m;

    snprintf(json, sizeof json, "{\"model_type\": \"llama\", %s, " SMALL "}", more);
    m = built(json);
    assert_string_equal(m->stored_precision ? m->stored_precision : "none", expected);
    oom_model_free(m);
}

static void the_stored_precision_has_the_name_people_give_it(void **state)
{
    (void)state;
    assert_stored("\"torch_dtype\": \"bfloat16\"", "bf16");
    assert_stored("\"dtype\": \"float32\"", "fp32");
    assert_stored("\"torch_dtype\": \"torch.float16\"", "fp16");
    assert_stored("\"use_cache\": true", "none");
    assert_stored("\"quantization_config\": {\"quant_method\": \"fp8\", "
                  "\"weight_block_size\": [128, 128]}", "fp8-block");
    assert_stored("\"quantization_config\": {\"quant_method\": \"fp8\", "
                  "\"weight_block_size\": null}", "fp8-tensor");
    assert_stored("\"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 4, "
                  "\"group_size\": 128}", "awq");
    assert_stored("\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4, "
                  "\"group_size\": 128}", "gptq-4bit-128g");
    assert_stored("\"quantization_config\": {\"quant_method\": \"auto-round\", \"bits\": 4, "
                  "\"group_size\": 128, \"packing_format\": \"auto_round:auto_gptq\"}",
                  "gptq-4bit-128g");
    assert_stored("\"torch_dtype\": \"bfloat16\", "
                  "\"quantization_config\": {\"quant_method\": \"aqlm\"}", "none");
    assert_stored("\"quantization_config\": {\"quant_method\": \"bitsandbytes\", "
                  "\"load_in_4bit\": true, \"bnb_4bit_use_double_quant\": true}", "nf4-dq");
    assert_stored("\"quantization\": {\"group_size\": 64, \"bits\": 4}", "mlx-4bit-64g");
    assert_stored("\"quantization_config\": {\"quant_method\": \"compressed-tensors\", "
                  "\"config_groups\": {\"group_0\": {\"weights\": {\"num_bits\": 8, "
                  "\"type\": \"float\", \"strategy\": \"channel\"}}}}", "fp8-channel");
}

static void the_shape_is_filled(void **state)
{
    oom_model *m = built("{\"model_type\": \"mixtral\", " EXPERTS ", " SMALL "}");

    (void)state;
    assert_int_equal(m->shape.n_layers, 8);
    assert_int_equal(m->shape.hidden_size, 64);
    assert_int_equal(m->shape.vocab_size, 100);
    assert_int_equal(m->shape.context, 4096);
    assert_int_equal(m->shape.heads, 4);
    assert_int_equal(m->shape.kv_heads, 2);
    assert_int_equal(m->shape.head_dim, 16);
    assert_int_equal(m->shape.experts, 4);
    assert_int_equal(m->shape.experts_used, 2);
    assert_int_equal(m->shape.expert_width, 128);
    assert_string_equal(m->ggml_arch, "llama");
    assert_string_equal(m->attention, "gqa");
    oom_model_free(m);
}

static void the_architecture_s_name_serves_where_model_type_is_missing(void **state)
{
    oom_model *m = built("{\"architectures\": [\"Qwen3ForCausalLM\"], " SMALL "}");

    (void)state;
    assert_string_equal(m->family, "qwen3");
    oom_model_free(m);
}

/* ---- known by its size alone ---- */

static void params_alone_are_weights_without_a_cache(void **state)
{
    oom_model *m = built("{\"params\": 7e9}");
    oom_param_counts c;

    (void)state;
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.loaded, 7000000000);
    assert_int_equal(m->n_caches, 0);
    assert_true(m->shape_unknown);
    oom_model_free(m);
}

static void params_with_a_shape_have_a_cache_of_full_width(void **state)
{
    oom_model *m = built("{\"params\": 7000000001, \"hidden_size\": 4096, "
                         "\"num_hidden_layers\": 32}");
    oom_param_counts c;

    (void)state;
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.loaded, 7000000001);
    assert_int_equal(oom_model_kv_bytes_per_token(m), 2 * 32 * 4096 * 2);
    assert_false(m->shape_unknown);
    assert_non_null(strstr(m->note, "multi-head attention assumed"));
    oom_model_free(m);
    m = built("{\"params\": 8e9, \"hidden_size\": 4096, \"num_hidden_layers\": 32, "
              "\"num_attention_heads\": 32, \"num_key_value_heads\": 8, \"vocab_size\": 128256}");
    assert_int_equal(oom_model_kv_bytes_per_token(m), 2 * 32 * 8 * 128 * 2);
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.loaded, 8000000000);
    assert_shape(m, "output.weight", 128256, 4096);
    assert_null(m->note);
    oom_model_free(m);
}

/* ---- refusals ---- */

static void an_unknown_type_is_refused_by_name_never_guessed(void **state)
{
    const char *msg = refused("{\"model_type\": \"lama\", " SMALL "}");

    (void)state;
    assert_non_null(strstr(msg, "\"lama\""));
    assert_non_null(strstr(msg, "nearest \"llama\""));
    assert_non_null(strstr(msg, "params"));
    assert_non_null(strstr(msg, "num_hidden_layers"));
    assert_refused("{" SMALL "}", "model_type");
    /* but with params it is a size and a cache */
    oom_model_free(built("{\"model_type\": \"lama\", \"params\": 1e6, " SMALL "}"));
}

static void a_wrong_value_is_named_with_what_was_expected(void **state)
{
    (void)state;
    assert_string_equal(refused("{\"model_type\": \"llama\", \"num_hidden_layers\": \"32\", "
        "\"hidden_size\": 64, \"num_attention_heads\": 4, \"vocab_size\": 100}"),
        "\"num_hidden_layers\" is \"32\" (string), expected a whole number from 1 to 10000");
    assert_refused("{\"model_type\": \"llama\"}", "\"hidden_size\" is missing");
    assert_refused("{\"model_type\": \"gpt2\", \"n_embd\": 0}", "\"n_embd\" is 0");
    assert_refused("{\"model_type\": \"gpt2\", \"n_embd\": -5}", "\"n_embd\" is -5");
    assert_refused("{\"model_type\": \"gpt2\", \"n_embd\": 7.5}", "\"n_embd\" is 7.5");
    assert_refused("{\"model_type\": \"gpt2\", \"n_embd\": [768]}", "\"n_embd\" is a list");
    assert_refused("{\"model_type\": \"llama\", \"tie_word_embeddings\": \"yes\", " SMALL "}",
                   "expected true or false");
    assert_refused("{\"model_type\": 7, " SMALL "}", "\"model_type\" is 7, expected a string");
    assert_refused("{\"params\": -1}", "params");
    assert_refused("{\"params\": \"7B\"}", "params");
    assert_refused("{\"params\": 7e9, \"hidden_size\": 4096}", "num_hidden_layers");
    assert_refused("{\"params\": 10, \"hidden_size\": 64, \"num_hidden_layers\": 2, "
                   "\"vocab_size\": 100}", "less than");
}

static void heads_that_do_not_divide_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 128, "
        "\"num_attention_heads\": 4, \"num_key_value_heads\": 3, \"num_hidden_layers\": 2, "
        "\"vocab_size\": 100}", "4 attention heads cannot share 3");
    assert_refused("{\"model_type\": \"llama\", \"hidden_size\": 65, \"intermediate_size\": 128, "
        "\"num_attention_heads\": 4, \"num_hidden_layers\": 2, \"vocab_size\": 100}",
        "not a multiple of 4 heads");
    assert_refused("{\"model_type\": \"mixtral\", \"num_local_experts\": 2, "
                   "\"num_experts_per_tok\": 3, " SMALL "}", "3 experts chosen out of 2");
}

static void a_list_of_the_wrong_length_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"model_type\": \"gemma2\", \"sliding_window\": 512, "
                   "\"layer_types\": [\"full_attention\"], " SMALL "}",
                   "\"layer_types\" has 1 entries, expected one for each of 8 layers");
    assert_refused("{\"model_type\": \"nemotron-nas\", \"block_configs\": [{}], " SMALL "}",
                   "one entry for each of 8 layers");
}

static void sizes_beyond_63_bits_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"model_type\": \"llama\", \"hidden_size\": 4294967295, "
        "\"intermediate_size\": 4294967295, \"num_attention_heads\": 1, \"num_hidden_layers\": 2, "
        "\"vocab_size\": 4294967295}", "2^63");
    assert_refused("{\"model_type\": \"llama\", \"hidden_size\": 2147483647, "
        "\"intermediate_size\": 2147483647, \"num_attention_heads\": 1, \"num_hidden_layers\": 2, "
        "\"vocab_size\": 2147483647}", "2^63");
    assert_refused("{\"model_type\": \"llama\", \"num_hidden_layers\": 4294967295, "
        "\"hidden_size\": 64, \"num_attention_heads\": 4, \"vocab_size\": 100}", "10000");
}

/* Class defaults stand in for missing sizes in a nested text_config, not at the top. */
static void a_size_that_is_missing_at_the_top_is_asked_for(void **state)
{
    (void)state;
    assert_refused("{\"model_type\": \"gemma3_text\", \"hidden_size\": 2560, "
                   "\"num_hidden_layers\": 34}", "\"num_attention_heads\" is missing");
}

/* ---- allocation failures ---- */

static oom_status build_and_free(const oom_alloc *a, void *ctx)
{
    oom_error err = { 0 };
    oom_model *m = NULL;
    oom_status status = build_with(a, ctx, &m, &err);

    oom_model_free(m);
    return status;
}

static void running_out_of_memory_anywhere_is_an_error_and_leaks_nothing(void **state)
{
    static const char *const configs[] = {
        "{\"model_type\": \"llama\", \"torch_dtype\": \"bfloat16\", " LLAMA_8B "}",
        "{\"model_type\": \"gpt_oss\", \"quantization_config\": {\"quant_method\": \"gptq\", "
            "\"bits\": 4, \"group_size\": 32}, " EXPERTS ", " SMALL "}",
        "{\"model_type\": \"t5\", \"d_model\": 512, \"num_layers\": 24, \"num_heads\": 8, "
            "\"d_kv\": 64, \"d_ff\": 2048, \"vocab_size\": 32128}",
        "{\"params\": 7e9, \"hidden_size\": 4096, \"num_hidden_layers\": 400}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++)
        assert_in_range(fail_each_allocation(build_and_free, (void *)(uintptr_t)configs[i]), 2,
                        1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llama_is_embeddings_attention_gated_mlp_and_two_norms),
        cmocka_unit_test(a_tied_head_is_counted_once),
        cmocka_unit_test(qwen2_has_biases_on_q_k_and_v),
        cmocka_unit_test(qwen3_has_norms_on_the_heads_of_q_and_k),
        cmocka_unit_test(gemma2_has_four_norms_and_a_tied_head),
        cmocka_unit_test(olmo_has_norms_without_weights),
        cmocka_unit_test(cohere2_has_one_norm_for_a_parallel_block),
        cmocka_unit_test(phi_has_biases_everywhere),
        cmocka_unit_test(gpt2_has_learned_positions_and_biases),
        cmocka_unit_test(bloom_reads_its_older_keys),
        cmocka_unit_test(falcon_has_one_key_head_or_a_few),
        cmocka_unit_test(opt_projects_narrow_embeddings),
        cmocka_unit_test(fused_matrices_are_one_tensor),
        cmocka_unit_test(mixtral_uses_two_experts_of_eight),
        cmocka_unit_test(gpt_oss_has_biases_in_its_experts_and_sinks),
        cmocka_unit_test(qwen2_moe_has_a_shared_expert_with_a_gate),
        cmocka_unit_test(some_layers_of_a_mixture_are_dense),
        cmocka_unit_test(an_mtp_layer_is_counted_apart),
        cmocka_unit_test(nemotron_nas_layers_are_as_their_blocks_say),
        cmocka_unit_test(key_heads_may_be_listed_by_layer),
        cmocka_unit_test(bert_has_a_pooler_or_a_mask_head),
        cmocka_unit_test(other_berts_differ_in_positions_and_mlp),
        cmocka_unit_test(bitnet_has_norms_inside_its_blocks),
        cmocka_unit_test(t5_has_two_stacks_and_two_tables_of_positions),
        cmocka_unit_test(bart_has_biases_and_norms_everywhere),
        cmocka_unit_test(counts_equal_the_published_totals_to_the_last_parameter),
        cmocka_unit_test(every_preset_builds),
        cmocka_unit_test(windows_follow_each_family_s_pattern),
        cmocka_unit_test(llama4_keeps_chunks_except_where_it_has_no_rope),
        cmocka_unit_test(layer_types_win_over_the_pattern),
        cmocka_unit_test(a_window_that_the_context_never_fills_is_none),
        cmocka_unit_test(a_cache_has_the_widths_of_its_layer),
        cmocka_unit_test(an_encoder_keeps_no_cache),
        cmocka_unit_test(the_stored_precision_has_the_name_people_give_it),
        cmocka_unit_test(the_shape_is_filled),
        cmocka_unit_test(the_architecture_s_name_serves_where_model_type_is_missing),
        cmocka_unit_test(params_alone_are_weights_without_a_cache),
        cmocka_unit_test(params_with_a_shape_have_a_cache_of_full_width),
        cmocka_unit_test(an_unknown_type_is_refused_by_name_never_guessed),
        cmocka_unit_test(a_wrong_value_is_named_with_what_was_expected),
        cmocka_unit_test(heads_that_do_not_divide_are_refused),
        cmocka_unit_test(a_list_of_the_wrong_length_is_refused),
        cmocka_unit_test(sizes_beyond_63_bits_are_refused),
        cmocka_unit_test(a_size_that_is_missing_at_the_top_is_asked_for),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
