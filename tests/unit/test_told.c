/* explain() under every engine: whatever the model, the device and the options, what is told adds up
 * to what is counted, in the device's memory and in the machine's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scene.h"

static scene *s;

static int setup(void **state) { (void)state; s = scene_new(); return 0; }
static int teardown(void **state) { (void)state; scene_free(s); return 0; }

typedef struct { uint64_t device, host, available; } sums;

static void add_up(void *ctx, const oom_term *term)
{
    sums *sum = ctx;

    assert_true(*term->formula && *term->numbers && *term->source);
    if (strcmp(term->part, "available") == 0)
        sum->available += term->bytes;
    else
        *(term->host ? &sum->host : &sum->device) += term->bytes;
}

/* Windows, chunks, latents and an index, compressed rows, states, images, sound, two stacks. */
static const char *const models[] = {
    "llama-3.1-8b", "gemma-3-27b", "llama-4-scout", "deepseek-v2-lite", "glm-5.1",
    "deepseek-v4-flash", "mamba-2.8b", "qwen3-next-80b-a3b", "qwen2.5-vl-7b", "gemma-3n-e4b",
    "t5-small", "gpt-oss-20b", "nemotron-3-nano-30b-a3b", "gemma-4-26b-a4b", "falcon-h1-0.5b",
    "llama-3.2-11b-vision", "bert-base", "llava-1.5-7b", "jamba-1.5-mini",
};
static const char *const devices[] = { "h100-sxm", "8x h200-sxm", "2x rtx-4090", "mi300x",
                                       "m3-max-64gb", "cpu-ddr4-3200-2ch 64GiB", NULL };

static void check(const char *model, const char *precision, const char *device, const char *engine,
                  const oom_options *o, unsigned *told)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_deployment where;
    oom_precision format;
    oom_memory x;
    sums sum = { 0, 0, 0 };
    oom_listener l = { add_up, &sum };

    if (device)
        assert_int_equal(read_deployment(s->catalogue, device, &where, NULL), OOM_OK);
    assert_int_equal(oom_precision_parse(precision, &format, NULL), OOM_OK);
    if (oom_plan_make(p, m, &format, device ? &where : NULL, oom_engine_find(engine), o, NULL)
            == OOM_OK
        && oom_plan_memory(p, &(oom_load){ 3, 5000, 4000 }, &x, &l, NULL) == OOM_OK) {
        if (sum.device != x.device.total || sum.host != x.host.total
            || sum.available != x.available)
            fail_msg("%s %s %s %s: told %llu + %llu of %llu, counted %llu + %llu of %llu", model,
                     precision, device ? device : "no device", engine, (unsigned long long)sum.device,
                     (unsigned long long)sum.host, (unsigned long long)sum.available,
                     (unsigned long long)x.device.total, (unsigned long long)x.host.total,
                     (unsigned long long)x.available);
        ++*told;
    }
    free(p);
    oom_model_free(m);
}

#define COUNT(list) (sizeof list / sizeof *list)

static void assert_adds_up(const char *engine, const oom_options *options, size_t n, unsigned least)
{
    static const char *const precisions[] = { "stored", "fp16", "fp8", "awq", "gptq-4bit-128g",
                                              "q4_k_m" };
    unsigned told = 0;

    for (size_t i = 0; i < COUNT(models); i++)
        for (size_t d = 0; d < COUNT(devices); d++)
            for (size_t k = 0; k < n; k++)
                check(models[i], precisions[(i + d + k) % COUNT(precisions)], devices[d], engine,
                      &options[k], &told);
    assert_in_range(told, least, 10000);
}

static void vllm_tells_all_it_counts(void **state)
{
    const oom_options options[] = {
        { .gpu_layers = -1 }, { .gpu_layers = -1, .version = 8 }, { .gpu_layers = -1, .version = 26 },
        { .gpu_layers = -1, .eager = OOM_YES, .kv_k = oom_format_find("fp8"),
          .kv_v = oom_format_find("fp8") },
        { .gpu_layers = -1, .chunk = 64, .max_seqs = 8 }, { .gpu_layers = -1, .pp = 1, .dp = 2 },
        { .gpu_layers = -1, .pp = 2 },
        { .gpu_layers = -1, .version = 7, .max_seqs = 3, .chunk = 15000 },
    };

    (void)state;
    assert_adds_up("vllm", options, COUNT(options), 200);
}

static void transformers_tells_all_it_counts(void **state)
{
    const oom_options options[] = {
        { .gpu_layers = -1 }, { .gpu_layers = -1, .version = 4030 },
        { .gpu_layers = -1, .version = 4040, .attention = OOM_ATTENTION_EAGER },
        { .gpu_layers = -1, .attention = OOM_ATTENTION_SDPA },
    };

    (void)state;
    assert_adds_up("transformers", options, COUNT(options), 200);
}

static void llamacpp_tells_all_it_counts(void **state)
{
    const oom_options options[] = {
        { .gpu_layers = -1 }, { .gpu_layers = 7, .unified = OOM_YES },
        { .gpu_layers = -1, .kv_offload = OOM_NO, .attention = OOM_ATTENTION_EAGER },
    };

    (void)state;
    assert_adds_up("llama.cpp", options, COUNT(options), 100);
}

static void the_others_tell_all_they_count(void **state)
{
    const oom_options options[] = { { .gpu_layers = -1 } };

    (void)state;
    assert_adds_up("ideal", options, 1, 50);
    assert_adds_up("generic", options, 1, 50);
}

/* ---- what vLLM takes ------------------------------------------------------------------------ */

static void assert_refused(const oom_options *o, const char *says)
{
    oom_model *m = scene_model(s, "llama-3.1-8b");
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision half;
    oom_error err = { OOM_OK, "" };

    assert_int_equal(oom_precision_parse("fp16", &half, NULL), OOM_OK);
    assert_int_equal(oom_plan_make(p, m, &half, NULL, oom_engine_find("vllm"), o, &err),
                     OOM_BADVALUE);
    assert_string_equal(err.msg, says);
    free(p);
    oom_model_free(m);
}

static void what_vllm_does_not_take_is_refused(void **state)
{
    const oom_format *q8 = oom_format_find("q8_0"), *half = oom_format_find("fp16");

    (void)state;
    assert_refused(&(oom_options){ .kv_k = q8, .kv_v = q8 },
                   "vllm has no q8_0 cache, expected auto, fp8, int8, fp16, bf16 or fp32");
    assert_refused(&(oom_options){ .kv_k = half, .kv_v = q8 },
                   "vllm has no q8_0 cache, expected auto, fp8, int8, fp16, bf16 or fp32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vllm_tells_all_it_counts),
        cmocka_unit_test(transformers_tells_all_it_counts),
        cmocka_unit_test(llamacpp_tells_all_it_counts),
        cmocka_unit_test(the_others_tell_all_they_count),
        cmocka_unit_test(what_vllm_does_not_take_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
