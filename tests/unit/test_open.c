/* From a path to a model: what a file is, its first bytes say; what belongs to it lies beside it;
 * what it is called, its path says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gguf_writer.h"
#include "read.h"
#include "safetensors_writer.h"
#include "scratch.h"

static const char config[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 64, \"intermediate_size\": 128, "
    "\"num_attention_heads\": 4, \"num_hidden_layers\": 2, \"vocab_size\": 100}";

static int setup(void **state)
{
    (void)state;
    return scratch_begin() ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return scratch_end() ? 0 : -1;
}

static void put_gguf(const char *name, const char *own_name)
{
    gguf_writer w = gguf_begin(3, 0);
    uint64_t dims[] = { 64, 64 }, size;

    gguf_str(&w, "general.architecture", "llama");
    if (own_name)
        gguf_str(&w, "general.name", own_name);
    gguf_u32(&w, "llama.block_count", 1);
    gguf_u32(&w, "llama.embedding_length", 64);
    gguf_put_tensor(&w, "token_embd.weight", 2, dims, 1, 8192);
    size = gguf_end(&w);
    scratch_put(name, w.bytes, w.n, size);
    free(w.bytes);
}

static void put_safetensors(const char *name, const char *tensor_name)
{
    header h = begin();
    uint64_t size;

    tensor(&h, tensor_name, "F32", 8, 8);
    size = end(&h);
    scratch_put(name, h.text, h.n, size);
    free(h.text);
}

/* The id of the model at a path; the caller compares it at once. */
static const char *id_of(const char *path)
{
    static char id[600];
    oom_model *m = NULL;
    oom_error err = { 0 };

    if (read_model(NULL, path, &oom_libc_alloc, &m, &err) != OOM_OK)
        fail_msg("%s: %s", path, err.msg);
    snprintf(id, sizeof id, "%s", m->id);
    oom_model_free(m);
    return id;
}

static void says(const char *path, const char *message)
{
    oom_model *m = NULL;
    oom_error err = { 0 };

    assert_int_not_equal(read_model(NULL, path, &oom_libc_alloc, &m, &err), OOM_OK);
    if (!strstr(err.msg, message))
        fail_msg("%s: \"%s\" instead of \"%s\"", path, err.msg, message);
    assert_null(strchr(err.msg, '\n'));
    assert_null(m);
}

/* ---- what a file is -------------------------------------------------------------------------- */

static void a_file_is_what_its_first_bytes_say(void **state)
{
    (void)state;
    put_gguf("no-ending", NULL);
    assert_string_equal(id_of(scratch_at("no-ending")), "no-ending");
    put_safetensors("weights.bin", "a.weight");
    assert_string_equal(id_of(scratch_at("weights.bin")), "weights.bin");
    scratch_text("blanks.json", " \t\r\n");
    says(scratch_at("blanks.json"), "blanks.json: neither GGUF nor safetensors nor JSON");
    scratch_text("empty.json", "");
    says(scratch_at("empty.json"), "empty.json: neither GGUF nor safetensors nor JSON");
    scratch_text("words.json", "It was the best of times");
    says(scratch_at("words.json"), "words.json: neither GGUF nor safetensors nor JSON");
    scratch_text("short.json", "GGU");
    says(scratch_at("short.json"), "short.json: neither GGUF nor safetensors nor JSON");
    scratch_text("many-blanks.json", "                    {}");
    says(scratch_at("many-blanks.json"), "neither GGUF nor safetensors nor JSON");
    scratch_text("marked.json", "\xef\xbb\xbf \n{\"model_type\": \"llama\", \"hidden_size\": 64, "
                 "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"vocab_size\": 9, "
                 "\"intermediate_size\": 8}");
    assert_string_equal(id_of(scratch_at("marked.json")), "marked.json");
    scratch_text("list.json", "[1]");
    says(scratch_at("list.json"), "list.json: expected an object");
}

