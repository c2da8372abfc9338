/* How a model is dealt to ranks, what plans refuse, and what is told of them: on models written out
 * here, small enough to add up by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "failing.h"
#include "scene.h"
#include "plan.h"

static scene *s;

static int setup(void **state) { (void)state; s = scene_new(); return 0; }
static int teardown(void **state) { (void)state; scene_free(s); return 0; }

/* 2 layers of 8 heads and 2 KV heads of 16. */
#define SMALL \
    "\"hidden_size\": 128, \"num_attention_heads\": 8, \"num_key_value_heads\": 2, " \
    "\"num_hidden_layers\": 2, \"intermediate_size\": 64, \"vocab_size\": 100"
#define LLAMA "{\"model_type\": \"llama\", " SMALL "}"
#define FUSED "{\"model_type\": \"internlm2\", " SMALL "}"
#define EXPERTS "{\"model_type\": \"mixtral\", \"num_local_experts\": 6, " \
    "\"num_experts_per_tok\": 2, " SMALL "}"

static oom_status make(oom_plan *p, oom_model *m, const char *device, const char *engine,
                       const oom_options *o, oom_error *err)
{
    oom_deployment where;
    oom_precision half;

    assert_int_equal(oom_precision_parse("fp16", &half, NULL), OOM_OK);
    if (device)
        assert_int_equal(read_deployment(s->catalogue, device, &where, NULL), OOM_OK);
    return oom_plan_make(p, m, &half, device ? &where : NULL, oom_engine_find(engine), o, err);
}

static oom_parts rank_of(const oom_plan *p, uint32_t rank, uint64_t seq)
{
    oom_parts parts;
    uint64_t available;
    oom_error err;

    if (oom_plan_rank(p, &(oom_load){ 1, seq, 0 }, rank, &parts, &available, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    return parts;
}

static uint64_t weights_of_rank(const char *model, const oom_options *o)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = scene_plan(s, m, "fp16", NULL, "ideal", o);
    uint64_t weights = rank_of(p, 0, 1).weights;

    free(p);
    oom_model_free(m);
    return weights;
}

/* ---- weights -------------------------------------------------------------------------------- */

/* In 16-bit words, on one of 4 ranks: q 128 x 128 / 4, k and v 16 x 128 (a head is whole, and two
 * ranks share it), o a quarter, the MLP a quarter of 3 x 128 x 64; embedding and head a quarter of
 * 100 x 128 each; norms whole. */
static void a_key_head_is_whole_on_every_rank(void **state)
{
    oom_options four = { .gpu_layers = -1, .tp = 4 };
    uint64_t layer = 128 * 128 / 4 + 2 * 16 * 128 + 128 * 128 / 4 + 3 * 128 * 64 / 4 + 2 * 128;

    (void)state;
    assert_int_equal(weights_of_rank(LLAMA, &four), 2 * (2 * layer + 2 * 100 * 128 / 4 + 128));
}

/* The same with q, k and v in one matrix: what counts is the rows of each head in it. */
static void a_fused_matrix_is_dealt_head_by_head(void **state)
{
    (void)state;
    for (uint32_t tp = 1; tp <= 8; tp *= 2) {
        oom_options o = { .gpu_layers = -1, .tp = tp };

        assert_int_equal(weights_of_rank(FUSED, &o), weights_of_rank(LLAMA, &o));
    }
}

/* The fused matrix of a gated delta layer has heads of its own (16 x 128 of q and of k, 32 x 128 of
 * v), which four ranks share evenly, though the two KV heads of the other layers do not. */
static void a_fused_matrix_of_other_heads_is_cut_evenly(void **state)
{
    oom_model *m = scene_model(s, "qwen3-next-80b-a3b");
    oom_options o = { .gpu_layers = -1, .tp = 4 };
    oom_plan *p = scene_plan(s, m, "fp16", NULL, "ideal", &o);
    size_t fused = 0;

    (void)state;
    assert_int_equal(m->shape.kv_heads, 2);
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == OOM_ROLE_ATTN_QKV && m->tensors[i].part == OOM_PART_TEXT) {
            assert_int_equal(m->tensors[i].dims[0], (16 + 16 + 32) * 128);
            assert_int_equal(plan_rank_bytes(p, &m->tensors[i], 4096), 1024);
            fused++;
        }
    assert_int_equal(fused, 36);
    free(p);
    oom_model_free(m);
}

