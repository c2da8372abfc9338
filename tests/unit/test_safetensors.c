/* Checkpoints in safetensors: what they take, what they stand for, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "failing.h"
#include "folder.h"
#include "read.h"
#include "safetensors_writer.h"

static oom_model *read_with(header *h, const char *config_text)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    const oom_value *config = NULL;
    oom_error err = { 0 };
    read_part part = { "x.safetensors", (const unsigned char *)h->text, 0 };

    part.n = end(h);
    if (config_text)
        assert_int_equal(
            read_json(m->arena, "config.json", config_text, strlen(config_text), &config, NULL),
            OOM_OK);
    if (read_checkpoint(m, &part, 1, NULL, config, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    free(h->text);
    return m;
}

static uint64_t bytes_of(const oom_model *m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < m->n_tensors; i++)
        sum += m->tensors[i].stored_bytes;
    return sum;
}

static oom_param_counts count(const oom_model *m)
{
    oom_param_counts c = { 0 };

    assert_int_equal(oom_model_count(m, &c, NULL), OOM_OK);
    return c;
}

static const oom_tensor *find(const oom_model *m, int32_t layer, oom_role role, oom_suffix suffix)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (m->tensors[i].layer == layer && m->tensors[i].role == role &&
            m->tensors[i].suffix == suffix)
            return &m->tensors[i];
    fail_msg("no %s in layer %d", oom_role_stem(role), (int)layer);
    return NULL;
}

static void assert_shape(const oom_tensor *t, uint64_t d0, uint64_t d1)
{
    assert_int_equal(t->n_dims, 2);
    assert_int_equal(t->dims[0], d0);
    assert_int_equal(t->dims[1], d1);
}

/* ---- Llama 3.1 8B ---------------------------------------------------------------------------- */

static const char llama_config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 4096, \"intermediate_size\": "
    "14336,"
    " \"max_position_embeddings\": 131072, \"model_type\": \"llama\", \"num_attention_heads\": 32,"
    " \"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"tie_word_embeddings\": false,"
    " \"torch_dtype\": \"bfloat16\", \"vocab_size\": 128256}";

static const struct { const char *name; uint64_t out, in; } llama_layer[] = {
    { "self_attn.q_proj", 4096, 4096 }, { "self_attn.k_proj", 1024, 4096 },
    { "self_attn.v_proj", 1024, 4096 }, { "self_attn.o_proj", 4096, 4096 },
    { "mlp.gate_proj", 14336, 4096 },   { "mlp.up_proj", 14336, 4096 },
    { "mlp.down_proj", 4096, 14336 },
};

/* Layers [from, to) in the manner of `matrix`; what is outside them with the first. */
static void llama(header *h, int from, int to,
                  void (*matrix)(header *, const char *, uint64_t, uint64_t))
{
    char name[128];

    if (from == 0)
        tensor(h, "model.embed_tokens.weight", "BF16", 128256, 4096);
    for (int i = from; i < to; i++) {
        for (size_t k = 0; k < 7; k++) {
            snprintf(name, sizeof name, "model.layers.%d.%s", i, llama_layer[k].name);
            matrix(h, name, llama_layer[k].out, llama_layer[k].in);
        }
        snprintf(name, sizeof name, "model.layers.%d.input_layernorm.weight", i);
        tensor(h, name, "BF16", 4096, 0);
        snprintf(name, sizeof name, "model.layers.%d.post_attention_layernorm.weight", i);
        tensor(h, name, "BF16", 4096, 0);
    }
    if (to == 32) {
        tensor(h, "model.norm.weight", "BF16", 4096, 0);
        tensor(h, "lm_head.weight", "BF16", 128256, 4096);
    }
}

static void plain(header *h, const char *module, uint64_t out, uint64_t in)
{
    char name[160];

    snprintf(name, sizeof name, "%s.weight", module);
    tensor(h, name, "BF16", out, in);
}

