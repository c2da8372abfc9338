#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../accuracy/vllm.h"

static scene *s;

static int setup(void **state) { (void)state; s = scene_new(); return 0; }
static int teardown(void **state) { (void)state; scene_free(s); return 0; }

static void start_up_logs_agree_as_well_as_they_did(void **state)
{
    report *r = report_new();

    (void)state;
    accuracy_vllm(s, r);
    assert_int_equal(report_check(r, vllm_bounds, sizeof vllm_bounds / sizeof *vllm_bounds), 0);
    report_free(r);
}

static oom_capacity capacity(const char *model, const char *precision, const char *device,
                             const oom_options *o, uint64_t seq)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = scene_plan(s, m, precision, device, "vllm", o);
    oom_load load = { 1, seq, 0 };
    oom_capacity c;

    assert_int_equal(oom_plan_capacity(p, &load, &c, NULL), OOM_OK);
    free(p);
    oom_model_free(m);
    return c;
}

static uint64_t kv(const char *model, const oom_options *o, uint64_t batch, uint64_t seq)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = scene_plan(s, m, "bf16", NULL, "vllm", o);
    oom_load load = { batch, seq, 0 };
    oom_memory x;

    assert_int_equal(oom_plan_memory(p, &load, &x, NULL, NULL), OOM_OK);
    free(p);
    oom_model_free(m);
    return x.device.kv + x.device.state;
}

static void a_request_takes_whole_blocks(void **state)
{
    (void)state;
    /* 131072 bytes a token, 16 tokens a block */
    assert_int_equal(kv("llama-3.1-8b", NULL, 1, 1), 16 * 131072);
    assert_int_equal(kv("llama-3.1-8b", NULL, 3, 17), 3 * 2 * 16 * 131072);
}

static void windows_share_the_pool_in_groups(void **state)
{
    oom_options o = { .gpu_layers = -1, .chunk = 8192 };

    (void)state;
    /* Logged with 0.19: 10 full and 52 sliding layers are 7 groups of 10, a block holds 1,310,720
     * bytes; 8192 tokens take 512 blocks of the first and 513 of each of the other six. */
    assert_int_equal(kv("gemma-3-27b", &o, 1, 8192), UINT64_C(1310720) * (512 + 6 * 513));
}

static void a_block_of_a_hybrid_is_as_long_as_its_state(void **state)
{
    oom_options o = { .gpu_layers = -1, .chunk = 8192 };

    (void)state;
    /* Logged with 0.19: blocks of 528 tokens, 4 groups of 8 layers, 17,301,504 bytes a block;
     * 1000 tokens are two blocks of attention, and each of the three groups of states takes one. */
    assert_int_equal(kv("qwen3.5-9b", &o, 1, 1000), UINT64_C(17301504) * (2 + 3));
}

static void a_compressed_row_stands_for_several_tokens(void **state)
{
    oom_options o = { .gpu_layers = -1, .version = 26, .kv_k = oom_format_find("fp8"),
                      .kv_v = oom_format_find("fp8") };
    oom_capacity c = capacity("deepseek-v4-flash", "stored", "4x h200-sxm", &o, 600000);
    double logged = 50.57 / 9.65, each = (double)c.kv_bytes / c.max_concurrency / (1 << 30);

    (void)state;
    /* Logged with 0.26 on four ranks (tests/truth/vllm.json, vllm-170): 50.57 GiB hold 9.65 requests
     * of 600,000 tokens. A row for every token would be four times as much. */
    assert_true(each > 0.75 * logged && each < 1.25 * logged);
}

static void latents_lie_on_every_rank(void **state)
{
    oom_options o = { .gpu_layers = -1, .tp = 8 };

    (void)state;
    /* 61 layers x 576 x 2 bytes, not divided by eight */
    assert_int_equal(kv("deepseek-v3", &o, 1, 16), UINT64_C(70272) * 16);
}

static uint64_t activations(const char *model, const char *device, uint32_t version,
                            uint64_t max_seqs, uint64_t seq)
{
    oom_options o = { .gpu_layers = -1, .version = version, .max_seqs = max_seqs };

    return capacity(model, "bf16", device, &o, seq).activations;
}

