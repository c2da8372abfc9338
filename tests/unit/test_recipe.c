/* Names of precisions and what the recipes of other tools weigh. Expected values are worked out
 * by hand beside them, or published with the checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "folder.h"
#include "read.h"

static folder files;
static read_catalogue *catalogue;

static int setup(void **state)
{
    read_source source = { folder_file, &files };

    (void)state;
    catalogue = read_catalogue_new(&source, &oom_libc_alloc, NULL);
    return catalogue ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    read_catalogue_free(catalogue);
    free(files.text);
    return 0;
}

static oom_precision precision(const char *name)
{
    oom_precision p = { 0 };
    oom_error err;

    if (oom_precision_parse(name, &p, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    return p;
}

static uint64_t weighed(const char *model, const char *name)
{
    oom_precision p = precision(name);
    const oom_model *inventory;
    oom_model *m = NULL;
    uint64_t total = 0;
    oom_error err;

    if (read_model(catalogue, model, &oom_libc_alloc, &m, &err) != OOM_OK
        || oom_precision_inventory(m, &p, &inventory, &err) != OOM_OK
        || oom_precision_weigh(inventory, &p, NULL, &total, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    oom_model_free(m);
    return total;
}

/* One matrix outside everything else. */
static uint64_t matrix(const char *name, oom_role role, uint64_t out, uint64_t in)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_tensor t = { .role = role, .n_dims = 2, .dims = { out, in } };
    oom_precision p = precision(name);
    uint64_t total = 0;

    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, NULL), OOM_OK);
    oom_model_free(m);
    return total;
}

/* ---- names --------------------------------------------------------------------------------------- */

static void every_listed_name_is_understood_as_itself(void **state)
{
    const char *name, *meaning;
    size_t n = 0;

    (void)state;
    for (size_t i = 0; (name = oom_precision_at(i, &meaning)) != NULL; i++, n++) {
        assert_string_equal(precision(name).name, name);
        assert_true(strlen(meaning) > 10);
    }
    assert_int_equal(n, 1 + 6 + 35 + 20 + 1);
}

static void case_and_dashes_do_not_matter(void **state)
{
    (void)state;
    assert_string_equal(precision("Q4_K_M").name, "q4_k_m");
    assert_string_equal(precision("q4-k-m").name, "q4_k_m");
    assert_string_equal(precision("FP8_Block").name, "fp8-block");
    assert_string_equal(precision("GPTQ-4bit-128G").name, "gptq-4bit-128g");
}

/* A plain width is every parameter; the same name behind gguf: is llama.cpp's file. */
static void widths_files_and_types_are_told_apart(void **state)
{
    (void)state;
    assert_int_equal(precision("bf16").kind, OOM_PRECISION_WIDTH);
    assert_int_equal(precision("gguf:bf16").kind, OOM_PRECISION_GGUF);
    assert_int_equal(precision("fp16").kind, OOM_PRECISION_WIDTH);
    assert_int_equal(precision("f16").kind, OOM_PRECISION_GGUF);
    assert_int_equal(precision("gguf:fp16").kind, OOM_PRECISION_GGUF);
    assert_int_equal(precision("q4_0").kind, OOM_PRECISION_GGUF);
    assert_int_equal(precision("type:q4_0").kind, OOM_PRECISION_TYPE);
    assert_string_equal(precision("type:q4_0").format->name, "q4_0");
    assert_int_equal(precision("mxfp4").kind, OOM_PRECISION_RECIPE);
    assert_int_equal(precision("mxfp4_moe").kind, OOM_PRECISION_GGUF);
}

