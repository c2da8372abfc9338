/* What a safetensors header may not say, line by line, and how each way of packing weights is
 * unpacked where a file leaves something out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "read.h"
#include "safetensors_writer.h"

static const oom_value *config_of(oom_model *m, const char *text)
{
    const oom_value *config = NULL;

    if (text)
        assert_int_equal(read_json(m->arena, "config.json", text, strlen(text), &config, NULL),
                         OOM_OK);
    return config;
}

static oom_model *read_it(header h, const char *config)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    read_part part = { "x.safetensors", NULL, (size_t)end(&h) };
    oom_error err = { 0 };

    part.bytes = (const unsigned char *)h.text;
    if (read_checkpoint(m, &part, 1, NULL, config_of(m, config), &err) != OOM_OK)
        fail_msg("%s", err.msg);
    free(h.text);
    return m;
}

/* ---- the container --------------------------------------------------------------------------- */

static void refused(const char *json, const char *message)
{
    char text[512] = { 0 }, expected[300];
    size_t n = strlen(json);
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_error err = { 0 };

    memcpy(text + 8, json, n);
    text[0] = (char)n;
    text[1] = (char)(n >> 8);
    assert_int_equal(read_safetensors(m, "x.safetensors", text, n + 8 + 8, &err), OOM_BADFILE);
    snprintf(expected, sizeof expected, "x.safetensors: %s", message);
    assert_string_equal(err.msg, expected);
    oom_model_free(m);
}

static void a_tensor_says_its_type_its_shape_and_its_place(void **state)
{
    static const char *const offsets[] = { "", ",\"data_offsets\":7", ",\"data_offsets\":[0]",
                                           ",\"data_offsets\":[-1,4]",
                                           ",\"data_offsets\":[0,\"4\"]" };
    char json[160];

    (void)state;
    refused("{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}",
            "tensor \"a\": \"dtype\" is missing or not known");
    refused("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}",
            "tensor \"a\": \"shape\" is missing or no list");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}",
            "tensor \"a\": \"shape\" is missing or no list");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}",
            "tensor \"a\": \"shape\": expected whole numbers");
    refused("{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]}}",
            "tensor \"a\": its data is not as long as dtype and shape say");
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        snprintf(json, sizeof json, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]%s}}", offsets[i]);
        refused(json, "tensor \"a\": \"data_offsets\": expected [begin, end]");
    }
    refused("[1,2]", "not a safetensors file");
}

static void a_tensors_name_is_plain_text(void **state)
{
    static const struct { const char *name, *shown; } bad[] = {
        { "", "" }, { "\\u007f", "\\x7f" }, { "\\u0085", "\\u0085" },
    };
    header h = begin();
    oom_model *m;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char json[128], message[128];

        snprintf(json, sizeof json,
                 "{\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", bad[i].name);
        snprintf(message, sizeof message, "tensor \"%s\": its name is empty or no plain text",
                 bad[i].shown);
        refused(json, message);
    }
    tensor(&h, "a\\u00a9", "F32", 2, 0);
    m = read_it(h, NULL);
    assert_string_equal(m->tensors[0].name, "a\xc2\xa9");
    oom_model_free(m);
}

static void more_than_four_dimensions_are_folded_and_none_are_one_element(void **state)
{
    header h = begin();
    oom_model *m;

    (void)state;
    put(&h, ",\"a\":{\"dtype\":\"F32\",\"shape\":[2,3,4,5,6],\"data_offsets\":[0,2880]}"
        ",\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[2880,2880]}"
        ",\"c\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[2880,2880]}"
        ",\"d\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[2880,2884]}");
    h.data = 2884;
    m = read_it(h, NULL);
    assert_int_equal(m->n_tensors, 4);
    assert_int_equal(m->tensors[0].n_dims, 4);
    assert_int_equal(m->tensors[0].dims[3], 30);
    assert_int_equal(m->tensors[3].n_dims, 0);
    oom_model_free(m);
}

