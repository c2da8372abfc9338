/* What a GGUF header may not say, line by line, and llama.cpp's rules that no measured header shows:
 * counted by hand from llama-hparams.cpp and src/models/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "gguf_writer.h"
#include "read.h"

static const uint64_t dims[] = { 64, 32 };

/* A header of `arch` with so many blocks that attend: 4 heads of 16, 2 for keys and values. */
static gguf_writer header_of(const char *arch, uint32_t blocks)
{
    static const struct { const char *key; uint32_t value; } keys[] = {
        { "embedding_length", 64 }, { "attention.head_count", 4 },
        { "attention.head_count_kv", 2 },
    };
    gguf_writer w = gguf_begin(3, 0);
    char name[128];

    gguf_str(&w, "general.architecture", arch);
    snprintf(name, sizeof name, "%s.block_count", arch);
    gguf_u32(&w, name, blocks);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(name, sizeof name, "%s.%s", arch, keys[i].key);
        gguf_u32(&w, name, keys[i].value);
    }
    for (uint32_t i = 0; i < blocks; i++) {
        snprintf(name, sizeof name, "blk.%u.attn_k.weight", i);
        gguf_put_tensor(&w, name, 2, dims, 1, 4096);
    }
    return w;
}

static gguf_writer small(void) { return header_of("llama", 1); }

static oom_model *read_it(gguf_writer w)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_error err = { 0 };
    uint64_t bytes = gguf_end(&w);

    if (read_gguf(m, "x.gguf", w.bytes, bytes, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    free(w.bytes);
    return m;
}

static void refused(gguf_writer w, uint64_t bytes, const char *message)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_error err = { 0 };

    assert_int_not_equal(read_gguf(m, "x.gguf", w.bytes, bytes, &err), OOM_OK);
    if (strncmp(err.msg, "x.gguf: ", 8) != 0 || strcmp(err.msg + 8, message) != 0)
        fail_msg("\"%s\" instead of \"x.gguf: %s\"", err.msg, message);
    oom_model_free(m);
    free(w.bytes);
}

static void says(gguf_writer w, const char *message)
{
    uint64_t bytes = gguf_end(&w);

    refused(w, bytes, message);
}

/* ---- the container --------------------------------------------------------------------------- */

