/* Latent, recurrent, hybrid and seeing families: parameter counts against published totals,
 * caches against figures that papers and engines print. */
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

static folder files;
static read_catalogue *catalogue;

static int setup(void **state)
{
    read_source source = { folder_file, &files };

    (void)state;
    catalogue = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    return catalogue ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    read_catalogue_free(catalogue);
    free(files.text);
    files.text = NULL;
    return 0;
}

static oom_model *preset(const char *id)
{
    oom_error err = { 0 };
    oom_model *m = NULL;
    const read_preset *p = read_model_preset(catalogue, id, &err);

    if (!p || read_preset_model(p, &oom_libc_alloc, &m, &err) != OOM_OK)
        fail_msg("%s: %s", id, err.msg);
    return m;
}

static oom_param_counts counts(const char *id)
{
    oom_model *m = preset(id);
    oom_param_counts c;

    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    oom_model_free(m);
    return c;
}

/* A model from the text of a configuration; its error in `err`. */
static oom_model *built(const char *config, oom_error *err)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, err);

    assert_non_null(m);
    if (read_config(m, "config.json", config, strlen(config), err) == OOM_OK)
        return m;
    oom_model_free(m);
    return NULL;
}

static void refused(const char *config, const char *part_of_message)
{
    oom_error err = { 0 };
    oom_model *m = built(config, &err);

    assert_null(m);
    if (!strstr(err.msg, part_of_message))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, part_of_message);
}

/* The sum over one kind of cache of what one sequence keeps. */
static uint64_t state_bytes(const oom_model *m, uint64_t conv_bytes, uint64_t each)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->n_caches; i++) {
        const oom_cache *c = &m->caches[i];

        if (c->kind == OOM_CACHE_STATE)
            sum += (c->conv_kernel ? c->conv_kernel - 1 : 0) * c->conv_width * conv_bytes
                   + c->state_elements * (each ? each : c->state_bytes_each);
    }
    return sum;
}

static size_t caches(const oom_model *m, oom_cache_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_caches; i++)
        n += m->caches[i].kind == kind;
    return n;
}

/* ---- counts ---- */

/* What each published total counts: the loaded model, or its MTP layer too (the repositories of
 * Qwen3.5, GLM-4.7-Flash and GLM-5.3 hold it). Sources: the models' safetensors totals. */