/* The repository's index says "total_size": 16060522496. */
static void a_bf16_checkpoint_equals_its_configuration(void **state)
{
    header h = begin();
    oom_model *m, *told = oom_model_new(&oom_libc_alloc, NULL);
    oom_precision stored, q4;
    const oom_model *view, *file_view;
    uint64_t a = 0, b = 1;

    (void)state;
    llama(&h, 0, 32, plain);
    m = read_with(&h, llama_config);
    assert_int_equal(read_config(told, "config.json", llama_config, sizeof llama_config - 1, NULL),
                     OOM_OK);
    assert_int_equal(bytes_of(m), 16060522496);
    assert_int_equal(count(m).loaded, 8030261248);
    assert_int_equal(count(m).loaded, count(told).loaded);
    assert_int_equal(oom_model_kv_bytes_per_token(m), 131072);
    assert_int_equal(m->n_tensors, told->n_tensors);
    assert_string_equal(m->family, "llama");
    assert_shape(find(m, 31, OOM_ROLE_FFN_DOWN, OOM_WEIGHT), 4096, 14336);
    for (size_t i = 0; i < m->n_tensors; i++)
        assert_int_not_equal(m->tensors[i].role, OOM_ROLE_OTHER);
    assert_int_equal(oom_precision_parse("stored", &stored, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(m, &stored, NULL, &a, NULL), OOM_OK);
    assert_int_equal(a, 16060522496);
    /* what a file of it would take does not depend on where the shapes come from */
    assert_int_equal(oom_precision_parse("q4_k_m", &q4, NULL), OOM_OK);
    assert_int_equal(oom_precision_inventory(m, &q4, &file_view, NULL), OOM_OK);
    assert_int_equal(oom_precision_inventory(told, &q4, &view, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(file_view, &q4, NULL, &a, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(view, &q4, NULL, &b, NULL), OOM_OK);
    assert_int_equal(a, b);
    oom_model_free(m);
    oom_model_free(told);
}

static void without_a_configuration_there_are_weights_only(void **state)
{
    header h = begin();
    oom_model *m;

    (void)state;
    llama(&h, 0, 32, plain);
    m = read_with(&h, NULL);
    assert_int_equal(count(m).loaded, 8030261248);
    assert_true(m->shape_unknown);
    assert_int_equal(m->n_caches, 0);
    assert_string_equal(m->stored_precision, "bf16");
    assert_string_equal(m->note, "no config.json beside it: weights only");
    oom_model_free(m);
    h = begin();
    llama(&h, 0, 1, plain);
    m = read_with(&h, "{\"model_type\": \"unheard_of\"}");
    assert_true(m->shape_unknown);
    assert_non_null(strstr(m->note, "unheard_of"));
    oom_model_free(m);
}

/* ---- packed weights: [out, in] in bits, by hand ---------------------------------------------- */

/* AutoAWQ, 4 bits, groups of 128. */
static void awq(header *h, const char *module, uint64_t out, uint64_t in)
{
    char name[160];

    snprintf(name, sizeof name, "%s.qweight", module);
    tensor(h, name, "I32", in, out / 8);
    snprintf(name, sizeof name, "%s.qzeros", module);
    tensor(h, name, "I32", in / 128, out / 8);
    snprintf(name, sizeof name, "%s.scales", module);
    tensor(h, name, "F16", in / 128, out);
}

static void an_awq_checkpoint_stands_for_all_its_parameters(void **state)
{
    header h = begin();
    oom_model *m;
    /* per matrix: n/2 bytes of codes, n/128 scales of 2 bytes, n/128 zeros of 4 bits */
    uint64_t matrices = 218103808ull * 32, expected = matrices / 2 + matrices / 128 * 2 +
                                                      matrices / 256 +
                                                      2 * (2 * 128256ull * 4096 + 65 * 4096);

    (void)state;
    llama(&h, 0, 32, awq);
    m = read_with(&h, llama_config);
    assert_int_equal(count(m).loaded, 8030261248);
    assert_int_equal(bytes_of(m), expected);
    assert_shape(find(m, 3, OOM_ROLE_ATTN_K, OOM_WEIGHT), 1024, 4096);
    assert_int_equal(m->n_tensors, 32 * 9 + 3);
    oom_model_free(m);
}

/* GPTQ, 3 bits, act-order: [in x 3 / 32, out] and an order of the columns. */
static void gptq3(header *h, const char *module, uint64_t out, uint64_t in)
{
    char name[160];

    snprintf(name, sizeof name, "%s.qweight", module);
    tensor(h, name, "I32", in * 3 / 32, out);
    snprintf(name, sizeof name, "%s.qzeros", module);
    tensor(h, name, "I32", in / 128, out * 3 / 32);
    snprintf(name, sizeof name, "%s.scales", module);
    tensor(h, name, "F16", in / 128, out);
    snprintf(name, sizeof name, "%s.g_idx", module);
    tensor(h, name, "I32", in, 0);
}

static void gptq_of_three_bits_is_told_by_its_shapes(void **state)
{
    header h = begin();
    oom_model *m;

    (void)state;
    llama(&h, 0, 32, gptq3);
    m = read_with(&h, NULL);        /* no configuration: the shapes alone */
    assert_int_equal(count(m).loaded, 8030261248);
    assert_shape(find(m, 0, OOM_ROLE_FFN_DOWN, OOM_WEIGHT), 4096, 14336);
    assert_int_equal(find(m, 0, OOM_ROLE_ATTN_K, OOM_WEIGHT)->stored_bytes,
                     4096 * 1024 * 3 / 8 + 32 * (1024 * 3 / 8) + 32 * 1024 * 2 + 4096 * 4);
    oom_model_free(m);
}

static void other_packings_are_unpacked(void **state)
{
    header h = begin();
    oom_model *m;
    const oom_tensor *t;

    (void)state;
    /* bitsandbytes nf4 */
    tensor(&h, "model.layers.0.self_attn.q_proj.weight", "U8", 256 * 64 / 2, 1);
    tensor(&h, "model.layers.0.self_attn.q_proj.weight.absmax", "U8", 256, 0);
    tensor(&h, "model.layers.0.self_attn.q_proj.weight.nested_absmax", "F32", 1, 0);
    tensor(&h, "model.layers.0.self_attn.q_proj.weight.nested_quant_map", "F32", 256, 0);
    tensor(&h, "model.layers.0.self_attn.q_proj.weight.quant_map", "F32", 16, 0);
    tensor(&h, "model.layers.0.self_attn.q_proj.weight.quant_state.bitsandbytes__nf4", "U8", 80, 0);
    /* bitsandbytes int8 */
    tensor(&h, "model.layers.0.self_attn.k_proj.weight", "I8", 64, 64);
    tensor(&h, "model.layers.0.self_attn.k_proj.SCB", "F32", 64, 0);
    /* compressed-tensors, packed */
    tensor(&h, "model.layers.0.self_attn.v_proj.weight_packed", "I32", 64, 8);
    tensor(&h, "model.layers.0.self_attn.v_proj.weight_scale", "BF16", 64, 1);
    tensor(&h, "model.layers.0.self_attn.v_proj.weight_shape", "I64", 2, 0);
    /* MLX */
    tensor(&h, "model.layers.0.self_attn.o_proj.weight", "U32", 64, 8);
    tensor(&h, "model.layers.0.self_attn.o_proj.scales", "BF16", 64, 1);
    tensor(&h, "model.layers.0.self_attn.o_proj.biases", "BF16", 64, 1);
    /* FP8 with 128 x 128 blocks */
    tensor(&h, "model.layers.0.mlp.gate_proj.weight", "F8_E4M3", 256, 128);
    tensor(&h, "model.layers.0.mlp.gate_proj.weight_scale_inv", "F32", 2, 1);
    /* NVFP4 */
    tensor(&h, "model.layers.0.mlp.up_proj.weight", "U8", 64, 32);
    tensor(&h, "model.layers.0.mlp.up_proj.weight_scale", "F8_E4M3", 64, 4);
    tensor(&h, "model.layers.0.mlp.up_proj.weight_scale_2", "F32", 1, 0);
    tensor(&h, "model.layers.0.mlp.up_proj.input_scale", "F32", 1, 0);
    m = read_with(&h, "{\"quantization_config\": {\"config_groups\": {\"group_0\": {\"weights\": "
                      "{\"num_bits\": 4}}}}}");
    assert_int_equal(m->n_tensors, 6);
    t = find(m, 0, OOM_ROLE_ATTN_Q, OOM_WEIGHT);
    assert_int_equal(t->params, 256 * 64);
    assert_int_equal(t->stored_bytes, 8192 + 256 + 4 + 1024 + 64 + 80);
    t = find(m, 0, OOM_ROLE_ATTN_K, OOM_WEIGHT);
    assert_int_equal(t->params, 64 * 64);
    assert_int_equal(t->stored_bytes, 64 * 64 + 256);
    t = find(m, 0, OOM_ROLE_ATTN_V, OOM_WEIGHT);
    assert_shape(t, 64, 64);
    assert_int_equal(t->stored_bytes, 64 * 32 + 128 + 16);
    t = find(m, 0, OOM_ROLE_ATTN_O, OOM_WEIGHT);
    assert_shape(t, 64, 64);
    assert_int_equal(t->stored_bytes, 64 * 32 + 128 + 128);
    t = find(m, 0, OOM_ROLE_FFN_GATE, OOM_WEIGHT);
    assert_shape(t, 256, 128);
    assert_int_equal(t->stored_bytes, 256 * 128 + 8);
    t = find(m, 0, OOM_ROLE_FFN_UP, OOM_WEIGHT);
    assert_shape(t, 64, 64);
    assert_int_equal(t->stored_bytes, 64 * 32 + 64 * 4 + 4 + 4);
    oom_model_free(m);
}

static const char gpt_oss_config[] =
    "{\"model_type\": \"gpt_oss\", \"hidden_size\": 2880, \"intermediate_size\": 2880, "
    "\"head_dim\": 64,"
    " \"num_attention_heads\": 64, \"num_key_value_heads\": 8, \"num_hidden_layers\": 24,"
    " \"num_local_experts\": 32, \"num_experts_per_tok\": 4, \"vocab_size\": 201088,"
    " \"sliding_window\": 128, \"max_position_embeddings\": 131072, \"tie_word_embeddings\": false,"
    " \"quantization_config\": {\"quant_method\": \"mxfp4\"}}";

static void tensor4(header *h, const char *name, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t bytes = a * b * c * (d ? d : 1);

    put(h, ",\"%s\":{\"dtype\":\"U8\",\"shape\":[%llu,%llu,%llu", name, (unsigned long long)a,
        (unsigned long long)b, (unsigned long long)c);
    if (d)
        put(h, ",%llu", (unsigned long long)d);
    put(h, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)h->data,
        (unsigned long long)h->data + bytes);
    h->data += bytes;
}

/* The published repository: 13,761,264,768 bytes of tensors for 20,914,757,184 parameters. */
static void gpt_oss_takes_what_its_repository_holds(void **state)
{
    static const struct { const char *name; uint64_t d0, d1; } bf16[] = {
        { "self_attn.q_proj.weight", 4096, 2880 }, { "self_attn.q_proj.bias", 4096, 0 },
        { "self_attn.k_proj.weight", 512, 2880 },  { "self_attn.k_proj.bias", 512, 0 },
        { "self_attn.v_proj.weight", 512, 2880 },  { "self_attn.v_proj.bias", 512, 0 },
        { "self_attn.o_proj.weight", 2880, 4096 }, { "self_attn.o_proj.bias", 2880, 0 },
        { "self_attn.sinks", 64, 0 },              { "input_layernorm.weight", 2880, 0 },
        { "post_attention_layernorm.weight", 2880, 0 },
        { "mlp.router.weight", 32, 2880 },         { "mlp.router.bias", 32, 0 },
        { "mlp.experts.gate_up_proj_bias", 32, 5760 }, { "mlp.experts.down_proj_bias", 32, 2880 },
    };
    header h = begin();
    char name[128];
    oom_model *m;

    (void)state;
    tensor(&h, "model.embed_tokens.weight", "BF16", 201088, 2880);
    tensor(&h, "lm_head.weight", "BF16", 201088, 2880);
    tensor(&h, "model.norm.weight", "BF16", 2880, 0);
    for (int i = 0; i < 24; i++) {
        for (size_t k = 0; k < sizeof bf16 / sizeof *bf16; k++) {
            snprintf(name, sizeof name, "model.layers.%d.%s", i, bf16[k].name);
            tensor(&h, name, "BF16", bf16[k].d0, bf16[k].d1);
        }
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.gate_up_proj_blocks", i);
        tensor4(&h, name, 32, 5760, 90, 16);
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.gate_up_proj_scales", i);
        tensor4(&h, name, 32, 5760, 90, 0);
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.down_proj_blocks", i);
        tensor4(&h, name, 32, 2880, 90, 16);
        snprintf(name, sizeof name, "model.layers.%d.mlp.experts.down_proj_scales", i);
        tensor4(&h, name, 32, 2880, 90, 0);
    }
    m = read_with(&h, gpt_oss_config);
    assert_int_equal(bytes_of(m), 13761264768);
    assert_int_equal(count(m).loaded, 20914757184);
    assert_int_equal(m->n_caches, 24);
    assert_string_equal(m->stored_precision, "mxfp4");
    assert_int_equal(find(m, 5, OOM_ROLE_EXP_GATE_UP, OOM_WEIGHT)->dims[2], 2880);
    assert_int_equal(find(m, 5, OOM_ROLE_EXP_GATE_UP, OOM_BIAS)->params, 32 * 5760);
    oom_model_free(m);
}

/* ---- every preset whose tensors have the usual names ----------------------------------------- */

static const struct { oom_role role; const char *module; } usual[] = {
    { OOM_ROLE_EMBED, "model.embed_tokens" },       { OOM_ROLE_OUTPUT, "lm_head" },
    { OOM_ROLE_OUTPUT_NORM, "model.norm" },         { OOM_ROLE_ATTN_NORM, "input_layernorm" },
    { OOM_ROLE_FFN_NORM, "post_attention_layernorm" }, { OOM_ROLE_ATTN_Q, "self_attn.q_proj" },
    { OOM_ROLE_ATTN_K, "self_attn.k_proj" },        { OOM_ROLE_ATTN_V, "self_attn.v_proj" },
    { OOM_ROLE_ATTN_QKV, "self_attn.qkv_proj" },    { OOM_ROLE_ATTN_O, "self_attn.o_proj" },
    { OOM_ROLE_ATTN_Q_NORM, "self_attn.q_norm" },   { OOM_ROLE_ATTN_K_NORM, "self_attn.k_norm" },
    { OOM_ROLE_ATTN_Q_A, "self_attn.q_a_proj" },
    { OOM_ROLE_ATTN_Q_A_NORM, "self_attn.q_a_layernorm" },
    { OOM_ROLE_ATTN_Q_B, "self_attn.q_b_proj" },
    { OOM_ROLE_ATTN_KV_A, "self_attn.kv_a_proj_with_mqa" },
    { OOM_ROLE_ATTN_KV_A_NORM, "self_attn.kv_a_layernorm" },
    { OOM_ROLE_ATTN_KV_B, "self_attn.kv_b_proj" },  { OOM_ROLE_FFN_GATE, "mlp.gate_proj" },
    { OOM_ROLE_FFN_UP, "mlp.up_proj" },             { OOM_ROLE_FFN_DOWN, "mlp.down_proj" },
    { OOM_ROLE_ROUTER, "mlp.gate" },
    { OOM_ROLE_EXP_GATE, "mlp.experts.%d.gate_proj" },
    { OOM_ROLE_EXP_UP, "mlp.experts.%d.up_proj" },
    { OOM_ROLE_EXP_DOWN, "mlp.experts.%d.down_proj" },
    { OOM_ROLE_SHEXP_GATE, "mlp.shared_experts.gate_proj" },
    { OOM_ROLE_SHEXP_UP, "mlp.shared_experts.up_proj" },
    { OOM_ROLE_SHEXP_DOWN, "mlp.shared_experts.down_proj" },
    { OOM_ROLE_SHEXP_ROUTER, "mlp.shared_expert_gate" },
    { OOM_ROLE_MTP_PROJ, "eh_proj" },               { OOM_ROLE_MTP_ENORM, "enorm" },
    { OOM_ROLE_MTP_HNORM, "hnorm" },                { OOM_ROLE_MTP_HEAD_NORM, "shared_head.norm" },
    { OOM_ROLE_MTP_EMBED, "embed_tokens" },         { OOM_ROLE_MTP_HEAD, "shared_head.head" },
};

static const char *usual_name(const oom_tensor *t)
{
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (usual[i].role == t->role && t->part != OOM_PART_VISION && !t->name)
            return usual[i].module;
    return NULL;
}

/* One module of each role in a layer, and experts' matrices in cubes: else the names collide. */
static bool has_usual_names(const oom_model *m)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const oom_tensor *t = &m->tensors[i];
        const char *name = usual_name(t);

        if (t->suffix == OOM_BIAS && t->role == OOM_ROLE_ROUTER_BIAS)
            continue;
        if (!name || t->n_dims > 3 || t->suffix == OOM_BARE ||
            (strchr(name, '%') && t->n_dims != 3))
            return false;
        for (size_t k = 0; k < i; k++)
            if (m->tensors[k].layer == t->layer && m->tensors[k].role == t->role &&
                m->tensors[k].suffix == t->suffix)
                return false;
    }
    return m->n_tensors > 0;
}