/* Two layers of six experts of 3 x 128 x 64 on four ranks: two on the fullest; under tensor
 * parallelism each is cut in four. */
static void experts_are_spread_whole_or_cut(void **state)
{
    oom_options spread = { .gpu_layers = -1, .tp = 4, .ep = 4 }, cut = { .gpu_layers = -1, .tp = 4 };
    uint64_t expert = 3 * 128 * 64 * 2;

    (void)state;
    assert_int_equal(weights_of_rank(EXPERTS, &spread) - weights_of_rank(EXPERTS, &cut),
                     2 * (2 * expert - 6 * expert / 4));
}

/* Five layers on three stages are 2, 2, 1: the last holds the head (vLLM: get_pp_indices). A tied
 * embedding lies on the first and on the last. */
static void the_last_stage_has_the_head_and_fewer_layers(void **state)
{
    oom_model *m = scene_model(s, "{\"model_type\": \"llama\", \"hidden_size\": 128, "
        "\"num_attention_heads\": 8, \"num_key_value_heads\": 2, \"num_hidden_layers\": 5, "
        "\"intermediate_size\": 64, \"vocab_size\": 100, \"tie_word_embeddings\": true}");
    oom_options o = { .gpu_layers = -1, .pp = 3 };
    oom_plan *p = scene_plan(s, m, "fp16", NULL, "ideal", &o);
    uint64_t layer = 2 * (2 * 128 * 128 + 2 * 32 * 128 + 3 * 128 * 64 + 2 * 128);
    uint64_t embed = 2 * 100 * 128, row = 2 * 2 * 32;

    (void)state;
    assert_int_equal(oom_plan_ranks(p), 3);
    assert_int_equal(rank_of(p, 0, 10).weights, 2 * layer + embed);
    assert_int_equal(rank_of(p, 1, 10).weights, 2 * layer);
    assert_int_equal(rank_of(p, 2, 10).weights, layer + 2 * 128 + embed);
    assert_int_equal(rank_of(p, 0, 10).kv, 2 * 10 * row);
    assert_int_equal(rank_of(p, 2, 10).kv, 10 * row);
    free(p);
    oom_model_free(m);
}

/* Ranks of one stage on devices of two kinds: each has the memory of its own device. */
static void every_rank_has_the_memory_of_its_device(void **state)
{
    oom_model *m = scene_model(s, LLAMA);
    oom_options o = { .gpu_layers = -1, .pp = 2, .dp = 2 };
    oom_plan *p = scene_plan(s, m, "fp16", "3x 24GiB + 1x 16GiB", "ideal", &o);
    const uint64_t gib[] = { 24, 24, 24, 16 };

    (void)state;
    for (uint32_t rank = 0; rank < 4; rank++) {
        oom_parts parts;
        uint64_t available;

        assert_int_equal(oom_plan_rank(p, &(oom_load){ 1, 1, 0 }, rank, &parts, &available, NULL),
                         OOM_OK);
        assert_int_equal(available, gib[rank] << 30);
    }
    free(p);
    oom_model_free(m);
}

/* ---- caches --------------------------------------------------------------------------------- */

/* A convolution of 3 x 10 elements in two bytes and a recurrence of 100 in four, on 4 ranks: with 6
 * heads cut in four (8 and 25 on the fullest), with 2 in halves, without any not at all. */
