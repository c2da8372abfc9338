/* The file recipes against llama.cpp's own quantiser: bytes and types of every file in
 * tests/truth/llamacpp_weights.csv and llamacpp_recipes.csv, on the headers the engine read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "llamacpp_rows.h"
#include "oom.h"

/* ---- inventories from tests/truth/llamacpp_headers.txt ---------------------------------------- */

#define MOST_MODELS 64

static struct { char name[64]; oom_model *m; } headers[MOST_MODELS];
static size_t n_headers;

static oom_role role_of(const char *stem)
{
    for (int i = 0; i < OOM_ROLE_COUNT; i++)
        if (strcmp(oom_role_stem((oom_role)i), stem) == 0)
            return (oom_role)i;
    return OOM_ROLE_OTHER;
}

static void add_cache(oom_model *m, int32_t layer, oom_role role)
{
    oom_cache c = { .layer = layer, .kind = role == OOM_ROLE_ATTN_K      ? OOM_CACHE_FULL
                                            : role == OOM_ROLE_ATTN_KV_A ? OOM_CACHE_MLA
                                                                         : OOM_CACHE_STATE };

    if (role == OOM_ROLE_ATTN_K || role == OOM_ROLE_ATTN_KV_A || role == OOM_ROLE_SSM_CONV
        || role == OOM_ROLE_SHORTCONV_CONV)
        assert_int_equal(oom_model_add_cache(m, &c, NULL), OOM_OK);
}

static void add_tensor(oom_model *m, int32_t layer, const char *name, const char *shape)
{
    char stem[128];
    const char *dot = strrchr(name, '.');
    oom_tensor t = { .layer = layer };

    snprintf(stem, sizeof stem, "%s", name);
    if (dot && strcmp(dot, ".weight") == 0)
        stem[dot - name] = '\0';
    else if (dot && strcmp(dot, ".bias") == 0)
        stem[dot - name] = '\0', t.suffix = OOM_BIAS;
    else
        t.suffix = OOM_BARE;
    t.role = role_of(stem);
    assert_int_not_equal(t.role, OOM_ROLE_OTHER);
    if (layer >= (int32_t)m->shape.n_layers)
        t.part = OOM_PART_MTP;
    for (const char *s = shape; s; s = strchr(s, 'x') ? strchr(s, 'x') + 1 : NULL)
        t.dims[t.n_dims++] = strtoull(s, NULL, 10);
    assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    add_cache(m, layer, t.role);
}

static oom_model *new_header(const char *line)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    char name[64], arch[32];
    oom_shape *s;

    assert_non_null(m);
    s = &m->shape;
    assert_int_equal(sscanf(line, "model %63s arch=%31s layers=%u mtp=%u heads=%u kv=%u experts=%u",
                            name, arch, &s->n_layers, &s->n_mtp_layers, &s->heads, &s->kv_heads,
                            &s->experts), 7);
    m->is_gguf = true;
    m->ggml_arch = oom_arena_text(m->arena, arch, strlen(arch), NULL);
    m->id = oom_arena_text(m->arena, name, strlen(name), NULL);
    return m;
}

static int read_headers(void **state)
{
    FILE *f = fopen("tests/truth/llamacpp_headers.txt", "r");
    char line[512], layers[256], name[128], shape[128];
    oom_model *m = NULL;

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        if (strncmp(line, "model ", 6) == 0) {
            m = new_header(line);
            assert_true(n_headers < MOST_MODELS);
            snprintf(headers[n_headers].name, sizeof headers->name, "%s", m->id);
            headers[n_headers++].m = m;
            continue;
        }
        assert_int_equal(sscanf(line, "%255s %127s %127s", layers, name, shape), 3);
        for (char *r = layers; r; r = strchr(r, ',') ? strchr(r, ',') + 1 : NULL) {
            char *end;
            long first = *r == '-' ? -1 : strtol(r, &end, 10), last = first;

            if (*r != '-' && *end == '-')
                last = strtol(end + 1, NULL, 10);
            for (long i = first; i <= last; i++)
                add_tensor(m, (int32_t)i, name, shape);
        }
    }
    fclose(f);
    return 0;
}

static int free_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_headers; i++)
        oom_model_free(headers[i].m);
    return 0;
}

static oom_model *header(const char *name)
{
    for (size_t i = 0; i < n_headers; i++)
        if (strcmp(headers[i].name, name) == 0)
            return headers[i].m;
    return NULL;
}

static void the_common_recipes_equal_the_engine_to_the_byte(void **state)
{
    unsigned rows = 0;

    (void)state;
    assert_int_equal(compare_rows("tests/truth/llamacpp_weights.csv", header, &rows), 0);
    assert_int_equal(rows, 496);
}

