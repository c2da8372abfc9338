#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "failing.h"
#include "scene.h"

/* A grid over some of everything: windows, experts, latents, states; one device and several. */
static const char *const model_names[] = { "llama-3.1-8b", "gemma-3-27b", "mixtral-8x7b",
                                           "deepseek-v2-lite", "mamba-2.8b", "gpt2" };
static const char *const device_names[] = { "rtx-4090", "rtx-3090", "a100-sxm-80gb", "24GiB",
                                            "2x h100-sxm", "1x rtx-4090 + 1x rtx-3090", "3x l4" };
static const char *const precision_names[] = { "fp16", "int4", "awq" };

#define COUNT(list) (sizeof list / sizeof *list)
#define SEQS 7
#define BATCHES 9

static scene *s;
static oom_model *models[COUNT(model_names)];
static oom_deployment devices[COUNT(device_names)];
static const oom_deployment *device_list[COUNT(device_names)];
static oom_precision precisions[COUNT(precision_names)];
static oom_variant variants[2];
static const uint64_t seqs[SEQS] = { 1, 100, 512, 4096, 5000, 32768, 1000000 };
static const uint64_t batches[BATCHES] = { 1, 2, 3, 4, 8, 16, 31, 64, 1000 };
static oom_grid grid;

static int setup(void **state)
{
    (void)state;
    s = scene_new();
    for (size_t i = 0; i < COUNT(model_names); i++)
        models[i] = scene_model(s, model_names[i]);
    for (size_t i = 0; i < COUNT(device_names); i++) {
        if (read_deployment(s->catalogue, device_names[i], &devices[i], NULL) != OOM_OK)
            return -1;
        device_list[i] = &devices[i];
    }
    for (size_t i = 0; i < COUNT(precision_names); i++)
        if (oom_precision_parse(precision_names[i], &precisions[i], NULL) != OOM_OK)
            return -1;
    variants[0] = (oom_variant){ .engine = oom_engine_find("ideal"), .options = { .gpu_layers = -1 } };
    variants[1] = (oom_variant){ .engine = oom_engine_find("generic"), .options = { .gpu_layers = -1 } };
    grid = (oom_grid){ models, COUNT(models), precisions, COUNT(precisions), variants, 2, device_list,
                       COUNT(devices), seqs, SEQS, batches, BATCHES };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(models); i++)
        oom_model_free(models[i]);
    scene_free(s);
    return 0;
}