/* A length of 123 begins as an object does, '{'. */
static void no_length_makes_safetensors_json(void **state)
{
    static const char json[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    char text[8 + 123 + 4] = { 123 };

    (void)state;
    memset(text + 8, ' ', 123);
    memcpy(text + 8, json, sizeof json - 1);
    scratch_put("x.safetensors", text, sizeof text, sizeof text);
    assert_string_equal(id_of(scratch_at("x.safetensors")), "x.safetensors");
}

/* ---- folders --------------------------------------------------------------------------------- */

static void a_folder_is_the_model_in_it(void **state)
{
    char path[128];

    (void)state;
    scratch_text("plain/config.json", config);
    assert_string_equal(id_of(scratch_at("plain")), "plain");
    assert_string_equal(id_of(scratch_at("plain/")), "plain");
    assert_string_equal(id_of(scratch_at("plain//")), "plain");
    assert_string_equal(id_of(scratch_at("plain/config.json")), "plain");
    scratch_text("lora/config.json", config);
    scratch_text("lora/adapter_config.json", "{}");
    says(scratch_at("lora"), "/lora: an adapter (LoRA), expected a model");
    put_safetensors("weights/model.safetensors", "a.weight");
    assert_string_equal(id_of(scratch_at("weights")), "weights");
    put_gguf("gguf/x.gguf", NULL);
    assert_string_equal(id_of(scratch_at("gguf")), "gguf");
    /* as if in it */
    snprintf(path, sizeof path, "%s/plain", scratch);
    assert_int_equal(chdir(path), 0);
    assert_string_equal(id_of("config.json"), "config.json");
    assert_string_equal(id_of("."), ".");
    put_safetensors("plain/x.safetensors", "a.weight");
    assert_string_equal(id_of("x.safetensors"), "x.safetensors");
    assert_string_equal(id_of("../plain/x.safetensors"), "x.safetensors");
    assert_int_equal(chdir("/"), 0);
}

static void parts_are_counted_by_their_name(void **state)
{
    static const char *const alone[] = {
        "x-0000a-of-00005.gguf", "x-00001_of-00005.gguf", "x-00001-of-0000a.gguf",
        "x+00001-of-00005.gguf", "x-00001-of-00005.ggml", "a-name-as-long-as-one-of-a-part.gguf",
        "x.gguf",
    };

    (void)state;
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        put_gguf(alone[i], NULL);
        assert_string_equal(id_of(scratch_at(alone[i])), alone[i]);
    }
    put_gguf("x-00001-of-00000.gguf", NULL);
    says(scratch_at("x-00001-of-00000.gguf"), "a model in 0 files, expected 1 to 4096");
    put_gguf("x-00001-of-09999.gguf", NULL);
    says(scratch_at("x-00001-of-09999.gguf"), "a model in 9999 files, expected 1 to 4096");
}

static void an_index_names_files_beside_it(void **state)
{
    static const char *const bad[] = { "", "/x", ".x" };
    char text[512], longest[300];

    (void)state;
    memset(longest, 'x', 299);
    longest[299] = '\0';
    put_safetensors("i/x", "a");
    for (size_t i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "{\"weight_map\": {\"a\": \"%s\"}}", i < 3 ? bad[i] : longest);
        scratch_text("i/model.safetensors.index.json", text);
        says(scratch_at("i"), "is no file beside it");
    }
    scratch_text("i/model.safetensors.index.json", "{\"weight_map\": 7}");
    says(scratch_at("i"), "\"weight_map\": expected names and their files");
    scratch_text("i/model.safetensors.index.json", "{\"x\": \"\\\"weight_map\\\"\", \"y\": {\"weight_map\": 1}}");
    says(scratch_at("i"), "\"weight_map\": expected names and their files");
    scratch_text("i/model.safetensors.index.json", "{\"weight_map\": {\"a\": \"x\", \"b\": \"x\"}}");
    says(scratch_at("i"), "tensor \"b\" is in none of its files");
    scratch_text("i/model.safetensors.index.json", "{\"weight_map\": {\"a\": \"x\"}}");
    assert_string_equal(id_of(scratch_at("i")), "i");
}

/* ---- names ----------------------------------------------------------------------------------- */

