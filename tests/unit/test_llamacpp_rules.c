/* Single rules of the llama.cpp engine, by hand: what lies where, what is refused, layers that are
 * not like others, files that lack a tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan.h"
#include "scene.h"

#define CARD ((uint64_t)1 << 42)        /* larger than anything asked of it */

static scene *stage;

static int setup(void **state)
{
    (void)state;
    stage = scene_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scene_free(stage);
    return 0;
}

static oom_memory ask(const char *model, const char *precision, const char *device, oom_options o,
                      oom_load load)
{
    oom_model *m = scene_model(stage, model);
    oom_plan *p = scene_plan(stage, m, precision, device, "llama.cpp", &o);
    oom_memory out;
    oom_error err = { OOM_OK, "" };

    if (oom_plan_memory(p, &load, &out, NULL, &err) != OOM_OK)
        fail_msg("%s: %s", model, err.msg);
    free(p);
    oom_model_free(m);
    return out;
}

#define ALL_LAYERS { .gpu_layers = -1 }
#define LOAD(b, s) ((oom_load){ .batch = (b), .seq = (s) })

static void a_sequence_gets_whole_groups_of_256_cells(void **state)
{
    oom_memory m = ask("llama-3.1-8b", "q4_k_m", "h100-sxm", (oom_options)ALL_LAYERS, LOAD(3, 1706));

    (void)state;
    /* 3 x 1706 = 5118, rounded to 5120; a third is 1706, rounded to 1792; 32 layers, K and V of
     * 8 heads x 128 in two bytes */
    assert_int_equal(m.device.kv, 3ull * 1792 * 32 * 2 * 8 * 128 * 2);
}

static void a_window_keeps_itself_and_a_micro_batch(void **state)
{
    oom_memory m = ask("gpt-oss-20b", "mxfp4_moe", "h100-sxm", (oom_options)ALL_LAYERS, LOAD(1, 8192));

    (void)state;
    /* window 128 + 512, rounded up to 768 cells: 18.00 MiB in a server's log; the other 12 layers
     * keep 8192 */
    assert_int_equal(m.device.kv, (18ull << 20) + 12ull * 8192 * 2 * 8 * 64 * 2);
}

static void one_pool_for_all_sequences_is_rounded_once(void **state)
{
    oom_options o = ALL_LAYERS;

    (void)state;
    o.unified = OOM_YES;
    assert_int_equal(ask("llama-3.1-8b", "q4_k_m", "h100-sxm", o, LOAD(3, 1706)).device.kv,
                     5120ull * 32 * 2 * 8 * 128 * 2);
}

static void ngl_counts_the_output_as_a_layer(void **state)
{
    oom_options o = { .gpu_layers = 1 };
    oom_memory m = ask("llama-3.1-8b", "gguf:f16", "h100-sxm", o, LOAD(1, 4096));

    (void)state;
    /* output matrix in two bytes and its norm in four */
    assert_int_equal(m.device.weights, 128256ull * 4096 * 2 + 4096 * 4);
    assert_int_equal(m.device.kv, 0);
    assert_int_equal(m.host.kv, 4096ull * 32 * 2 * 8 * 128 * 2);
}

static void experts_can_stay_in_main_memory(void **state)
{
    oom_options all = ALL_LAYERS, half = ALL_LAYERS, none = ALL_LAYERS;
    uint64_t on_device, with_half, without;
    /* 32 layers x 8 experts x three matrices of 4096 x 14336, two bytes each */
    uint64_t experts = 32ull * 8 * 3 * 4096 * 14336 * 2;

    (void)state;
    half.cpu_moe = 16;
    none.cpu_moe_all = true;
    on_device = ask("mixtral-8x7b", "gguf:f16", "h100-sxm", all, LOAD(1, 4096)).device.weights;
    with_half = ask("mixtral-8x7b", "gguf:f16", "h100-sxm", half, LOAD(1, 4096)).device.weights;
    without = ask("mixtral-8x7b", "gguf:f16", "h100-sxm", none, LOAD(1, 4096)).device.weights;
    assert_int_equal(on_device - with_half, experts / 2);
    assert_int_equal(on_device - without, experts);
}

