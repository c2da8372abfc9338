/* lint-cmocka.h: included before a unit test that is analysed, never when it is compiled. It says
 * what cmocka.h does not: the test is over when an assertion fails. */
#ifndef LINT_CMOCKA_H
#define LINT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

void _fail(const char *file, int line) __attribute__((noreturn));

#undef assert_true
#undef assert_false
#undef assert_null
#undef assert_non_null
#undef assert_int_equal
#define assert_true(c) do { if (!(c)) abort(); } while (0)
#define assert_false(c) assert_true(!(c))
#define assert_null(p) assert_true(!(p))
#define assert_non_null(p) assert_true(p)
#define assert_int_equal(a, b) \
    assert_true(cast_to_largest_integral_type(a) == cast_to_largest_integral_type(b))

#endif
