/* GGUF views and precisions of models written out here: what becomes of a tensor that is not as its
 * family has it, and of configurations that say less, or otherwise, than releases do. */
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

#define IS(type) "{\"model_type\": \"" type "\", \"hidden_size\": 64, \"intermediate_size\": 128, " \
    "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 100, " \
    "\"num_hidden_layers\": 2"

static oom_model *built(const char *json)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_error err = { OOM_OK, "" };

    if (read_config(m, "config.json", json, strlen(json), &err) != OOM_OK)
        fail_msg("%s\n%s", err.msg, json);
    return m;
}

static oom_precision precision(const char *name)
{
    oom_precision p;

    assert_int_equal(oom_precision_parse(name, &p, NULL), OOM_OK);
    return p;
}

static const oom_model *view(oom_model *m)
{
    oom_precision p = precision("q8_0");
    const oom_model *file;

    assert_int_equal(oom_precision_inventory(m, &p, &file, NULL), OOM_OK);
    return file;
}

static const oom_tensor *find(const oom_model *m, const char *name)
{
    char buf[128];

    for (size_t i = 0; i < m->n_tensors; i++)
        if (strcmp(oom_tensor_name(&m->tensors[i], buf, sizeof buf), name) == 0)
            return &m->tensors[i];
    return NULL;
}

static uint64_t rows_of(const oom_model *m, const char *name)
{
    const oom_tensor *t = find(m, name);

    assert_non_null(t);
    return t->dims[t->n_dims > 1 ? t->n_dims - 2 : 0];
}

static oom_tensor *own(oom_model *m, oom_role role)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].role == role)
            return &m->tensors[i];
    fail_msg("no tensor of this role");
    return NULL;
}

/* ---- views ---------------------------------------------------------------------------------- */

/* Elements of a rope tensor, 0 where there is none. */
static uint64_t rope(const char *json, const char *tensor)
{
    oom_model *m = built(json);
    const oom_tensor *t = find(view(m), tensor);
    uint64_t n = t ? t->dims[0] : 0;

    oom_model_free(m);
    return n;
}

static void rope_tensors_follow_the_configuration(void **state)
{
#define LLAMA(scaling) rope(IS("llama") ", \"rope_scaling\": " scaling "}", "rope_freqs.weight")
#define PHI(more) rope(IS("phi3") more "}", "rope_factors_long.weight")
    (void)state;
    /* half a head of 16 */
    assert_int_equal(LLAMA("{\"rope_type\": \"llama3\"}"), 8);
    assert_int_equal(LLAMA("{\"type\": \"llama3\"}"), 8);
    assert_int_equal(LLAMA("{\"type\": \"linear\"}"), 0);
    assert_int_equal(LLAMA("{\"type\": 3}"), 0);
    assert_int_equal(LLAMA("{}"), 0);
    assert_int_equal(PHI(", \"max_position_embeddings\": 131072"), 8);
    assert_int_equal(PHI(", \"max_position_embeddings\": 4096"), 0);
    assert_int_equal(PHI(", \"rope_scaling\": {\"type\": \"su\"}"), 8);
    assert_int_equal(PHI(", \"rope_scaling\": {\"type\": \"longrope\"}"), 8);
    assert_int_equal(PHI(", \"rope_scaling\": {\"type\": \"yarn\"}"), 0);
    /* of three quarters of a head */
    assert_int_equal(PHI(", \"rope_scaling\": {\"type\": \"longrope\"}, "
                         "\"partial_rotary_factor\": 0.75"), 6);
    assert_int_equal(PHI(", \"rope_scaling\": {\"type\": \"longrope\"}, "
                         "\"partial_rotary_factor\": 1.0"), 8);
    assert_int_equal(PHI(", \"rope_scaling\": {\"type\": \"longrope\"}, "
                         "\"partial_rotary_factor\": -0.5"), 8);
    assert_int_equal(PHI(", \"rope_scaling\": {\"type\": \"longrope\"}, "
                         "\"partial_rotary_factor\": 1"), 8);
}

/* Gemma 4's are of its full layers' heads, where the configuration says how wide those are. */
static void gemma_4_s_rope_factors_are_of_its_wide_heads(void **state)
{
#define GEMMA(more) rope("{\"model_type\": \"gemma4\", \"text_config\": {\"model_type\": " \
        "\"gemma4_text\", \"hidden_size\": 64, \"intermediate_size\": 128, " \
        "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 100, " \
        "\"num_hidden_layers\": 2, \"head_dim\": 16" more "}}", "rope_freqs.weight")
    (void)state;
    assert_int_equal(GEMMA(", \"global_head_dim\": 32"), 16);
    /* transformers, configuration_gemma4.py: 512 unless it says so */
    assert_int_equal(GEMMA(""), 256);
    assert_int_equal(GEMMA(", \"global_head_dim\": null"), 256);
}