static void published_totals_come_out_to_the_unit(void **state)
{
    static const struct { const char *id; uint64_t params; bool with_mtp; } rows[] = {
        { "deepseek-v2-lite", 15706484224u, false },    { "deepseek-v2", 235741434880u, false },
        { "deepseek-v3", 671026419200u, false },
        { "moonlight-16b-a3b", 15960110208u, false },
        { "glm-4.7-flash", 31221488576u, true },        { "glm-5.3", 753329940480u, true },
        { "kimi-linear-48b-a3b", 49122681728u, false }, { "qwen3.5-0.8b", 873438784u, true },
        { "qwen3.5-2b", 2274069824u, true },            { "qwen3.5-4b", 4659865088u, true },
        { "qwen3.5-9b", 9653104368u, true },            { "qwen3.5-27b", 27781427952u, true },
        { "qwen3.5-35b-a3b", 35951822704u, true },
        { "qwen3.5-122b-a10b", 125086497008u, true },
        { "qwen3.5-397b-a17b", 403397928944u, true },   { "mamba-130m", 129135360u, false },
        { "mamba-2.8b", 2768345600u, false },           { "falcon-mamba-7b", 7272665088u, false },
        { "jamba-1.5-mini", 51570323328u, false },
        { "granite-4.0-h-tiny", 6939037248u, false },
        { "nemotron-3-nano-30b-a3b", 31577937344u, false },
        { "nemotron-nano-9b-v2", 8888227328u, false },  { "falcon-h1-0.5b", 521411104u, false },
        { "lfm2-1.2b", 1170340608u, false },            { "lfm2-350m", 354483968u, false },
        { "rwkv-4-169m", 169342464u, false },           { "rwkv-4-3b", 2984627200u, false },
        { "gemma-4-31b", 31273088876u, false },         { "gemma-4-26b-a4b", 25805936206u, false },
        { "gemma-3-4b", 4300079472u, false },           { "gemma-3-27b", 27432406640u, false },
        { "llava-1.5-7b", 7063427072u, false },         { "llava-7b", 7063431168u, false },
        { "llava-1.5-13b", 13351494656u, false },       { "ministral-3-3b", 3849090048u, false },
        { "qwen2.5-vl-7b", 8292166656u, false },        { "qwen3-vl-2b", 2127532032u, false },
        { "qwen3-vl-8b", 8767123696u, false },          { "qwen3-vl-30b-a3b", 31070754032u, false },
        { "muse-glimmer-30b", 29776626688u, false },    { "glm-4.6", 356785898816u, true },
        { "gemma-4-12b", 11959730224u, false },         { "gemma-4-e2b", 5123178051u, false },
        { "gemma-4-e4b", 7996156490u, false },          { "gemma-3n-e2b", 5439438272u, false },
        { "gemma-3n-e4b", 7849978192u, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oom_param_counts c = counts(rows[i].id);
        uint64_t sum = c.loaded + (rows[i].with_mtp ? c.mtp : 0);

        if (sum != rows[i].params)
            fail_msg("%s: %llu parameters, published %llu", rows[i].id, (unsigned long long)sum,
                     (unsigned long long)rows[i].params);
    }
}

/* Models without a preset, by their configurations (tests/truth/params_configs.json). */
static void published_totals_come_out_of_configurations_alone(void **state)
{
    oom_error err = { 0 };
    read_bytes file;
    oom_arena *arena = oom_arena_new(&oom_libc_alloc, &err);
    const oom_value *list;

    (void)state;
    assert_int_equal(read_file("tests/truth/params_configs.json", &file, &err), OOM_OK);
    assert_int_equal(read_json(arena, "params_configs.json", (const char *)file.bytes, file.n,
                               &list, &err), OOM_OK);
    assert_true(list->u.list.n >= 41);
    for (size_t i = 0; i < list->u.list.n; i++) {
        const oom_value *row = &list->u.list.items[i];
        uint64_t params = (uint64_t)oom_value_get(row, "params")->u.i;
        oom_model *m = oom_model_new(&oom_libc_alloc, &err);
        oom_param_counts c;

        if (oom_family_build(m, oom_value_get(row, "config"), &err) != OOM_OK)
            fail_msg("%s: %s", oom_value_get(row, "id")->u.text, err.msg);
        assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
        if (c.loaded != params && c.loaded + c.mtp != params)
            fail_msg("%s: %llu parameters, published %llu", oom_value_get(row, "id")->u.text,
                     (unsigned long long)c.loaded, (unsigned long long)params);
        oom_model_free(m);
    }
    oom_arena_free(arena);
    read_release(&file);
}

/* One matrix by hand: h = 8, 2 heads, q_lora 6, kv_lora 4, nope 3, rope 2, value 3, f 5, V 10.
 *   q_a 6x8 + norm 6 + q_b (2 x 5)x6          48 + 6 + 60   = 114
 *   kv_a (4+2)x8 + norm 4 + kv_b 2x(3+3)x4    48 + 4 + 48   = 100
 *   o 8x(2x3)                                               =  48
 *   dense MLP 3 x 8 x 5 + norms 2 x 8         120 + 16      = 136
 *   embedding and head 2 x 80, final norm 8                 = 168 */
static void a_latent_layer_adds_up_by_hand(void **state)
{
    oom_error err = { 0 };
    oom_param_counts c;
    oom_model *m = built("{\"model_type\": \"deepseek_v3\", \"hidden_size\": 8, \"vocab_size\": 10,"
                         "\"num_hidden_layers\": 1, \"num_attention_heads\": 2, \"q_lora_rank\": 6,"
                         "\"kv_lora_rank\": 4, \"qk_nope_head_dim\": 3, \"qk_rope_head_dim\": 2,"
                         "\"v_head_dim\": 3, \"intermediate_size\": 5,"
                         "\"moe_intermediate_size\": 2,"
                         "\"n_routed_experts\": 4, \"num_experts_per_tok\": 2,"
                         "\"first_k_dense_replace\": 1}", &err);

    (void)state;
    assert_non_null(m);
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.loaded, 114 + 100 + 48 + 136 + 168);
    assert_int_equal(m->caches[0].k_width, 4 + 2);
    assert_int_equal(m->caches[0].v_width, 0);
    oom_model_free(m);
}

