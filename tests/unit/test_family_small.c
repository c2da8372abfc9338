/* Families on configurations small enough to add up by hand: every switch of one, what is kept by
 * which layer, and what is refused in which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "failing.h"
#include "read.h"

/* Two layers of 4 heads and 2 KV heads of 16. */
enum { H = 64, F = 128, V = 100, N = 2, Q = 64, KV = 32, D = 16, E = 4 };
enum { ATTN = 2 * H * Q + 2 * H * KV, GATED = 3 * H * F, PLAIN = 2 * H * F };
/* embedding, head, final norm; two norms a layer */
enum { ENDS = 2 * V * H + H, NORMS = 2 * H };

#define SMALL \
    "\"hidden_size\": 64, \"intermediate_size\": 128, \"num_attention_heads\": 4, " \
    "\"num_key_value_heads\": 2, \"vocab_size\": 100, \"num_hidden_layers\": 2"
#define EXPERTS "\"num_experts\": 4, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 128"
#define IS(type) "{\"model_type\": \"" type "\", " SMALL

static oom_model *try(const char *json, oom_error *err)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    const oom_value *config;

    if (read_json(m->arena, "config.json", json, strlen(json), &config, err) == OOM_OK
        && oom_family_build(m, config, err) == OOM_OK)
        return m;
    oom_model_free(m);
    return NULL;
}

static oom_model *built(const char *json)
{
    oom_error err = { OOM_OK, "" };
    oom_model *m = try(json, &err);

    if (!m)
        fail_msg("%s\n%s", err.msg, json);
    return m;
}

static oom_param_counts counted(const char *json)
{
    oom_model *m = built(json);
    oom_param_counts c;

    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    oom_model_free(m);
    return c;
}

typedef struct { const char *json; uint64_t params; } sum;

static void assert_sums(const sum *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t params = counted(rows[i].json).loaded;

        if (params != rows[i].params)
            fail_msg("%s: %llu by hand, %llu counted", rows[i].json,
                     (unsigned long long)rows[i].params, (unsigned long long)params);
    }
}

#define CHECK(rows) assert_sums(rows, sizeof rows / sizeof *rows)

/* One letter a cache, in order of the layers. */
static void assert_caches(const char *json, const char *expected)
{
    static const char letters[] = { 'f', 'w', 'c', 'm', 'i', 'z', 'x', 's' };
    oom_model *m = built(json);
    char kinds[64] = "";

    for (size_t i = 0; i < m->n_caches; i++)
        kinds[i] = letters[m->caches[i].kind];
    assert_string_equal(kinds, expected);
    oom_model_free(m);
}

static void assert_refused(const char *json, const char *says)
{
    oom_error err = { OOM_OK, "" };

    if (try(json, &err))
        fail_msg("accepted: %s", json);
    assert_string_equal(err.msg, says);
}

/* ---- dense ---------------------------------------------------------------------------------- */

static void dense_families_differ_where_they_say(void **state)
{
    static const sum rows[] = {
        { IS("llama") "}", ENDS + N * (ATTN + GATED + NORMS) },
        { IS("internlm") "}", ENDS + N * (ATTN + Q + 2 * KV + H + GATED + NORMS) },
        { IS("internlm3") ", \"qkv_bias\": true, \"bias\": false}",
          ENDS + N * (ATTN + Q + 2 * KV + GATED + NORMS) },
        /* LayerNorms with a bias */
        { IS("orion") "}", ENDS + H + N * (ATTN + GATED + 2 * NORMS) },
        /* one LayerNorm, biases everywhere, on the head too; q and k norms of a head each */
        { IS("phi") ", \"qk_layernorm\": true}",
          ENDS + H + V + N * (ATTN + Q + 2 * KV + H + 4 * D + PLAIN + F + H + 2 * H) },
        { "{\"model_type\": \"chatglm\", \"hidden_size\": 64, \"num_attention_heads\": 4, "
          "\"num_layers\": 2, \"padded_vocab_size\": 100, \"ffn_hidden_size\": 128, "
          "\"add_qkv_bias\": true}", ENDS + N * (4 * H * H + 3 * H + GATED + NORMS) },
        { "{\"model_type\": \"chatglm\", \"hidden_size\": 64, \"num_attention_heads\": 4, "
          "\"num_layers\": 2, \"padded_vocab_size\": 100, \"ffn_hidden_size\": 128, "
          "\"multi_query_attention\": true, \"multi_query_group_num\": 2, "
          "\"add_bias_linear\": true}",
          ENDS + N * (ATTN + Q + 2 * KV + H + GATED + 2 * F + H + NORMS) },
        { IS("arcee") "}", ENDS + N * (ATTN + PLAIN + NORMS) },
        /* two learned numbers of the activation; q and k norms unless they are left out */
        { IS("apertus") "}", ENDS + N * (ATTN + 2 * D + PLAIN + 2 + NORMS) },
        { IS("apertus") ", \"qk_norm\": false}", ENDS + N * (ATTN + PLAIN + 2 + NORMS) },
        { IS("hunyuan_v1_dense") "}", ENDS + N * (ATTN + 2 * D + GATED + NORMS) },
        { IS("hunyuan_v1_dense") ", \"use_qk_norm\": false}", ENDS + N * (ATTN + GATED + NORMS) },
    };

    (void)state;
    CHECK(rows);
}

/* GPT's kin: LayerNorms, plain MLPs of 4 h with a bias. 12 h^2 + 13 h is a whole layer. */
#define GPT(type) "{\"model_type\": \"" type "\", \"n_embd\": 64, \"n_head\": 4, \"n_layer\": 2, " \
    "\"vocab_size\": 100"
enum { MLP = 8 * H * H + 5 * H, LAYER = 12 * H * H + 13 * H };

static void classic_families_differ_where_they_say(void **state)
{
    static const sum rows[] = {
        { GPT("gpt2") "}", V * H + 1024 * H + 2 * H + N * LAYER },
        { GPT("gpt_bigcode") ", \"multi_query\": false}", V * H + 1024 * H + 2 * H + N * LAYER },
        { GPT("gpt_bigcode") "}",
          V * H + 1024 * H + 2 * H + N * ((H + 2 * D) * H + H + 2 * D + H * H + H + MLP + 4 * H) },
        /* one norm, no bias in the attention, one on the head */
        { GPT("codegen") "}", 2 * V * H + V + 2 * H + N * (4 * H * H + MLP + 2 * H) },
        /* Falcon-RW: as many key heads as heads, one block after the other */
        { GPT("falcon") ", \"multi_query\": false, \"parallel_attn\": false, \"bias\": true}",
          V * H + 2 * H + N * LAYER },
        { GPT("falcon") "}",                            /* one key head, one norm, no bias */
          V * H + 2 * H + N * ((H + 2 * D) * H + H * H + 8 * H * H + 2 * H) },
        { GPT("falcon") ", \"new_decoder_architecture\": true, \"num_kv_heads\": 2, "
          "\"num_ln_in_parallel_attn\": 1}",            /* Falcon 2 */
          V * H + 2 * H + N * ((H + 4 * D) * H + H * H + 8 * H * H + 2 * H) },
        { GPT("mpt") ", \"no_bias\": false, \"attn_config\": "
          "{\"attn_type\": \"multiquery_attention\", \"qk_ln\": true}}",
          V * H + 2 * H + N * ((H + 2 * D) * H + H + 2 * D + 2 * H + 2 * D + H * H + H + MLP
                               + 4 * H) },
        { GPT("mpt") ", \"expansion_ratio\": 2}",
          V * H + H + N * (4 * H * H + 4 * H * H + 2 * H) },
        /* Galactica has no biases, OPT-like models norms without weights */
        { "{\"model_type\": \"opt\", \"hidden_size\": 64, \"num_attention_heads\": 4, "
          "\"num_hidden_layers\": 2, \"vocab_size\": 100, \"ffn_dim\": 128, "
          "\"enable_bias\": false, \"layer_norm_elementwise_affine\": false}",
          V * H + 2050 * H + N * (4 * H * H + PLAIN) },
    };

    (void)state;
    CHECK(rows);
}