static void v0_profiles_an_image_for_every_sequence(void **state)
{
    double gib = (double)activations("llama-3.2-11b-vision-base", "h100-sxm", 7, 128, 65536)
               / (double)(1 << 30);

    (void)state;
    /* Logged (vllm-project/vllm, pull request 12126): 36.63 GiB */
    assert_true(gib > 36.60 && gib < 36.64);
    /* one of them, by hand: 8 x 4 x 3 x 448^2 of pixels, and at 2 bytes 4 x 1024 x 1280 of patches,
     * 4128^2 of the mask, 4128 x (15 x 1280 + 2 x 5120); and the library's 32 MiB */
    assert_int_equal(activations("llama-3.2-11b-vision-base", "h100-sxm", 7, 2, 2048)
                     - activations("llama-3.2-11b-vision-base", "h100-sxm", 7, 1, 2048),
                     UINT64_C(8) * 4 * 3 * 448 * 448
                     + 2 * (UINT64_C(4) * 1024 * 1280 + UINT64_C(4128) * 4128
                            + UINT64_C(4128) * (15 * 1280 + 2 * 5120)));
}

static void v0_cuts_prompts_of_long_models(void **state)
{
    (void)state;
    /* 2048 tokens at a time beyond 32,768; Mistral's window forbids it */
    assert_int_equal(activations("qwen2.5-7b", "h100-sxm", 7, 1, 32769),
                     activations("qwen2.5-7b", "h100-sxm", 7, 1, 2048));
    assert_true(activations("mistral-7b-v0.1", "h100-sxm", 7, 1, 32769)
                > activations("mistral-7b-v0.1", "h100-sxm", 7, 1, 32768));
    /* 3 x 18,944 + 4 x 3584 elements a token, and 32 MiB */
    assert_int_equal(activations("qwen2.5-7b", "h100-sxm", 7, 1, 32768),
                     UINT64_C(2) * 32768 * (3 * 18944 + 4 * 3584) + (32 << 20));
}

static void the_usual_share_is_larger_since_graphs_come_out_of_it(void **state)
{
    oom_options before = { .gpu_layers = -1, .version = 20 };
    oom_options since = { .gpu_layers = -1, .version = 25 };
    double usable = 79.11 * (1 << 30);

    (void)state;
    assert_true(fabs((double)capacity("llama-3.1-8b", "bf16", "h100-sxm", &before, 8192).available
                     - 0.90 * usable) < 2);
    assert_true(fabs((double)capacity("llama-3.1-8b", "bf16", "h100-sxm", &since, 8192).available
                     - 0.92 * usable) < 2);
}

static void scratch_of_the_matrix_library_is_the_devices_own(void **state)
{
    (void)state;
    /* torch: 32 MiB from Hopper on, 2 x 4 MiB + 8 x 16 KiB before; both take 2048 tokens */
    assert_int_equal(activations("llama-3.1-8b", "rtx-5090", 0, 256, 8192)
                     - activations("llama-3.1-8b", "rtx-4090", 0, 256, 8192),
                     (32 << 20) - (8 << 20) - 8 * (16 << 10));
    /* a processor has another one */
    assert_int_equal(activations("llama-3.1-8b", "rtx-4090", 0, 256, 8192)
                     - activations("llama-3.1-8b", "cpu-ddr4-3200-2ch 64GiB", 0, 256, 8192),
                     (8 << 20) + 8 * (16 << 10));
}

static void refused(const char *model, const char *device, const oom_options *o, const char *why)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision bf16;
    oom_deployment where;
    oom_error err;

    assert_int_equal(read_deployment(s->catalogue, device, &where, NULL), OOM_OK);
    assert_int_equal(oom_precision_parse("bf16", &bf16, NULL), OOM_OK);
    assert_int_equal(oom_plan_make(p, m, &bf16, &where, oom_engine_find("vllm"), o, &err),
                     OOM_BADVALUE);
    assert_string_equal(err.msg, why);
    free(p);
    oom_model_free(m);
}

static void what_it_does_not_run_on_is_said(void **state)
{
    oom_options o = { .gpu_layers = -1 }, three = { .gpu_layers = -1, .tp = 4, .ep = 3 };
    oom_options late = { .gpu_layers = -1, .version = 19 };

    (void)state;
    refused("llama-3.1-8b", "m3-max-36gb", &o, "vllm does not run on m3-max-36gb: it takes CUDA "
            "from compute capability 7.0 on, ROCm, XPU, TPU and processors");
    refused("llama-3.1-8b", "gtx-1080", &o, "vllm does not run on gtx-1080: it takes CUDA "
            "from compute capability 7.0 on, ROCm, XPU, TPU and processors");
    refused("llama-3.2-11b-vision", "h100-sxm", &late, "vllm 0.19 does not run "
            "llama-3.2-11b-vision: 0.10 was the last that did");
    refused("mixtral-8x7b", "4x h100-sxm", &three, "ep=3: vllm spreads experts over all tp x dp = "
            "4 ranks, or over none");
}

