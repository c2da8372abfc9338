/* A machine that gives no thread, or one: a sweep takes longer and says the same. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "scene.h"

static int to_be_had, refused;

/* In place of the C library's, which no test can run out of: refuses all but `to_be_had`, and runs
 * those at once. The header's names of parameters are reserved.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */
int pthread_create(pthread_t *thread, const pthread_attr_t *a, void *(*work)(void *), void *ctx)
{
    (void)a;
    if (to_be_had-- <= 0) {
        refused++;
        return EAGAIN;
    }
    *thread = pthread_self();
    work(ctx);
    return 0;
}

int pthread_join(pthread_t thread, void **value)
{
    (void)thread;
    (void)value;
    return 0;
}
/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

static void a_sweep_without_threads_says_the_same(void **state)
{
    static const uint64_t seqs[] = { 1024, 2048, 4096, 8192 }, batches[] = { 1, 2, 4 };
    oom_variant variant = { .engine = oom_engine_find("ideal"), .options = { .gpu_layers = -1 } };
    oom_precision half;
    scene *s = scene_new();
    oom_model *m = scene_model(s, "llama-3.1-8b");
    const oom_deployment *none = NULL;
    oom_grid g = { &m, 1, &half, 1, &variant, 1, &none, 1, seqs, 4, batches, 3 };
    oom_query q = { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1,
                    .threads = 4 };

    (void)state;
    assert_int_equal(oom_precision_parse("fp16", &half, NULL), OOM_OK);
    for (int given = 0; given < 3; given++) {
        oom_rows rows;

        to_be_had = given;
        refused = 0;
        assert_int_equal(oom_grid_run(&g, &q, &oom_libc_alloc, &rows, NULL), OOM_OK);
        assert_int_equal(refused, 1);               /* the first refusal is the last question */
        assert_int_equal(rows.n, 12);
        /* weights 16,060,522,496 and 131,072 bytes a token */
        for (size_t i = 0; i < 12; i++)
            assert_int_equal(rows.values[i],
                             16060522496 + 131072 * (int64_t)(seqs[i / 3] * batches[i % 3]));
        oom_rows_free(&rows);
    }
    oom_model_free(m);
    scene_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_without_threads_says_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