static void numbers_in_names_are_read(void **state)
{
    static const struct { const char *name; double bits; uint32_t group; } good[] = {
        { "gptq", 4, 128 }, { "gptq-3bit-64g", 3, 64 }, { "gptq-8bit", 8, 0 },
        { "gptq-4bit", 4, 0 }, { "awq", 4, 128 }, { "awq-64g", 4, 64 }, { "hqq", 4, 64 },
        { "hqq-2bit-32g", 2, 32 }, { "mlx-6bit", 6, 64 }, { "mlx-3bit-128g", 3, 128 },
        { "exl2-4.25", 4.25, 0 }, { "exl2-6", 6, 0 }, { "w4a16", 4, 128 }, { "w4a16-32g", 4, 32 },
        { "int4-experts", 4, 32 }, { "int4-experts-64g", 4, 64 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        oom_precision p = precision(good[i].name);

        assert_int_equal(p.kind, OOM_PRECISION_RECIPE);
        assert_true(p.bits == good[i].bits);
        assert_int_equal(p.group, good[i].group);
    }
}

static void unknown_names_are_refused_with_the_nearest(void **state)
{
    static const char *const bad[] = {
        "", "q4", "gptq-5bit-128g", "gptq-4bit-100g", "gptq-4bit-", "gptq-128g-4bit", "awq-8bit",
        "exl2", "exl2-", "exl2-99", "exl2-4.", "exl2-4.5x", "nf4-64g", "type:", "type:q9_0",
        "type:int4", "gguf:", "gguf:awq", "gguf:nf4", "a name longer than any precision could have",
        "stored-4bit", "mlx-4bit-64g-64g"
    };
    oom_precision p = { .name = "before" };
    oom_error err;

    (void)state;
    assert_int_equal(oom_precision_parse("q4km", &p, &err), OOM_NOTFOUND);
    assert_ptr_equal(strstr(err.msg, "no precision \"q4km\"; did you mean \"q4_k_m\""), err.msg);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(oom_precision_parse(bad[i], &p, &err), OOM_NOTFOUND);
        assert_memory_equal(err.msg, "no precision \"", 14);
    }
    assert_string_equal(p.name, "before");
}

/* ---- widths -------------------------------------------------------------------------------------- */

/* Llama-3.1-8B has 8,030,261,248 parameters, Qwen3-0.6B 596,049,920. */
static void a_width_is_parameters_times_bits(void **state)
{
    (void)state;
    assert_int_equal(weighed("llama-3.1-8b", "fp32"), 8030261248 * 4);
    assert_int_equal(weighed("llama-3.1-8b", "bf16"), 8030261248 * 2);
    assert_int_equal(weighed("llama-3.1-8b", "int8"), 8030261248);
    assert_int_equal(weighed("llama-3.1-8b", "int4"), 8030261248 / 2);
    assert_int_equal(weighed("qwen3-0.6b", "fp8"), 596049920);
}

/* 3 + 3 parameters are 3 bytes, not 2 + 2; the shares of the tensors add up to that. */
static void half_bytes_are_rounded_once_over_the_whole_sum(void **state)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_tensor t = { .role = OOM_ROLE_ATTN_Q, .n_dims = 1, .dims = { 3 } };
    oom_tensor apart = { .role = OOM_ROLE_ATTN_Q, .part = OOM_PART_MTP, .n_dims = 1, .dims = { 5 } };
    oom_precision p = precision("int4");
    uint64_t each[4], total;

    (void)state;
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    assert_int_equal(oom_model_add_tensor(m, &apart, NULL), OOM_OK);
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(m, &p, each, &total, NULL), OOM_OK);
    assert_int_equal(total, 3);
    assert_int_equal(each[0] + each[2], 3);
    assert_int_equal(each[1], 3);               /* multi-token prediction is not in the total */
    oom_model_free(m);
}

static void sizes_past_63_bits_are_refused(void **state)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_tensor t = { .role = OOM_ROLE_FFN_UP, .n_dims = 2, .dims = { 1ull << 31, 1ull << 31 } };
    static const char *const names[] = { "fp32", "type:fp32", "bnb-int8", "exl2-16" };
    uint64_t total = 7;
    oom_error err;

    (void)state;
    m->id = "huge";
    for (int i = 0; i < 2; i++)
        assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    for (size_t i = 0; i < 4; i++) {
        oom_precision p = precision(names[i]);

        assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, &err), OOM_TOOLARGE);
        assert_int_equal(total, 7);
    }
    assert_string_equal(err.msg, "huge in exl2-16: too large");
    oom_model_free(m);
}

/* ---- one matrix of 1024 x 4096 -------------------------------------------------------------------- */