static void what_cannot_be_shown_of_a_name_is_not(void **state)
{
    (void)state;
    put_gguf("a\nb.gguf", NULL);
    assert_string_equal(id_of(scratch_at("a\nb.gguf")), "a?b.gguf");
    put_gguf("sha256-0123", NULL);              /* a digest, and no name within */
    assert_string_equal(id_of(scratch_at("sha256-0123")), "sha256-0123");
    put_gguf("models--Org/x.gguf", NULL);       /* not as the cache has it */
    assert_string_equal(id_of(scratch_at("models--Org/x.gguf")), "x.gguf");
    put_gguf("models--Org--Name/x.gguf", NULL);
    assert_string_equal(id_of(scratch_at("models--Org--Name/x.gguf")), "x.gguf");
}

static void a_long_path_is_shown_by_its_end(void **state)
{
    char path[300] = "", quoted[128];

    (void)state;
    for (size_t i = 0; i < 100; i++)
        strcat(path, "\xc3\xa9");               /* é: never cut in two */
    strcat(path, "a.gguf");                     /* an odd number of bytes from the end */
    read_quote_path(path, quoted, sizeof quoted);
    assert_memory_equal(quoted, "\xe2\x80\xa6\xc3\xa9", 5);
    assert_non_null(strstr(quoted, ".gguf"));
}