static void a_recurrent_state_is_fp32_and_does_not_grow(void **state)
{
    oom_memory m = ask("qwen3.5-9b", "q4_k_m", "h100-sxm", (oom_options)ALL_LAYERS, LOAD(2, 4096));

    (void)state;
    assert_int_equal(m.device.state, (uint64_t)(100.5 * (1 << 20)));    /* a server's log: 100.50 MiB */
}

static void layers_go_to_devices_by_their_memory(void **state)
{
    oom_model *m = scene_model(stage, "llama-2-7b");
    oom_plan *p = scene_plan(stage, m, "gguf:f16", "1x h100-sxm + 1x rtx-3090", "llama.cpp", NULL);
    oom_load load = LOAD(1, 4096);
    oom_parts large, small;
    uint64_t available;

    (void)state;
    assert_int_equal(oom_plan_rank(p, &load, 0, &large, &available, NULL), OOM_OK);
    assert_int_equal(oom_plan_rank(p, &load, 1, &small, &available, NULL), OOM_OK);
    /* about 79 of 103 GiB: 26 of 33, counting the output; the 32 layers' caches are alike */
    assert_int_equal(large.kv, 26 * (small.kv / 6));
    free(p);
    oom_model_free(m);
}

static void refused(const char *model, const char *precision, oom_options o, const char *why)
{
    oom_model *m = scene_model(stage, model);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision format;
    oom_error err = { OOM_OK, "" };

    assert_int_equal(oom_precision_parse(precision, &format, &err), OOM_OK);
    assert_int_not_equal(oom_plan_make(p, m, &format, NULL, oom_engine_find("llama.cpp"), &o, &err),
                         OOM_OK);
    if (!strstr(err.msg, why))
        fail_msg("%s: \"%s\" does not say \"%s\"", model, err.msg, why);
    free(p);
    oom_model_free(m);
}

static void weights_of_any_format_are_copied_over_for_large_steps(void **state)
{
    oom_options o = { .gpu_layers = 0 };
    oom_memory m = ask("llama-3.1-8b", "int8", "h100-sxm", o, LOAD(1, 8192));

    (void)state;
    /* 258.5 MiB with everything on the device (a dry run's), and the largest matrix in main memory,
     * the output's 128256 x 4096, a byte each */
    assert_int_equal(m.device.activations, 271056896ull + 128256 * 4096);
}

static void no_step_is_larger_than_the_context_asked_for(void **state)
{
    oom_options o = { .gpu_layers = -1 };
    oom_memory m = ask("llama-3.1-8b", "q4_k_m", "h100-sxm", o, LOAD(1, 100));

    (void)state;
    /* 100 rows of logits and of the last norm, fp32, and not 256 or 512 of them; what else the
     * output needs, less than a row */
    assert_in_range(m.device.activations, 100 * 4 * (128256 + 4096), 101 * 4 * (128256 + 4096));
}