static void a_matrix_takes_codes_scales_and_zeros(void **state)
{
    static const struct { const char *name; uint64_t bytes; } sizes[] = {
        { "awq", 2097152 + 32 * 512 + 32 * 2048 },          /* codes; 32 groups: zeros, scales */
        { "gptq", 2097152 + 32 * 512 + 32 * 2048 + 16384 }, /* and g_idx, 4 bytes a column */
        { "gptq-3bit-64g", 1572864 + 64 * 384 + 64 * 2048 + 16384 },
        { "gptq-8bit", 4194304 + 1024 + 2048 + 16384 },     /* one group a column */
        { "bnb-int8", 4194304 + 4096 },
        { "w8a8", 4194304 + 4096 },
        { "nf4", 2097152 + 65536 * 4 },                     /* 4194304 / 64 blocks */
        { "nf4-dq", 2097152 + 65536 + 256 * 4 + 4 },
        { "fp8-tensor", 4194304 + 8 },
        { "fp8-block", 4194304 + 8 * 32 * 4 },
        { "mxfp4", 1024 * 128 * 17 },
        { "nvfp4", 1024 * 256 * 9 + 4 },
        { "w4a16", 2097152 + 1024 * 32 * 2 + 16 },
        { "hqq", 2097152 + 65536 * 4 },
        { "exl2-4.25", 4194304 / 8 * 17 / 4 },
        { "mlx-4bit", 2097152 + 65536 * 4 },
        { "mlx-3bit-32g", 1572864 + 131072 * 4 },
        { "type:q4_0", 1024 * 128 * 18 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (matrix(sizes[i].name, OOM_ROLE_ATTN_K, 1024, 4096) != sizes[i].bytes)
            fail_msg("%s: %llu, expected %llu", sizes[i].name,
                     (unsigned long long)matrix(sizes[i].name, OOM_ROLE_ATTN_K, 1024, 4096),
                     (unsigned long long)sizes[i].bytes);
}

/* Partial blocks are whole: 130 x 200 has 2 x 2 blocks of 128, 5 groups of 32 and 13 of 16 in a
 * row; a row that MLX's group does not divide stays at 16 bits. */
static void what_does_not_divide_is_rounded_up(void **state)
{
    (void)state;
    assert_int_equal(matrix("fp8-block", OOM_ROLE_ATTN_K, 130, 200), 26000 + 4 * 4);
    assert_int_equal(matrix("mxfp4", OOM_ROLE_ATTN_K, 130, 200), 130 * 7 * 17);
    assert_int_equal(matrix("nvfp4", OOM_ROLE_ATTN_K, 130, 200), 130 * 13 * 9 + 4);
    assert_int_equal(matrix("nf4", OOM_ROLE_ATTN_K, 1, 65), 33 + 2 * 4);
    assert_int_equal(matrix("mlx-4bit-64g", OOM_ROLE_ATTN_K, 130, 200), 52000);
}

static void embeddings_heads_norms_and_routers_stay_at_16_bits(void **state)
{
    static const char *const names[] = { "awq", "gptq", "nf4", "fp8-block", "w8a8", "nvfp4" };
    static const oom_role kept[] = {
        OOM_ROLE_EMBED, OOM_ROLE_OUTPUT, OOM_ROLE_ROUTER, OOM_ROLE_SSM_CONV, OOM_ROLE_SHEXP_ROUTER,
        OOM_ROLE_TOWER, OOM_ROLE_POS_EMBED
    };

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t r = 0; r < sizeof kept / sizeof *kept; r++)
            assert_int_equal(matrix(names[i], kept[r], 64, 128), 64 * 128 * 2);
    /* MLX quantises embedding and head, ExLlamaV2 the head at 6 bits */
    assert_int_equal(matrix("mlx-4bit", OOM_ROLE_EMBED, 64, 128), 64 * (64 + 2 * 4));
    assert_int_equal(matrix("exl2-3.0", OOM_ROLE_OUTPUT, 64, 128), 64 * 128 * 6 / 8);
    assert_int_equal(matrix("exl2-3.0", OOM_ROLE_EMBED, 64, 128), 64 * 128 * 2);
}

/* ---- whole models ----------------------------------------------------------------------------------- */

/* Llama-3.1-8B: per layer q and o 4096 x 4096, k and v 1024 x 4096, gate and up 14336 x 4096, down
 * 4096 x 14336: 218,103,808 elements; embedding and head 128256 x 4096 and 65 norms of 4096 are
 * 1,050,939,392 parameters at 2 bytes. AWQ of a layer: elements/2 and, a group of 128, 2.5 bytes. */
static void llama_8b_in_awq_and_nf4(void **state)
{
    uint64_t layer = 218103808, kept = 2 * 1050939392ull;

    (void)state;
    assert_int_equal(weighed("llama-3.1-8b", "awq"), kept + 32 * (layer / 2 + layer / 128 * 5 / 2));
    assert_int_equal(weighed("llama-3.1-8b", "nf4"), kept + 32 * (layer / 2 + layer / 64 * 4));
}

/* The releases list 21,511,953,984 and 120,412,337,472 elements: 4-bit codes (24 x 32 and 36 x 128
 * experts of 24,883,200), a scale of a byte for every 32 of them, and what is left in bf16. */
static void gpt_oss_is_stored_as_published(void **state)
{
    (void)state;
    assert_int_equal(weighed("gpt-oss-20b", "stored"),
                     19110297600 / 2 + 597196800 + 2 * (21511953984 - 19110297600 - 597196800));
    assert_int_equal(weighed("gpt-oss-120b", "stored"),
                     114661785600 / 2 + 3583180800 + 2 * (120412337472 - 114661785600 - 3583180800));
}

/* Bytes of every tensor of a checkpoint as it is stored, MTP inside. */
static uint64_t stored_file(const char *name, uint64_t *below_two_bytes)
{
    static uint64_t each[16384];
    oom_precision p = precision("stored");
    oom_model *m = NULL;
    uint64_t total, all = 0;
    oom_error err;

    if (read_model(catalogue, name, &oom_libc_alloc, &m, &err) != OOM_OK || m->n_tensors > 16384
        || oom_precision_weigh(m, &p, each, &total, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    *below_two_bytes = 0;
    for (size_t i = 0; i < m->n_tensors; i++) {
        all += each[i];
        if (each[i] < 2 * m->tensors[i].params)
            *below_two_bytes += each[i] - m->tensors[i].params;
    }
    oom_model_free(m);
    return all;
}

/* MiniMax-M2 publishes 13,880,064 block scales of 4 bytes beside its fp8 matrices, Ministral 3 8B
 * 476 scales. */
static void published_scales_are_counted(void **state)
{
    uint64_t scale_bytes;

    (void)state;
    stored_file("minimax-m2", &scale_bytes);
    assert_int_equal(scale_bytes, 4 * 13880064);
    stored_file("ministral-3-8b", &scale_bytes);
    assert_int_equal(scale_bytes, 4 * 476);
}

/* DeepSeek-V3's repository lists 680,571,043,840 elements of fp8, 3,918,786,560 of bf16 and
 * 41,555,600 of fp32 (scales and the routers' correction bias). */
static void deepseek_v3_is_stored_as_published(void **state)
{
    uint64_t scale_bytes;

    (void)state;
    assert_int_equal(stored_file("deepseek-v3", &scale_bytes),
                     680571043840 + 2 * 3918786560 + 4 * 41555600);
}

/* Kimi-K2: 60 layers of 384 experts of 3 x 2048 x 7168 are 1,014,686,023,680 elements in half a byte,
 * a 16-bit scale for 32 of them and 16 bytes of shape a matrix; the other 11,722,208,768 parameters
 * of its 1,026,408,232,448 take 2 bytes, the 60 x 384 correction biases 4. The repository has
 * 594 GB. */
static void kimi_k2_has_int4_experts(void **state)
{
    uint64_t experts = 1014686023680, scale_bytes, bytes;

    (void)state;
    bytes = stored_file("kimi-k2-thinking", &scale_bytes);
    assert_int_equal(bytes, experts / 2 + experts / 32 * 2 + 60 * 384 * 3 * 16
                            + 2 * (1026408232448 - experts) + 2 * 60 * 384);
    assert_int_equal(bytes / 1000000000, 594);
}

/* DeepSeek-V4-Flash: 277,025,390,592 elements of experts at 17 bytes for 32; the rest is fp8 with
 * scales, but for embedding, head and small matrices. */
static void deepseek_v4_has_fp4_experts(void **state)
{
    uint64_t experts = 277025390592 / 32 * 17, total = weighed("deepseek-v4-flash", "stored");

    (void)state;
    assert_string_equal(precision("fp4-experts-fp8").name, "fp4-experts-fp8");
    assert_in_range(total, experts + 7306849879, experts + 2 * 7306849879);
}

/* Llama-3.1-405B-FP8: 124 of 126 MLPs of 3 x 16384 x 53248 in a byte, an fp32 for each of their
 * 2 x 53248 + 16384 rows; the rest of 405,853,388,800 at 2 bytes. Of the release that doubled the 8
 * key heads vLLM 0.5.3 loaded 57.752 GiB on each of 8 ranks, 0.05 of them rotary table and what is
 * not cut: (this + 126 x 4 x 1024 x 16384) / 8 is 57.705. */
static void a_mix_may_leave_attention_and_the_ends(void **state)
{
    uint64_t mlps = 124 * (3ull * 16384 * 53248), rows = 124 * (2ull * 53248 + 16384);
    uint64_t all = weighed("llama-3.1-405b", "fp8-mlp");

    (void)state;
    assert_int_equal(all, mlps + 4 * rows + 2 * (405853388800 - mlps));
    assert_int_equal((all + 126ull * 4 * 1024 * 16384) / 8 * 1000 >> 30, 57705);
}

/* NVIDIA's Gemma-4-31B: 60 MLPs of 3 x 5376 x 21504 at 9 bytes for 16, 4 more a matrix. */
static void a_mix_may_leave_attention(void **state)
{
    uint64_t mlps = 60 * (3ull * 5376 * 21504), all = weighed("gemma-4-31b", "fp16");

    (void)state;
    assert_int_equal(weighed("gemma-4-31b", "nvfp4-mlp"), all - 2 * mlps + mlps / 16 * 9 + 60 * 3 * 4);
}

/* A count of parameters alone can be a width, but not a mix. */
static void parameters_alone_take_widths_only(void **state)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_tensor t = { .layer = -1, .role = OOM_ROLE_PARAMS, .n_dims = 2, .dims = { 1, 7000000000 } };
    static const struct { const char *name; uint64_t bytes; } good[] = {
        { "int4", 3500000000 }, { "gguf:f16", 14000000000 }, { "gguf:f32", 28000000000 },
        { "q8_0", 7437500000 }, { "type:q4_0", 3937500000 },
    };
    static const char *const bad[] = { "q4_k_m", "awq", "nf4", "fp8-block" };
    const oom_model *inventory;
    uint64_t total;
    oom_error err;

    (void)state;
    m->id = "table";
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        oom_precision p = precision(good[i].name);

        assert_int_equal(oom_precision_inventory(m, &p, &inventory, NULL), OOM_OK);
        assert_int_equal(oom_precision_weigh(inventory, &p, NULL, &total, NULL), OOM_OK);
        assert_int_equal(total, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        oom_precision p = precision(bad[i]);

        assert_int_equal(oom_precision_inventory(m, &p, &inventory, NULL), OOM_OK);
        assert_int_equal(oom_precision_weigh(inventory, &p, NULL, &total, &err), OOM_BADVALUE);
        assert_non_null(strstr(err.msg, "table: a count of parameters does not say"));
    }
    oom_model_free(m);
}

/* Eight codes of 4 bits in each of 64 x 16 words: 8192 parameters, 4096 bytes. */
static void a_packed_checkpoint_tells_what_it_stores(void **state)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_tensor t = { .layer = -1, .role = OOM_ROLE_OUTPUT, .n_dims = 2, .dims = { 64, 16 },
                     .params = 8192, .stored_bytes = 4096 };
    oom_precision p = precision("stored");
    const oom_model *inventory;
    uint64_t total;
    oom_error err;

    (void)state;
    m->id = "packed";
    m->from_file = true;
    t.stored = oom_format_find("i32");
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, NULL), OOM_OK);
    assert_int_equal(total, 4096);
    p = precision("bf16");
    assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, NULL), OOM_OK);
    assert_int_equal(total, 16384);
    p = precision("awq");
    assert_int_equal(oom_precision_weigh(m, &p, NULL, &total, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "packed: output.weight is packed, so only \"stored\" and widths can "
                                 "be told of this checkpoint, not awq");
    p = precision("q4_k_m");
    assert_int_equal(oom_precision_inventory(m, &p, &inventory, &err), OOM_BADVALUE);
    oom_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_listed_name_is_understood_as_itself),
        cmocka_unit_test(case_and_dashes_do_not_matter),
        cmocka_unit_test(widths_files_and_types_are_told_apart),
        cmocka_unit_test(numbers_in_names_are_read),
        cmocka_unit_test(unknown_names_are_refused_with_the_nearest),
        cmocka_unit_test(a_width_is_parameters_times_bits),
        cmocka_unit_test(half_bytes_are_rounded_once_over_the_whole_sum),
        cmocka_unit_test(sizes_past_63_bits_are_refused),
        cmocka_unit_test(a_matrix_takes_codes_scales_and_zeros),
        cmocka_unit_test(what_does_not_divide_is_rounded_up),
        cmocka_unit_test(embeddings_heads_norms_and_routers_stay_at_16_bits),
        cmocka_unit_test(llama_8b_in_awq_and_nf4),
        cmocka_unit_test(gpt_oss_is_stored_as_published),
        cmocka_unit_test(published_scales_are_counted),
        cmocka_unit_test(deepseek_v3_is_stored_as_published),
        cmocka_unit_test(kimi_k2_has_int4_experts),
        cmocka_unit_test(a_mix_may_leave_attention_and_the_ends),
        cmocka_unit_test(a_mix_may_leave_attention),
        cmocka_unit_test(deepseek_v4_has_fp4_experts),
        cmocka_unit_test(parameters_alone_take_widths_only),
        cmocka_unit_test(a_packed_checkpoint_tells_what_it_stores),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