static oom_rows run(const oom_query *q)
{
    oom_rows rows;
    oom_error err = { OOM_OK, "" };

    if (oom_grid_run(&grid, q, &oom_libc_alloc, &rows, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    return rows;
}

/* The memory of one row, by a plan of its own: what memory{} does. */
static bool alone(uint64_t index, oom_memory *m)
{
    size_t at[OOM_AXES];
    oom_plan *p = malloc(oom_plan_bytes());
    bool possible;

    oom_grid_at(&grid, index, at);
    possible = oom_plan_make(p, models[at[0]], &precisions[at[1]], device_list[at[3]],
                             variants[at[2]].engine, &variants[at[2]].options, NULL) == OOM_OK
            && oom_plan_memory(p, &(oom_load){ batches[at[5]], seqs[at[4]], 0 }, m, NULL, NULL) == OOM_OK;
    free(p);
    return possible;
}

static void check_cells(const oom_column *columns, size_t n_columns)
{
    oom_query q = { .group = OOM_AXES, .keep_reasons = true, .threads = 2, .n_columns = n_columns };
    oom_rows rows;

    memcpy(q.columns, columns, n_columns * sizeof *columns);
    rows = run(&q);
    assert_int_equal(rows.n, oom_grid_size(&grid));
    for (size_t i = 0; i < rows.n; i++) {
        oom_memory m;
        const int64_t *v = rows.values + i * n_columns;

        assert_int_equal(rows.index[i], i);
        if (!alone(rows.index[i], &m)) {
            assert_true(v[0] == OOM_MISSING);
            assert_int_not_equal(oom_grid_reason(&grid, i, NULL), OOM_OK);
            continue;
        }
        assert_int_equal(v[0], m.device.total);
        assert_int_equal(v[1], m.available);
        assert_int_equal(v[2], m.fits);
        if (n_columns > 3)
            assert_int_equal(v[3], m.device.kv);
    }
    oom_rows_free(&rows);
}

static void every_cell_is_what_memory_says(void **state)
{
    (void)state;
    check_cells((oom_column[]){ OOM_COLUMN_TOTAL, OOM_COLUMN_AVAILABLE, OOM_COLUMN_FITS }, 3);
    check_cells((oom_column[]){ OOM_COLUMN_TOTAL, OOM_COLUMN_AVAILABLE, OOM_COLUMN_FITS,
                                OOM_COLUMN_KV }, 4);
}

static void a_count_agrees_with_counting(void **state)
{
    oom_query q = { .group = OOM_AXES, .count_only = true, .threads = 2,
                    .where = { { OOM_COLUMN_FITS, 1, 1 } }, .n_where = 1 };
    oom_rows rows = run(&q);
    uint64_t n = 0;

    (void)state;
    for (uint64_t i = 0; i < oom_grid_size(&grid); i++) {
        oom_memory m;

        n += alone(i, &m) && m.fits;
    }
    assert_int_equal(rows.matched, n);
    assert_int_equal(rows.points, oom_grid_size(&grid));
    oom_rows_free(&rows);
}

static void the_counts_of_groups_add_up_on_every_axis(void **state)
{
    oom_query q = { .group = OOM_AXES, .count_only = true, .threads = 2,
                    .where = { { OOM_COLUMN_FITS, 1, 1 } }, .n_where = 1 };

    (void)state;
    for (int where = 0; where < 2; where++)         /* totals alone, and in full */
        for (int axis = 0; axis < OOM_AXES; axis++) {
            uint64_t expected[16] = { 0 };
            oom_rows rows;

            q.where[1] = (oom_between){ OOM_COLUMN_KV, 0, INT64_MAX };
            q.n_where = where ? 2 : 1;
            q.group = (oom_axis)axis;
            rows = run(&q);
            for (uint64_t i = 0; i < oom_grid_size(&grid); i++) {
                size_t at[OOM_AXES];
                oom_memory m;

                oom_grid_at(&grid, i, at);
                expected[at[axis]] += alone(i, &m) && m.fits;
            }
            for (size_t i = 0; i < rows.n; i++)
                assert_int_equal(rows.values[i], expected[i]);
            oom_rows_free(&rows);
        }
}

static void the_best_of_a_group_is_the_first_of_the_best(void **state)
{
    oom_query q = { .group = OOM_AXIS_DEVICE, .by = OOM_COLUMN_PARAMS, .threads = 2,
                    .where = { { OOM_COLUMN_FITS, 1, 1 }, { OOM_COLUMN_SEQ, 4096, 4096 } },
                    .n_where = 2, .columns = { OOM_COLUMN_PARAMS }, .n_columns = 1 };
    oom_rows rows = run(&q);
    uint64_t expected[COUNT(device_names)] = { 0 };
    int64_t most[COUNT(device_names)] = { 0 };
    size_t found = 0;

    (void)state;
    for (uint64_t i = 0; i < oom_grid_size(&grid); i++) {
        size_t at[OOM_AXES];
        oom_memory m;
        oom_param_counts n;

        oom_grid_at(&grid, i, at);
        if (seqs[at[4]] != 4096 || !alone(i, &m) || !m.fits)
            continue;
        assert_int_equal(oom_model_count(models[at[0]], &n, NULL), OOM_OK);
        if ((int64_t)n.loaded > most[at[3]]) {
            most[at[3]] = (int64_t)n.loaded;
            expected[at[3]] = i;
        }
    }
    for (size_t d = 0; d < COUNT(device_names); d++)
        if (most[d]) {
            assert_int_equal(rows.index[found], expected[d]);
            assert_int_equal(rows.values[found], most[d]);
            found++;
        }
    assert_int_equal(rows.n, found);
    oom_rows_free(&rows);
}

static void a_top_list_is_sorted_and_does_not_depend_on_threads(void **state)
{
    oom_query q = { .group = OOM_AXES, .by = OOM_COLUMN_FREE, .smallest = true, .top = 20,
                    .where = { { OOM_COLUMN_FITS, 1, 1 } }, .n_where = 1,
                    .columns = { OOM_COLUMN_FREE }, .n_columns = 1, .threads = 1 };
    oom_rows one = run(&q), two;

    (void)state;
    q.threads = 2;
    two = run(&q);
    assert_int_equal(one.n, 20);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(one.index[i], two.index[i]);
        if (i)
            assert_true(one.values[i - 1] <= one.values[i]);
    }
    oom_rows_free(&one);
    oom_rows_free(&two);
}

static void picked_rows_are_the_grids_own_in_the_order_asked(void **state)
{
    oom_query q = { .group = OOM_AXES, .keep_reasons = true, .n_columns = 2,
                    .columns = { OOM_COLUMN_TOTAL, OOM_COLUMN_KV } };
    uint64_t index[40];
    oom_rows all = run(&q), some, copy = { .n_columns = 2, .alloc = &oom_libc_alloc };

    (void)state;
    for (size_t i = 0; i < COUNT(index); i++)
        index[i] = (i * 7919 + 13) % oom_grid_size(&grid);
    assert_int_equal(oom_grid_pick(&grid, &q, index, COUNT(index), &oom_libc_alloc, &some, NULL), OOM_OK);
    assert_int_equal(some.n, COUNT(index));
    for (size_t i = 0; i < some.n; i++) {
        assert_int_equal(some.index[i], index[i]);
        assert_memory_equal(some.values + 2 * i, all.values + 2 * index[i], 2 * sizeof *some.values);
        assert_int_equal(oom_rows_add(&copy, &all, index[i], NULL), OOM_OK);
    }
    assert_memory_equal(copy.values, some.values, 2 * COUNT(index) * sizeof *some.values);
    oom_rows_free(&all);
    oom_rows_free(&some);
    oom_rows_free(&copy);
}

static bool stop_soon(void *ctx, uint64_t done, uint64_t all)
{
    (void)ctx;
    (void)all;
    return done < 3;
}

static void an_interrupted_run_keeps_what_is_done(void **state)
{
    oom_query q = { .group = OOM_AXES, .threads = 1, .go_on = stop_soon,
                    .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1 };
    oom_rows rows = run(&q);

    (void)state;
    assert_true(rows.stopped);
    assert_true(rows.n > 0 && rows.n < oom_grid_size(&grid));
    oom_rows_free(&rows);
}

static oom_status small_run(const oom_alloc *a, void *ctx)
{
    oom_query q = { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1 };
    oom_grid small = grid;
    oom_rows rows;
    oom_status st;

    (void)ctx;
    small.n_models = 2;
    small.n_precisions = 1;
    st = oom_grid_run(&small, &q, a, &rows, NULL);
    oom_rows_free(&rows);
    return st;
}

static void memory_that_runs_out_is_an_error_and_nothing_leaks(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(small_run, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_what_memory_says),
        cmocka_unit_test(a_count_agrees_with_counting),
        cmocka_unit_test(the_counts_of_groups_add_up_on_every_axis),
        cmocka_unit_test(the_best_of_a_group_is_the_first_of_the_best),
        cmocka_unit_test(a_top_list_is_sorted_and_does_not_depend_on_threads),
        cmocka_unit_test(picked_rows_are_the_grids_own_in_the_order_asked),
        cmocka_unit_test(an_interrupted_run_keeps_what_is_done),
        cmocka_unit_test(memory_that_runs_out_is_an_error_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