static void what_the_engine_cannot_do_is_refused_in_its_words(void **state)
{
    oom_options o = ALL_LAYERS;

    (void)state;
    refused("llama-3.1-8b", "awq", o, "reads GGUF files");
    o.kv_k = o.kv_v = oom_format_find("fp8");
    refused("llama-3.1-8b", "q4_k_m", o, "no fp8 cache");
    o.kv_k = o.kv_v = oom_format_find("q8_0");
    o.attention = OOM_ATTENTION_EAGER;
    refused("llama-3.1-8b", "q4_k_m", o, "needs flash attention");
    o = (oom_options)ALL_LAYERS;
    o.tp = 2;
    refused("llama-3.1-8b", "q4_k_m", o, "splits by layers");
    o.tp = 0;
    o = (oom_options){ .gpu_layers = -1, .kv_k = oom_format_find("fp16"),
                       .kv_v = oom_format_find("q8_0") };
    refused("deepseek-v2-lite", "q4_k_m", o, "one row for keys and values");
    o.kv_v = oom_format_find("fp8");
    refused("llama-3.1-8b", "q4_k_m", o, "no fp8 cache");
    o = (oom_options){ .gpu_layers = -1, .kv_v = oom_format_find("q8_0") };
    refused("phi-2", "q4_k_m", o, "has heads of 80: llama.cpp needs a multiple of 32 for a q8_0");
    o = (oom_options){ .gpu_layers = -1, .pp = 16 };
    refused("llama-3.1-8b", "q4_k_m", o, "splits a model over at most 15 devices");
    o = (oom_options){ .gpu_layers = -1, .pp = 2, .tensor_split = { 3, 1, 2 } };
    refused("llama-3.1-8b", "q4_k_m", o, "tensor_split has 3 shares, expected at most 2");
    o = (oom_options)ALL_LAYERS;
    refused("{\"params\": 7000000000, \"hidden_size\": 4096, \"num_hidden_layers\": 32}",
            "gguf:f16", o, "what llama.cpp computes for params models is not known here");
    refused("bert-base", "q4_k_m", o, "encoders are not known");
}

static void the_257th_sequence_is_too_many(void **state)
{
    oom_model *m = scene_model(stage, "tinyllama-1.1b");
    oom_plan *p = scene_plan(stage, m, "q4_k_m", "h100-sxm", "llama.cpp", NULL);
    oom_load load = LOAD(256, 256);
    oom_memory out;

    (void)state;
    assert_int_equal(oom_plan_memory(p, &load, &out, NULL, NULL), OOM_OK);
    load.batch = 257;
    assert_int_equal(oom_plan_memory(p, &load, &out, NULL, NULL), OOM_TOOLARGE);
    free(p);
    oom_model_free(m);
}