#define NEO(types) "{\"model_type\": \"gpt_neo\", \"hidden_size\": 64, \"num_heads\": 4, " \
    "\"num_layers\": 4, \"vocab_size\": 100" types "}"

static void gpt_neo_takes_turns_as_its_list_says(void **state)
{
    static const char *const bad[] = {
        NEO(", \"attention_types\": 3"), NEO(", \"attention_types\": [3]"),
        NEO(", \"attention_types\": [[[\"global\"]]]"),
        NEO(", \"attention_types\": [[[\"global\"], \"4\"]]"),
        NEO(", \"attention_types\": [[[\"global\"], -4]]"),
        NEO(", \"attention_types\": [[\"global\", 4]]"),
        NEO(", \"attention_types\": [[[7], 4]]"),
        NEO(", \"attention_types\": [[[\"global\"], 3]]"),
    };

    (void)state;
    assert_caches(NEO(""), "fwfw");
    assert_caches(NEO(", \"attention_types\": [[[\"local\"], 1], [[\"global\", \"local\"], 2]]"),
                  "wfwf");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_refused(bad[i], "\"attention_types\" must be a list like [[[\"global\", \"local\"], "
                               "12]] that covers every layer");
}

static void windows_stand_where_a_family_puts_them(void **state)
{
    (void)state;
    assert_caches("{\"model_type\": \"smollm3\", \"hidden_size\": 64, \"intermediate_size\": 128, "
                  "\"num_attention_heads\": 4, \"vocab_size\": 100, \"num_hidden_layers\": 4, "
                  "\"use_sliding_window\": true, \"sliding_window\": 512}", "fffw");
    assert_caches(IS("muse_glimmer_text") ", \"sliding_window\": 512, \"layer_types\": "
                  "[\"sliding_attention\", \"full_attention\"]}", "wf");
    assert_caches(IS("qwen3_moe") ", " EXPERTS ", \"use_sliding_window\": true, "
                  "\"sliding_window\": 512, \"max_window_layers\": 1}", "fw");
    assert_caches(IS("mistral") ", \"sliding_window\": 512, \"layer_types\": "
                  "[null, \"full_attention\"]}", "wf");
}

static void what_is_assumed_is_said(void **state)
{
    oom_model *m = built(IS("muse_glimmer_text") ", \"sliding_window\": 512}");

    (void)state;
    assert_string_equal(m->note, "which layers slide is not in the configuration: all counted as "
                                 "full");
    oom_model_free(m);
    m = built(IS("step3p5") ", \"moe_num_experts\": 4, \"moe_top_k\": 2, "
              "\"moe_intermediate_size\": 128}");
    assert_string_equal(m->note, "the head counts of the sliding layers are not in the "
                                 "configuration: taken as those of the full layers");
    oom_model_free(m);
}

/* ---- mixtures ------------------------------------------------------------------------------- */

enum { MIX = E * H + E * GATED };       /* a router, and experts as wide as the dense MLP */

static void mixtures_differ_where_they_say(void **state)
{
    static const sum rows[] = {
        { IS("flex_olmo") ", " EXPERTS "}", ENDS + N * (ATTN + Q + KV + MIX + NORMS) },
        { IS("granitemoe") ", " EXPERTS "}", ENDS + N * (ATTN + MIX + NORMS) },
        { IS("granitemoeshared") ", " EXPERTS ", \"shared_intermediate_size\": 32}",
          ENDS + N * (ATTN + MIX + 3 * H * 32 + NORMS) },
        { IS("minimax_m2") ", " EXPERTS ", \"head_dim\": 16}",
          ENDS + N * (ATTN + Q + KV + MIX + E + NORMS) },
        { IS("minimax_m2") ", " EXPERTS ", \"head_dim\": 16, \"qk_norm_type\": \"per_head\"}",
          ENDS + N * (ATTN + 2 * D + MIX + E + NORMS) },
        { IS("minimax_m2") ", " EXPERTS ", \"head_dim\": 16, \"use_qk_norm\": false, "
          "\"use_routing_bias\": false}", ENDS + N * (ATTN + MIX + NORMS) },
        { IS("minimax_m3") ", " EXPERTS ", \"n_shared_experts\": 2}",
          ENDS + N * (ATTN + 2 * D + MIX + E + 2 * GATED + NORMS) },
        { IS("minimax_m3") ", " EXPERTS ", \"qk_norm_type\": \"per_layer\", "
          "\"shared_intermediate_size\": 32}",
          ENDS + N * (ATTN + Q + KV + MIX + E + 3 * H * 32 + NORMS) },
        { IS("bailing_moe") ", " EXPERTS ", \"use_qk_norm\": true, \"first_k_dense_replace\": 1}",
          ENDS + N * (ATTN + 2 * D + NORMS) + GATED + MIX },
        { IS("glm4_moe") ", " EXPERTS ", \"use_qk_norm\": true}",
          ENDS + N * (ATTN + 2 * D + MIX + E + NORMS) },
        /* a mixture in the layers of a list */
        { IS("llama4_text") ", \"num_local_experts\": 4, \"num_experts_per_tok\": 1, "
          "\"head_dim\": 16, \"intermediate_size_mlp\": 32, \"moe_layers\": [1]}",
          ENDS + N * (ATTN + NORMS) + 3 * H * 32 + MIX + GATED },
        { IS("mimo_v2_flash") ", " EXPERTS ", \"moe_layer_freq\": [0, 1]}",
          ENDS + N * (ATTN + NORMS) + GATED + MIX + E },
        { IS("deepseek") "}", ENDS + N * (ATTN + GATED + NORMS) },      /* no experts at all */
        /* one shared expert beside the mixture, unless it is not mixed */
        { IS("hunyuan_v1_moe") ", \"num_experts\": 4, \"moe_topk\": [1, 2], "
          "\"moe_intermediate_size\": [128, 64]}",
          ENDS + N * (ATTN + 2 * D + E * H + GATED + NORMS) + E * GATED + E * GATED / 2 },
        { IS("hunyuan_v1_moe") ", \"num_experts\": 4, \"moe_topk\": 1, \"use_qk_norm\": false, "
          "\"use_mixed_mlp_moe\": false, \"moe_layer_num_skipped\": 1}",
          ENDS + N * (ATTN + NORMS) + GATED + MIX },
        /* a gate for each head; sliding layers with 2 heads and one key head */
        { IS("step3p5") ", \"moe_num_experts\": 4, \"moe_top_k\": 2, "
          "\"moe_intermediate_size\": 128, \"first_k_dense_replace\": 1, \"sliding_window\": 512, "
          "\"layer_types\": [\"full_attention\", \"sliding_attention\"], "
          "\"attention_other_setting\": {\"num_attention_heads\": 2, "
          "\"num_attention_groups\": 1}}",
          ENDS + ATTN + 2 * D + 4 * H + GATED + NORMS
               + ATTN / 2 + 2 * D + 2 * H + MIX + E + NORMS },
        { IS("step3p5") ", \"moe_num_experts\": 4, \"moe_top_k\": 2, "
          "\"moe_intermediate_size\": 128, \"first_k_dense_replace\": 2, "
          "\"use_head_wise_attn_gate\": false}",
          ENDS + N * (ATTN + 2 * D + GATED + NORMS) },
    };

    (void)state;
    CHECK(rows);
    assert_refused(IS("hunyuan_v1_moe") "}", "\"num_experts\" is missing");
    assert_refused("{\"model_type\": \"qwen2_moe\", \"hidden_size\": 64, \"vocab_size\": 100, "
                   "\"num_attention_heads\": 4, \"num_hidden_layers\": 2, " EXPERTS ", "
                   "\"mlp_only_layers\": [0]}",
                   "blk.0.ffn_gate.weight would be empty: a size it is made from is 0 or missing");
}