static void what_is_not_as_its_family_has_it_stays_whole(void **state)
{
    oom_model *latent = built(IS("deepseek_v2") ", \"kv_lora_rank\": 16, \"qk_nope_head_dim\": 8, "
        "\"qk_rope_head_dim\": 8, \"v_head_dim\": 8, \"moe_intermediate_size\": 32, "
        "\"n_routed_experts\": 4, \"num_experts_per_tok\": 2}");
    oom_model *fused = built(IS("internlm2") "}");
    oom_model *experts = built(IS("gpt_oss") ", \"num_local_experts\": 4, "
                               "\"num_experts_per_tok\": 2}");
    oom_model *conv = built("{\"model_type\": \"mamba\", \"hidden_size\": 64, \"vocab_size\": 100, "
                            "\"num_hidden_layers\": 2}");
    oom_tensor *t = own(experts, OOM_ROLE_EXP_GATE_UP);
    const oom_tensor *squeezed;

    (void)state;
    own(latent, OOM_ROLE_ATTN_KV_B)->dims[0]++;
    assert_non_null(find(view(latent), "blk.0.attn_kv_b.weight"));
    assert_non_null(find(view(latent), "blk.1.attn_k_b.weight"));
    own(fused, OOM_ROLE_ATTN_QKV)->dims[0]++;
    assert_non_null(find(view(fused), "blk.0.attn_qkv.weight"));
    assert_int_equal(rows_of(view(fused), "blk.1.attn_k.weight"), 32);
    t->dims[1]++;                                       /* an odd number of rows */
    assert_non_null(find(view(experts), "blk.0.ffn_gate_up_exps.weight"));
    assert_int_equal(rows_of(view(experts), "blk.1.ffn_gate_exps.weight"), 128);
    t = own(conv, OOM_ROLE_SSM_CONV);
    t->dims[0] = t->dims[1] = 1;                        /* nothing but ones is one */
    squeezed = find(view(conv), "blk.0.ssm_conv1d.weight");
    assert_non_null(squeezed);
    assert_int_equal(squeezed->n_dims, 1);
    oom_model_free(latent);
    oom_model_free(fused);
    oom_model_free(experts);
    oom_model_free(conv);
}

/* A matrix of T5's output is renamed where its name has room for it. */
static void names_of_two_stacks_are_shortened_where_they_end_so(void **state)
{
    char long_name[200] = "enc.";
    oom_model *m = built("{\"model_type\": \"t5\", \"d_model\": 64, \"num_layers\": 1, "
                         "\"num_heads\": 4, \"d_kv\": 16, \"d_ff\": 128, \"vocab_size\": 100}");
    oom_tensor t = { .layer = -1, .role = OOM_ROLE_ATTN_O, .n_dims = 1, .dims = { 7 } };
    const oom_model *file;

    (void)state;
    memset(long_name + 4, 'a', sizeof long_name - 5);
    t.name = "enc.short";
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    t.name = long_name;
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    t.suffix = OOM_BIAS;
    t.name = "enc.blk.0.attn_output.bias";
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    file = view(m);
    assert_non_null(find(file, "enc.blk.0.attn_o.weight"));
    assert_non_null(find(file, "dec.blk.0.attn_o.weight"));
    assert_null(find(file, "enc.blk.0.attn_output.weight"));
    assert_non_null(find(file, "enc.short"));
    assert_non_null(find(file, "enc.blk.0.attn_output.bias"));
    oom_model_free(m);
}

/* ---- llama.cpp's recipes -------------------------------------------------------------------- */

