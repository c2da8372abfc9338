/* What logs taught: read from the user's presets, added to the overhead of its device and engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

static const char *file_text;

/* The tree's presets, and one file that was learned. */
static bool with_learned(void *ctx, const char *where, size_t i, const char **name, const char **text,
                         size_t *n)
{
    if (strcmp(where, "presets/learned") != 0)
        return folder_file(ctx, where, i, name, text, n);
    if (i > 0 || !file_text)
        return false;
    *name = "overhead.json";
    *text = file_text;
    *n = strlen(file_text);
    return true;
}

static scene *s;

static void open_with(const char *text)
{
    read_source source;

    file_text = text;
    s = calloc(1, sizeof *s);
    source = (read_source){ with_learned, &s->files };
    s->catalogue = read_catalogue_new(&source, &oom_libc_alloc, NULL);
}

static const char one[] = "{\"learned\": [{\"device\": \"rtx-4090\", \"engine\": \"vllm\", "
    "\"overhead_bytes\": 300000000, \"from\": \"a log\"}]}";

static oom_memory memory(oom_model *m, const char *device, const char *engine)
{
    oom_plan *p = scene_plan(s, m, "fp16", device, engine, NULL);
    oom_load load = { .batch = 2, .seq = 4096 };
    oom_memory out;

    assert_int_equal(oom_plan_memory(p, &load, &out, NULL, NULL), OOM_OK);
    free(p);
    return out;
}

static void it_is_overhead_of_that_device_and_engine_alone(void **state)
{
    static const struct { const char *device, *engine; uint64_t more; } cases[] = {
        { "rtx-4090", "vllm", 300000000 }, { "2x rtx-4090", "vllm", 300000000 },
        { "rtx-4090", "generic", 0 }, { "rtx-3090", "vllm", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        oom_memory without, with;
        oom_model *m;

        open_with(NULL);
        m = scene_model(s, "llama-3.2-3b");
        without = memory(m, cases[i].device, cases[i].engine);
        oom_model_free(m);
        scene_free(s);
        open_with(one);
        m = scene_model(s, "llama-3.2-3b");
        with = memory(m, cases[i].device, cases[i].engine);
        oom_model_free(m);
        scene_free(s);
        assert_int_equal(with.device.overhead, without.device.overhead + cases[i].more);
        assert_int_equal(with.device.total, without.device.total + cases[i].more);
        assert_int_equal(with.available, without.available);
    }
}

static void it_comes_off_the_pool(void **state)
{
    oom_capacity c[2];
    oom_load load = { .batch = 1, .seq = 4096 };

    (void)state;
    for (int i = 0; i < 2; i++) {
        oom_model *m;
        oom_plan *p;

        open_with(i ? one : NULL);
        m = scene_model(s, "llama-3.2-3b");
        p = scene_plan(s, m, "fp16", "rtx-4090", "vllm", NULL);
        assert_int_equal(oom_plan_capacity(p, &load, &c[i], NULL), OOM_OK);
        free(p);
        oom_model_free(m);
        scene_free(s);
    }
    assert_int_equal(c[0].kv_bytes, c[1].kv_bytes + 300000000);
    assert_int_equal(c[0].overhead + 300000000, c[1].overhead);
}

static void what_was_learned_is_written_and_read_again(void **state)
{
    static char text[4096];
    oom_device d = { .id = "rtx-4090" };

    (void)state;
    open_with(one);
    assert_int_equal(read_learn(s->catalogue, "rtx-4090", "vllm", 7, "x", NULL), OOM_OK);
    assert_int_equal(read_learn(s->catalogue, "rtx \"9\"", "llama.cpp", 9, "a\nb", NULL), OOM_OK);
    assert_int_equal(read_learned_text(s->catalogue, text, sizeof text, NULL), OOM_OK);
    assert_int_equal(read_learned_text(s->catalogue, text + 2048, 64, NULL), OOM_TOOLARGE);
    scene_free(s);
    open_with(text);
    assert_int_equal(read_learned(s->catalogue, &d, NULL), OOM_OK);
    for (size_t e = 0; oom_engine_at(e); e++)
        assert_int_equal(d.learned_bytes[e],
                         strcmp(oom_engine_name(oom_engine_at(e)), "vllm") == 0 ? 7 : 0);
    scene_free(s);
}

static void a_file_that_is_none_is_refused_by_name(void **state)
{
    static const char *const bad[] = {
        "{}", "[", "{\"learned\": [{\"device\": \"x\"}]}",
        "{\"learned\": [{\"device\": \"x\", \"engine\": \"vllm\", \"overhead_bytes\": -1}]}",
        "{\"learned\": [{\"device\": \"x\", \"engine\": \"vllm\", \"overhead_bytes\": \"1\"}]}",
        "{\"learned\": 7}", "{\"learned\": [{\"device\": 7}]}",
        "{\"learned\": [{\"device\": \"x\", \"engine\": \"vllm\"}]}",
    };
    static char text[512];
    oom_device d = { .id = "x" };
    oom_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        open_with(bad[i]);
        assert_int_equal(read_learned(s->catalogue, &d, &err), OOM_BADFILE);
        assert_non_null(strstr(err.msg, "overhead.json"));
        err.msg[0] = '\0';
        assert_int_equal(read_learn(s->catalogue, "x", "vllm", 1, "", &err), OOM_BADFILE);
        assert_non_null(strstr(err.msg, "overhead.json"));
        assert_int_equal(read_learned_text(s->catalogue, text, sizeof text, &err), OOM_BADFILE);
        scene_free(s);
    }
}