static void ling_of_the_second_generation_is_told_by_its_router(void **state)
{
    oom_model *first = built(IS("bailing_moe") ", " EXPERTS "}");
    oom_model *second = built(IS("bailing_moe") ", " EXPERTS
                              ", \"moe_router_enable_expert_bias\": true}");

    (void)state;
    assert_string_equal(first->ggml_arch, "bailingmoe");
    assert_string_equal(second->ggml_arch, "bailingmoe2");
    oom_model_free(first);
    oom_model_free(second);
}

/* Sparse layers of MiniMax-M3: a query for each of 4 index heads, one key, two norms. */
static void an_index_stands_in_the_sparse_layers(void **state)
{
    const char *json = IS("minimax_m3") ", " EXPERTS ", \"sparse_attention_config\": "
        "{\"use_sparse_attention\": true, \"sparse_attention_freq\": [0, 1], "
        "\"sparse_index_dim\": 8}}";

    (void)state;
    assert_int_equal(counted(json).loaded,
                     ENDS + N * (ATTN + 2 * D + MIX + E + NORMS) + 4 * 8 * H + 8 * H + 2 * 8);
    assert_caches(json, "fif");
}

/* ---- latent --------------------------------------------------------------------------------- */

#define LATENT "\"first_k_dense_replace\": 0, \"n_shared_experts\": 0, \"q_lora_rank\": 8, \"kv_lora_rank\": 16, \"qk_nope_head_dim\": 8, " \
    "\"qk_rope_head_dim\": 8, \"v_head_dim\": 8"

static void experts_of_a_latent_model_may_skip_layers(void **state)
{
    enum { LATENT_ATTN = 8 * H + 8 + 4 * 16 * 8 + 24 * H + 16 + 4 * 16 * 16 + H * 32 };
    static const sum rows[] = {
        { IS("deepseek_v3") ", " LATENT ", " EXPERTS "}", ENDS + N * (LATENT_ATTN + MIX + E + NORMS) },
        { IS("deepseek_v3") ", " LATENT ", " EXPERTS ", \"moe_layer_freq\": 2}",
          ENDS + N * (LATENT_ATTN + NORMS) + MIX + E + GATED },
        { IS("deepseek_v3") ", " LATENT ", " EXPERTS ", \"mlp_layer_types\": "
          "[\"dense\", \"sparse\"]}", ENDS + N * (LATENT_ATTN + NORMS) + MIX + E + GATED },
    };

    (void)state;
    CHECK(rows);
    assert_refused(IS("deepseek_v3") ", " LATENT ", " EXPERTS ", \"moe_layer_freq\": 0}",
                   "\"moe_layer_freq\" is 0, expected a whole number from 1 to 4294967295");
    assert_refused(IS("deepseek_v3") ", " LATENT ", " EXPERTS ", \"num_nextn_predict_layers\": 65}",
                   "\"num_nextn_predict_layers\" is 65, expected at most 64");
}

/* ---- recurrent ------------------------------------------------------------------------------ */

/* RWKV-6 of 64: one head; ranks of 32 for the five mixes and 64 for the decay; 7/2 x 64 = 224. */
static void an_rwkv_6_layer_adds_up_by_hand(void **state)
{
    enum { TIME = 6 * H + 5 * 32 * H + 5 * H * 32 + 2 * H + 2 * 64 * H + 5 * H * H + 2 * H,
           CHANNELS = 2 * H + 2 * 224 * H + H * H };
    const char *json = "{\"model_type\": \"rwkv6\", \"hidden_size\": 64, \"vocab_size\": 100, "
                       "\"num_hidden_layers\": 2}";
    oom_model *m = built(json);

    (void)state;
    assert_int_equal(counted(json).loaded, 2 * V * H + 4 * H + N * (4 * H + TIME + CHANNELS));
    assert_int_equal(m->n_caches, 2);
    assert_int_equal(m->caches[0].state_elements, 64 * 64);
    assert_int_equal(m->caches[0].state_heads, 1);
    assert_int_equal(m->caches[0].conv_width * (m->caches[0].conv_kernel - 1), 2 * 64);
    assert_int_equal(m->shape.context, 0);
    oom_model_free(m);
    assert_refused("{\"model_type\": \"rwkv6\", \"hidden_size\": 64, \"vocab_size\": 100, "
                   "\"num_hidden_layers\": 2, \"head_size\": 0}",
                   "\"head_size\" is 0, expected a whole number from 1 to 4294967295");
}

#define BAMBA \
    ", \"mamba_n_heads\": 8, \"mamba_d_state\": 16, \"attn_layer_indices\": [1]"

/* Inner 128, convolution over 128 + 2 x 16 with 4 taps, projection 128 + 160 + 8. */
static void hybrids_of_mamba_differ_where_they_say(void **state)
{
    enum { MIXER = 296 * H + 160 * 4 + 160 + 3 * 8 + 128 + H * 128,
           M1 = 256 * H + 128 * 4 + 128 + (4 + 32) * 128 + 4 + 32 + 128 * 4 + 128 + 128 * 16 + 128
                + H * 128 };
    static const sum rows[] = {
        { IS("bamba") BAMBA "}", ENDS + MIXER + ATTN + N * (GATED + NORMS) },
        /* Jamba with attention in the second layer and no experts, then with 4 in the second */
        { IS("jamba") ", \"attn_layer_period\": 2, \"attn_layer_offset\": 1, \"num_experts\": 1, "
          "\"num_experts_per_tok\": 1}", ENDS + M1 + ATTN + N * (GATED + NORMS) },
        { IS("jamba") ", \"attn_layer_period\": 2, \"attn_layer_offset\": 1, \"num_experts\": 4}",
          ENDS + M1 + ATTN + GATED + MIX + N * NORMS },
    };

    (void)state;
    CHECK(rows);
    assert_caches(rows[0].json, "sf");
    assert_refused(IS("jamba") ", \"attn_layer_period\": 0}",
                   "\"attn_layer_period\" is 0, expected a whole number from 1 to 4294967295");
    assert_refused(IS("bamba") ", \"attn_layer_indices\": 1}",
                   "\"attn_layer_indices\" is 1, expected a list");
    assert_refused(IS("bamba") ", \"attn_layer_indices\": [null]}",
                   "\"attn_layer_indices\" is null, expected a whole number from 0 to 4294967295");
}

