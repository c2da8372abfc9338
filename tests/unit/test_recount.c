/* A second opinion: random configurations of eight families, counted again by the plainest loop over
 * transformers' modelling code (modeling_llama.py, modeling_qwen2.py, modeling_qwen3.py,
 * modeling_mixtral.py, modeling_qwen3_moe.py, modeling_deepseek_v3.py, modeling_gemma2.py), one
 * matrix at a time. Nothing of the core is used for it. RECOUNTS=n tries n configurations,
 * OOMPH_SEED= others. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "read.h"

typedef enum { LLAMA, QWEN2, QWEN3, MIXTRAL, QWEN3_MOE, DEEPSEEK_V2, DEEPSEEK_V3, GEMMA2, TYPES } type;

static const char *const type_names[] = { "llama", "qwen2", "qwen3", "mixtral", "qwen3_moe",
                                          "deepseek_v2", "deepseek_v3", "gemma2" };

typedef struct {
    type t;
    uint64_t hidden, width, layers, heads, kv_heads, head_dim, vocab, window;
    bool attention_bias, mlp_bias, tied;
    uint64_t experts, used, expert_width, step, only[3], n_only, shared, first_dense;
    uint64_t q_lora, kv_lora, rope, nope, v_dim;
} shape;

/* ---- a configuration ---- */

static uint64_t state = 1;

static uint64_t random_below(uint64_t n)    /* xorshift64*, Vigna 2014 */
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (state * 0x2545F4914F6CDD1DULL >> 11) % n;
}

static uint64_t between(uint64_t low, uint64_t high) { return low + random_below(high - low + 1); }
static bool coin(void) { return random_below(2); }

static shape random_shape(void)
{
    static const uint64_t dims[] = { 64, 80, 96, 128, 192, 256 };
    shape s = { .t = (type)random_below(TYPES) };

    s.kv_heads = between(1, 16);
    s.heads = s.kv_heads * between(1, 8);
    s.head_dim = dims[random_below(6)];
    s.hidden = 8 * between(8, 1024);
    s.width = between(1, 30000);
    s.layers = between(1, 96);
    s.vocab = between(1, 262144);
    s.attention_bias = coin();
    s.mlp_bias = coin();
    s.tied = coin();
    s.window = coin() ? between(1, 9000) : 0;
    s.experts = between(2, 256);
    s.used = between(1, s.experts);
    s.expert_width = between(1, 4096);
    s.step = between(1, 3);
    s.n_only = random_below(4);
    for (uint64_t i = 0; i < s.n_only; i++)
        s.only[i] = random_below(s.layers);
    s.shared = between(1, 3);
    s.first_dense = random_below(s.layers + 1);
    s.q_lora = coin() ? between(1, 2048) : 0;
    s.kv_lora = between(1, 1024);
    s.rope = 2 * between(8, 64);
    s.nope = between(16, 192);
    s.v_dim = between(16, 192);
    return s;
}

static bool is_deepseek(const shape *s) { return s->t == DEEPSEEK_V2 || s->t == DEEPSEEK_V3; }