static void what_main_memory_cannot_hold_is_too_large(void **state)
{
    oom_options o = { .gpu_layers = -1, .kv_offload = OOM_NO, .chunk = 1 };
    oom_model *m = scene_model(stage, "llama-3.1-8b");
    oom_plan *p = scene_plan(stage, m, "q4_k_m", "h100-sxm", "llama.cpp", &o);
    oom_load load = LOAD(1, UINT64_C(1) << 46);
    oom_memory all;
    oom_parts device;
    uint64_t available;
    oom_error err;

    (void)state;
    /* 131,072 bytes a token are 2^63 on the host; a device has a copy of one layer of 32 */
    assert_int_equal(oom_plan_rank(p, &load, 0, &device, &available, NULL), OOM_OK);
    assert_int_equal(oom_plan_memory(p, &load, &all, NULL, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "batch 1 x seq 70368744177664: too large");
    free(p);
    oom_model_free(m);
}

/* ---- layers that are not like others ---------------------------------------------------------- */

static void queries_normed_over_all_heads_are_copied_out_of_the_joined_matrix(void **state)
{
    oom_options o = { .gpu_layers = -1, .outputs = OOM_OUTPUTS_LAST };
    uint64_t plain, normed;
#define MPT(qk_ln) "{\"model_type\": \"mpt\", \"d_model\": 4096, \"n_heads\": 32, " \
        "\"n_layers\": 2, \"vocab_size\": 1000, \"expansion_ratio\": 1, \"attn_config\": " \
        "{\"qk_ln\": " qk_ln "}}"

    (void)state;
    plain = ask(MPT("false"), "gguf:f16", "h100-sxm", o, LOAD(1, 512)).device.activations;
    normed = ask(MPT("true"), "gguf:f16", "h100-sxm", o, LOAD(1, 512)).device.activations;
    /* of 512 x 4096 fp32 values: the stream, what is multiplied, and the three results as one; or
     * the stream, the three as one, and each copied, the first to where what was multiplied lay */
    assert_int_equal(normed - plain, ((1 + 3 + 3) - (1 + 1 + 3)) * UINT64_C(512) * 4096 * 4);
}

static void a_falcon_with_a_norm_for_attention_alone_makes_the_other_later(void **state)
{
    oom_options o = { .gpu_layers = -1, .outputs = OOM_OUTPUTS_LAST };
    const uint64_t rows = UINT64_C(512) * 4096 * 4;
    uint64_t one, two;
#define FALCON(norms) "{\"model_type\": \"falcon\", \"hidden_size\": 4096, \"vocab_size\": 1000, " \
        "\"num_attention_heads\": 32, \"num_kv_heads\": 8, \"num_hidden_layers\": 2, " \
        "\"ffn_hidden_size\": 1024, \"new_decoder_architecture\": true, " \
        "\"num_ln_in_parallel_attn\": " norms "}"

    (void)state;
    one = ask(FALCON("1"), "gguf:f16", "h100-sxm", o, LOAD(1, 512)).device.activations;
    two = ask(FALCON("2"), "gguf:f16", "h100-sxm", o, LOAD(1, 512)).device.activations;
    /* of 512 x 4096 fp32 values: the stream, its norm, which the feed forward needs after attention,
     * queries, keys and values as one (1 + 2 x 1/4), queries and keys turned; less than a tenth more
     * for masks and positions. With a second norm the first is not there meanwhile. */
    assert_in_range(one, rows * 19 / 4, rows * 19 / 4 + rows / 10);
    assert_in_range(two, rows * 4, one - rows / 2);
}

static void a_step_of_phi_2_ends_with_the_logits_and_what_they_are_made_from(void **state)
{
    oom_memory m = ask("phi-2", "q4_k_m", "h100-sxm", (oom_options)ALL_LAYERS, LOAD(1, 512));

    (void)state;
    /* 512 rows of 51,200 words and of 2560 values, fp32: the 105.00 MiB of its logs */
    assert_int_equal(m.device.activations, 512 * (51200 + 2560) * 4);
}

/* llama.cpp's own accounting of OLMo 1B in Q4_0: four sequences of 2048, fp16 cache. */
static void norms_without_a_weight_are_normed_all_the_same(void **state)
{
    oom_options o = ALL_LAYERS;

    (void)state;
    o.attention = OOM_ATTENTION_EAGER;
    o.chunk = 512;
    assert_int_equal(ask("olmo-1b", "q4_0", "h100-sxm", o, LOAD(4, 2048)).device.activations,
                     111411200);
}

#define GEMMA(type, more) "{\"model_type\": \"" type "\", \"hidden_size\": 64, " \
    "\"intermediate_size\": 128, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, " \
    "\"head_dim\": 16, \"global_head_dim\": 64, \"vocab_size\": 1000, \"num_hidden_layers\": 4, " \
    "\"sliding_window\": 512, \"layer_types\": [\"sliding_attention\", \"full_attention\", " \
    "\"sliding_attention\", \"full_attention\"], " more "}"

static void without_flash_attention_values_are_as_wide_as_the_widest_layers(void **state)
{
    static const char model[] = GEMMA("gemma4_text", "\"num_kv_shared_layers\": 0");
    oom_options flash = ALL_LAYERS, eager = ALL_LAYERS;

    (void)state;
    eager.attention = OOM_ATTENTION_EAGER;
    /* two layers of 2 heads x 16, two of 2 x 64, 256 cells of two bytes; llama-kv-cache.cpp pads V */
    assert_int_equal(ask(model, "gguf:f16", "h100-sxm", flash, LOAD(1, 256)).device.kv,
                     2 * ((32 + 32) + (128 + 128)) * 256 * 2);
    assert_int_equal(ask(model, "gguf:f16", "h100-sxm", eager, LOAD(1, 256)).device.kv,
                     2 * ((32 + 128) + (128 + 128)) * 256 * 2);
}

/* However many of the four layers keep a cache: the last two attend to one with a window and to a
 * full one, so what a step computes is the same. */
static void a_layer_without_a_cache_attends_to_the_last_of_its_kind(void **state)
{
    oom_memory all = ask(GEMMA("gemma3n_text", "\"num_kv_shared_layers\": 0"), "gguf:f16",
                         "h100-sxm", (oom_options)ALL_LAYERS, LOAD(1, 4096));
    oom_memory three = ask(GEMMA("gemma3n_text", "\"num_kv_shared_layers\": 1"), "gguf:f16",
                           "h100-sxm", (oom_options)ALL_LAYERS, LOAD(1, 4096));
    oom_memory two = ask(GEMMA("gemma3n_text", "\"num_kv_shared_layers\": 2"), "gguf:f16",
                         "h100-sxm", (oom_options)ALL_LAYERS, LOAD(1, 4096));
    oom_memory one = ask(GEMMA("gemma3n_text", "\"num_kv_shared_layers\": 3"), "gguf:f16",
                         "h100-sxm", (oom_options)ALL_LAYERS, LOAD(1, 4096));

    (void)state;
    assert_int_equal(three.device.activations, all.device.activations);
    assert_int_equal(two.device.activations, all.device.activations);
    /* and with a window alone there is no mask of 4096 cells for 512 tokens */
    assert_true(one.device.activations + 4096 * 512 * 2 <= all.device.activations);
}

/* A file may say so of all its layers. */
static void where_no_layer_keeps_a_cache_nothing_is_known(void **state)
{
    oom_model *m = scene_model(stage, GEMMA("gemma3n_text", "\"num_kv_shared_layers\": 3"));
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision f16;
    oom_error err;

    (void)state;
    m->n_caches = 0;
    assert_int_equal(oom_precision_parse("gguf:f16", &f16, NULL), OOM_OK);
    assert_int_equal(oom_plan_make(p, m, &f16, NULL, oom_engine_find("llama.cpp"),
                                   &(oom_options)ALL_LAYERS, &err), OOM_NOTFOUND);
    assert_string_equal(err.msg, "test: what llama.cpp computes for gemma3n_text models is not known "
                        "here");
    free(p);
    oom_model_free(m);
}

/* ---- files that lack a tensor ---------------------------------------------------------------- */

static bool has_role(const oom_model *m, oom_role role)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == role && m->tensors[i].part == OOM_PART_TEXT)
            return true;
    return false;
}

