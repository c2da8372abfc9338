/* A compute buffer by the script of a walk against the walk itself, over all layers and for that
 * context alone: equal to the byte, whatever the model, the options and the order of questions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/llamacpp_place.h"
#include "scene.h"

/* Enough to see every kind of plan; the whole property was run with 100 x 20 and more. */
#ifndef PLANS
#define PLANS 10
#define POINTS 10
#endif

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

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t any(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 11) % n;
}

static oom_options any_options(void)
{
    static const char *const caches[] = { "fp16", "fp16", "fp16", "q8_0", "q4_0", "fp32" };
    const char *k = caches[any(6)];
    oom_options o = { .gpu_layers = any(3) ? -1 : (int32_t)any(40),
                      .chunk = any(2) ? 0 : (uint64_t)64 << any(6),
                      .unified = any(3) ? OOM_NO : OOM_YES,
                      .swa_full = any(4) ? OOM_NO : OOM_YES,
                      .outputs = any(2) ? OOM_OUTPUTS_LAST : OOM_OUTPUTS_ALL,
                      .op_offload = any(4) ? OOM_YES : OOM_NO,
                      .kv_offload = any(6) ? OOM_YES : OOM_NO,
                      .cpu_moe_all = any(5) == 0,
                      .kv_k = oom_format_find(k),
                      .kv_v = oom_format_find(k) };

    o.attention = o.kv_v->block == 1 && any(3) == 0 ? OOM_ATTENTION_EAGER : OOM_ATTENTION_FLASH;
    return o;
}

/* Mostly what people ask for, sometimes anything. */
static lc_context any_context(const lc_own *o)
{
    uint64_t n = any(3) ? 1 + any(8) : 1 + any(LC_MAX_SEQUENCES), seq = 256 * (1 + any(64));

    switch (any(5)) {
    case 0: seq = 1 + any(512); break;  /* shorter than a step */
    case 1: seq = 256 * (1 + any(512)); break;
    case 2: seq = 256 * (1 + any((uint64_t)1 << (4 + any(28)))); break;
    default: break;
    }
    return lc_context_of(o, n, seq);
}

static unsigned compare(const oom_plan *p, unsigned points)
{
    for (unsigned i = 0; i < points; i++) {
        lc_context c = any_context(lc_of(p));

        for (uint32_t b = 0; b <= lc_of(p)->n_devices; b++) {
            uint64_t one = lc_compute(p, &c, b), other = lc_compute_once(p, &c, b);

            if (one != other)
                fail_msg("%s, %llu sequences of %llu cells, buffer %u: %llu, walked alone %llu",
                         p->model->id, (ull)c.sequences, (ull)c.cells, b, (ull)one, (ull)other);
        }
    }
    return points;
}

static const char *const models[] = {
    "llama-3.1-8b", "gemma-3-27b", "qwen3-30b-a3b", "gpt-oss-20b", "deepseek-v2-lite",
    "qwen3.5-9b", "mamba-2.8b", "gemma-2-9b", "jamba-v0.1", "llama-4-scout", "gemma-3n-e4b",
    "falcon-7b", "mixtral-8x7b", "lfm2-1.2b", "granite-4.0-h-small", "mamba2-2.7b",
};
static const char *const devices[] = { "h100-sxm", "1x rtx-4090 + 1x rtx-3090", "3x l4", "m3-max",
                                       "rtx-3090" };

static void a_script_gives_what_the_walk_over_all_layers_gives(void **state)
{
    oom_notes *notes = calloc(1, oom_notes_bytes());
    oom_plan *p = malloc(oom_plan_bytes());
    unsigned points = 0, plans = 0;

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        oom_model *m = scene_model(stage, models[i]);

        for (int k = 0; k < PLANS; k++) {
            oom_options o = any_options();
            oom_deployment where = { 0 };
            oom_precision format;

            assert_int_equal(read_deployment(stage->catalogue, devices[any(5)], &where, NULL), 0);
            assert_int_equal(oom_precision_parse(any(2) ? "q4_k_m" : "gguf:f16", &format, NULL), 0);
            if (oom_plan_make_noting(p, any(2) ? notes : NULL, m, &format, &where,
                                     oom_engine_find("llama.cpp"), &o, NULL) != OOM_OK)
                continue;
            plans++;
            points += compare(p, POINTS);
        }
        oom_model_free(m);
    }
    print_message("%u plans, %u points\n", plans, points);
    assert_true(points > 10 * POINTS);
    free(p);
    free(notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_script_gives_what_the_walk_over_all_layers_gives),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
