#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "oom.h"

static uint64_t bytes_of(const char *s)
{
    uint64_t bytes = UINT64_MAX;
    oom_error err = { 0 };

    if (oom_text_bytes(s, &bytes, &err) != OOM_OK)
        print_message("%s: %s\n", s, err.msg);
    return bytes;
}

static uint64_t count_of(const char *s)
{
    uint64_t count = UINT64_MAX;

    oom_text_count(s, &count, NULL);
    return count;
}

static void gib_is_binary_and_gb_is_decimal(void **state)
{
    (void)state;
    assert_int_equal(bytes_of("24GiB"), 25769803776);
    assert_int_equal(bytes_of("24GB"), 24000000000);
    assert_int_equal(bytes_of("16384MiB"), 17179869184);
    assert_int_equal(bytes_of(" 24 gib "), 25769803776);
    assert_int_equal(bytes_of("1.5GiB"), 1610612736);
    assert_int_equal(bytes_of("80e9"), 80000000000);
    assert_int_equal(bytes_of("0.5 kB"), 500);
    assert_int_equal(bytes_of("12"), 12);
    assert_int_equal(bytes_of("0e9999 TiB"), 0);
}

static void counts_take_ki_and_exponents(void **state)
{
    (void)state;
    assert_int_equal(count_of("32Ki"), 32768);
    assert_int_equal(count_of("32k"), 32000);
    assert_int_equal(count_of("7e9"), 7000000000);
    assert_int_equal(count_of("7B"), 7000000000);
    assert_int_equal(count_of("0.5B"), 500000000);
    assert_int_equal(count_of("9223372036854775807"), INT64_MAX);
}

/* 2500 x 10^-3 x 1000 and 5 x 10^3; an e without digits is a unit that nobody knows. */
static void exponents_may_have_a_sign(void **state)
{
    (void)state;
    assert_int_equal(bytes_of("2500e-3 kB"), 2500);
    assert_int_equal(bytes_of("5E+3"), 5000);
    assert_int_equal(count_of("25e-1k"), 2500);
    assert_int_equal(count_of("1e"), UINT64_MAX);
    assert_int_equal(count_of("1e+"), UINT64_MAX);
    assert_int_equal(count_of("1ex"), UINT64_MAX);
}

static void what_is_not_whole_or_not_clear_is_refused(void **state)
{
    static const struct { const char *text; oom_status status; const char *says; } bad[] = {
        { "0.1GiB", OOM_BADVALUE, "\"0.1GiB\" is not a whole number of bytes" },
        { "24G", OOM_BADVALUE, "\"24G\": expected a size such as 24GiB, 24GB or 16384MiB" },
        { "-1GiB", OOM_BADVALUE, "\"-1GiB\": expected a size such as 24GiB, 24GB or 16384MiB" },
        { "", OOM_BADVALUE, "\"\": expected a size such as 24GiB, 24GB or 16384MiB" },
        { ".", OOM_BADVALUE, "\".\": expected a size such as 24GiB, 24GB or 16384MiB" },
        { "1.2.3GiB", OOM_BADVALUE,
          "\"1.2.3GiB\": expected a size such as 24GiB, 24GB or 16384MiB" },
        { "3e-4kB", OOM_BADVALUE, "\"3e-4kB\" is not a whole number of bytes" },
        { "1e99999999999", OOM_TOOLARGE, "\"1e99999999999\": too large" },
        { "1e-99999999999", OOM_BADVALUE, "\"1e-99999999999\" is not a whole number of bytes" },
        { "nan", OOM_BADVALUE, "\"nan\": expected a size such as 24GiB, 24GB or 16384MiB" },
        { "1e30", OOM_TOOLARGE, "\"1e30\": too large" },
        { "9223372036854775808", OOM_TOOLARGE, "\"9223372036854775808\": too large" },
        { "0.33333333333333333333GiB", OOM_BADVALUE,
          "\"0.33333333333333333333GiB\" is not a whole number of bytes" },
        { "8192PiB", OOM_TOOLARGE, "\"8192PiB\": too large" },
        { "24GiB extra", OOM_BADVALUE,
          "\"24GiB extra\": expected a size such as 24GiB, 24GB or 16384MiB" },
    };
    oom_error err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t bytes = 77;

        assert_int_equal(oom_text_bytes(bad[i].text, &bytes, &err), bad[i].status);
        assert_string_equal(err.msg, bad[i].says);
        assert_int_equal(bytes, 77);
    }
    assert_int_equal(oom_text_count("1.5", &(uint64_t){ 0 }, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "\"1.5\" is not a whole number");
    assert_int_equal(bytes_of("8191PiB"), 8191ull << 50);
}

