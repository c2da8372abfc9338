#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../accuracy/generic.h"
#include "plan.h"

static scene *s;

static int setup(void **state) { (void)state; s = scene_new(); return 0; }
static int teardown(void **state) { (void)state; scene_free(s); return 0; }

static void the_default_does_not_promise_what_others_need_more_for(void **state)
{
    report *r = report_new();

    (void)state;
    accuracy_generic(s, r);
    assert_int_equal(report_check(r, generic_bounds,
                                  sizeof generic_bounds / sizeof *generic_bounds), 0);
    report_free(r);
}

static oom_parts parts(const char *model, const oom_options *o, uint64_t batch, uint64_t seq)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = scene_plan(s, m, "fp16", NULL, "generic", o);
    oom_load load = { batch, seq, 0 };
    oom_memory x;

    assert_int_equal(oom_plan_memory(p, &load, &x, NULL, NULL), OOM_OK);
    free(p);
    oom_model_free(m);
    return x.device;
}

static void a_window_keeps_the_step_in_flight_too(void **state)
{
    oom_options o = { .gpu_layers = -1, .chunk = 512 }, whole = o;

    (void)state;
    whole.swa_full = OOM_YES;
    /* 10 full layers and 52 of a window of 1024, 8192 bytes a token and layer */
    assert_int_equal(parts("gemma-3-27b", &o, 1, 32768).kv,
                     UINT64_C(8192) * (10 * 32768 + 52 * (1024 + 512)));
    assert_int_equal(parts("gemma-3-27b", &whole, 1, 32768).kv, UINT64_C(8192) * 62 * 32768);
}

static void windows_on_every_layer_are_not_counted_on(void **state)
{
    (void)state;
    /* Mistral 7B v0.1: window 4096 on all of 32 layers of 8 x 128 */
    assert_int_equal(parts("mistral-7b-v0.1", NULL, 1, 16384).kv, UINT64_C(131072) * 16384);
}

static void a_cache_in_blocks_is_turned_back_for_attention(void **state)
{
    oom_options o = { .gpu_layers = -1, .kv_k = oom_format_find("q8_0"),
                      .kv_v = oom_format_find("q8_0") };

    (void)state;
    /* one layer: K and V of 8 x 128 elements in two bytes, 8192 tokens, two sequences */
    assert_int_equal(parts("llama-3.1-8b", &o, 2, 8192).activations
                     - parts("llama-3.1-8b", NULL, 2, 8192).activations,
                     UINT64_C(2) * 8192 * 2 * 1024 * 2);
}

/* ---- rows of grids: the same numbers as point by point, under every engine ---- */

static uint64_t random_state = 2463534242u;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

static void a_row_says_what_its_points_say(void **state)
{
    static const uint64_t batches[] = { 1, 2, 3, 31, 255, 256, 257, 1024, 1025, 5000 };
    const read_preset *list;
    size_t n = read_models(s->catalogue, &list, NULL);

    (void)state;
    for (int round = 0; round < 400; round++) {
        oom_model *m = scene_model(s, list[random_below(n)].id);
        oom_options o = { .gpu_layers = -1, .eager = random_below(2) ? OOM_YES : OOM_DEFAULT,
                          .outputs = random_below(2) ? OOM_OUTPUTS_ALL : OOM_OUTPUTS_DEFAULT,
                          .unified = random_below(2) ? OOM_YES : OOM_DEFAULT,
                          .attention = random_below(2) ? OOM_ATTENTION_EAGER : OOM_ATTENTION_FLASH,
                          .chunk = random_below(2) ? 700 : 0 };
        uint64_t totals[10], seq = 1 + random_below(9000), prompt = 1 + random_below(seq);
        const char *device = random_below(2) ? "h100-sxm" : "rtx-4090";
        oom_plan *p = malloc(oom_plan_bytes());
        oom_deployment where;
        oom_precision format;
        size_t e = 0;

        assert_int_equal(read_deployment(s->catalogue, device, &where, NULL), OOM_OK);
        assert_int_equal(oom_precision_parse(random_below(2) ? "fp16" : "nf4", &format, NULL),
                         OOM_OK);
        while (oom_engine_at(e + 1) && random_below(3))
            e++;
        if (oom_plan_make(p, m, &format, &where, oom_engine_at(e), &o, NULL) == OOM_OK) {
            plan_totals(p, seq, prompt, batches, 10, totals);
            for (size_t i = 0; i < 10; i++) {
                oom_load load = { batches[i], seq, prompt };
                oom_memory x;

                if (oom_plan_memory(p, &load, &x, NULL, NULL) != OOM_OK)
                    x.device.total = SAT_TOOLARGE;
                if (x.device.total != totals[i])
                    fail_msg("%s %s: %llu x %llu is %llu in a row, %llu alone", m->id,
                             oom_engine_name(oom_engine_at(e)), (unsigned long long)batches[i],
                             (unsigned long long)seq, (unsigned long long)totals[i],
                             (unsigned long long)x.device.total);
            }
        }
        free(p);
        oom_model_free(m);
    }
}