static char *json_of(const shape *s)
{
    static char text[2048];
    int n = snprintf(text, sizeof text,
                     "{\"model_type\":\"%s\",\"hidden_size\":%" PRIu64 ",\"intermediate_size\":%" PRIu64
                     ",\"num_hidden_layers\":%" PRIu64 ",\"num_attention_heads\":%" PRIu64
                     ",\"num_key_value_heads\":%" PRIu64 ",\"vocab_size\":%" PRIu64
                     ",\"max_position_embeddings\":131072,\"tie_word_embeddings\":%s",
                     type_names[s->t], s->hidden, s->width, s->layers, s->heads, s->kv_heads, s->vocab,
                     s->tied ? "true" : "false");

#define MORE(...) (n += snprintf(text + n, sizeof text - (size_t)n, __VA_ARGS__))
    /* keys that a class does not have are left out: nobody writes them */
    if (s->t != QWEN2 && s->t != MIXTRAL)
        MORE(",\"attention_bias\":%s", s->attention_bias ? "true" : "false");
    if (s->t == LLAMA)
        MORE(",\"mlp_bias\":%s", s->mlp_bias ? "true" : "false");
    if (!is_deepseek(s))
        MORE(",\"head_dim\":%" PRIu64, s->head_dim);
    if (s->t == GEMMA2 || (s->t == MIXTRAL && s->window))
        MORE(",\"sliding_window\":%" PRIu64, s->window ? s->window : 4096);
    if (s->t == MIXTRAL)
        MORE(",\"num_local_experts\":%" PRIu64 ",\"num_experts_per_tok\":%" PRIu64, s->experts, s->used);
    if (s->t == QWEN3_MOE) {
        MORE(",\"num_experts\":%" PRIu64 ",\"num_experts_per_tok\":%" PRIu64
             ",\"moe_intermediate_size\":%" PRIu64 ",\"decoder_sparse_step\":%" PRIu64
             ",\"mlp_only_layers\":[", s->experts, s->used, s->expert_width, s->step);
        for (uint64_t i = 0; i < s->n_only; i++)
            MORE("%s%" PRIu64, i ? "," : "", s->only[i]);
        MORE("]");
    }
    if (is_deepseek(s)) {
        MORE(",\"n_routed_experts\":%" PRIu64 ",\"num_experts_per_tok\":%" PRIu64
             ",\"moe_intermediate_size\":%" PRIu64 ",\"n_shared_experts\":%" PRIu64
             ",\"first_k_dense_replace\":%" PRIu64 ",\"moe_layer_freq\":1,\"kv_lora_rank\":%" PRIu64
             ",\"qk_rope_head_dim\":%" PRIu64 ",\"qk_nope_head_dim\":%" PRIu64 ",\"v_head_dim\":%" PRIu64,
             s->experts, s->used, s->expert_width, s->shared, s->first_dense, s->kv_lora, s->rope,
             s->nope, s->v_dim);
        if (s->q_lora)
            MORE(",\"q_lora_rank\":%" PRIu64, s->q_lora);
        else
            MORE(",\"q_lora_rank\":null");
    }
    MORE("}");
#undef MORE
    assert_true((size_t)n < sizeof text);
    return text;
}

/* ---- the plain recount ---- */

static uint64_t linear(uint64_t in, uint64_t out, bool bias) { return in * out + (bias ? out : 0); }

static uint64_t attention_of(const shape *s)
{
    uint64_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim, n;
    bool qkv_bias = s->attention_bias, o_bias = qkv_bias;

    if (is_deepseek(s)) {
        if (s->q_lora)
            n = linear(s->hidden, s->q_lora, s->attention_bias) + s->q_lora
              + linear(s->q_lora, s->heads * (s->nope + s->rope), false);
        else
            n = linear(s->hidden, s->heads * (s->nope + s->rope), false);
        n += linear(s->hidden, s->kv_lora + s->rope, s->attention_bias) + s->kv_lora;
        n += linear(s->kv_lora, s->heads * (s->nope + s->v_dim), false);
        return n + linear(s->heads * s->v_dim, s->hidden, s->attention_bias);
    }
    if (s->t == QWEN2)
        qkv_bias = true, o_bias = false;
    if (s->t == MIXTRAL)
        qkv_bias = o_bias = false;
    n = linear(s->hidden, q, qkv_bias);
    n += linear(s->hidden, kv, qkv_bias);
    n += linear(s->hidden, kv, qkv_bias);
    n += linear(q, s->hidden, o_bias);
    if (s->t == QWEN3 || s->t == QWEN3_MOE)
        n += s->head_dim + s->head_dim;
    return n;
}

static uint64_t mlp_of(const shape *s, uint64_t width)
{
    bool bias = s->t == LLAMA && s->mlp_bias;

    return linear(s->hidden, width, bias) + linear(s->hidden, width, bias)
           + linear(width, s->hidden, bias);
}

static bool has_experts(const shape *s, uint64_t layer)
{
    if (s->t == MIXTRAL)
        return true;
    if (is_deepseek(s))
        return layer >= s->first_dense;
    if (s->t != QWEN3_MOE)
        return false;
    for (uint64_t i = 0; i < s->n_only; i++)
        if (s->only[i] == layer)
            return false;
    return (layer + 1) % s->step == 0;
}

/* All parameters in *all; those that a token uses in *active. */
static void recount(const shape *s, uint64_t *all, uint64_t *active)
{
    uint64_t one = mlp_of(s, s->t == MIXTRAL ? s->width : s->expert_width), unused = 0, n = 0;

    n += s->vocab * s->hidden;
    for (uint64_t l = 0; l < s->layers; l++) {
        n += attention_of(s);
        n += (s->t == GEMMA2 ? 4 : 2) * s->hidden;
        if (has_experts(s, l)) {
            n += linear(s->hidden, s->experts, false);
            if (s->t == DEEPSEEK_V3)
                n += s->experts;                /* e_score_correction_bias */
            for (uint64_t e = 0; e < s->experts; e++) {
                n += one;
                if (e >= s->used)
                    unused += one;
            }
            if (is_deepseek(s))
                n += mlp_of(s, s->expert_width * s->shared);
        } else {
            n += mlp_of(s, s->width);
        }
    }
    n += s->hidden;
    if (!s->tied)
        n += s->vocab * s->hidden;
    *all = n;
    *active = n - unused;
}