/* 671 B is what inference loads; the repository's 684.5 B hold one more layer of 11,610,068,224
 * with its own embedding and head, 2 x 129280 x 7168 (DeepSeek-V3's README: 14 B in all). */
static void deepseeks_mtp_layer_stands_apart(void **state)
{
    oom_param_counts c = counts("deepseek-v3");

    (void)state;
    assert_int_equal(c.mtp, 11610068224u + 2u * 129280u * 7168u);
}

/* Repositories with the MTP layer count 81,324,862,720 parameters; without 79,674,391,296. */
static void qwen3_next_has_an_mtp_layer_that_its_config_does_not_name(void **state)
{
    oom_param_counts c = counts("qwen3-next-80b-a3b");

    (void)state;
    assert_int_equal(c.loaded, 79674391296u);
    assert_int_equal(c.loaded + c.mtp, 81324862720u);
}

/* A third-party table lists Ultra with 560.5 B, which is the 549.3 B of the model and one layer of
 * attention and experts more. */
static void nemotrons_mtp_layer_is_attention_and_experts(void **state)
{
    oom_param_counts c = counts("nemotron-3-ultra-550b-a55b");

    (void)state;
    assert_int_equal((c.loaded + 50000000u) / 100000000u, 5493);
    assert_int_equal((c.loaded + c.mtp + 50000000u) / 100000000u, 5605);
}

/* Cards: DeepSeek-V3 37 B and Kimi-K2 32 B active, which leave the embedding out; Nemotron 3 Nano
 * 3.6 B with embeddings. */
static void active_parameters_are_the_cards_to_their_rounding(void **state)
{
    uint64_t v3 = counts("deepseek-v3").active - 129280u * 7168u;
    uint64_t k2 = counts("kimi-k2").active - 163840u * 7168u;

    (void)state;
    assert_int_equal((v3 + 500000000u) / 1000000000u, 37);
    assert_int_equal((k2 + 500000000u) / 1000000000u, 32);
    assert_int_equal((counts("nemotron-3-nano-30b-a3b").active + 50000000u) / 100000000u, 36);
}

/* Tower parameters, each by its shape: LLaVA's CLIP-L at 336 px is 303,507,456 (OpenAI's ViT-L
 * without the text half), the projector 1024 x 4096 + 4096^2 + 2 x 4096. */
static void a_tower_is_counted_and_shown_apart(void **state)
{
    oom_param_counts c = counts("llava-1.5-7b");

    (void)state;
    assert_int_equal(c.vision, 303507456u + 1024u * 4096u + 4096u * 4096u + 2u * 4096u);
    /* Llama 2 7B with 64 more words */
    assert_int_equal(c.loaded - c.vision, 6738415616u + 2u * 64u * 4096u);
}

/* ---- caches ---- */

/* DeepSeek-V3 and Kimi-K2: 61 x 576 x 2 = 70,272 B a token (DeepSeek's and vLLM's figure);
 * V2-Lite 27 x 576 x 2. */
static void a_latent_cache_costs_what_engines_print(void **state)
{
    static const struct { const char *id; uint64_t bytes; } rows[] = {
        { "deepseek-v3", 70272 }, { "kimi-k2", 70272 }, { "deepseek-v2-lite", 27 * 576 * 2 },
        { "qwen3-next-80b-a3b", 12 * 2 * 2 * 256 * 2 }, { "jamba-v0.1", 4 * 2 * 8 * 128 * 2 },
        { "mamba-2.8b", 0 }, { "rwkv-4-3b", 0 },
        { "gemma-4-31b", 10 * 2 * 4 * 512 * 2 },            /* beyond the windows */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oom_model *m = preset(rows[i].id);

        assert_int_equal(oom_model_kv_bytes_per_token(m), rows[i].bytes);
        oom_model_free(m);
    }
}