static void what_is_too_long_or_too_much_is_refused(void **state)
{
    static char text[128 * 80], many[80], name[65];
    oom_device d = { .id = "d0" };
    oom_error err;
    size_t n;

    (void)state;
    memset(name, 'a', 64);
    open_with(one);
    assert_int_equal(read_learn(s->catalogue, name, "vllm", 1, "", &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "learned: a name or size too large");
    assert_int_equal(read_learn(s->catalogue, "d", name, 1, "", &err), OOM_TOOLARGE);
    assert_int_equal(read_learn(s->catalogue, "d", "vllm", UINT64_MAX, "", &err), OOM_TOOLARGE);
    for (int i = 0; i < 127; i++) {
        snprintf(many, sizeof many, "d%d", i);
        assert_int_equal(read_learn(s->catalogue, many, "vllm", 1, "", &err), OOM_OK);
    }
    assert_int_equal(read_learn(s->catalogue, "d127", "vllm", 1, "", &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "learned: more than 128 devices and engines");
    scene_free(s);
    n = (size_t)snprintf(text, sizeof text, "{\"learned\": [");
    for (int i = 0; i < 129; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s{\"device\": \"d%d\", \"engine\": "
                              "\"vllm\", \"overhead_bytes\": 1}", i ? "," : "", i);
    strcpy(text + n, "]}");
    open_with(text);
    assert_int_equal(read_learned(s->catalogue, &d, &err), OOM_TOOLARGE);
    scene_free(s);
}

static void the_first_record_of_a_pair_counts(void **state)
{
    oom_device d = { .id = "x" };

    (void)state;
    open_with("{\"learned\": [{\"device\": \"x\", \"engine\": \"vllm\", \"overhead_bytes\": 1}, "
              "{\"device\": \"x\", \"engine\": \"generic\", \"overhead_bytes\": 2}, "
              "{\"device\": \"x\", \"engine\": \"vllm\", \"overhead_bytes\": 3}]}");
    assert_int_equal(read_learned(s->catalogue, &d, NULL), OOM_OK);
    for (size_t e = 0; oom_engine_at(e); e++)
        if (strcmp(oom_engine_name(oom_engine_at(e)), "vllm") == 0)
            assert_int_equal(d.learned_bytes[e], 1);
    scene_free(s);
    assert_int_equal(read_learned(NULL, &d, NULL), OOM_OK);     /* nobody to ask */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_overhead_of_that_device_and_engine_alone),
        cmocka_unit_test(it_comes_off_the_pool),
        cmocka_unit_test(what_was_learned_is_written_and_read_again),
        cmocka_unit_test(a_file_that_is_none_is_refused_by_name),
        cmocka_unit_test(what_is_too_long_or_too_much_is_refused),
        cmocka_unit_test(the_first_record_of_a_pair_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