static void write_usual(header *h, const oom_model *m)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        const oom_tensor *t = &m->tensors[i];
        const char *module = t->role == OOM_ROLE_ROUTER_BIAS ? "mlp.gate.e_score_correction_bias"
                                                             : usual_name(t);
        const char *end_name = t->role == OOM_ROLE_ROUTER_BIAS ? ""
                               : t->suffix == OOM_BIAS         ? ".bias"
                                                               : ".weight";
        const char *number = strstr(module, "%d");
        char path[128], name[200];
        bool cube = number != NULL;

        for (uint64_t e = 0; e < (cube ? t->dims[0] : 1); e++) {
            if (cube)
                snprintf(path, sizeof path, "%.*s%d%s%s", (int)(number - module), module, (int)e,
                         number + 2, end_name);
            else
                snprintf(path, sizeof path, "%s%s", module, end_name);
            if (t->layer < 0)
                snprintf(name, sizeof name, "%s", path);
            else
                snprintf(name, sizeof name, "model.layers.%d.%s", (int)t->layer, path);
            tensor(h, name, "BF16", t->dims[cube], t->n_dims > 1u + cube ? t->dims[1 + cube] : 0);
        }
    }
}

static uint64_t weigh(oom_model *m, const char *precision)
{
    const oom_model *inventory = NULL;
    oom_precision p;
    uint64_t bytes = 0;

    assert_int_equal(oom_precision_parse(precision, &p, NULL), OOM_OK);
    if (oom_precision_inventory(m, &p, &inventory, NULL) == OOM_OK)
        oom_precision_weigh(inventory, &p, NULL, &bytes, NULL);
    return bytes;
}

