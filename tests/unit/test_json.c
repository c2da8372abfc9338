#include <math.h>
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

static oom_arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = oom_arena_new(&oom_libc_alloc, NULL);
    return arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    oom_arena_free(arena);
    return 0;
}

static const oom_value *json(const char *text)
{
    const oom_value *v = NULL;
    oom_error err = { 0 };

    if (read_json(arena, "x.json", text, strlen(text), &v, &err) != OOM_OK)
        print_message("%s\n", err.msg);
    assert_non_null(v);
    return v;
}

static void says(const char *text, size_t n, oom_status status, const char *message)
{
    const oom_value *v = NULL;
    oom_error err = { 0 };

    assert_int_equal(read_json(arena, "x.json", text, n, &v, &err), status);
    assert_string_equal(err.msg, message);
    assert_null(v);
}

static void whole_numbers_keep_all_63_bits(void **state)
{
    const oom_value *v;

    (void)state;
    v = json("{\"a\": 9007199254740993, \"n\\u0065w\": [9223372036854775807, -9223372036854775807], "
             "\"s\": \"12 \\\" 13\", \"b\": 14, \"r\": 1e3, \"big\": 9223372036854775808}");
    assert_int_equal(oom_value_get(v, "a")->u.i, 9007199254740993);
    assert_int_equal(oom_value_get(v, "new")->u.list.items[0].u.i, INT64_MAX);
    assert_int_equal(oom_value_get(v, "new")->u.list.items[1].u.i, -INT64_MAX);
    assert_int_equal(oom_value_get(v, "b")->u.i, 14);
    assert_int_equal(oom_value_get(v, "r")->kind, OOM_REAL);
    assert_true(oom_value_get(v, "r")->u.real == 1000.0);
    assert_int_equal(oom_value_get(v, "big")->kind, OOM_REAL);
    assert_string_equal(oom_value_get(v, "s")->u.text, "12 \" 13");
}

static void what_python_writes_is_taken(void **state)
{
    const oom_value *v;

    (void)state;
    v = json("\xef\xbb\xbf{\"time_step_limit\": [0.0, Infinity, -Infinity, NaN, 7], \"s\": \"NaN\"}");
    v = oom_value_get(v, "time_step_limit");
    assert_int_equal(v->u.list.n, 5);
    assert_true(isinf(v->u.list.items[1].u.real) && v->u.list.items[1].u.real > 0);
    assert_true(isinf(v->u.list.items[2].u.real) && v->u.list.items[2].u.real < 0);
    assert_int_equal(v->u.list.items[3].kind, OOM_NULL);
    assert_int_equal(v->u.list.items[4].u.i, 7);
}

static void empty_values_are_values(void **state)
{
    const oom_value *v;

    (void)state;
    v = json(" {\"a\": [], \"b\": {}, \"c\": null, \"d\": false, \"e\": \"\"}\n");
    assert_int_equal(oom_value_get(v, "a")->u.list.n, 0);
    assert_int_equal(oom_value_get(v, "b")->u.map.n, 0);
    assert_null(oom_value_get(v, "c"));
    assert_false(oom_value_get(v, "d")->u.truth);
    assert_string_equal(oom_value_get(v, "e")->u.text, "");
}