static void states_are_cut_by_their_heads(void **state)
{
    static const struct { uint32_t heads, kernel; uint64_t bytes; } rows[] = {
        { 6, 4, 2 * 8 + 4 * 25 }, { 2, 4, 2 * 15 + 4 * 50 }, { 0, 4, 2 * 30 + 4 * 100 },
        { 6, 0, 4 * 25 },                               /* a recurrence alone */
    };
    oom_model *m = scene_model(s, LLAMA);
    oom_options o = { .gpu_layers = -1, .tp = 4 };

    (void)state;
    m->n_caches = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oom_plan *p;

        m->caches[0] = (oom_cache){ .kind = OOM_CACHE_STATE, .conv_width = 10,
                                    .conv_kernel = rows[i].kernel, .state_elements = 100,
                                    .state_bytes_each = 4, .state_heads = rows[i].heads };
        p = scene_plan(s, m, "fp16", NULL, "ideal", &o);
        assert_int_equal(rank_of(p, 0, 1).state, rows[i].bytes);
        free(p);
    }
    oom_model_free(m);
}

static void more_kinds_of_cache_than_a_plan_holds_are_refused(void **state)
{
    oom_model *m = scene_model(s, LLAMA);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_options o = { .gpu_layers = -1 };
    oom_error err;

    (void)state;
    m->id = "colourful";
    m->n_caches = 0;
    for (uint64_t i = 0; i <= PLAN_KINDS; i++)
        assert_int_equal(oom_model_add_cache(m, &(oom_cache){ .kv_heads = 1, .k_width = i + 1 },
                                             NULL), OOM_OK);
    assert_int_equal(make(p, m, NULL, "ideal", &o, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "colourful: more than 16 different caches");
    m->n_caches = PLAN_KINDS;
    assert_int_equal(make(p, m, NULL, "ideal", &o, &err), OOM_OK);
    free(p);
    oom_model_free(m);
}

static void a_row_of_cache_past_63_bits_is_refused(void **state)
{
    oom_model *m = scene_model(s, LLAMA);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_options o = { .gpu_layers = -1 };
    oom_error err;

    (void)state;
    m->caches[0].k_width = m->caches[0].v_width = UINT64_C(1) << 62;
    assert_int_equal(make(p, m, NULL, "ideal", &o, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "4611686018427387904 elements of fp16: too large");
    free(p);
    oom_model_free(m);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void assert_refused(const char *model, const char *device, const oom_options *o,
                           const char *says)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_error err = { OOM_OK, "" };

    m->id = "test";
    assert_int_equal(make(p, m, device, "ideal", o, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, says);
    free(p);
    oom_model_free(m);
}

static void degrees_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_refused(LLAMA, NULL, &(oom_options){ .tp = 8, .pp = 2, .dp = 9 },
                   "tp=8 x pp=2 x dp=9: at most 128 devices");
    assert_refused(LLAMA, NULL, &(oom_options){ .tp = UINT32_MAX, .pp = UINT32_MAX, .dp = 4 },
                   "tp=4294967295 x pp=4294967295 x dp=4: at most 128 devices");
    assert_refused(LLAMA, "4x 24GiB", &(oom_options){ .tp = 2, .pp = 1, .dp = 1 },
                   "tp=2 x pp=1 x dp=1 is 2 devices, device has 4");
    assert_refused(LLAMA, "3x 24GiB", &(oom_options){ .dp = 2 },
                   "tp=1 x pp=1 x dp=2 is 2 devices, device has 3");
    assert_refused(LLAMA, NULL, &(oom_options){ .tp = 3 },
                   "tp=3 does not divide the 8 attention heads of test");
    assert_refused(LLAMA, NULL, &(oom_options){ .pp = 3 }, "pp=3 is more than the 2 layers of test");
    assert_refused(LLAMA, NULL, &(oom_options){ .ep = 2 }, "ep=2: test has no experts");
    assert_refused(EXPERTS, "24GiB", &(oom_options){ .ep = 2 }, "ep=2 is more than the 1 device");
    assert_refused(EXPERTS, "2x 24GiB", &(oom_options){ .ep = 3 }, "ep=3 is more than the 2 devices");
}

/* One degree told, the other is what is left of the devices. */
static void the_degree_that_is_not_told_is_the_rest(void **state)
{
    static const struct { oom_options o; uint32_t tp, pp, dp; } rows[] = {
        { { .tp = 0 }, 4, 1, 1 }, { { .dp = 2 }, 2, 1, 2 }, { { .pp = 2 }, 2, 2, 1 },
        { { .tp = 2 }, 2, 2, 1 }, { { .tp = 2, .dp = 2 }, 2, 1, 2 },
    };
    oom_model *m = scene_model(s, LLAMA);
    oom_plan *p = malloc(oom_plan_bytes());

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(make(p, m, "4x 24GiB", "ideal", &rows[i].o, NULL), OOM_OK);
        assert_int_equal(p->options.tp, rows[i].tp);
        assert_int_equal(p->options.pp, rows[i].pp);
        assert_int_equal(p->options.dp, rows[i].dp);
    }
    free(p);
    oom_model_free(m);
}

static void what_needs_a_device_says_so(void **state)
{
    oom_model *m = scene_model(s, LLAMA);
    oom_plan *p = scene_plan(s, m, "fp16", NULL, "ideal", NULL);
    oom_load load = { 1, 1, 0 };
    oom_capacity c;
    oom_error err;
    uint64_t n;

    (void)state;
    assert_int_equal(oom_solve_batch(p, 1, 0, &n, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "the largest batch needs a device");
    assert_int_equal(oom_solve_seq(p, 1, 0, &n, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "the largest seq needs a device");
    assert_int_equal(oom_plan_capacity(p, &load, &c, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "capacity needs a device");
    free(p);
    oom_model_free(m);
}

static void what_is_too_large_says_so_everywhere(void **state)
{
    oom_model *m = scene_model(s, LLAMA);
    oom_plan *p = scene_plan(s, m, "fp16", "2x 24GiB", "generic", NULL);
    const oom_load large = { UINT64_C(1) << 32, UINT64_C(1) << 31, 0 };
    const char *says = "batch 4294967296 x seq 2147483648: too large";
    uint64_t available;
    oom_capacity c;
    oom_parts parts;
    oom_memory x;
    oom_error err;

    (void)state;
    assert_int_equal(oom_plan_rank(p, &(oom_load){ 1, 1, 0 }, 2, &parts, &available, &err),
                     OOM_BADVALUE);
    assert_string_equal(err.msg, "rank 2 of 2");
    assert_int_equal(oom_plan_rank(p, &large, 1, &parts, &available, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, says);
    assert_int_equal(oom_plan_memory(p, &large, &x, NULL, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, says);
    assert_int_equal(oom_plan_capacity(p, &large, &c, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, says);
    free(p);
    oom_model_free(m);
}

/* ---- what is available ---------------------------------------------------------------------- */

typedef struct { char source[128], numbers[256]; uint64_t bytes; size_t n; } told;

static void hear_available(void *ctx, const oom_term *term)
{
    told *t = ctx;

    if (strcmp(term->part, "available") != 0)
        return;
    t->n++;
    t->bytes = term->bytes;
    snprintf(t->source, sizeof t->source, "%s", term->source);
    snprintf(t->numbers, sizeof t->numbers, "%s", term->numbers);
}

static told available_of(const char *device, const char *engine, const oom_options *o)
{
    oom_model *m = scene_model(s, LLAMA);
    oom_plan *p = scene_plan(s, m, "fp16", device, engine, o);
    told t = { .n = 0 };
    oom_listener l = { hear_available, &t };
    oom_memory x;

    assert_int_equal(oom_plan_memory(p, &(oom_load){ 1, 1, 0 }, &x, &l, NULL), OOM_OK);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.bytes, x.available);
    free(p);
    oom_model_free(m);
    return t;
}

/* 24 GiB = 25,769,803,776 bytes, and a half of it. A reserve larger than all leaves nothing. */
static void what_is_available_is_told_with_its_source(void **state)
{
    oom_options none = { .gpu_layers = -1 }, half = { .gpu_layers = -1, .utilization = 0.5 };
    oom_options all = { .gpu_layers = -1, .utilization = 1 };
    oom_options some = { .gpu_layers = -1, .reserve = 1 << 30 };
    oom_options more = { .gpu_layers = -1, .reserve = UINT64_C(1) << 40 };
    told t = available_of("24GiB", "ideal", &none);

    (void)state;
    assert_int_equal(t.bytes, UINT64_C(24) << 30);
    assert_string_equal(t.source, "the device's record");
    assert_non_null(strstr(t.numbers, "1 x 25769803776 B - 0 B, "));
    assert_int_equal(available_of("24GiB", "ideal", &all).bytes, UINT64_C(24) << 30);
    t = available_of("24GiB", "ideal", &half);
    assert_int_equal(t.bytes, UINT64_C(12) << 30);
    assert_non_null(strstr(t.numbers, "0.5 x 25769803776 B - 0 B, "));
    t = available_of("24GiB", "ideal", &some);
    assert_int_equal(t.bytes, UINT64_C(23) << 30);
    assert_non_null(strstr(t.numbers, "1 x 25769803776 B - 1073741824 B, "));
    assert_int_equal(available_of("24GiB", "ideal", &more).bytes, 0);
    t = available_of("rtx-4090", "generic", &none);
    assert_string_equal(t.source, "what a process can get of it, as logs of it say");
    t = available_of("gtx-1080-ti", "generic", &none);
    assert_string_equal(t.source, "rule of what a driver keeps (docs/devices.md)");
}

/* A pool of what the rest leaves: 24 GiB - 14e9 of weights, in requests of 524,288 B a token. */
static void a_pool_is_what_the_rest_leaves(void **state)
{
    oom_model *m = scene_model(s, "{\"params\": 7000000000, \"hidden_size\": 4096, "
                                  "\"num_hidden_layers\": 32}");
    oom_plan *p = scene_plan(s, m, "fp16", "24GiB", "ideal", NULL);
    oom_plan *full = scene_plan(s, m, "fp16", "12GiB", "ideal", NULL);
    oom_capacity c;

    (void)state;
    assert_int_equal(oom_plan_capacity(p, &(oom_load){ 3, 1000, 0 }, &c, NULL), OOM_OK);
    assert_int_equal(c.weights, 14000000000);
    assert_int_equal(c.kv_bytes, 25769803776 - 14000000000);
    assert_int_equal(c.kv_tokens, 11769803776 / 524288);        /* 22449.1 */
    assert_true(c.max_concurrency > 22.449 && c.max_concurrency < 22.450);
    assert_int_equal(oom_plan_capacity(full, &(oom_load){ 1, 1000, 0 }, &c, NULL), OOM_OK);
    assert_int_equal(c.kv_bytes, 0);
    free(p);
    free(full);
    oom_model_free(m);
}

/* An encoder keeps nothing between tokens: there is no number of tokens to say. */
static void an_encoder_has_room_but_no_tokens(void **state)
{
    oom_model *m = scene_model(s, "bert-base");
    oom_plan *p = scene_plan(s, m, "fp16", "24GiB", "ideal", NULL);
    oom_capacity c;

    (void)state;
    assert_int_equal(oom_plan_capacity(p, &(oom_load){ 1, 512, 0 }, &c, NULL), OOM_OK);
    assert_int_equal(c.kv_tokens, 0);
    assert_true(!(c.max_concurrency > 0));
    assert_int_equal(c.kv_bytes, (UINT64_C(24) << 30) - c.weights);
    free(p);
    oom_model_free(m);
}

static void a_prompt_longer_than_seq_is_seq(void **state)
{
    oom_model *m = scene_model(s, LLAMA);
    oom_plan *p = scene_plan(s, m, "fp16", NULL, "generic", NULL);
    oom_memory all, more;
    uint64_t batch = 2, total;

    (void)state;
    assert_int_equal(oom_plan_memory(p, &(oom_load){ 2, 1000, 0 }, &all, NULL, NULL), OOM_OK);
    assert_int_equal(oom_plan_memory(p, &(oom_load){ 2, 1000, 1001 }, &more, NULL, NULL), OOM_OK);
    assert_int_equal(more.device.total, all.device.total);
    plan_totals(p, 1000, 1001, &batch, 1, &total);
    assert_int_equal(total, all.device.total);
    free(p);
    oom_model_free(m);
}

/* ---- what is told ---------------------------------------------------------------------------- */

/* Terms of one part: their formulas, in order and without doubles. The numbers of a cache multiply
 * to its bytes: layers x bytes x rows x sequences. */
typedef struct { const char *part; char formulas[512]; } heard;

static void hear_cache(void *ctx, const oom_term *term)
{
    heard *h = ctx;
    unsigned long long n[4];

    if (strcmp(term->part, h->part) != 0)
        return;
    assert_int_equal(sscanf(term->numbers, "%llu x %llu B x %llu x %llu", n, n + 1, n + 2, n + 3),
                     4);
    assert_int_equal(n[0] * n[1] * n[2] * n[3], term->bytes);
    if (strstr(h->formulas, term->formula))
        return;
    snprintf(h->formulas + strlen(h->formulas), sizeof h->formulas - strlen(h->formulas), "%s%s",
             *h->formulas ? "; " : "", term->formula);
}

static void assert_told(const char *model, const char *engine, const char *part, const char *says)
{
    oom_model *m = scene_model(s, model);
    oom_plan *p = scene_plan(s, m, "fp16", NULL, engine, NULL);
    heard h = { .part = part };
    oom_listener l = { hear_cache, &h };
    oom_memory x;

    assert_int_equal(oom_plan_memory(p, &(oom_load){ 3, 20000, 0 }, &x, &l, NULL), OOM_OK);
    assert_string_equal(h.formulas, says);
    free(p);
    oom_model_free(m);
}

static void every_kind_of_cache_is_told_by_its_rule(void **state)
{
    (void)state;
    assert_told("gemma-3-27b", "ideal", "kv",
                "layers x (K row + V row) x min(seq, window) x sequences; "
                "layers x (K row + V row) x seq x sequences");
    assert_told("llama-4-scout", "ideal", "kv",
                "layers x (K row + V row) x min(seq, chunk) x sequences; "
                "layers x (K row + V row) x seq x sequences");
    assert_told("glm-5.1", "ideal", "kv", "layers x latent row x seq x sequences; "
                                          "layers x index key row x seq x sequences");
    assert_told("deepseek-v4-flash", "ideal", "kv",
                "layers x (K row + V row) x min(seq, window) x sequences; "
                "layers x row x seq / ratio x sequences");
    assert_told("t5-small", "ideal", "state",
                "layers x (K row + V row) x encoder tokens x sequences");
    assert_told("mamba-2.8b", "ideal", "state", "layers x state bytes x sequences");
    assert_told("gemma-3-27b", "generic", "kv",
                "layers x (K row + V row) x tokens kept x sequences; "
                "layers x (K row + V row) x seq x sequences");
    assert_told("mamba-2.8b", "generic", "state", "layers x state bytes x sequences");
}

static void add_up(void *ctx, const oom_term *term)
{
    if (strcmp(term->part, "available") != 0 && !term->host)
        *(uint64_t *)ctx += term->bytes;
}

/* Whatever is asked for, what is told adds up to what is counted: scores of eager attention, a cache
 * in blocks, collectives of two and of four, stages without a kind of cache, what a log taught. */
static void what_is_told_adds_up_under_every_option(void **state)
{
    static const char windows[] = "{\"model_type\": \"mistral\", \"sliding_window\": 512, "
        "\"layer_types\": [\"sliding_attention\", \"full_attention\"], " SMALL "}";
    const oom_format *blocks = oom_format_find("q8_0");
    const struct { const char *model, *device; oom_options o; } rows[] = {
        { LLAMA, "24GiB", { .attention = OOM_ATTENTION_EAGER } },
        { LLAMA, "24GiB", { .attention = OOM_ATTENTION_EAGER, .unified = OOM_YES } },
        { LLAMA, "2x 24GiB", { .kv_k = blocks } }, { LLAMA, "4x 24GiB", { .kv_v = blocks, .tp = 4 } },
        { LLAMA, NULL, { .kv_k = blocks, .kv_v = blocks, .tp = 8 } },
        { LLAMA, NULL, { .outputs = OOM_OUTPUTS_ALL } },
        { windows, "2x 24GiB", { .pp = 2, .kv_k = blocks } },
        { windows, "2x 24GiB", { .dp = 2 } }, { "mamba-2.8b", "24GiB", { .kv_k = blocks } },
        { "bert-base", "24GiB", { .tp = 1 } }, { "t5-small", "24GiB", { .tp = 1 } },
    };

    (void)state;
    for (size_t e = 0; e < 3; e++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            oom_model *m = scene_model(s, rows[i].model);
            const char *engine = e == 0 ? "ideal" : e == 1 ? "generic" : "transformers";
            oom_plan *p = scene_plan(s, m, "fp16", rows[i].device, engine, &rows[i].o);
            uint64_t sum = 0;
            oom_listener l = { add_up, &sum };
            oom_memory x;

            for (uint32_t c = 0; c < p->n_classes; c++)
                p->classes[c].learned = 12345;
            assert_int_equal(oom_plan_memory(p, &(oom_load){ 3, 3000, 1000 }, &x, &l, NULL), OOM_OK);
            if (sum != x.device.total)
                fail_msg("%s row %zu: %llu told, %llu counted", engine, i, (ull)sum,
                         (ull)x.device.total);
            free(p);
            oom_model_free(m);
        }
}

/* A row of batches that runs past 2^63: each total is what its point says. */
static void a_row_past_63_bits_says_what_its_points_say(void **state)
{
    static const uint64_t batches[] = { 1, 1000, UINT64_C(1) << 40, UINT64_C(1) << 50,
                                        UINT64_C(1) << 62 };
    static const char *const engines[] = { "ideal", "generic", "transformers", "vllm" };
    oom_model *m = scene_model(s, LLAMA);

    (void)state;
    for (size_t e = 0; e < 4; e++)
        for (uint32_t dp = 1; dp <= 2; dp++) {
            oom_options o = { .dp = dp, .tp = 1 };
            oom_plan *p = scene_plan(s, m, "fp16", dp == 1 ? "24GiB" : "2x 24GiB", engines[e], &o);
            uint64_t totals[5];

            for (uint64_t seq = 1; seq; seq <<= 12) {
                plan_totals(p, seq, 0, batches, 5, totals);
                for (size_t i = 0; i < 5; i++) {
                    oom_memory x;
                    oom_status st = oom_plan_memory(p, &(oom_load){ batches[i], seq, 0 }, &x, NULL,
                                                    NULL);

                    assert_int_equal(totals[i], st == OOM_OK ? x.device.total : SAT_TOOLARGE);
                }
            }
            free(p);
        }
    oom_model_free(m);
}

/* K and V of a release in fp32 are fp32, and so are its activations; llama.cpp's cache is fp16. */
static void a_model_in_fp32_has_a_cache_in_fp32(void **state)
{
    static const char wide[] = "{\"model_type\": \"llama\", \"torch_dtype\": \"float32\", " SMALL "}";
    static const struct { const char *model, *precision, *engine; uint64_t element; } rows[] = {
        { wide, "stored", "ideal", 4 }, { wide, "fp16", "ideal", 2 }, { LLAMA, "stored", "ideal", 2 },
        { LLAMA, "fp32", "ideal", 4 }, { wide, "q8_0", "ideal", 2 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oom_model *m = scene_model(s, rows[i].model);
        oom_plan *p = scene_plan(s, m, rows[i].precision, NULL, rows[i].engine, NULL);

        assert_int_equal(rank_of(p, 0, 10).kv, 10 * 2 * 2 * 32 * rows[i].element);
        free(p);
        oom_model_free(m);
    }
}

static void a_size_alone_has_no_plan(void **state)
{
    (void)state;
    assert_refused("{\"params\": 7e9}", NULL, &(oom_options){ .tp = 1 },
                   "test: only params is known; caches and activations need hidden_size and "
                   "num_hidden_layers, too");
}

/* ---- running out of memory ------------------------------------------------------------------- */

typedef struct { const char *engine, *precision; } attempt;

static oom_status plan_it(const oom_alloc *a, void *ctx)
{
    const attempt *t = ctx;
    oom_model *m = oom_model_new(a, NULL);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_options o = { .gpu_layers = -1 };
    oom_precision format;
    oom_error err = { OOM_OK, "" };
    oom_status st = m ? read_config(m, "test", LLAMA, sizeof LLAMA - 1, &err) : OOM_NOMEM;

    assert_int_equal(oom_precision_parse(t->precision, &format, NULL), OOM_OK);
    if (st == OOM_OK) {
        st = oom_plan_make(p, m, &format, NULL, oom_engine_find(t->engine), &o, &err);
        assert_string_equal(err.msg, st == OOM_OK ? "" : "out of memory");
    }
    free(p);
    oom_model_free(m);
    return st;
}

static void a_plan_without_memory_is_an_error_and_leaks_nothing(void **state)
{
    attempt attempts[] = { { "ideal", "fp16" }, { "generic", "q4_k_m" }, { "vllm", "awq" },
                           { "transformers", "fp16" } };

    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++)
        assert_true(fail_each_allocation(plan_it, &attempts[i]) > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_head_is_whole_on_every_rank),
        cmocka_unit_test(a_fused_matrix_is_dealt_head_by_head),
        cmocka_unit_test(a_fused_matrix_of_other_heads_is_cut_evenly),
        cmocka_unit_test(experts_are_spread_whole_or_cut),
        cmocka_unit_test(the_last_stage_has_the_head_and_fewer_layers),
        cmocka_unit_test(every_rank_has_the_memory_of_its_device),
        cmocka_unit_test(states_are_cut_by_their_heads),
        cmocka_unit_test(more_kinds_of_cache_than_a_plan_holds_are_refused),
        cmocka_unit_test(a_row_of_cache_past_63_bits_is_refused),
        cmocka_unit_test(degrees_that_cannot_be_are_refused),
        cmocka_unit_test(the_degree_that_is_not_told_is_the_rest),
        cmocka_unit_test(what_needs_a_device_says_so),
        cmocka_unit_test(what_is_too_large_says_so_everywhere),
        cmocka_unit_test(what_is_available_is_told_with_its_source),
        cmocka_unit_test(a_pool_is_what_the_rest_leaves),
        cmocka_unit_test(an_encoder_has_room_but_no_tokens),
        cmocka_unit_test(a_prompt_longer_than_seq_is_seq),
        cmocka_unit_test(every_kind_of_cache_is_told_by_its_rule),
        cmocka_unit_test(what_is_told_adds_up_under_every_option),
        cmocka_unit_test(a_row_past_63_bits_says_what_its_points_say),
        cmocka_unit_test(a_model_in_fp32_has_a_cache_in_fp32),
        cmocka_unit_test(a_size_alone_has_no_plan),
        cmocka_unit_test(a_plan_without_memory_is_an_error_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