static void agree(const read_preset *p, oom_model *told)
{
    static const char *const precisions[] = { "q4_k_m", "q2_k", "awq", "nf4", "fp8-block", "int4" };
    header h = begin();
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    read_part part = { p->id, NULL, 0 };
    oom_error err = { 0 };

    write_usual(&h, told);
    part.n = end(&h);
    part.bytes = (const unsigned char *)h.text;
    if (read_checkpoint(m, &part, 1, NULL, told->config, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    if (count(m).loaded != count(told).loaded || count(m).active != count(told).active ||
        count(m).mtp != count(told).mtp)
        fail_msg("%s: %llu parameters (%llu active, %llu mtp), the configuration says %llu", p->id,
                 (unsigned long long)count(m).loaded, (unsigned long long)count(m).active,
                 (unsigned long long)count(m).mtp, (unsigned long long)count(told).loaded);
    assert_int_equal(m->n_tensors, told->n_tensors);
    m->gguf = NULL;             /* from its own tensors */
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        if (weigh(m, precisions[i]) != weigh(told, precisions[i]))
            fail_msg("%s in %s: %llu bytes, the configuration says %llu", p->id, precisions[i],
                     (unsigned long long)weigh(m, precisions[i]),
                     (unsigned long long)weigh(told, precisions[i]));
    oom_model_free(m);
    free(h.text);
}

static void checkpoints_agree_with_their_configurations(void **state)
{
    folder files = { 0 };
    read_source source = { folder_file, &files };
    read_catalogue *c = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    const read_preset *list;
    size_t n = read_models(c, &list, NULL), checked = 0;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        oom_model *told = NULL;

        if (read_preset_model(&list[i], &oom_libc_alloc, &told, NULL) != OOM_OK)
            continue;
        /* a thousand experts in sixty layers take a second to write */
        if (told->shape.experts <= 64 && has_usual_names(told)) {
            agree(&list[i], told);
            checked++;
        }
        oom_model_free(told);
    }
    read_catalogue_free(c);
    free(files.text);
    assert_true(checked >= 100);
}

/* ---- what is loaded -------------------------------------------------------------------------- */

static void experts_are_stacked_and_extra_layers_are_apart(void **state)
{
    static const char config[] =
        "{\"model_type\": \"mixtral\", \"hidden_size\": 64, \"intermediate_size\": 128,"
        " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"num_hidden_layers\": 1,"
        " \"num_local_experts\": 4, \"num_experts_per_tok\": 2, \"vocab_size\": 100,"
        " \"max_position_embeddings\": 1024}";
    header h = begin();
    const oom_tensor *t;
    oom_model *m;
    char name[128];

    (void)state;
    for (int e = 0; e < 4; e++) {
        snprintf(name, sizeof name, "model.layers.0.block_sparse_moe.experts.%d.w1.weight", e);
        tensor(&h, name, "BF16", 128, 64);
    }
    tensor(&h, "model.layers.0.block_sparse_moe.gate.weight", "BF16", 4, 64);
    tensor(&h, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 8, 0);
    tensor(&h, "model.layers.1.self_attn.q_proj.weight", "BF16", 64, 64);
    tensor(&h, "model.vision_tower.layers.3.fc1.weight", "BF16", 10, 10);
    m = read_with(&h, config);
    t = find(m, 0, OOM_ROLE_EXP_GATE, OOM_WEIGHT);
    assert_int_equal(t->n_dims, 3);
    assert_int_equal(t->dims[0], 4);
    assert_int_equal(t->dims[1], 128);
    assert_string_equal(t->name, "model.layers.0.block_sparse_moe.experts.*.w1.weight");
    assert_int_equal(count(m).mtp, 64 * 64);
    assert_int_equal(count(m).vision, 100);
    assert_int_equal(count(m).loaded, 4 * 128 * 64 + 4 * 64 + 100);
    assert_int_equal(count(m).active, 2 * 128 * 64 + 4 * 64 + 100);
    oom_model_free(m);
}

static void a_tied_head_in_the_file_is_loaded_once(void **state)
{
    static const char config[] =
        "{\"model_type\": \"qwen3\", \"hidden_size\": 64, \"intermediate_size\": 128, "
        "\"head_dim\": 16,"
        " \"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"num_hidden_layers\": 1,"
        " \"vocab_size\": 100, \"max_position_embeddings\": 1024, \"tie_word_embeddings\": true}";
    header h = begin();
    oom_model *m;

    (void)state;
    tensor(&h, "model.embed_tokens.weight", "BF16", 100, 64);
    tensor(&h, "lm_head.weight", "BF16", 100, 64);
    m = read_with(&h, config);
    assert_int_equal(count(m).loaded, 6400);
    oom_model_free(m);
}

/* As the repositories have them. */
static void names_say_what_a_tensor_is(void **state)
{
    static const struct {
        const char *name;
        int layer;
        oom_role role;
        oom_suffix suffix;
        oom_part part;
    } known[] = {
        { "transformer.wte.weight", -1, OOM_ROLE_EMBED, OOM_WEIGHT, OOM_PART_TEXT },
        { "h.11.attn.c_attn.weight", 11, OOM_ROLE_ATTN_QKV, OOM_WEIGHT, OOM_PART_TEXT },
        { "h.11.attn.c_proj.bias", 11, OOM_ROLE_ATTN_O, OOM_BIAS, OOM_PART_TEXT },
        { "h.11.mlp.c_proj.weight", 11, OOM_ROLE_FFN_DOWN, OOM_WEIGHT, OOM_PART_TEXT },
        { "gpt_neox.embed_in.weight", -1, OOM_ROLE_EMBED, OOM_WEIGHT, OOM_PART_TEXT },
        { "embed_out.weight", -1, OOM_ROLE_OUTPUT, OOM_WEIGHT, OOM_PART_TEXT },
        { "transformer.h.3.self_attention.dense.weight", 3, OOM_ROLE_ATTN_O, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "transformer.h.3.mlp.dense_4h_to_h.weight", 3, OOM_ROLE_FFN_DOWN, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "model.decoder.layers.5.fc1.weight", 5, OOM_ROLE_FFN_UP, OOM_WEIGHT, OOM_PART_TEXT },
        { "bert.encoder.layer.2.attention.self.key.weight", 2, OOM_ROLE_ATTN_K, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "bert.encoder.layer.2.attention.output.dense.weight", 2, OOM_ROLE_ATTN_O, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "bert.encoder.layer.2.output.dense.weight", 2, OOM_ROLE_FFN_DOWN, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "decoder.block.1.layer.1.EncDecAttention.q.weight", 1, OOM_ROLE_CROSS_Q, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "decoder.block.1.layer.2.DenseReluDense.wo.weight", 1, OOM_ROLE_FFN_DOWN, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "rwkv.blocks.0.attention.key.weight", 0, OOM_ROLE_TIME_MIX_KEY, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "backbone.layers.7.mixer.in_proj.weight", 7, OOM_ROLE_SSM_IN, OOM_WEIGHT, OOM_PART_TEXT },
        { "backbone.layers.7.mixer.A_log", 7, OOM_ROLE_SSM_A, OOM_BARE, OOM_PART_TEXT },
        { "backbone.layers.7.mixer.dt_bias", 7, OOM_ROLE_SSM_DT, OOM_BIAS, OOM_PART_TEXT },
        { "backbone.layers.8.mixer.gate.e_score_correction_bias", 8, OOM_ROLE_ROUTER_BIAS, OOM_BIAS,
          OOM_PART_TEXT },
        { "model.layers.0.conv.out_proj.weight", 0, OOM_ROLE_SHORTCONV_OUT, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "model.language_model.layers.4.linear_attn.in_proj_z.weight", 4, OOM_ROLE_ATTN_GATE,
          OOM_WEIGHT, OOM_PART_TEXT },
        { "language_model.model.layers.4.feed_forward.experts.gate_up_proj", 4,
          OOM_ROLE_EXP_GATE_UP, OOM_WEIGHT, OOM_PART_TEXT },
        { "model.layers.4.feed_forward.w2.weight", 4, OOM_ROLE_FFN_DOWN, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "model.layers.4.mlp.shared_expert_gate.weight", 4, OOM_ROLE_SHEXP_ROUTER, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "model.layers.4.self_attn.indexer.wq_b.weight", 4, OOM_ROLE_INDEXER_Q_B, OOM_WEIGHT,
          OOM_PART_TEXT },
        { "model.layers.4.self_attn.sinks", 4, OOM_ROLE_ATTN_SINKS, OOM_WEIGHT, OOM_PART_TEXT },
        { "mtp.layers.0.self_attn.q_proj.weight", 0, OOM_ROLE_ATTN_Q, OOM_WEIGHT, OOM_PART_MTP },
        { "model.visual.blocks.9.mlp.linear_fc1.weight", 9, OOM_ROLE_TOWER, OOM_WEIGHT,
          OOM_PART_VISION },
        { "multi_modal_projector.linear_1.weight", -1, OOM_ROLE_PROJECTOR, OOM_WEIGHT,
          OOM_PART_VISION },
        { "model.audio_tower.conformer.1.norm.weight", -1, OOM_ROLE_TOWER, OOM_WEIGHT,
          OOM_PART_AUDIO },
        { "model.layers.4.never.heard_of.weight", 4, OOM_ROLE_OTHER, OOM_WEIGHT, OOM_PART_TEXT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        header h = begin();
        oom_model *m;

        tensor(&h, known[i].name, "BF16", 8, 8);
        m = read_with(&h, NULL);
        if (m->n_tensors != 1 || m->tensors[0].layer != known[i].layer ||
            m->tensors[0].role != known[i].role || m->tensors[0].suffix != known[i].suffix ||
            m->tensors[0].part != known[i].part)
            fail_msg("%s: %s in layer %d", known[i].name, oom_role_stem(m->tensors[0].role),
                     (int)m->tensors[0].layer);
        oom_model_free(m);
    }
}

/* ---- folders and indexes --------------------------------------------------------------------- */

static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/oomph-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    char command[96];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void write_file(const char *name, const void *bytes, size_t n, uint64_t size)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(bytes, 1, n, f);
    fclose(f);
    assert_int_equal(truncate(path, (off_t)size), 0);
}

static void write_header(const char *name, header h)
{
    uint64_t size = end(&h);

    write_file(name, h.text, h.n, size);
    free(h.text);
}

static void write_text(const char *name, const char *text)
{
    write_file(name, text, strlen(text), strlen(text));
}

static void says(const char *message)
{
    oom_model *m = NULL;
    oom_error err = { 0 };

    assert_int_not_equal(read_model(NULL, dir, &oom_libc_alloc, &m, &err), OOM_OK);
    if (!strstr(err.msg, message))
        fail_msg("\"%s\" instead of \"%s\"", err.msg, message);
    assert_null(strchr(err.msg, '\n'));
}

static void a_folder_of_shards_is_one_model(void **state)
{
    header a = begin(), b = begin();
    oom_model *m = NULL;
    oom_error err = { 0 };

    (void)state;
    llama(&a, 0, 16, plain);
    llama(&b, 16, 32, plain);
    write_header("model-00001-of-00002.safetensors", a);
    write_header("model-00002-of-00002.safetensors", b);
    write_text("config.json", llama_config);
    says("2 files end in .safetensors, name one of them");
    write_text("model.safetensors.index.json",
               "{\"weight_map\": {\"lm_head.weight\": \"model-00002-of-00002.safetensors\","
               " \"model.embed_tokens.weight\": \"model-00001-of-00002.safetensors\"}}");
    if (read_model(NULL, dir, &oom_libc_alloc, &m, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(count(m).loaded, 8030261248);
    assert_int_equal(bytes_of(m), 16060522496);
    assert_int_equal(oom_model_kv_bytes_per_token(m), 131072);
    assert_string_equal(m->id, dir + 5);
    oom_model_free(m);
}

static oom_status read_folder(const oom_alloc *a, void *ctx)
{
    oom_model *m = NULL;
    oom_error err = { 0 };
    oom_status status = read_model(NULL, dir, a, &m, &err);

    (void)ctx;
    oom_model_free(m);
    return status;
}

static void a_folder_survives_every_failed_allocation(void **state)
{
    header a = begin(), b = begin();

    (void)state;
    llama(&a, 0, 2, plain);
    llama(&b, 30, 32, plain);
    write_header("a.safetensors", a);
    write_header("b.safetensors", b);
    write_text("config.json", llama_config);
    write_text("model.safetensors.index.json",
               "{\"weight_map\": {\"lm_head.weight\": \"b.safetensors\","
               " \"model.embed_tokens.weight\": \"a.safetensors\"}}");
    assert_true(fail_each_allocation(read_folder, NULL) > 10);
}

static void an_index_that_lies_is_refused(void **state)
{
    header a = begin(), b = begin();

    (void)state;
    tensor(&a, "a", "F32", 1, 0);
    tensor(&b, "a", "F32", 1, 0);
    write_header("x.safetensors", a);
    write_header("y.safetensors", b);
    write_text("model.safetensors.index.json", "{\"weight_map\": {}}");
    says("\"weight_map\": expected names and their files");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../x.safetensors\"}}");
    says("weight_map: \"../x.safetensors\" is no file beside it");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": 7}}");
    says("weight_map: \"\" is no file beside it");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"z.safetensors\"}}");
    says("z.safetensors: No such file or directory");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"b\": \"x.safetensors\"}}");
    says("tensor \"b\" is in none of its files");
    write_text("model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"x.safetensors\", \"b\": \"y.safetensors\"}}");
    says("tensor \"a\" is in two files");
    write_text("model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"model.safetensors.index.json\"}}");
    says("not a safetensors file");
}