static void a_weight_past_all_sizes_is_refused(void **state)
{
    header h = begin();
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    read_part part = { "x.safetensors", NULL, 0 };
    oom_error err = { 0 };

    (void)state;
    tensor(&h, "a.weight_packed", "I32", (uint64_t)1 << 60, 0);     /* 2^65 codes of one bit */
    part.n = (size_t)end(&h);
    part.bytes = (const unsigned char *)h.text;
    assert_int_equal(read_checkpoint(m, &part, 1, NULL,
                                     config_of(m, "{\"quantization_config\": {\"bits\": 1}}"), &err),
                     OOM_TOOLARGE);
    assert_string_equal(err.msg, "x.safetensors: a weight of more than 2^63 elements");
    oom_model_free(m);
    free(h.text);
}

static void an_index_promises_what_is_there(void **state)
{
    header h = begin();
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    read_part part = { "x.safetensors", NULL, 0 };
    oom_error err = { 0 };

    (void)state;
    tensor(&h, "b", "F32", 2, 0);
    part.n = (size_t)end(&h);
    part.bytes = (const unsigned char *)h.text;
    assert_int_equal(read_checkpoint(m, &part, 1, config_of(m, "{\"a\": \"x\"}"), NULL, &err),
                     OOM_BADFILE);
    assert_string_equal(err.msg, "x.safetensors: tensor \"a\" is in none of its files");
    oom_model_free(m);
    free(h.text);
}

/* ---- packings -------------------------------------------------------------------------------- */

typedef struct { const char *name, *dtype; uint64_t d0, d1; } stored;

/* The first weight of a file of up to four tensors stands for so many elements. */
static void stands_for(const stored *list, const char *config, uint64_t d0, uint64_t d1)
{
    header h = begin();
    const oom_tensor *t;
    oom_model *m;

    for (size_t i = 0; i < 4 && list[i].name; i++)
        tensor(&h, list[i].name, list[i].dtype, list[i].d0, list[i].d1);
    m = read_it(h, config);
    t = &m->tensors[0];
    if (t->dims[0] != d0 || (d1 ? t->n_dims != 2 || t->dims[1] != d1 : t->n_dims != 1))
        fail_msg("%s: %llu x %llu in %u dimensions, expected %llu x %llu", list->name,
                 (unsigned long long)t->dims[0], (unsigned long long)t->dims[1], t->n_dims,
                 (unsigned long long)d0, (unsigned long long)d1);
    oom_model_free(m);
}