static void what_is_no_gguf_is_refused(void **state)
{
    static const unsigned char many[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\1\0\1\0\0\0\0\0";
    gguf_writer w = small(), raw = { 0 };

    (void)state;
    w.bytes[0] = 'H';
    says(w, "not a GGUF file");
    w = gguf_begin(0, 0);
    says(w, "GGUF version 0, expected 1, 2 or 3");
    put_bytes(&raw, many, 24);
    refused(raw, 1 << 20, "byte 24: more than 65536 keys");
    w = gguf_begin(3, 0);
    says(w, "general.architecture: expected a name of 1 to 64 letters, digits, - and _");
}

static void a_key_has_a_name_of_its_own(void **state)
{
    char longest[601];
    gguf_writer w = gguf_begin(3, 0);

    (void)state;
    gguf_u32(&w, "", 1);
    says(w, "byte 32: a key of no or more than 512 bytes");
    memset(longest, 'a', 600);
    longest[600] = '\0';
    w = gguf_begin(3, 0);
    gguf_u32(&w, longest, 1);
    says(w, "byte 632: a key of no or more than 512 bytes");
}

static void a_tensors_name_is_plain_text(void **state)
{
    static const char *const names[] = { "", "\xff", "\x7f", "\xc2\x85" };
    char longest[601], message[160];

    (void)state;
    memset(longest, 'a', 600);
    longest[600] = '\0';
    for (size_t i = 0; i < 5; i++) {
        const char *name = i < 4 ? names[i] : longest;
        gguf_writer w = small();
        size_t at = w.n + w.n_infos + 8 + strlen(name);

        gguf_put_tensor(&w, name, 2, dims, 1, 4096);
        snprintf(message, sizeof message,
                 "byte %zu: a tensor's name is empty, longer than 512 bytes or no plain text", at);
        says(w, message);
    }
}

static void a_tensor_has_a_size(void **state)
{
    static const struct { uint32_t n; uint64_t dims[3]; uint32_t type; const char *says; } bad[] = {
        { 0, { 1 }, 1, "expected 1 to 4 dimensions" },
        { 1, { 0 }, 1, "a dimension of length 0" },
        { 3, { 1, 1ull << 62, 4 }, 1, "more than 2^63 elements" },
        { 1, { 1ull << 62 }, 0, "larger than 2^63 bytes" },
        { 1, { 64 }, UINT32_MAX, "its type is not one of ggml's" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_writer w = small();
        char message[96];

        gguf_put_tensor(&w, "a", bad[i].n, bad[i].dims, bad[i].type, 0);
        snprintf(message, sizeof message, "tensor \"a\": %s", bad[i].says);
        says(w, message);
    }
}

/* ggml.h: 31 to 33 and 36 to 38 were rows of q4_0 and iq4_nl, interleaved. */
static void types_that_were_removed_keep_their_size(void **state)
{
    (void)state;
    for (uint32_t type = 31; type <= 38; type++) {
        gguf_writer w;
        const oom_model *m;

        if (type == 34 || type == 35)   /* tq1_0, tq2_0 */
            continue;
        w = small();
        gguf_put_tensor(&w, "a", 2, dims, type, 64 / 32 * 18 * 32);
        m = read_it(w);
        assert_int_equal(m->tensors[1].stored_bytes, 1152);
        assert_string_equal(m->tensors[1].stored->name, type < 34 ? "q4_0" : "iq4_nl");
        oom_model_free((oom_model *)(uintptr_t)m);
    }
}

static void an_alignment_is_a_power_of_two(void **state)
{
    static const uint32_t bad[] = { 3, 1u << 31 };
    gguf_writer w = small();

    (void)state;
    gguf_str(&w, "general.alignment", "32");
    says(w, "general.alignment is no power of two");
    for (size_t i = 0; i < 2; i++) {
        w = small();
        gguf_u32(&w, "general.alignment", bad[i]);
        says(w, "general.alignment is no power of two");
    }
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void a_count_is_a_whole_number_of_any_type(void **state)
{
    static const struct { uint32_t type; size_t bytes; uint64_t value; bool good; } values[] = {
        { 0, 1, 255, true },            { 1, 1, 127, true },        { 1, 1, 255, false },
        { 2, 2, 65535, true },          { 3, 2, 32767, true },      { 3, 2, 65535, false },
        { 5, 4, INT32_MAX, true },      { 5, 4, UINT32_MAX, false }, { 6, 4, 0, false },
        { 7, 1, 1, true },              { 10, 8, 7, true },         { 10, 8, 1ull << 32, false },
        { 10, 8, 1ull << 63, false },   { 11, 8, UINT64_MAX, false }, { 12, 8, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        gguf_writer w = small();
        oom_model *m;

        gguf_key(&w, "llama.context_length", values[i].type);
        put_number(&w, values[i].value, values[i].bytes);
        if (!values[i].good) {
            says(w, "llama.context_length: expected a whole number");
            continue;
        }
        m = read_it(w);
        assert_int_equal(m->shape.context, values[i].value);
        oom_model_free(m);
    }
}

static void a_list_has_an_item_for_every_layer(void **state)
{
    uint32_t one[] = { 2 };
    gguf_writer w = header_of("llama", 3);

    (void)state;
    gguf_list(&w, "llama.attention.key_length", one, 0);
    says(w, "llama.attention.key_length: expected a whole number for every layer");
}

static void a_model_has_blocks_and_a_width(void **state)
{
    static const struct { uint32_t blocks, width; const char *says; } bad[] = {
        { 0, 64, "llama.block_count: expected a whole number from 1 to 10000" },
        { 10001, 64, "llama.block_count: expected a whole number from 1 to 10000" },
        { 1, 0, "llama.embedding_length: expected a whole number from 1 to 4294967295" },
        { 1, 64, "a header without tensors" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gguf_writer w = gguf_begin(3, 0);

        gguf_str(&w, "general.architecture", "llama");
        gguf_u32(&w, "llama.block_count", bad[i].blocks);
        gguf_u32(&w, "llama.embedding_length", bad[i].width);
        says(w, bad[i].says);
    }
}

static void an_architecture_is_a_name(void **state)
{
    static const char expected[] =
        "general.architecture: expected a name of 1 to 64 letters, digits, - and _";
    char longest[66];
    gguf_writer w;

    (void)state;
    memset(longest, 'a', 65);
    longest[65] = '\0';
    for (size_t i = 0; i < 4; i++) {
        static const char *const bad[] = { "", "a b", "a/b" };

        w = gguf_begin(3, 0);
        gguf_str(&w, "general.architecture", i < 3 ? bad[i] : longest);
        says(w, expected);
    }
    w = gguf_begin(3, 0);
    gguf_u32(&w, "general.architecture", 1);
    says(w, expected);
    w = gguf_begin(3, 0);
    gguf_words(&w, "general.architecture", 1);
    says(w, expected);
}

static void what_is_no_model_is_called_what_it_is(void **state)
{
    static const struct { const char *type, *says; } kinds[] = {
        { "imatrix", "is an imatrix file, expected a model" },
        { "vocab", "is a vocab file, expected a model" },
    };
    gguf_writer w;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        w = small();
        gguf_str(&w, "general.type", kinds[i].type);
        says(w, kinds[i].says);
    }
    w = small();
    gguf_str(&w, "general.type", "model");
    gguf_u32(&w, "general.name", 7);            /* no name */
    oom_model_free(read_it(w));
}

static void parts_of_a_model_are_all_there(void **state)
{
    gguf_writer w[2] = { small(), gguf_begin(3, 0) };
    read_part parts[2];
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_error err = { 0 };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        gguf_u32(&w[i], "split.count", 3);
        gguf_u32(&w[i], "split.no", i);
        parts[i] = (read_part){ "x.gguf", NULL, (size_t)gguf_end(&w[i]) };
        parts[i].bytes = w[i].bytes;
    }
    assert_int_equal(read_gguf_parts(m, parts, 2, &err), OOM_BADFILE);
    assert_string_equal(err.msg, "x.gguf: part of a model in 3 files, of which 2 are here");
    oom_model_free(m);
    free(w[0].bytes);
    free(w[1].bytes);
    w[0] = small();
    gguf_u32(&w[0], "split.count", 0);          /* not split */
    oom_model_free(read_it(w[0]));
}

static void a_projector_may_stand_alone(void **state)
{
    gguf_writer w = gguf_begin(3, 0);
    oom_param_counts counts;
    oom_model *m;

    (void)state;
    gguf_str(&w, "general.architecture", "clip");
    gguf_u32(&w, "clip.vision.embedding_length", 64);
    gguf_put_tensor(&w, "v.blk.0.attn_q.weight", 2, dims, 1, 4096);
    m = read_it(w);
    assert_int_equal(m->shape.n_layers, 0);
    assert_int_equal(m->shape.hidden_size, 64);
    assert_int_equal(oom_model_count(m, &counts, NULL), OOM_OK);
    assert_int_equal(counts.vision, 64 * 32);
    oom_model_free(m);
    w = gguf_begin(3, 0);
    gguf_str(&w, "general.architecture", "clip");
    says(w, "a header without tensors");
}

static void a_vocabulary_is_counted_where_it_is_written(void **state)
{
    gguf_writer w = small();
    oom_model *m;

    (void)state;
    m = read_it(w);
    assert_int_equal(m->shape.vocab_size, 0);
    oom_model_free(m);
    w = small();
    gguf_words(&w, "tokenizer.ggml.tokens", 7);
    m = read_it(w);
    assert_int_equal(m->shape.vocab_size, 7);
    oom_model_free(m);
    w = small();
    gguf_put_tensor(&w, "token_embd.weight", 1, dims, 0, 256);  /* no matrix */
    gguf_str(&w, "tokenizer.ggml.tokens", "none");              /* no list */
    m = read_it(w);
    assert_int_equal(m->shape.vocab_size, 0);
    oom_model_free(m);
}

static void a_name_that_only_looks_like_one_is_another_tensor(void **state)
{
    static const struct { const char *name; int layer; oom_role role; } known[] = {
        { "blk.x.attn_q.weight", -1, OOM_ROLE_OTHER },
        { "blk.1", -1, OOM_ROLE_OTHER },
        { "blk.1234567.attn_q.weight", -1, OOM_ROLE_OTHER },
        { "blk.0.ffn_gate..weight", 0, OOM_ROLE_OTHER },
        { "blk.0.ffn_gate.3x.weight", 0, OOM_ROLE_OTHER },
        { "blk.0.ffn_gate.12345678.weight", 0, OOM_ROLE_OTHER },
        { "v.x.weight", -1, OOM_ROLE_TOWER },
        { "ab", -1, OOM_ROLE_OTHER },
    };
    gguf_writer w = small();
    oom_model *m;

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        gguf_put_tensor(&w, known[i].name, 1, dims, 0, 256);
    m = read_it(w);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const oom_tensor *t = &m->tensors[i + 1];

        if (t->layer != known[i].layer || t->role != known[i].role)
            fail_msg("%s: %s in layer %d", t->name, oom_role_stem(t->role), (int)t->layer);
    }
    oom_model_free(m);
}

/* ---- caches ---------------------------------------------------------------------------------- */

/* Windows of the layers that have a cache, in order; 0: full. */
static void windows_are(gguf_writer w, const uint64_t *windows, size_t n)
{
    oom_model *m = read_it(w);

    assert_int_equal(m->n_caches, n);
    for (size_t i = 0; i < n; i++)
        if (m->caches[i].window != windows[i])
            fail_msg("layer %zu: window %llu, expected %llu", i,
                     (unsigned long long)m->caches[i].window, (unsigned long long)windows[i]);
    oom_model_free(m);
}

static void which_layers_have_a_window_is_a_rule_of_the_architecture(void **state)
{
    static const uint64_t third_full[] = { 9, 9, 0, 9 }, all[] = { 9, 9, 9, 9 },
                          none[] = { 0, 0, 0, 0 }, fourth_full[] = { 4096, 4096, 4096, 0 },
                          first_full[] = { 0, 4096, 4096, 4096 }, told[] = { 9, 0, 0, 9 },
                          chunks[] = { 8192, 8192, 8192, 0 };
    static const uint32_t pattern[] = { 1, 0, 0, 1 };
    uint64_t exaone[64];
    gguf_writer w = header_of("any", 4);

    (void)state;
    gguf_u32(&w, "any.attention.sliding_window", 9);    /* llama.cpp makes nothing of it */
    windows_are(w, none, 4);
    w = header_of("any", 4);
    gguf_u32(&w, "any.attention.sliding_window", 9);
    gguf_u32(&w, "any.attention.sliding_window_pattern", 3);
    windows_are(w, third_full, 4);
    w = header_of("any", 4);
    gguf_u32(&w, "any.attention.sliding_window", 9);
    gguf_u32(&w, "any.attention.sliding_window_pattern", 0);
    windows_are(w, all, 4);
    w = header_of("any", 4);
    gguf_u32(&w, "any.attention.sliding_window", 9);
    gguf_list(&w, "any.attention.sliding_window_pattern", pattern, 4);
    windows_are(w, told, 4);
    windows_are(header_of("exaone-moe", 4), (uint64_t[]){ 128, 128, 128, 0 }, 4);
    windows_are(header_of("smallthinker", 4), first_full, 4);
    windows_are(header_of("olmo2", 4), none, 4);        /* where the file names no window */
    windows_are(header_of("exaone4", 4), none, 4);      /* but of 64 layers, */
    for (size_t i = 0; i < 64; i++)
        exaone[i] = fourth_full[i % 4];
    windows_are(header_of("exaone4", 64), exaone, 64);
    w = header_of("llama4", 4);
    gguf_u32(&w, "llama4.attention.sliding_window", 9); /* whatever the file says */
    windows_are(w, chunks, 4);
    w = header_of("llama4", 4);
    gguf_u32(&w, "llama4.attention.sliding_window", 0);
    windows_are(w, none, 4);
}

static void last_layers_may_share_a_cache_and_encoders_have_none(void **state)
{
    gguf_writer w = header_of("gemma4", 4);

    (void)state;
    gguf_u32(&w, "gemma4.attention.shared_kv_layers", 3);
    windows_are(w, (uint64_t[]){ 0 }, 1);
    w = header_of("gemma4", 4);
    gguf_u32(&w, "gemma4.attention.shared_kv_layers", 9);
    windows_are(w, NULL, 0);
    w = header_of("gemma3n", 25);
    windows_are(w, (uint64_t[20]){ 0 }, 20);
    windows_are(header_of("bert", 4), NULL, 0);
}

static void latents_and_indexers_follow_their_keys(void **state)
{
    gguf_writer w = header_of("deepseek2", 1);
    oom_model *m;

    (void)state;
    gguf_u32(&w, "deepseek2.attention.key_length", 24);
    gguf_put_tensor(&w, "blk.0.attn_k_b.weight", 2, dims, 1, 4096);
    gguf_put_tensor(&w, "blk.0.indexer.attn_k.weight", 2, dims, 1, 4096);
    m = read_it(w);                     /* no rank: 24 x 2 heads; no width of an index: none */
    assert_int_equal(m->n_caches, 1);
    assert_int_equal(m->caches[0].kind, OOM_CACHE_MLA);
    assert_int_equal(m->caches[0].k_width, 48);
    oom_model_free(m);
    w = header_of("deepseek2", 1);
    gguf_u32(&w, "deepseek2.attention.kv_lora_rank", 512);
    gguf_u32(&w, "deepseek2.rope.dimension_count", 64);
    gguf_u32(&w, "deepseek2.attention.indexer.key_length", 128);
    gguf_put_tensor(&w, "blk.0.attn_k_b.weight", 2, dims, 1, 4096);
    gguf_put_tensor(&w, "blk.0.indexer.attn_k.weight", 2, dims, 1, 4096);
    m = read_it(w);
    assert_int_equal(m->n_caches, 2);
    assert_int_equal(m->caches[0].k_width, 576);
    assert_int_equal(m->caches[1].kind, OOM_CACHE_INDEXER);
    assert_int_equal(m->caches[1].k_width, 128);
    oom_model_free(m);
}

static void a_state_past_all_sizes_is_refused(void **state)
{
    static const struct { const char *key[3]; uint32_t value[3]; } huge[] = {
        { { "a.kda.head_dim", "a.ssm.conv_kernel", NULL }, { UINT32_MAX, 3 } },
        { { "a.ssm.inner_size", "a.ssm.state_size", NULL }, { UINT32_MAX, UINT32_MAX } },
        { { "a.ssm.state_size", "a.ssm.group_count", NULL }, { UINT32_MAX, UINT32_MAX } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++) {
        gguf_writer w = header_of("a", 1);

        for (size_t k = 0; huge[i].key[k]; k++)
            gguf_u32(&w, huge[i].key[k], huge[i].value[k]);
        gguf_put_tensor(&w, "blk.0.ssm_conv1d.weight", 1, dims, 0, 256);
        says(w, "a recurrent state of more than 2^63 elements");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_gguf_is_refused),
        cmocka_unit_test(a_key_has_a_name_of_its_own),
        cmocka_unit_test(a_tensors_name_is_plain_text),
        cmocka_unit_test(a_tensor_has_a_size),
        cmocka_unit_test(types_that_were_removed_keep_their_size),
        cmocka_unit_test(an_alignment_is_a_power_of_two),
        cmocka_unit_test(a_count_is_a_whole_number_of_any_type),
        cmocka_unit_test(a_list_has_an_item_for_every_layer),
        cmocka_unit_test(a_model_has_blocks_and_a_width),
        cmocka_unit_test(an_architecture_is_a_name),
        cmocka_unit_test(what_is_no_model_is_called_what_it_is),
        cmocka_unit_test(parts_of_a_model_are_all_there),
        cmocka_unit_test(a_projector_may_stand_alone),
        cmocka_unit_test(a_vocabulary_is_counted_where_it_is_written),
        cmocka_unit_test(a_name_that_only_looks_like_one_is_another_tensor),
        cmocka_unit_test(which_layers_have_a_window_is_a_rule_of_the_architecture),
        cmocka_unit_test(last_layers_may_share_a_cache_and_encoders_have_none),
        cmocka_unit_test(latents_and_indexers_follow_their_keys),
        cmocka_unit_test(a_state_past_all_sizes_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