/* ---- files that lie -------------------------------------------------------------------------- */

static oom_status status_of(const char *text, size_t n, uint64_t size, oom_error *err)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_status status;

    (void)n;
    status = read_safetensors(m, "x.safetensors", text, size, err);
    oom_model_free(m);
    return status;
}

static void refused(const char *json, uint64_t data, const char *message)
{
    char text[512] = { 0 };
    size_t n = strlen(json);
    oom_error err = { 0 };

    memcpy(text + 8, json, n);
    text[0] = (char)n;
    text[1] = (char)(n >> 8);
    assert_int_equal(status_of(text, n + 8, n + 8 + data, &err), OOM_BADFILE);
    assert_string_equal(err.msg, message);
}

static void a_lying_header_is_refused_in_one_line(void **state)
{
    oom_error err = { 0 };

    (void)state;
    refused("{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
            "x.safetensors: tensor \"a\": \"dtype\" is missing or not known");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4,
            "x.safetensors: tensor \"a\": \"shape\": expected whole numbers");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,3],\"data_offsets\":[0,4]}}",
            4, "x.safetensors: tensor \"a\": more than 2^63 elements");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4,
            "x.safetensors: tensor \"a\": its data is not as long as dtype and shape say");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3,
            "x.safetensors: tensor \"a\": its data goes on past the end of the file");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4,
            "x.safetensors: tensor \"a\": \"data_offsets\": expected [begin, end]");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", 8,
            "x.safetensors: tensor \"b\": its data overlaps another tensor's");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8,
            "x.safetensors: \"a\" is there twice");
    refused("{\"a\\u001b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
            "x.safetensors: tensor \"a\\x1b\": its name is empty or no plain text");
    refused("{\"a\":7}", 8, "x.safetensors: tensor \"a\": \"dtype\" is missing or not known");
    refused("{}", 0, "x.safetensors: no tensors");
    assert_int_equal(status_of("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10, 10, &err), OOM_BADFILE);
    assert_string_equal(err.msg,
                        "x.safetensors: a header of 9223372036854775807 bytes in a file of 10");
    assert_int_equal(status_of("\0\0\0\0\1\0\0\0{}", 10, 10ull << 30, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg,
                        "x.safetensors: 4294967296 bytes of JSON, expected at most 64 MiB");
    assert_int_equal(status_of("{}", 2, 2, &err), OOM_BADFILE);
}

static void every_truncation_is_refused(void **state)
{
    header h = begin();

    (void)state;
    tensor(&h, "model.layers.0.self_attn.q_proj.weight", "BF16", 4, 4);
    end(&h);
    for (size_t n = 0; n < h.n; n++) {
        oom_error err = { 0 };
        char *copy = malloc(n ? n : 1);

        assert_non_null(copy);
        memcpy(copy, h.text, n);
        assert_int_equal(status_of(copy, n, n, &err), OOM_BADFILE);
        assert_null(strchr(err.msg, '\n'));
        free(copy);
    }
    free(h.text);
}

static oom_status read_packed(const oom_alloc *a, void *ctx)
{
    header *h = ctx;
    oom_model *m = oom_model_new(a, NULL);
    const oom_value *config = NULL;
    read_part part = { "x", (const unsigned char *)h->text, h->n + h->data };
    oom_status status = m ? read_json(m->arena, "c", llama_config, sizeof llama_config - 1, &config,
                                      NULL)
                          : OOM_NOMEM;

    if (status == OOM_OK)
        status = read_checkpoint(m, &part, 1, NULL, config, NULL);
    oom_model_free(m);
    return status;
}

static void every_failed_allocation_is_an_error_and_no_leak(void **state)
{
    header h = begin();

    (void)state;
    llama(&h, 0, 8, awq);
    end(&h);
    assert_true(fail_each_allocation(read_packed, &h) > 10);
    free(h.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bf16_checkpoint_equals_its_configuration),
        cmocka_unit_test(without_a_configuration_there_are_weights_only),
        cmocka_unit_test(an_awq_checkpoint_stands_for_all_its_parameters),
        cmocka_unit_test(gptq_of_three_bits_is_told_by_its_shapes),
        cmocka_unit_test(other_packings_are_unpacked),
        cmocka_unit_test(gpt_oss_takes_what_its_repository_holds),
        cmocka_unit_test(checkpoints_agree_with_their_configurations),
        cmocka_unit_test(experts_are_stacked_and_extra_layers_are_apart),
        cmocka_unit_test(names_say_what_a_tensor_is),
        cmocka_unit_test(a_tied_head_in_the_file_is_loaded_once),
        cmocka_unit_test_setup_teardown(a_folder_of_shards_is_one_model, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_survives_every_failed_allocation, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_that_lies_is_refused, setup, teardown),
        cmocka_unit_test(a_lying_header_is_refused_in_one_line),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