static void names_differ_by_more_than_case_and_dashes(void **state)
{
    (void)state;
    assert_true(oom_text_same("llama3.1:8b", "Llama-3.1-8B"));
    assert_true(oom_text_same("RTX 4090", "rtx-4090"));
    assert_true(oom_text_same("", "-"));
    assert_false(oom_text_same("rtx-4090", "rtx-4090-d"));
    assert_false(oom_text_same("llama-3.1-8b", "llama-3.2-8b"));
    assert_false(oom_text_same("opt-1.3b", "opt-13b"));
    assert_false(oom_text_same("qwen2:57b", "qwen2.5-7b"));
    assert_true(oom_text_same("dots.llm1", "dots-llm1"));
    assert_true(oom_text_same(".5-vl", "5vl"));         /* a dot that begins is no decimal point */
    assert_true(oom_text_same("qwen2.", "qwen2"));
}

static void the_nearest_names_come_first(void **state)
{
    static const char *const names[] = { "llama-2-7b", "llama-3.1-70b", "llama-3.1-8b",
        "llama-3.2-1b", "llama-3-8b", "mistral-7b", "llama-3.1-8b", "rtx-4090-laptop", "rtx-4090" };
    const char *best[3];
    size_t n = sizeof names / sizeof *names;

    (void)state;
    assert_int_equal(oom_text_nearest("lama-3.1-8b", names, n, best, 3), 3);
    assert_string_equal(best[0], "llama-3.1-8b");
    assert_int_equal(oom_text_nearest("mitsral 7b", names, n, best, 3), 1);
    assert_string_equal(best[0], "mistral-7b");
    assert_int_equal(oom_text_nearest("4090", names, n, best, 3), 2);
    assert_string_equal(best[0], "rtx-4090");
    assert_string_equal(best[1], "rtx-4090-laptop");
    assert_int_equal(oom_text_nearest("zzzzzz", names, n, best, 3), 0);
    assert_int_equal(oom_text_nearest("nothing", (const char *[]){ "string" }, 1, best, 1), 0);
    assert_int_equal(oom_text_nearest("test", (const char *[]){ "next" }, 1, best, 1), 0);
    assert_int_equal(oom_text_nearest("bacth", (const char *[]){ "batch" }, 1, best, 1), 1);
    assert_int_equal(oom_text_nearest("-", names, n, best, 3), 0);
}

/* Names of files can be as long as they like: their beginning is compared. */
static void names_longer_than_any_are_compared_by_their_beginning(void **state)
{
    char wanted[400], name[500];
    const char *names[] = { name }, *best[1];

    (void)state;
    memset(wanted, 'a', sizeof wanted);
    wanted[sizeof wanted - 1] = '\0';
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = '\0';
    assert_int_equal(oom_text_nearest(wanted, names, 1, best, 1), 1);
    memset(name, 'b', 100);
    assert_int_equal(oom_text_nearest(wanted, names, 1, best, 1), 0);
}

#define FORTY "1234567890123456789012345678901234567890"

static void assert_quoted(const char *text, const char *expected)
{
    char buf[128];

    assert_string_equal(oom_text_quote(text, strlen(text), buf, sizeof buf), expected);
}