static uint64_t weights_of_a_rank(const char *model, uint32_t tp, uint32_t ep)
{
    oom_options o = { .gpu_layers = -1, .tp = tp, .ep = ep };
    oom_model *m = scene_model(s, model);
    oom_plan *p = scene_plan(s, m, "bf16", NULL, "vllm", &o);
    oom_load load = { 1, 8192, 0 };
    oom_memory x;

    assert_int_equal(oom_plan_memory(p, &load, &x, NULL, NULL), OOM_OK);
    free(p);
    oom_model_free(m);
    return x.device.weights;
}

static void experts_that_do_not_divide_lie_one_more_on_some_ranks(void **state)
{
    const uint64_t expert = UINT64_C(3) * 2048 * 1408 * 2;

    (void)state;
    /* 60 experts in each of 24 layers: 8 on the fullest of 8 ranks, not seven and a half; but
     * their 44 MiB of down projections are whole 2 MiB, and 41.25, eighths of all, are not */
    assert_int_equal(weights_of_a_rank("qwen1.5-moe-a2.7b", 8, 8)
                     - weights_of_a_rank("qwen1.5-moe-a2.7b", 8, 1),
                     24 * (expert / 2 - (3 << 18)));
}

/* Logs of llm-d-planner, accuracy/results/v0.19.0, and of vLLM 0.10.2 (tests/truth: vllm-168). */
static void images_keep_their_pixels_and_embeddings_while_the_text_runs(void **state)
{
    static const struct { const char *model; uint32_t version, seqs, tp; uint64_t chunk;
                          double gib; } logs[] = {
        { "gemma-3-4b", 19, 1024, 1, 8192, 3.89 }, { "gemma-3-12b", 19, 1024, 1, 8192, 3.94 },
        { "gemma-3-27b", 19, 1024, 1, 8192, 3.99 }, { "llama-4-scout", 19, 1024, 4, 8192, 3.19 },
        { "mistral-small-3.2-24b", 19, 1024, 1, 8192, 2.03 },
        { "granite-vision-3.3-2b", 19, 1024, 1, 8192, 0.79 },
        { "llava-1.6-mistral-7b", 10, 0, 1, 16384, 1.97 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        oom_options o = { .gpu_layers = -1, .version = logs[i].version, .tp = logs[i].tp,
                          .max_seqs = logs[i].seqs ? logs[i].seqs : 256, .chunk = logs[i].chunk };
        char device[32];
        double gib;

        snprintf(device, sizeof device, "%ux h100-sxm", logs[i].tp);
        gib = (double)capacity(logs[i].model, "bf16", device, &o, 8192).activations / (1 << 30);
        if (fabs(gib - logs[i].gib) > 0.02)
            fail_msg("%s: %.3f GiB, logged %.2f", logs[i].model, gib, logs[i].gib);
    }
}

#define NEXT(points) "{\"model_type\": \"llava_next\", \"image_grid_pinpoints\": " points ", " \
    "\"text_config\": {\"model_type\": \"llama\", \"hidden_size\": 4096, " \
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 32, \"intermediate_size\": 64, " \
    "\"vocab_size\": 1000, \"max_position_embeddings\": 32768}, \"vision_config\": " \
    "{\"model_type\": \"clip_vision_model\", \"hidden_size\": 1024, \"image_size\": 336, " \
    "\"intermediate_size\": 4096, \"num_attention_heads\": 16, \"num_hidden_layers\": 2, " \
    "\"patch_size\": 14}}"

static void the_largest_pin_point_decides_how_large_an_image_is(void **state)
{
    oom_options o = { .gpu_layers = -1, .max_seqs = 8, .chunk = 5832 };
    uint64_t usual = capacity(NEXT("[[336, 672], [672, 336], [672, 672], [1008, 336]]"), "bf16",
                              "h100-sxm", &o, 8192).activations;
    uint64_t wide = capacity(NEXT("[[672, 672], [1008, 1008]]"), "bf16", "h100-sxm", &o,
                             8192).activations;
    uint64_t none = capacity(NEXT("[7, [672], [\"a\", 1], [1, \"a\"], [-336, 336], [336, -336]]"),
                             "bf16", "h100-sxm", &o, 8192).activations;

    (void)state;
    /* vLLM's most tokens of a LLaVA-NeXT image are 2928: 24 x 24, and 48 lines of 48 and an end; by
     * 3 x 3 tiles 24 x 24 and 72 lines of 72 and an end: 5832. Pixels of 1 + 4 and 1 + 9 tiles. */
    assert_int_equal(wide - usual, 2 * ((UINT64_C(5832) - 2928) * 4096 + 5 * 3 * 336 * 336));
    assert_int_equal(none, usual);
}

/* A public log of vLLM in July 2026: an A100 of 79.15 GiB at 0.22, 15.67 of weights and 0.53 of
 * graphs left -14.28 for the pool, less 0.25 outside torch. */
static void a_film_fills_the_tower_as_far_as_the_length_has_room(void **state)
{
    oom_options o = { .gpu_layers = -1, .version = 21 };
    uint64_t image = capacity("qwen2.5-vl-7b", "bf16", "a100-sxm-80gb", &o, 8192).activations;
    uint64_t film = capacity("qwen2.5-vl-7b", "bf16", "a100-sxm-80gb", &o, 128000).activations;

    (void)state;
    assert_true(fabs((double)film / (1 << 30) - 15.24) < 0.02);
    /* seven images of 16,384 tokens instead of one; the library's scratch once */
    assert_int_equal(film - 7 * image, -6 * (int64_t)8519680);
}

static double weights_on(const char *model, const char *precision, const char *device, uint32_t tp)
{
    oom_options o = { .gpu_layers = -1, .tp = tp };
    char devices[32];

    snprintf(devices, sizeof devices, "%ux %s", tp, device);
    return (double)capacity(model, precision, devices, &o, 8192).weights / (double)(1 << 30);
}

static double weights_gib(const char *model, const char *precision, uint32_t tp)
{
    return weights_on(model, precision, "h100-sxm", tp);
}

static void weights_are_what_torch_allocates_for_them(void **state)
{
    (void)state;
    /* Logged with four decimals: github.com/vllm-project/vllm/issues/10517 and other start-ups */
    assert_true(fabs(weights_gib("llama-3.1-8b", "bf16", 1) - 14.9888) < 0.0005);
    assert_true(fabs(weights_gib("llama-3.1-8b", "bf16", 8) - 1.9028) < 0.0005);
    assert_true(fabs(weights_gib("qwen2.5-7b", "bf16", 1) - 14.2717) < 0.0005);
    assert_true(fabs(weights_gib("Qwen/Qwen2-7B-Instruct", "bf16", 2) - 7.1217) < 0.0005);
    /* GPTQ without its zeros, 0.26 GiB, and order: github.com/vllm-project/vllm/issues/11230 */
    assert_true(fabs(weights_on("Qwen/Qwen2.5-72B-Instruct", "gptq-4bit-128g", "a40", 1) - 38.526)
                < 0.05);
    /* but with them on Hopper: logs of llm-d-planner, accuracy/results/v0.19.0 */
    assert_true(fabs(weights_gib("llama-3.1-8b", "gptq-4bit-128g", 1) - 5.38) < 0.015);
    assert_true(fabs(weights_gib("gpt-oss-20b", "stored", 2) - 7.01) < 0.06);
}

static void a_stage_without_caches_takes_no_blocks(void **state)
{
    oom_options o = { .gpu_layers = -1, .pp = 52 };
    oom_model *m = scene_model(s, "nemotron-3-nano-30b-a3b");
    oom_plan *p = scene_plan(s, m, "bf16", NULL, "vllm", &o);
    oom_parts parts;
    uint64_t available;

    (void)state;
    /* one layer a stage: "MEMEM*E…" is a state, experts, a state, experts, a state, attention */
    for (uint32_t rank = 0; rank < 7; rank++) {
        assert_int_equal(oom_plan_rank(p, &(oom_load){ 1, 1024, 0 }, rank, &parts, &available, NULL),
                         OOM_OK);
        assert_int_equal(parts.state > 0, "MEMEM*E"[rank] == 'M');
        assert_int_equal(parts.kv > 0, "MEMEM*E"[rank] == '*');
    }
    free(p);
    oom_model_free(m);
}

static void a_pool_for_more_than_2_to_63_tokens_is_too_large(void **state)
{
    /* V0 profiles the whole of a request of a model with windows; V1 has groups of blocks for it */
    static const struct { const char *model; uint32_t version; } asked[] = {
        { "mistral-7b-v0.1", 7 }, { "gemma-3-27b", 19 }
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        oom_options o = { .gpu_layers = -1, .version = asked[i].version, .block_size = 1 };
        oom_model *m = scene_model(s, asked[i].model);
        oom_plan *p = scene_plan(s, m, "bf16", "h100-sxm", "vllm", &o);
        oom_load load = { 1, UINT64_MAX, 0 };
        oom_capacity c;
        oom_error err = { OOM_OK, "" };

        assert_int_equal(oom_plan_capacity(p, &load, &c, &err), OOM_TOOLARGE);
        assert_string_equal(err.msg, "batch 1 x seq 18446744073709551615: too large");
        free(p);
        oom_model_free(m);
    }
}

static void as_many_requests_fit_as_the_pool_holds(void **state)
{
    static const char *const models[] = { "llama-3.1-8b", "gemma-3-27b", "qwen3.5-9b",
                                          "gpt-oss-20b" };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        oom_capacity c = capacity(models[i], "stored", "h100-sxm", NULL, 8192);
        oom_model *m = scene_model(s, models[i]);
        oom_plan *p = scene_plan(s, m, "stored", "h100-sxm", "vllm", NULL);
        uint64_t n = 0;

        assert_int_equal(oom_solve_batch(p, 8192, 0, &n, NULL), OOM_OK);
        assert_int_equal(n, (uint64_t)c.max_concurrency);
        free(p);
        oom_model_free(m);
    }
}