/* A layer of Zamba 2 that uses a shared block: three adapters of q, one of the MLP, a matrix, and a
 * cache as wide as the block, which reads twice the width; the block itself once. */
static void a_shared_block_is_counted_once_and_its_adapters_each_time(void **state)
{
#define ZAMBA "{\"model_type\": \"zamba2\", \"hidden_size\": 64, \"intermediate_size\": 128, " \
        "\"num_attention_heads\": 4, \"vocab_size\": 100, \"num_hidden_layers\": 2, " \
        "\"adapter_rank\": 8, \"hybrid_layer_ids\": [0, 1], \"n_mamba_heads\": 2, \"mamba_d_state\": 16"
    enum { MIXER = 290 * H + 160 * 4 + 160 + 3 * 2 + 128 + H * 128,
           BLOCK = 128 + 3 * 128 * 128 + H * 128 + H + 2 * F * H + H * F,
           USE = 8 * H + 2 * F * 8 + H * H };
    static const sum rows[] = {
        { ZAMBA "}", V * H + H + N * (H + MIXER + USE) + BLOCK },
        { ZAMBA ", \"use_shared_attention_adapter\": true, \"use_shared_mlp_adapter\": false}",
          V * H + H + N * (H + MIXER + H * H + 3 * (8 * 128 + 128 * 8)) + BLOCK },
        { ZAMBA ", \"num_mem_blocks\": 2}", V * H + H + N * (H + MIXER + USE + BLOCK) },
    };

    (void)state;
    CHECK(rows);
    assert_caches(rows[0].json, "sfsf");
}

static void a_state_has_the_type_that_the_configuration_names(void **state)
{
    static const struct { const char *json; uint32_t bytes; } rows[] = {
        { IS("mamba") "}", 4 }, { IS("mamba") ", \"mamba_ssm_dtype\": \"float32\"}", 4 },
        { IS("mamba") ", \"mamba_ssm_dtype\": \"torch.float32\", \"time_step_rank\": \"auto\"}", 4 },
        { IS("mamba") ", \"mamba_ssm_cache_dtype\": \"bfloat16\", \"time_step_rank\": 4}", 2 },
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        oom_model *m = built(rows[i].json);

        assert_int_equal(m->caches[0].state_bytes_each, rows[i].bytes);
        oom_model_free(m);
    }
    assert_refused(IS("mamba") ", \"time_step_rank\": \"all\"}", "\"time_step_rank\" is \"all\" "
                   "(string), expected a whole number from 0 to 4294967295");
}

/* Layers that are no release's default: attention everywhere, a list that says nothing else. */
static void layers_are_of_the_kind_that_is_listed(void **state)
{
#define LFM2 "{\"model_type\": \"lfm2\", \"hidden_size\": 64, \"vocab_size\": 100, " \
        "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 128"
    (void)state;
    assert_caches(LFM2 "}", "ff");
    assert_caches(IS("recurrent_gemma") "}", "ss");
    assert_caches(IS("recurrent_gemma") ", \"block_types\": [\"attention\", \"recurrent\"]}", "ws");
    assert_caches(IS("recurrent_gemma") ", \"block_types\": []}", "ss");
    assert_caches(IS("recurrent_gemma") ", \"block_types\": [7]}", "ss");
    assert_caches(IS("minimax") ", \"num_local_experts\": 4, \"layer_types\": "
                  "[\"linear_attention\", \"full_attention\"]}", "sf");
    /* two thirds of 128 up to a multiple of 256, or as it stands */
    assert_int_equal(counted(LFM2 ", \"block_auto_adjust_ff_dim\": false}").loaded
                     - counted(LFM2 ", \"block_multiple_of\": 1, "
                               "\"block_ffn_dim_multiplier\": 1.5}").loaded,
                     N * 3 * H * (128 - 127));          /* 1.5 x 85 = 127.5 */
}

static void one_key_head_is_recurrent_gemma_s_default(void **state)
{
    oom_model *m = built("{\"model_type\": \"recurrent_gemma\", \"hidden_size\": 64, "
        "\"intermediate_size\": 128, \"num_attention_heads\": 4, \"vocab_size\": 100, "
        "\"num_hidden_layers\": 3}");

    (void)state;
    assert_int_equal(m->shape.kv_heads, 1);
    assert_int_equal(m->caches[2].k_width, 16);
    oom_model_free(m);
}

#define NEMOTRON "{\"model_type\": \"nemotron_h\", \"hidden_size\": 64, \"vocab_size\": 100, " \
    "\"num_attention_heads\": 4, \"mamba_num_heads\": 2, \"mamba_head_dim\": 4, " \
    "\"ssm_state_size\": 4, \"intermediate_size\": 8"

static void nemotron_h_takes_words_or_letters(void **state)
{
    (void)state;
    assert_caches(NEMOTRON ", \"layers_block_type\": [\"mamba\", \"mlp\", \"attention\"]}", "sf");
    assert_caches(NEMOTRON ", \"hybrid_override_pattern\": \"M-*\"}", "sf");
    assert_refused(NEMOTRON ", \"layers_block_type\": [\"mamba\", \"other\"]}",
                   "layer 1 is of no known kind, expected M, *, - or E (mamba, attention, mlp, "
                   "moe)");
    assert_refused(NEMOTRON ", \"layers_block_type\": [7]}",
                   "\"layers_block_type\" holds 7, expected a string");
    assert_refused(NEMOTRON "}", "\"hybrid_override_pattern\" or \"layers_block_type\" names 0 "
                   "layers, expected a letter or a word for each of 1 to 10000");
    assert_refused(NEMOTRON ", \"layers_block_type\": \"M\"}", "\"hybrid_override_pattern\" or "
                   "\"layers_block_type\" names 0 layers, expected a letter or a word for each of "
                   "1 to 10000");
}

static void a_pattern_of_more_layers_than_any_model_is_refused(void **state)
{
    char *json = malloc(11000);
    size_t n = (size_t)snprintf(json, 11000, "%s, \"hybrid_override_pattern\": \"", NEMOTRON);

    (void)state;
    memset(json + n, '-', 10001);
    strcpy(json + n + 10001, "\"}");
    assert_refused(json, "\"hybrid_override_pattern\" or \"layers_block_type\" names 10001 layers, "
                         "expected a letter or a word for each of 1 to 10000");
    free(json);
}

/* DeepSeek-V4 says the rows of a layer by number or by word. */
static void compressed_layers_are_listed_by_number_or_by_word(void **state)
{
#define V4 IS("deepseek_v4") ", " EXPERTS ", \"head_dim\": 16, \"q_lora_rank\": 8, " \
        "\"o_lora_rank\": 8, \"o_groups\": 2, \"sliding_window\": 128, \"index_n_heads\": 2, " \
        "\"index_head_dim\": 8, \"hc_mult\": 2, \"n_routed_experts\": 4"
    oom_model *words = built(V4 ", \"layer_types\": [\"compressed_sparse_attention\", "
                             "\"heavily_compressed_attention\"]}");
    oom_model *numbers = built(V4 ", \"compress_ratios\": [4, 128]}");

    (void)state;
    assert_int_equal(words->n_caches, numbers->n_caches);
    for (size_t i = 0; i < words->n_caches; i++)
        assert_int_equal(words->caches[i].ratio, numbers->caches[i].ratio);
    assert_int_equal(words->n_tensors, numbers->n_tensors);
    oom_model_free(words);
    oom_model_free(numbers);
    assert_caches(V4 ", \"layer_types\": [\"sliding_attention\", "
                  "\"heavily_compressed_attention\"]}", "wwzs");
}