/* Bytes of one sequence's cache, two bytes an element, no padding. */
static uint64_t cache_of(const shape *s, uint64_t seq)
{
    uint64_t n = 0;

    for (uint64_t l = 0; l < s->layers; l++) {
        uint64_t window = 0, tokens = seq;

        if (s->t == MIXTRAL)
            window = s->window;
        if (s->t == GEMMA2 && l % 2 == 0)
            window = s->window ? s->window : 4096;
        if (window && window < tokens)
            tokens = window;
        n += tokens * 2 * (is_deepseek(s) ? s->kv_lora + s->rope : 2 * s->kv_heads * s->head_dim);
    }
    return n;
}

/* ---- the core's answers against it ---- */

static void same(const shape *s, const char *what, uint64_t got, uint64_t expected)
{
    if (got != expected)
        fail_msg("%s: got %" PRIu64 ", recounted %" PRIu64 "\n%s", what, got, expected, json_of(s));
}

static oom_plan *plan_of(oom_model *m, const char *precision, uint64_t memory)
{
    oom_deployment where = { .n = 1, .n_groups = 1, .group[0].count = 1 };
    oom_options o = { .gpu_layers = -1 };
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision format;
    oom_error err = { OOM_OK, "" };

    where.group[0].device.memory_bytes = where.group[0].device.usable_bytes = memory;
    where.group[0].device.dies = 1;
    assert_non_null(p);
    if (oom_precision_parse(precision, &format, &err) != OOM_OK ||
        oom_plan_make(p, m, &format, &where, oom_engine_find("ideal"), &o, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    return p;
}

static void check(const shape *s)
{
    oom_error err = { OOM_OK, "" };
    oom_model *m = oom_model_new(&oom_libc_alloc, &err);
    uint64_t all, active, seq = between(1, 20000), batch = between(1, 40), most, room;
    oom_load load = { .batch = batch, .seq = seq };
    oom_param_counts counts;
    oom_memory memory;
    oom_plan *p;

    if (read_config(m, "config.json", json_of(s), strlen(json_of(s)), &err) != OOM_OK)
        fail_msg("%s\n%s", err.msg, json_of(s));
    recount(s, &all, &active);
    assert_int_equal(oom_model_count(m, &counts, &err), OOM_OK);
    same(s, "parameters", counts.loaded, all);
    same(s, "active parameters", counts.active, active);

    p = plan_of(m, "int4", OOM_MAX_BYTES);
    assert_int_equal(oom_plan_memory(p, &load, &memory, NULL, &err), OOM_OK);
    same(s, "int4 weights", memory.device.weights, all / 2 + all % 2);
    free(p);

    /* room for some sequences, and a part of one */
    room = 2 * all + cache_of(s, seq) * random_below(60) + random_below(cache_of(s, seq));
    p = plan_of(m, "fp16", room);
    assert_int_equal(oom_plan_memory(p, &load, &memory, NULL, &err), OOM_OK);
    same(s, "fp16 weights", memory.device.weights, 2 * all);
    same(s, "cache", memory.device.kv, batch * cache_of(s, seq));
    same(s, "fits", memory.fits, 2 * all + batch * cache_of(s, seq) <= room);
    assert_int_equal(oom_solve_batch(p, seq, 0, &most, &err), OOM_OK);
    for (batch = 0; 2 * all + (batch + 1) * cache_of(s, seq) <= room; batch++)
        ;
    same(s, "largest batch", most, batch);
    if (!s->window || (s->t != MIXTRAL && s->t != GEMMA2)) {
        assert_int_equal(oom_solve_seq(p, 1, 0, &most, &err), OOM_OK);
        if (s->t != GEMMA2)
            same(s, "longest sequence", most, (room - 2 * all) / cache_of(s, 1));
    }
    free(p);
    oom_model_free(m);
}

static void every_count_is_what_the_plainest_loop_counts(void **unused)
{
    const char *runs = getenv("RECOUNTS"), *seed = getenv("OOMPH_SEED");
    uint64_t n = runs ? strtoull(runs, NULL, 10) : 3000;

    (void)unused;
    state = seed ? strtoull(seed, NULL, 10) | 1 : 20261;
    for (uint64_t i = 0; i < n; i++) {
        shape s = random_shape();

        check(&s);
    }
    if (runs)
        fprintf(stderr, "%" PRIu64 " configurations recounted\n", n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_count_is_what_the_plainest_loop_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