/* Solving takes for granted that nothing falls when batch or seq grows: under every engine, version
 * and setting. */
static void totals_never_fall(void **state)
{
    const read_preset *list;
    size_t n = read_models(s->catalogue, &list, NULL);

    (void)state;
    for (int round = 0; round < 600; round++) {
        oom_model *m = scene_model(s, list[random_below(n)].id);
        size_t e = random_below(2) ? 2 + random_below(2) : random_below(2);
        bool hf = strcmp(oom_engine_name(oom_engine_at(e)), "transformers") == 0;
        oom_options o = { .gpu_layers = -1,
                          .version = (uint32_t)(hf ? 4030 + random_below(30) : random_below(27)),
                          .max_seqs = random_below(2) ? 1 + random_below(600) : 0,
                          .chunk = random_below(2) ? 1 + random_below(9000) : 0,
                          .prefix_caching = random_below(2) ? OOM_YES : OOM_DEFAULT,
                          .attention = random_below(2) ? OOM_ATTENTION_EAGER : OOM_ATTENTION_FLASH };
        uint64_t batch = 1 + random_below(1500), seq = 1 + random_below(70000), before = 0;
        uint64_t prompt = random_below(2) ? 1 + random_below(seq) : 0;
        oom_deployment where;
        oom_precision format;
        oom_plan *p = malloc(oom_plan_bytes());

        if (oom_engine_check_version(oom_engine_at(e), o.version, NULL) != OOM_OK)
            o.version = 0;              /* an engine without versions */
        assert_int_equal(read_deployment(s->catalogue, "l40s", &where, NULL), OOM_OK);
        assert_int_equal(oom_precision_parse("fp16", &format, NULL), OOM_OK);
        for (int step = 0; step < 12
             && oom_plan_make(p, m, &format, &where, oom_engine_at(e), &o, NULL) == OOM_OK; step++) {
            oom_load load = { batch, seq, prompt };
            oom_memory x;

            if (oom_plan_memory(p, &load, &x, NULL, NULL) != OOM_OK)
                break;
            if (x.device.total < before)
                fail_msg("%s %s, version %u: falls at %llu x %llu (prompt %llu)", m->id,
                         oom_engine_name(oom_engine_at(e)), o.version, (unsigned long long)batch,
                         (unsigned long long)seq, (unsigned long long)prompt);
            before = x.device.total;
            if (random_below(2))
                batch += 1 + random_below(300);
            else
                seq += 1 + random_below(5000);
        }
        free(p);
        oom_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_does_not_promise_what_others_need_more_for),
        cmocka_unit_test(a_window_keeps_the_step_in_flight_too),
        cmocka_unit_test(windows_on_every_layer_are_not_counted_on),
        cmocka_unit_test(a_cache_in_blocks_is_turned_back_for_attention),
        cmocka_unit_test(a_row_says_what_its_points_say),
        cmocka_unit_test(totals_never_fall),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