/* GLM-5.1 in vLLM: 78 x (1152 + 132) bytes with the index in fp8 and a scale; the row of the
 * index is 128 elements. GLM-5.2 holds an index in 21 of its 78 layers. */
static void an_index_is_kept_in_the_layers_that_have_one(void **state)
{
    oom_model *all = preset("glm-5.1"), *some = preset("glm-5.2");

    (void)state;
    assert_int_equal(caches(all, OOM_CACHE_MLA), 78);
    assert_int_equal(caches(all, OOM_CACHE_INDEXER), 78);
    assert_int_equal(caches(some, OOM_CACHE_INDEXER), 21);
    assert_string_equal(all->attention, "mla+dsa");
    oom_model_free(all);
    oom_model_free(some);
}

/* llama.cpp logs, F32 throughout: Qwen3.5-9B 100.50 MiB for two sequences, Qwen3.5-27B 149.62. */
static void recurrent_state_is_what_llama_cpp_logs(void **state)
{
    oom_model *small = preset("qwen3.5-9b"), *large = preset("qwen3.5-27b");

    (void)state;
    assert_int_equal(state_bytes(small, 4, 4), (uint64_t)(50.25 * 1048576));
    assert_int_equal(state_bytes(large, 4, 4), (uint64_t)(149.625 * 1048576));
    oom_model_free(small);
    oom_model_free(large);
}

/* vLLM's page of a recurrent layer, in the model's own types. Nemotron-3-Nano: 64 heads x 64 x 128
 * in fp32 and 3 x (4096 + 2 x 8 x 128) in bf16; Qwen3-Next: 32 x 128 x 128 and 3 x 8192 in bf16. */
static void recurrent_state_has_the_types_that_vllm_gives_it(void **state)
{
    oom_model *nemotron = preset("nemotron-3-nano-30b-a3b"), *next = preset("qwen3-next-80b-a3b");

    (void)state;
    assert_int_equal(caches(nemotron, OOM_CACHE_STATE), 23);
    assert_int_equal(state_bytes(nemotron, 2, 0), 23u * (2097152u + 36864u));
    assert_int_equal(state_bytes(next, 2, 0), 36u * (1048576u + 49152u));
    oom_model_free(nemotron);
    oom_model_free(next);
}

/* Gemma 4 E4B: 4 full and 20 sliding layers keep a cache, 18 of the 42 read another's (vLLM). */
static void layers_that_share_a_cache_keep_none(void **state)
{
    oom_model *m = preset("gemma-4-e4b"), *n = preset("gemma-3n-e4b");

    (void)state;
    assert_int_equal(caches(m, OOM_CACHE_FULL), 4);
    assert_int_equal(caches(m, OOM_CACHE_WINDOW), 20);
    assert_int_equal(n->n_caches, 20);                      /* llama.cpp: the first 20 layers */
    oom_model_free(m);
    oom_model_free(n);
}

/* Layers 2..42 of V4-Flash take turns at one row for 4 and for 128 tokens; each layer has its
 * window of 128 besides. */
static void deepseek_v4_keeps_windows_and_compressed_rows(void **state)
{
    oom_model *m = preset("deepseek-v4-flash");

    (void)state;
    assert_int_equal(caches(m, OOM_CACHE_WINDOW), 43);
    assert_int_equal(caches(m, OOM_CACHE_COMPRESSED), 41 + 21);     /* an index at every 4 */
    assert_string_equal(m->ggml_arch, "deepseek4");
    oom_model_free(m);
}

