#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scene.h"

static scene *s;

static int setup(void **state) { (void)state; s = scene_new(); return 0; }
static int teardown(void **state) { (void)state; scene_free(s); return 0; }

/* Seven billion parameters, 32 layers of 4096, as many KV heads as heads. */
static const char seven[] =
    "{\"params\": 7000000000, \"hidden_size\": 4096, \"num_hidden_layers\": 32}";

static oom_memory memory(const oom_plan *p, uint64_t batch, uint64_t seq)
{
    oom_load load = { batch, seq, 0 };
    oom_memory m;
    oom_error err = { OOM_OK, "" };

    if (oom_plan_memory(p, &load, &m, NULL, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    return m;
}

static uint64_t max_batch(const oom_plan *p, uint64_t seq)
{
    uint64_t n = 0;

    assert_int_equal(oom_solve_batch(p, seq, 0, &n, NULL), OOM_OK);
    return n;
}

static void the_textbook_cache_of_seven_billion_is_half_a_mebibyte_a_token(void **state)
{
    oom_model *m = scene_model(s, seven);
    oom_plan *p = scene_plan(s, m, "fp16", "24GB", "ideal", NULL);
    oom_memory x = memory(p, 3, 2048);

    (void)state;
    assert_int_equal(x.device.weights, 14000000000);
    /* K and V x 32 layers x 4096 elements x 2 bytes = 524288 bytes a token */
    assert_int_equal(x.device.kv, UINT64_C(524288) * 2048 * 3);
    assert_int_equal(x.device.activations + x.device.overhead, 0);
    /* (24e9 - 14e9) / (524288 x 2048) = 9.31 */
    assert_int_equal(max_batch(p, 2048), 9);
    free(p);
    oom_model_free(m);
}

static void grouped_query_attention_keeps_a_quarter(void **state)
{
    oom_model *m = scene_model(s, "llama-3.1-8b");
    oom_plan *p = scene_plan(s, m, "fp16", "rtx-4090", "ideal", NULL);
    oom_memory x = memory(p, 1, 1);

    (void)state;
    /* 8 of 32 heads: 2 x 32 x 8 x 128 x 2 = 131072 bytes a token (published) */
    assert_int_equal(x.device.kv, 131072);
    /* 2 x 8030261248 */
    assert_int_equal(x.device.weights, 16060522496);
    assert_int_equal(x.available, UINT64_C(24564) << 20);
    /* (25757220864 - 16060522496) / (131072 x 8192) = 9.03 */
    assert_int_equal(max_batch(p, 8192), 9);
    free(p);
    oom_model_free(m);
}

static void a_chunk_of_prefill_is_counted_once(void **state)
{
    oom_model *m = scene_model(s, "llama-3.1-8b");
    oom_options chunk = { .gpu_layers = -1, .chunk = 512 };
    oom_options whole = { .gpu_layers = -1, .chunk = 8192 };
    oom_plan *small = scene_plan(s, m, "fp16", "rtx-4090", "generic", &chunk);
    oom_plan *large = scene_plan(s, m, "fp16", "rtx-4090", "generic", &whole);

    (void)state;
    /* 2 x 512 x (3 x 14336 + 4 x 4096) + 6 x 128256: one step, whatever the number of steps */
    assert_int_equal(memory(small, 1, 8192).device.activations, 60817408 + 769536);
    assert_int_equal(memory(small, 1, 65536).device.activations, 60817408 + 769536);
    assert_int_equal(memory(large, 1, 8192).device.activations, 16 * 60817408 + 769536);
    free(small);
    free(large);
    oom_model_free(m);
}

static void windows_stop_growing(void **state)
{
    oom_model *m = scene_model(s, "gemma-3-27b");
    oom_plan *p = scene_plan(s, m, "fp16", NULL, "ideal", NULL);

    (void)state;
    /* 62 layers, every sixth full: 10 full, 52 of 1024 tokens; 2 x 16 x 128 x 2 = 8192 bytes a
     * token and layer */
    assert_int_equal(memory(p, 1, 1024).device.kv, UINT64_C(8192) * 62 * 1024);
    assert_int_equal(memory(p, 2, 32768).device.kv,
                     UINT64_C(2) * 8192 * (10 * UINT64_C(32768) + 52 * 1024));
    free(p);
    oom_model_free(m);
}

static void tensor_parallel_halves_what_it_cuts(void **state)
{
    oom_model *m = scene_model(s, "llama-3.1-70b");
    oom_plan *p = scene_plan(s, m, "bf16", "2x a100-sxm-80gb", "ideal", NULL);
    oom_memory x = memory(p, 1, 4096);
    /* per layer two norms of 8192, one at the end; all else is cut in two */
    uint64_t norms = UINT64_C(81) * 2 * 8192 - 8192, all = 70553706496;

    (void)state;
    assert_int_equal(x.device.weights, ((all - norms) / 2 + norms) * 2);
    /* 8 KV heads, 4 a rank: 2 x 80 x 4 x 128 x 2 bytes a token */
    assert_int_equal(x.device.kv, UINT64_C(163840) * 4096);
    free(p);
    oom_model_free(m);
}

static void heads_are_replicated_when_there_are_more_ranks(void **state)
{
    oom_model *m = scene_model(s, "qwen2.5-7b");    /* 28 heads, 4 KV heads of 128, 28 layers */
    oom_options tp = { .gpu_layers = -1, .tp = 7 };
    oom_plan *p = scene_plan(s, m, "bf16", "7x rtx-4090", "ideal", &tp);

    (void)state;
    assert_int_equal(memory(p, 1, 1000).device.kv, UINT64_C(2) * 28 * 1 * 128 * 2 * 1000);
    free(p);
    oom_model_free(m);
}

static void pipeline_stages_share_layers(void **state)
{
    oom_model *m = scene_model(s, "llama-3.1-8b");
    oom_options pp = { .gpu_layers = -1, .pp = 2 };
    oom_plan *p = scene_plan(s, m, "bf16", "2x rtx-4090", "ideal", &pp);
    oom_parts first, last;
    oom_load load = { 1, 1000, 0 };
    uint64_t available;
    /* a layer: q and o 2 x 4096 x 4096, k and v 2 x 1024 x 4096, three of 14336 x 4096, two norms */
    uint64_t layer = UINT64_C(2) * (33554432 + 8388608 + 176160768 + 8192);

    (void)state;
    assert_int_equal(oom_plan_rank(p, &load, 0, &first, &available, NULL), OOM_OK);
    assert_int_equal(oom_plan_rank(p, &load, 1, &last, &available, NULL), OOM_OK);
    assert_int_equal(first.weights, 16 * layer + UINT64_C(2) * 128256 * 4096);
    assert_int_equal(last.weights, 16 * layer + UINT64_C(2) * (128256 * 4096 + 4096));
    assert_int_equal(first.kv, UINT64_C(65536) * 1000);
    free(p);
    oom_model_free(m);
}

static void a_degree_that_does_not_divide_is_refused(void **state)
{
    oom_model *m = scene_model(s, "llama-3.1-8b");
    oom_plan *p = malloc(oom_plan_bytes());
    oom_options o = { .gpu_layers = -1, .tp = 3 };
    oom_precision format;
    oom_error err;

    (void)state;
    assert_int_equal(oom_precision_parse("fp16", &format, NULL), OOM_OK);
    assert_int_equal(oom_plan_make(p, m, &format, NULL, oom_engine_find("ideal"), &o, &err),
                     OOM_BADVALUE);
    assert_string_equal(err.msg, "tp=3 does not divide the 32 attention heads of llama-3.1-8b");
    free(p);
    oom_model_free(m);
}

static void what_is_too_large_says_so(void **state)
{
    oom_model *m = scene_model(s, "llama-3.1-8b");
    oom_plan *p = scene_plan(s, m, "fp16", "rtx-4090", "generic", NULL);
    oom_load load = { UINT64_C(1) << 40, UINT64_C(1) << 40, 0 };
    oom_memory x;
    oom_error err;

    (void)state;
    assert_int_equal(oom_plan_memory(p, &load, &x, NULL, &err), OOM_TOOLARGE);
    free(p);
    oom_model_free(m);
}

/* The terms that explain() prints add up to what memory() says: there is one implementation. */
typedef struct { uint64_t taken, available; } sums;

static void add_up(void *ctx, const oom_term *term)
{
    sums *sum = ctx;

    if (strcmp(term->part, "available") == 0)
        sum->available += term->bytes;
    else if (!term->host)
        sum->taken += term->bytes;
}

static void the_terms_add_up(void **state)
{
    static const char *const models[] = { "llama-3.1-8b", "gemma-3-27b", "mixtral-8x7b", "gpt2" };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        for (size_t e = 0; oom_engine_at(e); e++) {
            oom_model *m = scene_model(s, models[i]);
            oom_plan *p = scene_plan(s, m, "fp16", "h100-sxm", oom_engine_name(oom_engine_at(e)), NULL);
            oom_load load = { 3, 1000, 0 };
            sums sum = { 0, 0 };
            oom_listener l = { add_up, &sum };
            oom_memory x;

            assert_int_equal(oom_plan_memory(p, &load, &x, &l, NULL), OOM_OK);
            if (sum.taken != x.device.total)
                fail_msg("%s, %s: terms %llu, total %llu", models[i],
                         oom_engine_name(oom_engine_at(e)), (unsigned long long)sum.taken,
                         (unsigned long long)x.device.total);
            assert_int_equal(sum.available, x.available);
            free(p);
            oom_model_free(m);
        }
}

/* ---- solving: exact for every engine, model, device and setting tried ---- */

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % n;
}

static bool fits(const oom_plan *p, uint64_t batch, uint64_t seq)
{
    oom_load load = { batch, seq, 0 };
    oom_memory m;

    return oom_plan_memory(p, &load, &m, NULL, NULL) == OOM_OK && m.fits;
}

static void check_exact(const oom_plan *p, const char *what)
{
    uint64_t seq = 1 + random_below(UINT64_C(1) << (4 + random_below(16))), n = 0;
    uint64_t batch = 1 + random_below(64), length = 0;

    assert_int_equal(oom_solve_batch(p, seq, 0, &n, NULL), OOM_OK);
    assert_int_equal(oom_solve_seq(p, batch, 0, &length, NULL), OOM_OK);
    if (n != OOM_NO_LIMIT && ((n && !fits(p, n, seq)) || fits(p, n + 1, seq)))
        fail_msg("%s: batch %llu at seq %llu is not exact", what, (unsigned long long)n,
                 (unsigned long long)seq);
    if (length != OOM_NO_LIMIT && ((length && !fits(p, batch, length)) || fits(p, batch, length + 1)))
        fail_msg("%s: seq %llu at batch %llu is not exact", what, (unsigned long long)length,
                 (unsigned long long)batch);
}

static void a_solution_fits_and_one_more_does_not(void **state)
{
    static const char *const devices[] = { "rtx-4090", "h100-sxm", "2x a100-sxm-80gb", "24GiB",
                                           "8x h200-sxm", "m3-max-64gb", "1x rtx-4090 + 1x rtx-3090" };
    static const char *const precisions[] = { "fp32", "fp16", "int8", "int4" };
    const read_preset *list;
    size_t n = read_models(s->catalogue, &list, NULL);

    (void)state;
    for (int round = 0; round < 300; round++) {
        oom_model *m = scene_model(s, list[random_below(n)].id);
        const char *device = devices[random_below(7)], *precision = precisions[random_below(4)];
        oom_options o = { .gpu_layers = -1, .tp = 1, .chunk = random_below(2) ? 512 : 0 };
        oom_deployment where;
        oom_precision format;
        oom_plan *p = malloc(oom_plan_bytes());
        char what[256];
        size_t e = 0;

        assert_int_equal(read_deployment(s->catalogue, device, &where, NULL), OOM_OK);
        assert_int_equal(oom_precision_parse(precision, &format, NULL), OOM_OK);
        while (oom_engine_at(e + 1) && random_below(3))
            e++;
        if (random_below(2))
            o.tp = 0;
        snprintf(what, sizeof what, "%s %s %s %s", m->id, device, precision,
                 oom_engine_name(oom_engine_at(e)));
        if (oom_plan_make(p, m, &format, &where, oom_engine_at(e), &o, NULL) == OOM_OK)
            check_exact(p, what);
        free(p);
        oom_model_free(m);
    }
}

/* Devices that differ in the rows they pad, in whose turns the notes are written. */
static void plans_that_share_notes_answer_as_those_that_do_not(void **state)
{
    static const char *const devices[] = { "24GiB", "m3-max-36gb", "24GiB" };
    oom_notes *notes = calloc(1, oom_notes_bytes());
    oom_model *m = scene_model(s, "gpt2");
    oom_options o = { .gpu_layers = 0, .unified = OOM_YES };
    oom_load load = { 1, 89315, 0 };
    oom_plan *shares = malloc(oom_plan_bytes());
    oom_precision format;

    (void)state;
    o.kv_k = o.kv_v = oom_format_find("q8_0");
    assert_int_equal(oom_precision_parse("fp16", &format, NULL), OOM_OK);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        oom_plan *alone = scene_plan(s, m, "fp16", devices[i], "llama.cpp", &o);
        oom_deployment where;
        oom_memory a, b;

        assert_int_equal(read_deployment(s->catalogue, devices[i], &where, NULL), OOM_OK);
        assert_int_equal(oom_plan_make_noting(shares, notes, m, &format, &where,
                                              oom_engine_find("llama.cpp"), &o, NULL), OOM_OK);
        assert_int_equal(oom_plan_memory(alone, &load, &a, NULL, NULL), OOM_OK);
        assert_int_equal(oom_plan_memory(shares, &load, &b, NULL, NULL), OOM_OK);
        assert_int_equal(b.device.total, a.device.total);
        free(alone);
    }
    free(shares);
    free(notes);
    oom_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_textbook_cache_of_seven_billion_is_half_a_mebibyte_a_token),
        cmocka_unit_test(grouped_query_attention_keeps_a_quarter),
        cmocka_unit_test(a_chunk_of_prefill_is_counted_once),
        cmocka_unit_test(windows_stop_growing),
        cmocka_unit_test(tensor_parallel_halves_what_it_cuts),
        cmocka_unit_test(heads_are_replicated_when_there_are_more_ranks),
        cmocka_unit_test(pipeline_stages_share_layers),
        cmocka_unit_test(a_degree_that_does_not_divide_is_refused),
        cmocka_unit_test(what_is_too_large_says_so),
        cmocka_unit_test(the_terms_add_up),
        cmocka_unit_test(a_solution_fits_and_one_more_does_not),
        cmocka_unit_test(plans_that_share_notes_answer_as_those_that_do_not),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