static void graphs_come_out_of_the_budget_since_0_20(void **state)
{
    oom_options before = { .gpu_layers = -1, .version = 19, .utilization = 0.9 };
    oom_options since = { .gpu_layers = -1, .version = 21, .utilization = 0.9 };
    oom_options eager = { .gpu_layers = -1, .version = 21, .utilization = 0.9, .eager = OOM_YES };
    uint64_t with = capacity("llama-3.1-8b", "bf16", "h100-sxm", &since, 8192).kv_bytes;
    uint64_t without = capacity("llama-3.1-8b", "bf16", "h100-sxm", &before, 8192).kv_bytes;

    (void)state;
    assert_true(with < without);
    assert_int_equal(capacity("llama-3.1-8b", "bf16", "h100-sxm", &eager, 8192).kv_bytes, without);
}

static void a_start_must_leave_room_for_the_sampler(void **state)
{
    oom_options o = { .gpu_layers = -1, .utilization = 0.999 };
    oom_model *m = scene_model(s, "gpt-oss-20b");
    oom_plan *p = scene_plan(s, m, "stored", "h100-sxm", "vllm", &o);
    oom_deployment where;
    oom_parts parts;
    uint64_t available;

    (void)state;
    assert_int_equal(read_deployment(s->catalogue, "h100-sxm", &where, NULL), OOM_OK);
    assert_int_equal(oom_plan_rank(p, &(oom_load){ 1, 1024, 0 }, 0, &parts, &available, NULL),
                     OOM_OK);
    /* 1024 rows of 201,088 words in fp32: the 786 MiB of which a start died */
    assert_true(available
                <= where.group[0].device.usable_bytes - UINT64_C(1024) * 201088 * 4);
    free(p);
    oom_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_up_logs_agree_as_well_as_they_did),
        cmocka_unit_test(a_request_takes_whole_blocks),
        cmocka_unit_test(windows_share_the_pool_in_groups),
        cmocka_unit_test(a_block_of_a_hybrid_is_as_long_as_its_state),
        cmocka_unit_test(a_compressed_row_stands_for_several_tokens),
        cmocka_unit_test(latents_lie_on_every_rank),
        cmocka_unit_test(v0_profiles_an_image_for_every_sequence),
        cmocka_unit_test(v0_cuts_prompts_of_long_models),
        cmocka_unit_test(the_usual_share_is_larger_since_graphs_come_out_of_it),
        cmocka_unit_test(scratch_of_the_matrix_library_is_the_devices_own),
        cmocka_unit_test(what_it_does_not_run_on_is_said),
        cmocka_unit_test(experts_that_do_not_divide_lie_one_more_on_some_ranks),
        cmocka_unit_test(images_keep_their_pixels_and_embeddings_while_the_text_runs),
        cmocka_unit_test(the_largest_pin_point_decides_how_large_an_image_is),
        cmocka_unit_test(a_film_fills_the_tower_as_far_as_the_length_has_room),
        cmocka_unit_test(weights_are_what_torch_allocates_for_them),
        cmocka_unit_test(a_stage_without_caches_takes_no_blocks),
        cmocka_unit_test(a_pool_for_more_than_2_to_63_tokens_is_too_large),
        cmocka_unit_test(as_many_requests_fit_as_the_pool_holds),
        cmocka_unit_test(graphs_come_out_of_the_budget_since_0_20),
        cmocka_unit_test(a_start_must_leave_room_for_the_sampler),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