static void a_cache_to_share_must_be_kept_by_a_layer(void **state)
{
    (void)state;
    assert_refused(IS("gemma3n_text") ", \"num_kv_shared_layers\": 2}",
                   "\"num_kv_shared_layers\" is 2, expected less than the 2 layers");
    assert_refused(IS("gemma4_text") ", \"num_kv_shared_layers\": 3}",
                   "\"num_kv_shared_layers\" is 3, expected less than the 2 layers");
}

/* ---- searched ------------------------------------------------------------------------------- */

#define NAS(block) "{\"model_type\": \"nemotron-nas\", \"hidden_size\": 64, \"vocab_size\": 100, " \
    "\"num_attention_heads\": 4, \"num_hidden_layers\": 1, \"block_configs\": " block "}"

static void a_block_that_cannot_be_is_refused(void **state)
{
    const char *list = "\"block_configs\" must be a list with one entry for each of 1 layers";

    (void)state;
    assert_refused(NAS("null"), list);
    assert_refused(NAS("7"), list);
    assert_refused(NAS("[{}, {}]"), list);
    assert_refused(NAS("[{\"attention\": {\"n_heads_in_group\": 5}}]"),
                   "\"n_heads_in_group\" is 5, more than the 4 attention heads");
    assert_refused(NAS("[{\"attention\": {\"no_op\": true}, \"ffn\": {\"ffn_mult\": 0}}]"),
                   "\"ffn_mult\" must be a number above 0");
    assert_refused(NAS("[{\"attention\": {\"no_op\": true}, \"ffn\": {\"ffn_mult\": \"1\"}}]"),
                   "\"ffn.ffn_mult\" is \"1\" (string), expected a number");
    assert_refused(NAS("[{\"attention\": {\"no_op\": true}, \"ffn\": {\"ffn_mult\": 1e300}}]"),
                   "tensor blk.0.ffn_gate.weight: more than 2^63 elements");
    assert_refused("{\"model_type\": \"deci\", " SMALL ", \"num_key_value_heads_per_layer\": "
                   "[2, 0]}", "\"num_key_value_heads_per_layer\" holds 0, expected at least 1");
    assert_int_equal(counted(NAS("[{\"attention\": {\"no_op\": true}, "
                                 "\"ffn\": {\"replace_with_linear\": true}}]")).loaded,
                     2 * V * H + H + H + H * H);
}

/* ---- encoders and two stacks ---------------------------------------------------------------- */

static void encoders_differ_where_they_say(void **state)
{
    static const sum rows[] = {
        /* ModernBERT: the first layer has no attention norm; norms without bias */
        { IS("modernbert") "}", V * H + 2 * H + N * (4 * H * H + GATED + NORMS) - H },
        { IS("modernbert") ", \"norm_bias\": true, \"architectures\": [\"ModernBertForMaskedLM\"], "
          "\"decoder_bias\": false}",
          V * H + 4 * H + N * (4 * H * H + GATED + 2 * NORMS) - 2 * H + H * H + 2 * H },
        { IS("modernbert") ", \"architectures\": [\"ModernBertForMaskedLM\"]}",
          V * H + 2 * H + N * (4 * H * H + GATED + NORMS) - H + H * H + H + V },
        { "{\"model_type\": \"nomic_bert\", \"n_embd\": 64, \"n_layer\": 2, \"n_head\": 4, "
          "\"n_inner\": 128, \"vocab_size\": 100, \"type_vocab_size\": 0}",
          V * H + 2 * H + N * (4 * H * H + GATED + 2 * NORMS) },
        { IS("bert") ", \"architectures\": []}",
          (V + 512 + 2) * H + 2 * H + N * (4 * H * H + 4 * H + PLAIN + F + H + 2 * NORMS)
              + H * H + H },
        { IS("bert") ", \"architectures\": [7]}",
          (V + 512 + 2) * H + 2 * H + N * (4 * H * H + 4 * H + PLAIN + F + H + 2 * NORMS)
              + H * H + H },
    };

    (void)state;
    CHECK(rows);
    assert_refused("{\"model_type\": \"bert\", \"hidden_size\": 65, \"intermediate_size\": 128, "
                   "\"num_attention_heads\": 4, \"vocab_size\": 100, \"num_hidden_layers\": 2}",
                   "hidden size 65 is not a multiple of 4 heads");
    assert_refused("{\"model_type\": \"modernbert\", \"hidden_size\": 66, \"intermediate_size\": "
                   "128, \"num_attention_heads\": 4, \"vocab_size\": 100, "
                   "\"num_hidden_layers\": 2}", "hidden size 66 is not a multiple of 4 heads");
}

#define T5(type) "{\"model_type\": \"" type "\", \"d_model\": 64, \"num_layers\": 2, " \
    "\"num_heads\": 4, \"d_kv\": 16, \"d_ff\": 128, \"vocab_size\": 100"
#define BART(type, heads) "{\"model_type\": \"" type "\", \"d_model\": 64, \"encoder_layers\": 2, " \
    "\"decoder_layers\": 2, \"encoder_ffn_dim\": 128, \"decoder_ffn_dim\": 128, " \
    "\"encoder_attention_heads\": " heads ", \"decoder_attention_heads\": " heads ", " \
    "\"vocab_size\": 100, \"max_position_embeddings\": 10}"

static void two_stacks_differ_where_they_say(void **state)
{
    enum { TABLE = 32 * 4, STACKS = N * (4 * H * H + GATED + 2 * H)
                                  + N * (8 * H * H + GATED + 3 * H) + 2 * H,
           BIASED = 4 * (H * H + H), BART_MLP = PLAIN + F + H };
    static const sum rows[] = {
        /* mT5: gated, its head apart, a table of places in each stack; UMT5: in each layer */
        { T5("mt5") "}", 2 * V * H + STACKS + 2 * TABLE },
        { T5("umt5") "}", 2 * V * H + STACKS + 4 * TABLE },
        { T5("t5") "}", V * H + STACKS + 2 * TABLE - 2 * N * H * F },   /* plain, tied */
        { BART("bart", "4"), V * H + 2 * (12 * H + 2 * H) + N * (BIASED + BART_MLP + 4 * H)
                             + N * (2 * BIASED + BART_MLP + 6 * H) },
        /* mBART ends each stack with a norm */
        { BART("mbart", "4"), V * H + 2 * (12 * H + 2 * H + 2 * H) + N * (BIASED + BART_MLP + 4 * H)
                              + N * (2 * BIASED + BART_MLP + 6 * H) },
    };

    (void)state;
    CHECK(rows);
    assert_caches(T5("umt5") "}", "fxfx");
    assert_refused(BART("bart", "3"), "d_model 64 is not a multiple of 3 heads");
    assert_refused("{\"model_type\": \"whisper\", \"d_model\": 2, \"vocab_size\": 100, "
                   "\"encoder_layers\": 1, \"decoder_layers\": 1, \"encoder_attention_heads\": 4, "
                   "\"encoder_ffn_dim\": 8, \"decoder_ffn_dim\": 8}",
                   "attention with 4 heads of 0 elements, expected at least one of each");
}