static const char *type_in(oom_model *m, const char *recipe, size_t i)
{
    static const oom_format *each[64];
    oom_precision p = precision(recipe);
    oom_error err = { OOM_OK, "" };

    if (oom_precision_formats(m, &p, each, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    return each[i]->name;
}

/* llama-quant.cpp: tensor_allows_quantization looks at names, also of tensors that it has no role
 * for; rows of 100 are no multiple of any block. */
static void tensors_without_a_role_are_told_by_their_names(void **state)
{
    static const struct { const char *name; uint64_t row; const char *type; } rows[] = {
        { "blk.0.strange.weight", 256, "q4_0" },
        { "blk.0.strange_norm.weight", 256, "fp16" },
        { "blk.0.xssm_conv1d.weight", 256, "fp16" },
        { "blk.0.indexer.k_proj.weight", 256, "fp16" },
        { "blk.0.indexer.q_proj.weight", 256, "fp16" },
        { "blk.0.tid2eid.weight", 256, "fp16" },
        { "blk.0.uneven.weight", 100, "fp16" },
        { NULL, 256, "q4_0" },
    };
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);

    (void)state;
    m->is_gguf = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(oom_model_add_tensor(m, &(oom_tensor){ .name = rows[i].name, .layer = 0,
            .role = OOM_ROLE_OTHER, .n_dims = 2, .dims = { 256, rows[i].row } }, NULL), OOM_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(type_in(m, "q4_0", i), rows[i].type);
    oom_model_free(m);
}

/* The "70B" of llama.cpp, whose values get more bits: 80 layers of a Llama that is no Mixtral and
 * groups its heads, of Qwen 2, Deci and OLMo; 68 of Jais 2 (src/models). */
static void the_70b_is_told_by_its_layers(void **state)
{
    static const struct { const char *arch; uint32_t layers, experts, kv; const char *type; } rows[] = {
        { "llama", 80, 0, 8, "q5_k" },  { "llama", 79, 0, 8, "q3_k" }, { "llama", 80, 0, 64, "q3_k" },
        { "llama", 80, 8, 8, "q8_0" },  { "jais2", 68, 0, 8, "q5_k" }, { "jais2", 80, 0, 8, "q3_k" },
        { "qwen2", 80, 0, 8, "q5_k" },  { "deci", 80, 0, 8, "q5_k" },  { "olmo", 80, 0, 8, "q5_k" },
        { "gemma", 80, 0, 8, "q3_k" },
    };
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);

    (void)state;
    m->is_gguf = true;
    assert_int_equal(oom_model_add_tensor(m, &(oom_tensor){ .layer = 0, .role = OOM_ROLE_ATTN_V,
        .n_dims = 2, .dims = { 256, 256 } }, NULL), OOM_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        m->ggml_arch = rows[i].arch;
        m->shape = (oom_shape){ .n_layers = rows[i].layers, .experts = rows[i].experts,
                                .heads = 64, .kv_heads = rows[i].kv };
        assert_string_equal(type_in(m, "q3_k_s", 0), rows[i].type);
    }
    oom_model_free(m);
}

static void a_file_may_be_asked_for_by_a_width_s_name(void **state)
{
    oom_error err;
    oom_precision p;

    (void)state;
    assert_string_equal(precision("gguf:fp16").name, "f16");
    assert_string_equal(precision("gguf:fp32").name, "f32");
    assert_string_equal(precision("GGUF:Q4_K_M").name, "q4_k_m");
    assert_int_equal(oom_precision_parse("gguf:fp8", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("type:int4", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("type:nothing", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("gptq-5bit", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("gptq-4bit-", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("gptq-4bitx", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("gptq-4bit-4bit", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("gptq-64g-4bit", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("gptq-12345bit", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("exl2-0.5", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("exl2-17", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("exl2-4.5x", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("exl2-4.", &p, &err), OOM_NOTFOUND);
    assert_int_equal(oom_precision_parse("exl2", &p, &err), OOM_NOTFOUND);
}

/* ---- as stored ------------------------------------------------------------------------------ */

static uint64_t stored_bytes(const char *json)
{
    oom_model *m = built(json);
    oom_precision p = precision("stored");
    oom_param_counts c;
    uint64_t total = 0;

    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, NULL), OOM_OK);
    oom_model_free(m);
    return total / c.loaded;
}

/* A type that has no name here is taken by what it says of its width: 2 bytes unless fp32. */
static void a_release_that_names_no_precision_takes_two_bytes(void **state)
{
    oom_precision stored = precision("stored");
    oom_error err;
    uint64_t total;
    oom_model *m;

    (void)state;
    assert_int_equal(stored_bytes(IS("llama") "}"), 2);
    assert_int_equal(stored_bytes(IS("llama") ", \"torch_dtype\": \"float32\"}"), 4);
    assert_int_equal(stored_bytes(IS("llama") ", \"torch_dtype\": \"unheard-of\"}"), 2);
    assert_int_equal(stored_bytes(IS("llama") ", \"dtype\": \"float32\", \"quantization_config\": "
                                  "{\"quant_method\": \"unheard-of\"}}"), 4);
    m = built(IS("llama") ", \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 5}}");
    assert_int_equal(oom_precision_weigh(m, &stored, NULL, &total, &err), OOM_NOTFOUND);
    assert_non_null(strstr(err.msg, "no precision \"gptq-5bit\""));
    oom_model_free(m);
}

/* One format each tensor has, where there is one. */
static void a_precision_names_the_format_of_each_tensor(void **state)
{
    static const struct { const char *precision, *format; } rows[] = {
        { "fp16", "fp16" }, { "int4", "int4" }, { "type:q4_k", "q4_k" }, { "awq", NULL },
        { "stored", NULL },
    };
    oom_model *m = built(IS("llama") "}");
    const oom_format *each[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        oom_precision p = precision(rows[i].precision);

        assert_int_equal(oom_precision_formats(m, &p, each, NULL), OOM_OK);
        if (rows[i].format)
            assert_string_equal(each[3]->name, rows[i].format);
        else
            assert_null(each[3]);
    }
    m->tensors[3].stored = oom_format_find("q8_0");
    assert_int_equal(oom_precision_formats(m, &(oom_precision){ .kind = OOM_PRECISION_STORED }, each,
                                           NULL), OOM_OK);
    assert_string_equal(each[3]->name, "q8_0");
    oom_model_free(m);
}

/* ---- the inventory -------------------------------------------------------------------------- */

static void sums_past_63_bits_are_refused_also_of_what_is_not_loaded(void **state)
{
    const oom_tensor huge = { .part = OOM_PART_MTP, .layer = 2, .role = OOM_ROLE_FFN_UP, .n_dims = 2,
                              .dims = { UINT64_C(1) << 31, UINT64_C(1) << 31 } };
    oom_precision p = precision("type:fp32");
    oom_model *m = built(IS("llama") "}");
    oom_param_counts c;
    oom_error err;
    uint64_t total;

    (void)state;
    m->id = "huge";
    assert_int_equal(oom_model_add_tensor(m, &huge, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "huge in type:fp32: too large");
    assert_int_equal(oom_model_count(m, &c, &err), OOM_OK);
    assert_int_equal(c.mtp, UINT64_C(1) << 62);
    assert_int_equal(oom_model_add_tensor(m, &huge, NULL), OOM_OK);
    assert_int_equal(oom_model_count(m, &c, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "huge: more than 2^63 parameters");
    oom_model_free(m);
}

/* A file may hold experts and not say how many: then every parameter of them is active. A scalar is
 * one element. */
static void experts_that_nobody_counted_are_all_active(void **state)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_precision p = precision("type:fp32");
    oom_param_counts c;
    uint64_t total;

    (void)state;
    assert_int_equal(oom_model_add_tensor(m, &(oom_tensor){ .role = OOM_ROLE_EXP_UP, .n_dims = 3,
        .dims = { 4, 8, 8 } }, NULL), OOM_OK);
    assert_int_equal(oom_model_add_tensor(m, &(oom_tensor){ .role = OOM_ROLE_OTHER }, NULL), OOM_OK);
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.active, 257);
    assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, NULL), OOM_OK);
    assert_int_equal(total, 4 * 257);
    m->shape.experts = 4;
    m->shape.experts_used = 1;
    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    assert_int_equal(c.active, 65);
    oom_model_free(m);
}

/* Two bytes an element of what grows: full rows, latents, index keys, one row in `ratio` tokens. */
static void a_token_costs_what_grows_with_it(void **state)
{
    static const oom_cache caches[] = {
        { .kind = OOM_CACHE_FULL, .k_width = 10, .v_width = 6 },
        { .kind = OOM_CACHE_WINDOW, .k_width = 1000, .v_width = 1000, .window = 8 },
        { .kind = OOM_CACHE_CHUNK, .k_width = 1000 }, { .kind = OOM_CACHE_CROSS, .k_width = 1000 },
        { .kind = OOM_CACHE_STATE, .state_elements = 1000 },
        { .kind = OOM_CACHE_MLA, .k_width = 5 }, { .kind = OOM_CACHE_INDEXER, .k_width = 3 },
        { .kind = OOM_CACHE_COMPRESSED, .k_width = 8, .ratio = 4 },
    };
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++)
        assert_int_equal(oom_model_add_cache(m, &caches[i], NULL), OOM_OK);
    assert_int_equal(oom_model_kv_bytes_per_token(m), 32 + 10 + 6 + 4);
    m->caches[0].k_width = UINT64_C(1) << 62;
    assert_int_equal(oom_model_kv_bytes_per_token(m), OOM_MAX_BYTES);
    oom_model_free(m);
}

static void more_memory_than_there_can_be_is_an_error(void **state)
{
    oom_arena *arena = oom_arena_new(&oom_libc_alloc, NULL);
    size_t before = oom_arena_bytes(arena);
    oom_error err;

    (void)state;
    assert_null(oom_arena_get(arena, SIZE_MAX, &err));
    assert_int_equal(err.status, OOM_NOMEM);
    assert_string_equal(err.msg, "out of memory");
    assert_int_equal(oom_arena_bytes(arena), before);
    assert_non_null(oom_arena_get(arena, 0, NULL));
    assert_true(oom_arena_bytes(arena) > before);
    oom_arena_free(arena);
    oom_arena_free(NULL);
    oom_model_free(NULL);
}

/* ---- engines and devices -------------------------------------------------------------------- */

static void a_version_without_rules_is_refused(void **state)
{
    oom_error err;
    oom_precision p = precision("bf16");

    (void)state;
    assert_int_equal(oom_engine_check_version(oom_engine_find("generic"), 1002, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "generic@1.2: its rules are of one version, leave it out");
    assert_int_equal(oom_engine_check_version(oom_engine_find("transformers"), 6001, &err),
                     OOM_BADVALUE);
    assert_string_equal(err.msg, "transformers@6.1: known are 4.30 to 5.x");
    assert_int_equal(oom_engine_check_version(oom_engine_find("transformers"), 4046, &err), OOM_OK);
    assert_null(oom_engine_find("unheard-of"));
    for (size_t i = 0; oom_engine_at(i); i++)
        assert_true(strlen(oom_engine_summary(oom_engine_at(i))) > 20);
    oom_engine_precision(oom_engine_find("llama.cpp"), &p);
    assert_string_equal(p.name, "gguf:bf16");
    p = precision("bf16");
    oom_engine_precision(oom_engine_find("vllm"), &p);
    assert_string_equal(p.name, "bf16");
}

/* A capability that is no number of CUDA's says nothing: the footprint of any discrete device. */
static void a_context_of_an_unknown_generation_is_any_device_s(void **state)
{
    (void)state;
    assert_int_equal(oom_device_context(OOM_DEVICE_GPU, "NVIDIA", "8.9"), UINT64_C(426) << 20);
    assert_int_equal(oom_device_context(OOM_DEVICE_GPU, "NVIDIA", "-1"), UINT64_C(250) << 20);
    assert_int_equal(oom_device_context(OOM_DEVICE_GPU, "NVIDIA", NULL), UINT64_C(250) << 20);
    assert_int_equal(oom_device_context(OOM_DEVICE_UNIFIED, "Apple", NULL), UINT64_C(150) << 20);
}

/* ---- running out of memory ------------------------------------------------------------------ */

static oom_status view_of_t5(const oom_alloc *a, void *ctx)
{
    oom_model *m = oom_model_new(a, NULL);
    oom_precision p = precision("q8_0");
    const oom_model *file;
    oom_status st = m ? read_config(m, "config.json", ctx, strlen(ctx), NULL) : OOM_NOMEM;

    if (st == OOM_OK)
        st = oom_precision_inventory(m, &p, &file, NULL);
    oom_model_free(m);
    return st;
}

/* Of a model so long that its names alone fill a piece of memory. */
static void a_view_without_memory_is_an_error_and_leaks_nothing(void **state)
{
    char json[] = "{\"model_type\": \"t5\", \"d_model\": 64, \"num_layers\": 150, "
                  "\"num_heads\": 4, \"d_ff\": 128, \"vocab_size\": 100}";

    (void)state;
    assert_true(fail_each_allocation(view_of_t5, json) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rope_tensors_follow_the_configuration),
        cmocka_unit_test(gemma_4_s_rope_factors_are_of_its_wide_heads),
        cmocka_unit_test(what_is_not_as_its_family_has_it_stays_whole),
        cmocka_unit_test(names_of_two_stacks_are_shortened_where_they_end_so),
        cmocka_unit_test(tensors_without_a_role_are_told_by_their_names),
        cmocka_unit_test(the_70b_is_told_by_its_layers),
        cmocka_unit_test(a_file_may_be_asked_for_by_a_width_s_name),
        cmocka_unit_test(a_release_that_names_no_precision_takes_two_bytes),
        cmocka_unit_test(a_precision_names_the_format_of_each_tensor),
        cmocka_unit_test(sums_past_63_bits_are_refused_also_of_what_is_not_loaded),
        cmocka_unit_test(experts_that_nobody_counted_are_all_active),
        cmocka_unit_test(a_token_costs_what_grows_with_it),
        cmocka_unit_test(more_memory_than_there_can_be_is_an_error),
        cmocka_unit_test(a_version_without_rules_is_refused),
        cmocka_unit_test(a_context_of_an_unknown_generation_is_any_device_s),
        cmocka_unit_test(a_view_without_memory_is_an_error_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