/* The model without the tensors of a role. */
static oom_status plan_without(const char *name, oom_role role)
{
    oom_model *m = scene_model(stage, name);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_deployment where;
    oom_precision format;
    oom_memory x = { 0 };
    oom_error err = { OOM_OK, "" };
    oom_status st;

    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == role)
            m->tensors[i].role = OOM_ROLE_OTHER;
    assert_int_equal(read_deployment(stage->catalogue, "h100-sxm", &where, NULL), OOM_OK);
    assert_int_equal(oom_precision_parse("gguf:f16", &format, NULL), OOM_OK);
    st = oom_plan_make(p, m, &format, &where, oom_engine_find("llama.cpp"),
                       &(oom_options)ALL_LAYERS, &err);
    if (st == OOM_OK)
        st = oom_plan_memory(p, &LOAD(2, 1000), &x, NULL, &err);
    if (st == OOM_OK)
        assert_in_range(x.device.activations, 1, CARD);
    else if (st != OOM_NOTFOUND || !strstr(err.msg, "what llama.cpp computes for"))
        fail_msg("%s without role %d: %s", name, (int)role, err.msg);
    free(p);
    oom_model_free(m);
    return st;
}

/* What a result is made from must be there; norms, biases and the like may be missing. */
static void a_file_that_lacks_a_matrix_is_refused(void **state)
{
    static const char *const models[] = {
        "qwen2.5-0.5b", "mamba-130m", "mamba2-2.7b", "qwen3.5-0.8b", "lfm2-350m", "gemma-3n-e2b",
        "deepseek-v2-lite", "phi-3-mini",
    };
    static const oom_role needed[] = {
        OOM_ROLE_ATTN_Q, OOM_ROLE_ATTN_O, OOM_ROLE_FFN_UP, OOM_ROLE_EXP_UP, OOM_ROLE_SSM_OUT,
        OOM_ROLE_SHORTCONV_IN, OOM_ROLE_PL_GATE, OOM_ROLE_ALTUP_ROUTER,
    };
    unsigned refused_for[sizeof needed / sizeof *needed] = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        oom_model *whole = scene_model(stage, models[i]);

        for (int role = 0; role < OOM_ROLE_COUNT; role++) {
            bool fine;

            if (!has_role(whole, (oom_role)role))
                continue;
            fine = plan_without(models[i], (oom_role)role) == OOM_OK;
            for (size_t k = 0; k < sizeof needed / sizeof *needed; k++)
                if (needed[k] == (oom_role)role) {
                    if (fine)
                        fail_msg("%s without role %d has an answer", models[i], role);
                    refused_for[k]++;
                }
        }
        oom_model_free(whole);
    }
    for (size_t k = 0; k < sizeof needed / sizeof *needed; k++)
        assert_true(refused_for[k] > 0);
}