static void packed_weights_stand_for_their_codes(void **state)
{
    static const struct { stored list[4]; uint64_t d0, d1; } packings[] = {
        /* AWQ without scales: eight codes of 4 bits a word, [in, out / 8] */
        { { { "a.qweight", "I32", 64, 16 } }, 128, 64 },
        { { { "a.qweight", "I32", 64, 0 } }, 64, 0 },           /* no matrix: as it lies */
        /* scales and zeros that are no matrices say nothing */
        { { { "a.qweight", "I32", 64, 16 }, { "a.scales", "F16", 128, 0 },
            { "a.qzeros", "I32", 16, 0 } }, 128, 64 },
        { { { "a.qweight", "I32", 64, 16 }, { "a.qzeros", "I32", 1, 16 } }, 128, 64 },
        /* zeros too narrow to say a width */
        { { { "a.qweight", "I32", 8, 128 }, { "a.scales", "F16", 1, 128 },
            { "a.qzeros", "I32", 1, 1 } }, 128, 64 },
        /* GPTQ with act-order: g_idx has the inputs */
        { { { "a.qweight", "I32", 9, 128 }, { "a.scales", "F16", 1, 128 },
            { "a.g_idx", "I32", 64, 0 } }, 128, 64 },
        { { { "a.qweight", "I32", 8, 128 }, { "a.scales", "F16", 1, 128 },
            { "a.g_idx", "I32", 64, 2 } }, 128, 64 },           /* no list */
        /* EXL2: rows of mixed widths, the inputs in q_invperm */
        { { { "a.q_weight", "I32", 40, 128 }, { "a.q_invperm", "I32", 64, 0 } }, 128, 64 },
        { { { "a.q_weight", "I32", 40, 128 } }, 40, 128 },
        { { { "a.q_weight", "I32", 40, 128 }, { "a.q_invperm", "I32", 8, 8 } }, 40, 128 },
        { { { "a.q_weight", "I32", 40, 0 }, { "a.q_invperm", "I32", 64, 0 } }, 40, 0 },
        /* HQQ: a list of codes */
        { { { "a.W_q", "U8", 64, 16 } }, 64 * 16 * 2, 0 },
        { { { "a.W_q", "I32", 64, 16 } }, 64 * 16 * 8, 0 },
        /* MLX: words with scales beside them; without, whole numbers */
        { { { "a.weight", "U32", 64, 16 }, { "a.scales", "F16", 64, 2 } }, 64, 128 },
        { { { "a.weight", "U32", 64, 16 } }, 64, 16 },
        /* NVFP4: two codes a byte */
        { { { "a.weight_packed", "U8", 64, 16 } }, 64, 32 },
        { { { "a.weight", "U8", 64, 16 }, { "a.weight_scale", "F8_E4M3", 64, 1 } }, 64, 32 },
        { { { "a.weight", "U8", 64, 16 } }, 64, 16 },
        { { { "a.weight_packed", "I8", 64, 16 } }, 64, 16 },
        /* MXFP4's blocks have four dimensions */
        { { { "a.experts_blocks", "U8", 64, 16 } }, 64, 16 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof packings / sizeof *packings; i++)
        stands_for(packings[i].list, NULL, packings[i].d0, packings[i].d1);
}

static void the_width_of_a_code_is_what_a_configuration_says_that_can_be(void **state)
{
    static const stored packed[4] = { { "a.weight_packed", "I32", 64, 16 } };
    static const struct { const char *config; uint64_t in; } widths[] = {
        { "{\"quantization_config\": {\"bits\": 64}, \"quantization\": {\"bits\": 8}}", 64 },
        { "{\"quantization_config\": {\"bits\": \"8\"}}", 128 },
        { "{\"quantization_config\": {\"bits\": -8}}", 128 },
        { "{\"quantization_config\": {\"w_bit\": 8}}", 64 },
        { "{\"compression_config\": {\"config_groups\": {\"group_0\": {\"weights\": "
          "{\"num_bits\": 2}}}}}", 256 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        stands_for(packed, widths[i].config, 64, widths[i].in);
}

/* ---- what belongs together ------------------------------------------------------------------- */

static void experts_that_differ_are_counted_one_by_one(void **state)
{
    header h = begin();
    oom_model *m;

    (void)state;
    tensor(&h, "model.layers.0.mlp.experts.0.up_proj.weight", "F32", 2, 2);
    tensor(&h, "model.layers.0.mlp.experts.1.up_proj.weight", "F32", 2, 4);
    tensor(&h, "model.layers.0.mlp.experts.2.up_proj.weight", "F32", 4, 0);
    tensor(&h, "model.layers.0.mlp.experts.0.up_proj.bias", "F32", 3, 0);
    tensor(&h, "model.layers.0.mlp.experts.1.up_proj.bias", "F32", 3, 0);
    tensor(&h, "model.layers.0.mlp.experts.0.never_heard_of", "F32", 5, 0);
    tensor(&h, "model.layers.0.mlp.experts.x.up_proj.weight", "F32", 7, 0);
    m = read_it(h, NULL);
    assert_int_equal(m->n_tensors, 4);
    assert_string_equal(m->tensors[0].name, "model.layers.0.mlp.experts.*.never_heard_of");
    assert_string_equal(m->tensors[1].name, "model.layers.0.mlp.experts.*.up_proj.weight");
    assert_int_equal(m->tensors[1].params, 16);
    assert_string_equal(m->tensors[2].name, "model.layers.0.mlp.experts.*.up_proj.bias");
    assert_int_equal(m->tensors[2].n_dims, 2);
    assert_int_equal(m->tensors[2].dims[0], 2);
    oom_model_free(m);
    h = begin();
    put(&h, ",\"experts.0.w1.weight\":{\"dtype\":\"F32\",\"shape\":[1,2,3,4],"
        "\"data_offsets\":[0,96]}");
    h.data = 96;
    m = read_it(h, NULL);
    assert_int_equal(m->tensors[0].n_dims, 4);  /* no room for a fifth */
    assert_int_equal(m->tensors[0].params, 24);
    oom_model_free(m);
}

static void a_tied_heads_bias_is_loaded(void **state)
{
    header h = begin();
    oom_model *m;

    (void)state;
    tensor(&h, "model.embed_tokens.weight", "F32", 100, 64);
    tensor(&h, "lm_head.bias", "F32", 100, 0);
    m = read_it(h, "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 1, "
                "\"num_attention_heads\": 4, \"intermediate_size\": 128, \"vocab_size\": 100, "
                "\"tie_word_embeddings\": true}");
    assert_int_equal(m->n_tensors, 2);
    oom_model_free(m);
}

static void a_decoders_layers_are_its_own(void **state)
{
    header h = begin();
    oom_model *m;

    (void)state;
    tensor(&h, "decoder.block.5.layer.0.SelfAttention.q.weight", "F32", 8, 8);
    m = read_it(h, "{\"model_type\": \"t5\", \"d_model\": 8, \"num_layers\": 2, "
                "\"num_decoder_layers\": 6, \"num_heads\": 2, \"d_kv\": 4, \"d_ff\": 16, "
                "\"vocab_size\": 100, \"is_encoder_decoder\": true}");
    assert_int_equal(m->tensors[0].part, OOM_PART_TEXT);
    oom_model_free(m);
}

static void a_name_that_only_looks_like_one_is_another_tensor(void **state)
{
    static const struct { const char *name; int layer; oom_role role; oom_part part; } known[] = {
        { "model.layers.x.mlp.up_proj.weight", -1, OOM_ROLE_OTHER, OOM_PART_TEXT },
        { "model.layers.1234567.mlp.up_proj.weight", -1, OOM_ROLE_OTHER, OOM_PART_TEXT },
        { "model.layers.1x.mlp.up_proj.weight", -1, OOM_ROLE_OTHER, OOM_PART_TEXT },
        { "model.layersx.weight", -1, OOM_ROLE_OTHER, OOM_PART_TEXT },
        { "model.layers.7", 7, OOM_ROLE_OTHER, OOM_PART_TEXT },
        { "mtp_layers.0.mlp.up_proj.weight", 0, OOM_ROLE_FFN_UP, OOM_PART_MTP },
        { "mtpx.weight", -1, OOM_ROLE_OTHER, OOM_PART_TEXT },
        { "mtp", -1, OOM_ROLE_OTHER, OOM_PART_MTP },
        { "x_bias", -1, OOM_ROLE_OTHER, OOM_PART_TEXT },
    };
    char longest[700];
    header h;
    oom_model *m;

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        h = begin();
        tensor(&h, known[i].name, "F32", 8, 8);
        m = read_it(h, NULL);
        if (m->tensors[0].layer != known[i].layer || m->tensors[0].role != known[i].role ||
            m->tensors[0].part != known[i].part)
            fail_msg("%s: %s in layer %d", known[i].name, oom_role_stem(m->tensors[0].role),
                     (int)m->tensors[0].layer);
        oom_model_free(m);
    }
    /* names longer than any module's path are told apart all the same */
    memset(longest, 'a', 650);
    strcpy(longest + 650, ".weight");
    h = begin();
    tensor(&h, longest, "F32", 8, 8);
    m = read_it(h, NULL);
    assert_string_equal(m->tensors[0].name, longest);
    oom_model_free(m);
}

static void causal_masks_are_made_anew(void **state)
{
    static const struct { const char *name; uint64_t kept; } masks[] = {
        { "h.0.attn.bias", 0 }, { "h.0.attention.bias", 0 }, { "h.0.other.bias", 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        header h = begin();
        oom_model *m;

        tensor(&h, "wte.weight", "F32", 8, 8);
        put(&h, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[1,1,4,4],\"data_offsets\":[256,320]}",
            masks[i].name);
        h.data = 320;
        m = read_it(h, NULL);
        assert_int_equal(m->n_tensors, 1 + masks[i].kept);
        oom_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tensor_says_its_type_its_shape_and_its_place),
        cmocka_unit_test(a_tensors_name_is_plain_text),
        cmocka_unit_test(more_than_four_dimensions_are_folded_and_none_are_one_element),
        cmocka_unit_test(a_weight_past_all_sizes_is_refused),
        cmocka_unit_test(an_index_promises_what_is_there),
        cmocka_unit_test(packed_weights_stand_for_their_codes),
        cmocka_unit_test(the_width_of_a_code_is_what_a_configuration_says_that_can_be),
        cmocka_unit_test(experts_that_differ_are_counted_one_by_one),
        cmocka_unit_test(a_tied_heads_bias_is_loaded),
        cmocka_unit_test(a_decoders_layers_are_its_own),
        cmocka_unit_test(a_name_that_only_looks_like_one_is_another_tensor),
        cmocka_unit_test(causal_masks_are_made_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