/* Four tiles of 40 x 40 patches and a class token each. */
static void an_image_layer_keeps_the_images_tokens(void **state)
{
    oom_model *m = preset("llama-3.2-11b-vision");

    (void)state;
    assert_int_equal(caches(m, OOM_CACHE_CROSS), 8);
    for (size_t i = 0; i < m->n_caches; i++)
        if (m->caches[i].kind == OOM_CACHE_CROSS)
            assert_int_equal(m->caches[i].window, 4 * (40 * 40 + 1));
    assert_int_equal(caches(m, OOM_CACHE_FULL), 32);
    oom_model_free(m);
}

static void mtp_layers_keep_no_cache(void **state)
{
    oom_model *m = preset("deepseek-v3");

    (void)state;
    assert_int_equal(m->n_caches, 61);
    assert_int_equal(m->shape.n_mtp_layers, 1);
    oom_model_free(m);
}

/* ---- what is refused ---- */

static void a_missing_size_is_named(void **state)
{
    (void)state;
    refused("{\"model_type\": \"deepseek_v3\", \"hidden_size\": 8}", "\"vocab_size\" is missing");
    refused("{\"model_type\": \"mamba\", \"vocab_size\": 10}", "\"hidden_size\" is missing");
    refused("{\"model_type\": \"kimi_linear\", \"hidden_size\": 8, \"vocab_size\": 10,"
            "\"num_hidden_layers\": 2, \"intermediate_size\": 4, \"num_attention_heads\": 2,"
            "\"kv_lora_rank\": 4, \"qk_nope_head_dim\": 2, \"qk_rope_head_dim\": 2,"
            "\"v_head_dim\": 2}", "\"linear_attn_config.num_heads\" is missing");
}

/* Which layers are of which kind is asked for, never guessed. */
static void a_missing_list_of_layers_is_named(void **state)
{
    (void)state;
    refused("{\"model_type\": \"minimax\", \"hidden_size\": 8, \"vocab_size\": 10,"
            "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"intermediate_size\": 4,"
            "\"num_local_experts\": 2}", "\"attn_type_list\" is missing");
    refused("{\"model_type\": \"zamba2\", \"hidden_size\": 8, \"vocab_size\": 10,"
            "\"num_hidden_layers\": 2, \"num_attention_heads\": 2}",
            "\"hybrid_layer_ids\" is missing");
}

/* LFM2's first releases list the attention layers by number, later ones by a word a layer. */
static void attention_layers_may_be_listed_by_number(void **state)
{
    oom_error err = { 0 };
    oom_model *m = built("{\"model_type\": \"lfm2\", \"hidden_size\": 8, \"vocab_size\": 10,"
                         "\"num_hidden_layers\": 3, \"num_attention_heads\": 2,"
                         "\"intermediate_size\": 4, \"full_attn_idxs\": [2]}", &err);

    (void)state;
    assert_non_null(m);
    assert_int_equal(caches(m, OOM_CACHE_FULL), 1);
    assert_int_equal(caches(m, OOM_CACHE_STATE), 2);
    assert_int_equal(m->caches[2].kind, OOM_CACHE_FULL);
    oom_model_free(m);
}

static void a_layer_of_unknown_kind_is_refused(void **state)
{
    (void)state;
    refused("{\"model_type\": \"nemotron_h\", \"hidden_size\": 8, \"vocab_size\": 10,"
            "\"num_attention_heads\": 2, \"mamba_num_heads\": 2, \"mamba_head_dim\": 4,"
            "\"ssm_state_size\": 4, \"hybrid_override_pattern\": \"MX\"}",
            "layer 1 is of no known kind");
}

static void a_wrapper_around_itself_ends(void **state)
{
    (void)state;
    refused("{\"model_type\": \"llava\", \"text_config\": {\"model_type\": \"qwen3_vl\","
            "\"text_config\": {\"model_type\": \"nonsense\"}}}", "\"nonsense\" is not known");
}