/* ---- towers --------------------------------------------------------------------------------- */

#define SIGLIP "\"vision_config\": {\"model_type\": \"siglip_vision_model\", \"hidden_size\": 32, " \
    "\"intermediate_size\": 64, \"num_hidden_layers\": 1, \"patch_size\": 16, \"image_size\": 32}"
#define TEXT(type) "\"text_config\": {\"model_type\": \"" type "\", " SMALL "}"

static void towers_differ_where_they_say(void **state)
{
    enum { PATCHES = 32 * 3 * 256, TOWER = 4 * 32 * 32 + 2 * 32 * 64,
           /* patches with a bias, 4 places, one layer with biases and two LayerNorms, one more */
           EYES = PATCHES + 32 + 4 * 32 + TOWER + 4 * 32 + 64 + 32 + 2 * 64 + 64,
           HEAD = 32 + 4 * (32 * 32 + 32) + 64 + 2 * 32 * 64 + 64 + 32 };
    static const struct { const char *json; uint64_t vision; } rows[] = {
        { "{\"model_type\": \"cohere2_vision\", " TEXT("cohere2") ", " SIGLIP ", "
          "\"alignment_intermediate_size\": 64}", EYES + 64 * 128 + 64 + 64 * 32 + 64 },
        { "{\"model_type\": \"aya_vision\", " TEXT("cohere2") ", " SIGLIP ", "
          "\"alignment_intermediate_size\": 64}", EYES + 2 * 128 + 64 * 128 + 64 + 64 * 32 + 64 },
        { "{\"model_type\": \"paligemma\", " TEXT("gemma") ", " SIGLIP "}", EYES + 64 * 32 + 64 },
        { "{\"model_type\": \"llava\", " TEXT("llama") ", " SIGLIP ", "
          "\"vision_feature_layer\": [-2, -1]}", EYES + HEAD + 64 * 64 + 64 + 64 * 64 + 64 },
        { "{\"model_type\": \"llava\", " TEXT("llama") "}", 0 },        /* no tower described */
        { "{\"model_type\": \"llava\", " TEXT("llama") ", \"vision_config\": {\"model_type\": "
          "\"pixtral\", \"hidden_size\": 32, \"intermediate_size\": 64, \"num_hidden_layers\": 1, "
          "\"patch_size\": 16}, \"multimodal_projector_bias\": false}",
          PATCHES + 32 + 4 * 32 * 32 + 3 * 32 * 64 + 2 * 32 + 64 * 32 + 64 * 64 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (counted(rows[i].json).vision != rows[i].vision)
            fail_msg("%s: %llu by hand, %llu counted", rows[i].json,
                     (unsigned long long)rows[i].vision,
                     (unsigned long long)counted(rows[i].json).vision);
    assert_refused("{\"model_type\": \"llava\", " TEXT("llama") ", \"vision_config\": "
                   "{\"model_type\": \"siglip_vision_model\", \"patch_size\": 64, "
                   "\"image_size\": 32}}", "\"image_size\" is smaller than \"patch_size\"");
}

/* InternViT writes its sizes as [height, width]: places of a class and 2 x 2 patches. */
static void a_size_may_be_a_pair(void **state)
{
#define INTERN(patch, image) "{\"model_type\": \"internvl\", " TEXT("qwen2") ", \"vision_config\": " \
        "{\"hidden_size\": 32, \"intermediate_size\": 64, \"num_hidden_layers\": 1, " \
        "\"patch_size\": " patch ", \"image_size\": " image "}}"
    (void)state;
    assert_int_equal(counted(INTERN("[16, 16]", "[32, 32]")).vision,
                     counted(INTERN("16", "32")).vision);
    assert_refused(INTERN("16", "[]"),
                   "\"image_size\" is a list, expected a whole number from 1 to 4294967295");
    assert_refused(INTERN("16", "[\"32\"]"),
                   "\"image_size\" is a list, expected a whole number from 1 to 4294967295");
    assert_refused(INTERN("16", "[0]"),
                   "\"image_size\" is a list, expected a whole number from 1 to 4294967295");
}

/* Voxtral: an encoder like Whisper's (k without a bias), four frames side by side, two matrices. */
static void an_encoder_of_sound_adds_up_by_hand(void **state)
{
    oom_param_counts c = counted("{\"model_type\": \"voxtral\", " TEXT("llama") ", "
        "\"audio_config\": {\"num_hidden_layers\": 1, \"hidden_size\": 32, "
        "\"intermediate_size\": 128, \"num_mel_bins\": 8, \"max_source_positions\": 10}}");

    (void)state;
    assert_int_equal(c.audio, 32 * 24 + 32 + 32 * 96 + 32 + 10 * 32
                     + 4 * 32 * 32 + 3 * 32 + 2 * 32 * 128 + 128 + 32 + 2 * 64 + 64
                     + 64 * 128 + 64 * 64);
    assert_int_equal(c.loaded - c.audio, ENDS + N * (ATTN + GATED + NORMS));
}

static void a_minicpm_v_is_one_of_its_versions(void **state)
{
    (void)state;
    assert_refused("{\"model_type\": \"minicpmv\", \"version\": 3, " SMALL "}",
                   "\"version\" is 3, expected a MiniCPM-V of 2, 2.5, 2.6, 4 or 4.5");
}

/* Without a list each fifth layer, from the fourth on, looks at the image. */
static void layers_look_at_the_image_by_rule_or_by_list(void **state)
{
#define MLLAMA(more) "{\"model_type\": \"mllama\", \"text_config\": {\"hidden_size\": 64, " \
        "\"intermediate_size\": 128, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, " \
        "\"vocab_size\": 100, \"num_hidden_layers\": 5" more "}}"
    (void)state;
    assert_caches(MLLAMA(""), "fffxf");
    assert_caches(MLLAMA(", \"cross_attention_layers\": [0]"), "xffff");
}

/* A wrapper may say it in place of its text_config. */
static void a_head_is_tied_where_the_wrapper_says_so(void **state)
{
#define WRAPPED(tied) "{\"model_type\": \"llava\", " TEXT("llama") ", \"tie_word_embeddings\": " \
        tied "}"
    (void)state;
    assert_int_equal(counted(WRAPPED("false")).loaded - counted(WRAPPED("true")).loaded, V * H);
    assert_refused(WRAPPED("\"yes\""),
                   "\"tie_word_embeddings\" is \"yes\" (string), expected true or false");
}

/* ---- values --------------------------------------------------------------------------------- */

static void a_value_of_the_wrong_kind_is_described(void **state)
{
#define LAYERS(x) "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 128, " \
        "\"num_attention_heads\": 4, \"vocab_size\": 100, \"num_hidden_layers\": " x "}"
    (void)state;
    assert_refused(LAYERS("true"),
                   "\"num_hidden_layers\" is true, expected a whole number from 1 to 10000");
    assert_refused(LAYERS("false"),
                   "\"num_hidden_layers\" is false, expected a whole number from 1 to 10000");
    assert_refused(LAYERS("{}"),
                   "\"num_hidden_layers\" is an object, expected a whole number from 1 to 10000");
    assert_refused(LAYERS("[2]"),
                   "\"num_hidden_layers\" is a list, expected a whole number from 1 to 10000");
    assert_refused(LAYERS("2.5"),
                   "\"num_hidden_layers\" is 2.5, expected a whole number from 1 to 10000");
    assert_refused(LAYERS("-2.0"),
                   "\"num_hidden_layers\" is -2, expected a whole number from 1 to 10000");
    assert_refused(LAYERS("1e30"),
                   "\"num_hidden_layers\" is 1e+30, expected a whole number from 1 to 10000");
    assert_int_equal(counted(LAYERS("2.0")).loaded, counted(LAYERS("2")).loaded);
    assert_refused(IS("llama") ", \"tie_word_embeddings\": 2}",
                   "\"tie_word_embeddings\" is 2, expected true or false");
    assert_int_equal(counted(IS("llama") ", \"tie_word_embeddings\": 1}").loaded,
                     counted(IS("llama") ", \"tie_word_embeddings\": true}").loaded);
    assert_refused(IS("mistral") ", \"sliding_window\": 512, \"layer_types\": [1, 2]}",
                   "\"layer_types\" holds 1, expected a string");
    assert_refused("{\"model_type\": \"llava\", \"text_config\": {\"model_type\": \"olmo\"}}",
                   "\"hidden_size\" is missing, expected a whole number from 1 to 4294967295");
}

/* What stands for each layer may be a number, true or null. */
static void an_entry_of_a_layer_may_be_a_truth(void **state)
{
#define LISTED(list) IS("mimo_v2_flash") ", " EXPERTS ", \"moe_layer_freq\": " list "}"
    (void)state;
    assert_int_equal(counted(LISTED("[false, true]")).loaded, counted(LISTED("[0, 1]")).loaded);
    assert_int_equal(counted(LISTED("[null, 0]")).loaded, counted(LISTED("[1, 0]")).loaded);
    assert_int_equal(counted(LISTED("1")).loaded, counted(LISTED("[1, 1]")).loaded);
    assert_refused(LISTED("[0, \"1\"]"), "\"moe_layer_freq\" is \"1\" (string), expected a whole "
                                         "number from 0 to 4294967295");
}

static void a_configuration_is_an_object(void **state)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    const oom_value list = { .kind = OOM_LIST }, empty = { .kind = OOM_MAP };
    oom_error err;

    (void)state;
    assert_int_equal(oom_family_build(m, NULL, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "a configuration must be an object of keys and values");
    assert_int_equal(oom_family_build(m, &list, NULL), OOM_BADVALUE);
    assert_int_equal(oom_family_build(m, &empty, NULL), OOM_BADVALUE);
    oom_model_free(m);
}

static void an_architecture_that_names_no_family_does_not_serve(void **state)
{
    const char *says = "no \"model_type\" in the configuration; give it, or params (and "
                       "hidden_size, num_hidden_layers for its cache)";

    (void)state;
    assert_refused("{" SMALL ", \"architectures\": [\"NobodyForCausalLM\"]}", says);
    assert_refused("{" SMALL ", \"architectures\": [\"LlamaModel\"]}", says);
    assert_refused("{" SMALL ", \"architectures\": []}", says);
    assert_refused("{" SMALL ", \"architectures\": [1]}", says);
    assert_refused("{" SMALL ", \"architectures\": \"LlamaForCausalLM\"}", says);
    assert_refused("{\"model_type\": \"xxxxxxxxxxxxxxxx\", " SMALL "}",
                   "model_type \"xxxxxxxxxxxxxxxx\" is not known; give params (and hidden_size, "
                   "num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim for its "
                   "cache)");
    /* a known family counts its own parameters */
    assert_int_equal(counted(IS("llama") ", \"params\": 7}").loaded,
                     ENDS + N * (ATTN + GATED + NORMS));
}

/* ---- known by size alone -------------------------------------------------------------------- */

static uint64_t row_of(const char *json)
{
    oom_model *m = built(json);
    uint64_t bytes = oom_model_kv_bytes_per_token(m);

    oom_model_free(m);
    return bytes;
}

#define SIZE(more) "{\"params\": 1e6, \"hidden_size\": 192, \"num_hidden_layers\": 2" more "}"

/* K and V of two layers in two bytes: 8 for each element of a row. */
static void a_cache_is_as_wide_as_its_heads(void **state)
{
    const char *uneven = "num_attention_heads 5, num_key_value_heads 5 and hidden_size 192 do not "
                         "divide evenly";

    (void)state;
    assert_int_equal(row_of(SIZE("")), 8 * 192);
    assert_int_equal(row_of(SIZE(", \"head_dim\": 64")), 8 * 192);
    assert_int_equal(row_of(SIZE(", \"num_attention_heads\": 6")), 8 * 192);
    assert_int_equal(row_of(SIZE(", \"num_attention_heads\": 6, \"num_key_value_heads\": 2")),
                     8 * 64);
    assert_int_equal(row_of(SIZE(", \"num_attention_heads\": 5, \"head_dim\": 10")), 8 * 50);
    assert_refused(SIZE(", \"num_attention_heads\": 5"), uneven);
    assert_refused(SIZE(", \"num_attention_heads\": 4, \"num_key_value_heads\": 3"),
                   "num_attention_heads 4, num_key_value_heads 3 and hidden_size 192 do not divide "
                   "evenly");
    assert_refused(SIZE(", \"head_dim\": 200"),
                   "num_attention_heads 0, num_key_value_heads 0 and hidden_size 192 do not divide "
                   "evenly");
    /* one head of the whole width where the usual size does not divide it, or a key head is told */
    assert_int_equal(row_of(SIZE(", \"num_key_value_heads\": 1")), 8 * 192);
    assert_int_equal(counted(SIZE(", \"vocab_size\": 100, \"tie_word_embeddings\": true")).loaded,
                     1000000);
    assert_refused("{\"params\": 7.5}",
                   "\"params\" must be a whole number of parameters above 0, such as 7e9");
    assert_refused("{\"params\": 1e300}",
                   "\"params\" must be a whole number of parameters above 0, such as 7e9");
    assert_refused("{\"params\": 0.5}",
                   "\"params\" must be a whole number of parameters above 0, such as 7e9");
    assert_refused("{\"params\": 7, \"num_hidden_layers\": 2}", "params with \"num_hidden_layers\" "
                   "but without \"hidden_size\": give both for the cache, or neither");
    assert_refused("{\"params\": 7, \"hidden_size\": 2}", "params with \"hidden_size\" but without "
                   "\"num_hidden_layers\": give both for the cache, or neither");
}

/* ---- as stored ------------------------------------------------------------------------------ */

static void assert_stored(const char *quantisation, const char *expected)
{
    char json[1024];
    oom_model *m;

    snprintf(json, sizeof json, IS("llama") ", \"quantization_config\": {%s}}", quantisation);
    m = built(json);
    assert_string_equal(m->stored_precision ? m->stored_precision : "none", expected);
    oom_model_free(m);
}

#define COMPRESSED(weights) "\"quant_method\": \"compressed-tensors\", " \
    "\"config_groups\": {\"group_0\": {\"weights\": {" weights "}}}"

static void quantised_releases_have_the_names_people_give_them(void **state)
{
    (void)state;
    assert_stored("\"quant_method\": \"fbgemm_fp8\"", "fp8-channel");
    assert_stored("\"quant_method\": \"mxfp4\"", "mxfp4");
    assert_stored("\"quant_method\": \"hqq\"", "hqq");
    assert_stored("\"quant_method\": \"gptq\"", "gptq-4bit");
    assert_stored("\"quant_method\": \"gptq\", \"bits\": 3, \"group_size\": -1", "gptq-3bit");
    assert_stored("\"quant_method\": \"gptq\", \"bits\": \"x\", \"group_size\": \"y\"", "gptq-4bit");
    assert_stored("\"quant_method\": \"bitsandbytes\", \"load_in_8bit\": true", "bnb-int8");
    assert_stored("\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true", "nf4");
    assert_stored("\"quant_method\": \"modelopt\"", "fp8-tensor");
    assert_stored("\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\"", "nvfp4");
    assert_stored("\"quantization\": {\"quant_algo\": \"FP8\"}", "fp8-tensor");
    assert_stored("\"quant_algo\": \"NVFP4\"", "nvfp4");
    assert_stored("\"quant_algo\": \"NVFP4\", \"ignore\": [\"lm_head\", \"model.*.self_attn*\"]",
                  "nvfp4-mlp");
    assert_stored("\"quant_algo\": \"NVFP4\", \"exclude_modules\": [\"layers.0.self_attn*\"]",
                  "nvfp4");
    assert_stored("\"quant_method\": \"fbgemm_fp8\", \"modules_to_not_convert\": "
                  "[\"layers.0.self_attn.q_proj\", \"layers.1.self_attn.q_proj\"]", "fp8-mlp");
    assert_stored("\"quant_method\": \"auto-round\", \"packing_format\": \"auto_round:auto_awq\"",
                  "awq");
    assert_stored("\"quant_method\": \"unheard-of\"", "none");
    assert_stored("\"zero_point\": true", "none");
    assert_stored("\"bits\": 8", "mlx-8bit");
    assert_stored(COMPRESSED("\"type\": \"float\", \"num_bits\": 4, \"group_size\": 16"), "nvfp4");
    assert_stored(COMPRESSED("\"type\": \"float\", \"num_bits\": 4, \"group_size\": 32"), "mxfp4");
    assert_stored(COMPRESSED("\"type\": \"float\", \"strategy\": \"tensor\""), "fp8-tensor");
    assert_stored(COMPRESSED("\"type\": \"float\", \"strategy\": \"block\""), "fp8-block");
    assert_stored(COMPRESSED("\"num_bits\": 8"), "w8a8");
    assert_stored(COMPRESSED("\"num_bits\": 8, \"group_size\": 128"), "gptq-8bit-128g");
    assert_stored(COMPRESSED("\"num_bits\": 4, \"group_size\": 32"), "gptq-4bit-32g");
    assert_stored(COMPRESSED("\"num_bits\": 4, \"group_size\": 32") ", \"ignore\": 7",
                  "gptq-4bit-32g");
    assert_stored(COMPRESSED("\"num_bits\": 4, \"group_size\": 32") ", \"ignore\": [7, \"lm_head\"]",
                  "gptq-4bit-32g");
    assert_stored(COMPRESSED("\"num_bits\": 4, \"group_size\": 32") ", \"ignore\": "
                  "[\"re:.*self_attn.*\"]", "int4-experts-32g");
}

/* ---- running out of memory ------------------------------------------------------------------ */

static oom_status build_and_free(const oom_alloc *a, void *ctx)
{
    oom_model *m = oom_model_new(a, NULL);
    const oom_value *config;
    oom_error err = { OOM_OK, "" };
    oom_status st = OOM_NOMEM;

    if (m)
        st = read_json(m->arena, "config.json", ctx, strlen(ctx), &config, &err);
    if (st == OOM_OK)
        st = oom_family_build(m, config, &err);
    oom_model_free(m);
    return st;
}

/* Every tensor of a long model with names of its own and the name of its precision, which end up in
 * every place of a piece of memory. */
static void running_out_of_memory_anywhere_is_an_error_and_leaks_nothing(void **state)
{
    (void)state;
    for (int layers = 20; layers < 30; layers++) {
        char json[1024];

        snprintf(json, sizeof json, "{\"model_type\": \"t5\", \"d_model\": 64, \"num_layers\": %d, "
                 "\"num_heads\": 4, \"d_ff\": 128, \"vocab_size\": 100, \"quantization_config\": "
                 "{\"quant_method\": \"gptq\"}}", layers);
        assert_true(fail_each_allocation(build_and_free, json) > 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dense_families_differ_where_they_say),
        cmocka_unit_test(classic_families_differ_where_they_say),
        cmocka_unit_test(gpt_neo_takes_turns_as_its_list_says),
        cmocka_unit_test(windows_stand_where_a_family_puts_them),
        cmocka_unit_test(what_is_assumed_is_said),
        cmocka_unit_test(mixtures_differ_where_they_say),
        cmocka_unit_test(ling_of_the_second_generation_is_told_by_its_router),
        cmocka_unit_test(an_index_stands_in_the_sparse_layers),
        cmocka_unit_test(experts_of_a_latent_model_may_skip_layers),
        cmocka_unit_test(an_rwkv_6_layer_adds_up_by_hand),
        cmocka_unit_test(hybrids_of_mamba_differ_where_they_say),
        cmocka_unit_test(a_shared_block_is_counted_once_and_its_adapters_each_time),
        cmocka_unit_test(a_state_has_the_type_that_the_configuration_names),
        cmocka_unit_test(layers_are_of_the_kind_that_is_listed),
        cmocka_unit_test(one_key_head_is_recurrent_gemma_s_default),
        cmocka_unit_test(nemotron_h_takes_words_or_letters),
        cmocka_unit_test(a_pattern_of_more_layers_than_any_model_is_refused),
        cmocka_unit_test(compressed_layers_are_listed_by_number_or_by_word),
        cmocka_unit_test(a_cache_to_share_must_be_kept_by_a_layer),
        cmocka_unit_test(a_block_that_cannot_be_is_refused),
        cmocka_unit_test(encoders_differ_where_they_say),
        cmocka_unit_test(two_stacks_differ_where_they_say),
        cmocka_unit_test(towers_differ_where_they_say),
        cmocka_unit_test(a_size_may_be_a_pair),
        cmocka_unit_test(an_encoder_of_sound_adds_up_by_hand),
        cmocka_unit_test(a_minicpm_v_is_one_of_its_versions),
        cmocka_unit_test(layers_look_at_the_image_by_rule_or_by_list),
        cmocka_unit_test(a_head_is_tied_where_the_wrapper_says_so),
        cmocka_unit_test(a_value_of_the_wrong_kind_is_described),
        cmocka_unit_test(an_entry_of_a_layer_may_be_a_truth),
        cmocka_unit_test(a_configuration_is_an_object),
        cmocka_unit_test(an_architecture_that_names_no_family_does_not_serve),
        cmocka_unit_test(a_cache_is_as_wide_as_its_heads),
        cmocka_unit_test(quantised_releases_have_the_names_people_give_them),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