static void the_other_recipes_equal_the_engine_to_the_byte(void **state)
{
    unsigned rows = 0;

    (void)state;
    assert_int_equal(compare_rows("tests/truth/llamacpp_recipes.csv", header, &rows), 0);
    assert_int_equal(rows, 875);
}

/* The bits that formats() says are those of the engine's files of Llama-3.1-8B. */
static void the_bits_said_are_those_of_a_real_file(void **state)
{
    const char *name, *meaning;
    unsigned checked = 0;

    (void)state;
    for (size_t i = 0; (name = oom_precision_at(i, &meaning)) != NULL; i++) {
        oom_precision p;
        const oom_model *file;
        uint64_t bytes;
        char bits[32];

        assert_int_equal(oom_precision_parse(name, &p, NULL), OOM_OK);
        if (p.kind != OOM_PRECISION_GGUF || strcmp(name, "mxfp4_moe") == 0)
            continue;
        assert_int_equal(oom_precision_inventory(header("llama-3.1-8b"), &p, &file, NULL), OOM_OK);
        assert_int_equal(oom_precision_weigh(file, &p, NULL, &bytes, NULL), OOM_OK);
        snprintf(bits, sizeof bits, "%.2f bits: ", (double)bytes * 8 / 8030261248);
        assert_memory_equal(meaning, bits, strlen(bits));
        checked++;
    }
    assert_int_equal(checked, 34);
}

/* llama.cpp 0.5.0-dev on falcon-7b (rows of 4544): "no tensor type fallback is defined for type
 * q1_0". */
static void a_file_the_engine_refuses_is_refused(void **state)
{
    oom_precision p;
    const oom_model *file;
    uint64_t total;
    oom_error err;

    (void)state;
    assert_int_equal(oom_precision_parse("q1_0", &p, NULL), OOM_OK);
    assert_int_equal(oom_precision_inventory(header("falcon-7b"), &p, &file, NULL), OOM_OK);
    assert_int_equal(oom_precision_weigh(file, &p, NULL, &total, &err), OOM_BADVALUE);
    assert_non_null(strstr(err.msg, "no q1_0 file, rows of 4544 in "));
}

/* The files as one would read them, tensors in order of name: every stored type is the engine's f16
 * file's. Asking such a file for another recipe is what the engine did. */
static oom_model *stored_copy(const oom_model *from)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_precision f16;
    static const oom_format *each[4096];

    assert_non_null(from);
    m->id = from->id;
    m->ggml_arch = from->ggml_arch;
    m->shape = from->shape;
    m->is_gguf = m->from_file = true;
    m->caches = from->caches;
    m->n_caches = from->n_caches;
    assert_int_equal(oom_precision_parse("f16", &f16, NULL), OOM_OK);
    assert_int_equal(oom_precision_formats(from, &f16, each, NULL), OOM_OK);
    for (size_t i = from->n_tensors; i-- > 0;) {
        oom_tensor t = from->tensors[i];

        t.stored = each[i];
        assert_int_equal(oom_model_add_tensor(m, &t, NULL), OOM_OK);
    }
    return m;
}

static void a_file_read_as_f16_gives_what_its_header_gives(void **state)
{
    static const char *const models[] = { "llama-3.1-70b", "mixtral-8x7b", "gemma-3n-e4b" };
    static const char *const recipes[] = { "q4_k_m", "iq3_xs", "q2_k", "iq2_xxs", "q8_0", "bf16" };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        oom_model *m = stored_copy(header(models[i]));

        for (size_t r = 0; r < 6; r++) {
            oom_precision p;
            const oom_model *file;
            uint64_t read, built;

            assert_int_equal(oom_precision_parse(recipes[r], &p, NULL), OOM_OK);
            assert_int_equal(oom_precision_inventory(header(models[i]), &p, &file, NULL), OOM_OK);
            assert_int_equal(oom_precision_weigh(file, &p, NULL, &built, NULL), OOM_OK);
            assert_int_equal(oom_precision_inventory(m, &p, &file, NULL), OOM_OK);
            assert_int_equal(oom_precision_weigh(file, &p, NULL, &read, NULL), OOM_OK);
            assert_int_equal(read, built);
        }
        oom_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_common_recipes_equal_the_engine_to_the_byte),
        cmocka_unit_test(the_other_recipes_equal_the_engine_to_the_byte),
        cmocka_unit_test(the_bits_said_are_those_of_a_real_file),
        cmocka_unit_test(a_file_the_engine_refuses_is_refused),
        cmocka_unit_test(a_file_read_as_f16_gives_what_its_header_gives),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, read_headers, free_headers);
}