static void several_paths_are_joined_by_a_plus(void **state)
{
    char both[600], longest[4200];

    (void)state;
    put_gguf("x.gguf", NULL);
    scratch_text("plain/config.json", config);
    snprintf(both, sizeof both, "%s + ", scratch_at("x.gguf"));
    says(both, "expected a path on both sides of +");
    snprintf(both, sizeof both, "%s + %s", scratch_at("plain"), scratch_at("x.gguf"));
    says(both, "only a projector (mmproj) joins a model, and only a GGUF one");
    snprintf(both, sizeof both, "%s + %s", scratch_at("x.gguf"), scratch_at("x.gguf"));
    says(both, "x.gguf: a model of its own, expected a projector (mmproj)");
    memset(longest, '/', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    says(longest, "path too long");
}

static void a_tilde_is_home(void **state)
{
    char *home = getenv("HOME") ? strdup(getenv("HOME")) : NULL, longest[4200];

    (void)state;
    put_gguf("x.gguf", NULL);
    setenv("HOME", scratch, 1);
    assert_string_equal(id_of("~/x.gguf"), "x.gguf");
    memset(longest, 'h', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    setenv("HOME", longest, 1);
    says("~/x.gguf", "path too long");
    unsetenv("HOME");
    says("~/x.gguf", "~/x.gguf: No such file or directory");
    if (home)
        setenv("HOME", home, 1);
    free(home);
}

/* ---- names or paths -------------------------------------------------------------------------- */

static bool one_preset(void *ctx, const char *where, size_t i, const char **name, const char **text,
                       size_t *n)
{
    static const char models[] =
        "{\"vendor\": \"V\", \"models\": [{\"id\": \"m\", \"hf_id\": \"V/M\", "
        "\"variants\": [\"V/M-Long\", \"W/M-Short\"], "
        "\"variant_context\": {\"V/M-Long\": 4096, \"M-Short\": 0, \"V/Other\": \"9\"}, \"config\": "
        "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_attention_heads\": 4, "
        "\"num_hidden_layers\": 2, \"vocab_size\": 9, \"intermediate_size\": 8, "
        "\"max_position_embeddings\": 128}}, "
        "{\"id\": \"odd\", \"variant_context\": 7, \"config\": {\"model_type\": \"llama\", "
        "\"hidden_size\": 64, \"num_attention_heads\": 4, \"num_hidden_layers\": 2, \"vocab_size\": 9, "
        "\"intermediate_size\": 8}}]}";

    (void)ctx;
    *name = "models.json";
    *text = models;
    *n = strlen(models);
    return i == 0 && strstr(where, "models");
}

static read_catalogue *catalogue(void)
{
    return read_catalogue_new(&(read_source){ one_preset, NULL }, &oom_libc_alloc, NULL);
}

static void a_variants_context_is_its_own(void **state)
{
    static const struct { const char *name; uint64_t context; } variants[] = {
        { "V/M", 128 }, { "V/M-Long", 4096 }, { "W/M-Short", 128 }, { "m", 128 },
    };
    read_catalogue *c = catalogue();

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        oom_model *m = NULL;

        assert_int_equal(read_model(c, variants[i].name, &oom_libc_alloc, &m, NULL), OOM_OK);
        assert_int_equal(m->shape.context, variants[i].context);
        oom_model_free(m);
    }
    for (size_t i = 0; i < 1; i++) {
        oom_model *m = NULL;

        assert_int_equal(read_model(c, "odd", &oom_libc_alloc, &m, NULL), OOM_OK);
        oom_model_free(m);
    }
    read_catalogue_free(c);
}

static void what_is_no_name_may_be_a_path(void **state)
{
    static const struct { const char *spec, *says; } specs[] = {
        { "nobody", "no model \"nobody\"" }, { ".gguf", "no model \".gguf\"" },
        { "./nobody", "./nobody: No such file" }, { "../nobody", "../nobody: No such file" },
        { "..", ": a folder without" }, { "nobody/", "nobody/: No such file" },
        { "nobody.gguf", "nobody.gguf: No such file" },
        { "a/b", "no model \"a/b\"" }, { "", "no model \"\"" },
    };
    read_catalogue *c = catalogue();
    oom_model *m = NULL;
    oom_error err;
    char longest[400];

    (void)state;
    scratch_text("in/models/config.json", config);
    assert_int_equal(chdir(scratch_at("in")), 0);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        assert_int_equal(read_model(c, specs[i].spec, &oom_libc_alloc, &m, &err), OOM_NOTFOUND);
        if (!strstr(err.msg, specs[i].says))
            fail_msg("%s: %s", specs[i].spec, err.msg);
    }
    memset(longest, 'x', sizeof longest);
    strcpy(longest + 390, "/M-AWQ");
    assert_int_equal(read_model(c, longest, &oom_libc_alloc, &m, &err), OOM_NOTFOUND);
    assert_int_equal(read_model(c, "models", &oom_libc_alloc, &m, &err), OOM_OK);   /* a folder */
    oom_model_free(m);
    assert_int_equal(chdir("/"), 0);
    read_catalogue_seal(c);
    assert_int_equal(read_model(c, "./models", &oom_libc_alloc, &m, &err), OOM_IO);
    assert_string_equal(err.msg, "./models: no files in the sandbox");
    assert_int_equal(read_model(c, "tmp", &oom_libc_alloc, &m, &err), OOM_NOTFOUND);
    read_catalogue_free(c);
}

static void what_may_be_replaced_is_no_link_device_or_pipe(void **state)
{
    (void)state;
    scratch_text("file", "");
    assert_int_equal(symlink("file", scratch_at("link")), 0);
    assert_true(read_is_plain(scratch_at("file")));
    assert_true(read_is_plain(scratch));
    assert_true(read_is_plain(scratch_at("nothing yet")));
    assert_false(read_is_plain(scratch_at("link")));
    assert_false(read_is_plain("/dev/null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_is_what_its_first_bytes_say, setup, teardown),
        cmocka_unit_test_setup_teardown(no_length_makes_safetensors_json, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_is_the_model_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_are_counted_by_their_name, setup, teardown),
        cmocka_unit_test_setup_teardown(an_index_names_files_beside_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_shown_of_a_name_is_not, setup, teardown),
        cmocka_unit_test(a_long_path_is_shown_by_its_end),
        cmocka_unit_test_setup_teardown(several_paths_are_joined_by_a_plus, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tilde_is_home, setup, teardown),
        cmocka_unit_test(a_variants_context_is_its_own),
        cmocka_unit_test_setup_teardown(what_is_no_name_may_be_a_path, setup, teardown),
        cmocka_unit_test_setup_teardown(what_may_be_replaced_is_no_link_device_or_pipe, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