/* The text is itself of a type that wraps, without a text within: it is what that one wraps. */
static void a_text_that_wraps_nothing_is_a_text(void **state)
{
    oom_error err = { 0 };
    oom_model *m = built("{\"model_type\": \"llava\", \"text_config\": {\"model_type\": \"mistral3\","
                         "\"hidden_size\": 8, \"vocab_size\": 10, \"num_hidden_layers\": 3,"
                         "\"num_attention_heads\": 2, \"num_key_value_heads\": 1,"
                         "\"intermediate_size\": 4}}", &err);

    (void)state;
    assert_non_null(m);
    assert_int_equal(caches(m, OOM_CACHE_FULL), 3);
    oom_model_free(m);
}

static void absurd_sizes_are_too_large_not_wrapped(void **state)
{
    oom_error err = { 0 };

    (void)state;
    assert_null(built("{\"model_type\": \"mamba2\", \"hidden_size\": 4294967295,"
                      "\"expand\": 4294967295,"
                      "\"num_heads\": 4294967295, \"state_size\": 4294967295, \"vocab_size\": 10,"
                      "\"n_groups\": 4294967295, \"num_hidden_layers\": 1}", &err));
    assert_int_equal(err.status, OOM_TOOLARGE);
}

/* ---- running out of memory ---- */

static oom_status build_one(const oom_alloc *a, void *ctx)
{
    oom_model *m = oom_model_new(a, NULL);
    oom_status status = OOM_NOMEM;
    const char *config = ctx;

    if (m)
        status = read_config(m, "config.json", config, strlen(config), NULL);
    oom_model_free(m);
    return status;
}

static void a_failed_allocation_leaves_nothing_behind(void **state)
{
    char config[] = "{\"model_type\": \"nemotron_h\", \"hidden_size\": 8, \"vocab_size\": 10,"
                    "\"num_attention_heads\": 2, \"num_key_value_heads\": 2,"
                    "\"mamba_num_heads\": 2, \"mamba_head_dim\": 4, \"ssm_state_size\": 4,"
                    "\"intermediate_size\": 8,"
                    "\"hybrid_override_pattern\":"
                    "\"M-M-M-M-M-M-M-M-M-M*-M-M-M-M-M-M-M-M-M-M-M-M\"}";

    (void)state;
    assert_true(fail_each_allocation(build_one, config) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_totals_come_out_to_the_unit),
        cmocka_unit_test(published_totals_come_out_of_configurations_alone),
        cmocka_unit_test(a_latent_layer_adds_up_by_hand),
        cmocka_unit_test(deepseeks_mtp_layer_stands_apart),
        cmocka_unit_test(qwen3_next_has_an_mtp_layer_that_its_config_does_not_name),
        cmocka_unit_test(nemotrons_mtp_layer_is_attention_and_experts),
        cmocka_unit_test(active_parameters_are_the_cards_to_their_rounding),
        cmocka_unit_test(a_tower_is_counted_and_shown_apart),
        cmocka_unit_test(a_latent_cache_costs_what_engines_print),
        cmocka_unit_test(an_index_is_kept_in_the_layers_that_have_one),
        cmocka_unit_test(recurrent_state_is_what_llama_cpp_logs),
        cmocka_unit_test(recurrent_state_has_the_types_that_vllm_gives_it),
        cmocka_unit_test(layers_that_share_a_cache_keep_none),
        cmocka_unit_test(deepseek_v4_keeps_windows_and_compressed_rows),
        cmocka_unit_test(an_image_layer_keeps_the_images_tokens),
        cmocka_unit_test(mtp_layers_keep_no_cache),
        cmocka_unit_test(a_missing_size_is_named),
        cmocka_unit_test(a_missing_list_of_layers_is_named),
        cmocka_unit_test(attention_layers_may_be_listed_by_number),
        cmocka_unit_test(a_layer_of_unknown_kind_is_refused),
        cmocka_unit_test(a_wrapper_around_itself_ends),
        cmocka_unit_test(a_text_that_wraps_nothing_is_a_text),
        cmocka_unit_test(absurd_sizes_are_too_large_not_wrapped),
        cmocka_unit_test(a_failed_allocation_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