static void quoted_text_is_one_safe_line_of_forty_columns(void **state)
{
    char buf[128];

    (void)state;
    assert_quoted("a\nb\tc\x1b[31m", "a\\nb\\tc\\x1b[31m");
    /* writes from right to left. NOLINTNEXTLINE(misc-misleading-bidirectional) */
    assert_quoted("\xe2\x80\xae", "\\u202e");
    assert_quoted("\xc2\x85", "\\u0085");               /* a control character of C1 */
    assert_quoted(FORTY, FORTY);
    assert_quoted(FORTY "1", "123456789012345678901234567890123456789\xe2\x80\xa6");
    assert_string_equal(oom_text_quote("a\0b", 3, buf, sizeof buf), "a\\x00b");
}

/* U+6A21 and U+1F600 take two columns: nineteen of them and a letter fill 39. */
static void wide_characters_take_two_of_the_forty(void **state)
{
    char full[128] = "x", twenty[128] = "";

    (void)state;
    for (int i = 0; i < 19; i++)
        strcat(full, i % 2 ? "\xe6\xa8\xa1" : "\xf0\x9f\x98\x80");
    for (int i = 0; i < 20; i++)
        strcat(twenty, "\xe6\xa8\xa1");
    assert_quoted(full, full);
    assert_quoted(twenty, twenty);
    strcpy(twenty, full);
    strcat(twenty, "\xe6\xa8\xa1");                    /* 41 columns: no room for the last */
    strcat(full, "\xe2\x80\xa6");
    assert_quoted(twenty, full);
}

/* Unicode 3.9, table 3-7: what is no well-formed sequence is shown byte by byte. */
static void bytes_that_are_no_utf_8_are_shown_as_bytes(void **state)
{
    (void)state;
    assert_quoted("\xff\xc3", "\\xff\\xc3");
    assert_quoted("\x80", "\\x80");                         /* goes on, but begins nothing */
    assert_quoted("\xc1\xbf", "\\xc1\\xbf");               /* two bytes for what takes one */
    assert_quoted("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");     /* three for two */
    assert_quoted("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf");
    assert_quoted("\xed\xa0\x80", "\\xed\\xa0\\x80");     /* half of a pair of UTF-16 */
    assert_quoted("\xed\x9f\xbf", "\xed\x9f\xbf");        /* the last before them */
    assert_quoted("\xee\x80\x80", "\xee\x80\x80");        /* the first after them */
    assert_quoted("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
    assert_quoted("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");  /* past U+10FFFF */
    assert_quoted("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
    assert_quoted("\xe2\x28\xa1", "\\xe2(\\xa1");
}

static void quoted_text_fits_its_buffer(void **state)
{
    char buf[8] = "untouch";

    (void)state;
    assert_string_equal(oom_text_quote("abcdef", 6, buf, 0), "untouch");
    assert_string_equal(oom_text_quote("abcdef", 6, buf, 6), "ab\xe2\x80\xa6");
    assert_string_equal(oom_text_quote("abcdef", 6, buf, 4), "\xe2\x80\xa6");
    assert_string_equal(oom_text_quote("abcdef", 6, buf, 3), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gib_is_binary_and_gb_is_decimal),
        cmocka_unit_test(counts_take_ki_and_exponents),
        cmocka_unit_test(exponents_may_have_a_sign),
        cmocka_unit_test(what_is_not_whole_or_not_clear_is_refused),
        cmocka_unit_test(names_differ_by_more_than_case_and_dashes),
        cmocka_unit_test(the_nearest_names_come_first),
        cmocka_unit_test(names_longer_than_any_are_compared_by_their_beginning),
        cmocka_unit_test(quoted_text_is_one_safe_line_of_forty_columns),
        cmocka_unit_test(wide_characters_take_two_of_the_forty),
        cmocka_unit_test(bytes_that_are_no_utf_8_are_shown_as_bytes),
        cmocka_unit_test(quoted_text_fits_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