/* Rows of a sweep are added up on their own: all parts of a point in one sum. */
static void a_row_of_batches_is_what_each_point_is(void **state)
{
    static const char *const devices[] = { "cpu-ddr4-3200-2ch 64GiB", "rtx-4090",
                                           "m3-max-64gb" };
    static const uint64_t batches[] = { 1, 3, 256, 257 };

    (void)state;
    for (size_t d = 0; d < 3; d++) {
        oom_model *m = scene_model(stage, "tinyllama-1.1b");
        oom_plan *p = scene_plan(stage, m, "q4_k_m", devices[d], "llama.cpp", NULL);
        uint64_t totals[4];
        oom_memory x;

        plan_totals(p, 1000, 1000, batches, 4, totals);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(oom_plan_memory(p, &LOAD(batches[i], 1000), &x, NULL, NULL), OOM_OK);
            assert_int_equal(totals[i], x.device.total);
        }
        assert_int_equal(totals[3], SAT_TOOLARGE);      /* 256 sequences are served at most */
        free(p);
        oom_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_gets_whole_groups_of_256_cells),
        cmocka_unit_test(a_window_keeps_itself_and_a_micro_batch),
        cmocka_unit_test(one_pool_for_all_sequences_is_rounded_once),
        cmocka_unit_test(ngl_counts_the_output_as_a_layer),
        cmocka_unit_test(experts_can_stay_in_main_memory),
        cmocka_unit_test(a_recurrent_state_is_fp32_and_does_not_grow),
        cmocka_unit_test(layers_go_to_devices_by_their_memory),
        cmocka_unit_test(weights_of_any_format_are_copied_over_for_large_steps),
        cmocka_unit_test(no_step_is_larger_than_the_context_asked_for),
        cmocka_unit_test(what_the_engine_cannot_do_is_refused_in_its_words),
        cmocka_unit_test(the_257th_sequence_is_too_many),
        cmocka_unit_test(queries_normed_over_all_heads_are_copied_out_of_the_joined_matrix),
        cmocka_unit_test(a_falcon_with_a_norm_for_attention_alone_makes_the_other_later),
        cmocka_unit_test(a_step_of_phi_2_ends_with_the_logits_and_what_they_are_made_from),
        cmocka_unit_test(norms_without_a_weight_are_normed_all_the_same),
        cmocka_unit_test(without_flash_attention_values_are_as_wide_as_the_widest_layers),
        cmocka_unit_test(a_layer_without_a_cache_attends_to_the_last_of_its_kind),
        cmocka_unit_test(where_no_layer_keeps_a_cache_nothing_is_known),
        cmocka_unit_test(a_file_that_lacks_a_matrix_is_refused),
        cmocka_unit_test(what_main_memory_cannot_hold_is_too_large),
        cmocka_unit_test(a_row_of_batches_is_what_each_point_is),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