static void broken_text_is_refused_with_its_place(void **state)
{
    static const struct { const char *text; const char *message; } bad[] = {
        { "", "x.json: line 1, column 1: the text ends too early" },
        { "{\"a\": 1,\n \"b\": }", "x.json: line 2, column 7: not JSON" },
        { "{\"a\": [1, 2", "x.json: line 1, column 12: the text ends too early" },
        { "{'a': 1}", "x.json: line 1, column 2: not JSON" },
        { "[1-2]", "x.json: line 1, column 3: not JSON" },
        { "[01x]", "x.json: line 1, column 4: not JSON" },
        { "{\"a", "x.json: line 1, column 2: a string that does not end" },
        { "{} {}", "x.json: line 1, column 4: expected the end of the file" },
        { "{\"a\": 1, \"a\": 2}", "x.json: \"a\" is there twice" },
        { "\"\xc3(\"", "x.json: line 1, column 2: not UTF-8 text" },
        { "\"a\nb\"", "x.json: line 1, column 3: a control character" },
        { "\"\x01\"", "x.json: line 1, column 2: a control character" },
        { "\"a\\u0000b\"", "x.json: line 1, column 3: \\u0000 in a string" },
        { "\"\\u00", "x.json: line 1, column 1: a string that does not end" },
        { "[Inf]", "x.json: line 1, column 2: not JSON" },
        { "[Nope]", "x.json: line 1, column 2: not JSON" },
        { "[#]", "x.json: line 1, column 2: not JSON" },
        { "[~]", "x.json: line 1, column 2: not JSON" },
        { "{\"a\": 1,", "x.json: line 1, column 9: the text ends too early" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        says(bad[i].text, strlen(bad[i].text), OOM_BADFILE, bad[i].message);
    says("{}\0", 3, OOM_BADFILE, "x.json: line 1, column 3: not JSON");
}

static void a_number_may_be_all_there_is(void **state)
{
    (void)state;
    assert_int_equal(json("12")->u.i, 12);
    assert_true(json("-1.5")->u.real == -1.5);
    assert_true(json("2E+3")->u.real == 2000.0);
    assert_int_equal(json("99999999999999999999")->kind, OOM_REAL);
    assert_string_equal(json("\"\xc3\xa9\"")->u.text, "\xc3\xa9");
}

static void a_key_that_is_there_twice_is_found_among_many(void **state)
{
    char text[4096] = "{";
    size_t n = 1;

    (void)state;
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "\"k%d\": %d, ", i, i);
    snprintf(text + n, sizeof text - n, "\"k17\": 0}");
    says(text, strlen(text), OOM_BADFILE, "x.json: \"k17\" is there twice");
}

static void depth_values_and_size_have_limits(void **state)
{
    char deep[200];
    size_t n = ((size_t)64 << 20) + 1;
    char *wide = malloc(n);

    (void)state;
    assert_non_null(wide);
    memset(deep, '[', sizeof deep);
    says(deep, sizeof deep, OOM_BADFILE, "x.json: line 1, column 65: nested more than 64 deep");
    memset(wide, ',', n);
    wide[0] = '[';
    says(wide, n, OOM_TOOLARGE, "x.json: 67108865 bytes of JSON, expected at most 64 MiB");
    says(wide, n - 1, OOM_BADFILE, "x.json: line 1, column 4000001: more than 4 million values");
    free(wide);
}

static oom_status parse_with(const oom_alloc *a, void *ctx)
{
    static const char text[] = "{\"a\": [1, NaN, {\"b\": \"c\"}], \"k1\": 1, \"k2\": 1, \"k3\": 1, "
        "\"k4\": 1, \"k5\": 1, \"k6\": 1, \"k7\": 1, \"k8\": 1, \"k9\": 1, \"k10\": 1, \"k11\": 1, "
        "\"k12\": 1, \"k13\": 1, \"k14\": 1, \"k15\": 1, \"k16\": 1, \"k17\": 1}";
    const oom_value *v;
    oom_arena *own = oom_arena_new(a, NULL);
    oom_status status = own ? read_json(own, "x", text, sizeof text - 1, &v, ctx) : OOM_NOMEM;

    oom_arena_free(own);
    return status;
}

static void every_failed_allocation_is_an_error_and_no_leak(void **state)
{
    oom_error err;

    (void)state;
    assert_true(fail_each_allocation(parse_with, &err) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_numbers_keep_all_63_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(what_python_writes_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_values_are_values, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_text_is_refused_with_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_may_be_all_there_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_key_that_is_there_twice_is_found_among_many, setup, teardown),
        cmocka_unit_test_setup_teardown(depth_values_and_size_have_limits, setup, teardown),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
