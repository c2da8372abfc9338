#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "failing.h"
#include "scene.h"

/* A grid over some of everything: windows, experts, latents, states; one device, several and none;
 * a seq whose totals pass 2^63. */
static const char *const model_names[] = { "llama-3.1-8b", "gemma-3-27b", "mixtral-8x7b",
                                           "deepseek-v2-lite", "mamba-2.8b", "gpt2" };
static const char *const device_names[] = { "rtx-4090", "rtx-3090", "a100-sxm-80gb", NULL, "24GiB",
                                            "2x h100-sxm", "1x rtx-4090 + 1x rtx-3090", "3x l4",
                                            "80GiB", "24GiB", "48GiB", "2x 24GiB", "32GiB",
                                            "m3-max-64gb" };
static const char *const precision_names[] = { "fp16", "int4", "awq" };

#define COUNT(list) (sizeof list / sizeof *list)
#define SEQS 8
#define BATCHES 9

static scene *s;
static oom_model *models[COUNT(model_names)];
static oom_deployment devices[COUNT(device_names)];
static const oom_deployment *device_list[COUNT(device_names)];
static oom_precision precisions[COUNT(precision_names)];
static oom_variant variants[3];
static const uint64_t seqs[SEQS] = { 1, 100, 512, 4096, 5000, 32768, 1000000,
                                      UINT64_C(1) << 61 };
static const uint64_t batches[BATCHES] = { 1, 2, 3, 4, 8, 16, 31, 64, 1000 };
static oom_grid grid;

/* The memory of every row, by plans of their own: what memory{} does. */
static struct { bool possible; oom_memory m; } *rows_alone;

static void measure_rows(void)
{
    oom_plan *p = malloc(oom_plan_bytes());
    const size_t points = SEQS * BATCHES;

    rows_alone = calloc(oom_grid_size(&grid), sizeof *rows_alone);
    if (!p || !rows_alone)
        abort();
    for (uint64_t first = 0; first < oom_grid_size(&grid); first += points) {
        size_t at[OOM_AXES];

        oom_grid_at(&grid, first, at);
        if (oom_plan_make(p, models[at[0]], &precisions[at[1]], device_list[at[3]],
                          variants[at[2]].engine, &variants[at[2]].options, NULL) != OOM_OK)
            continue;
        for (size_t i = 0; i < points; i++) {
            oom_load load = { batches[i % BATCHES], seqs[i / BATCHES], 0 };

            rows_alone[first + i].possible =
                oom_plan_memory(p, &load, &rows_alone[first + i].m, NULL, NULL) == OOM_OK;
        }
    }
    free(p);
}

static bool alone(uint64_t index, oom_memory *m)
{
    *m = rows_alone[index].m;
    return rows_alone[index].possible;
}

static int setup(void **state)
{
    (void)state;
    s = scene_new();
    for (size_t i = 0; i < COUNT(model_names); i++)
        models[i] = scene_model(s, model_names[i]);
    for (size_t i = 0; i < COUNT(device_names); i++) {
        if (!device_names[i])
            continue;
        if (read_deployment(s->catalogue, device_names[i], &devices[i], NULL) != OOM_OK)
            return -1;
        device_list[i] = &devices[i];
    }
    for (size_t i = 0; i < COUNT(precision_names); i++)
        if (oom_precision_parse(precision_names[i], &precisions[i], NULL) != OOM_OK)
            return -1;
    variants[0] = (oom_variant){ .engine = oom_engine_find("ideal"), .options = { .gpu_layers = -1 } };
    variants[1] = (oom_variant){ .engine = oom_engine_find("generic"), .options = { .gpu_layers = -1 } };
    variants[2] = (oom_variant){ .engine = oom_engine_find("vllm"), .options = { .gpu_layers = -1 } };
    devices[9].group[0].device.learned_bytes[0] = 1 << 30;      /* of generic, which is the first */
    grid = (oom_grid){ models, COUNT(models), precisions, COUNT(precisions), variants, 3, device_list,
                       COUNT(devices), seqs, SEQS, batches, BATCHES };
    measure_rows();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(models); i++)
        oom_model_free(models[i]);
    free(rows_alone);
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

/* Whether one row fits: nothing is said where there is no device. */
static bool fits(uint64_t index)
{
    size_t at[OOM_AXES];
    oom_memory m;

    oom_grid_at(&grid, index, at);
    return device_list[at[OOM_AXIS_DEVICE]] && alone(index, &m) && m.fits;
}

static oom_rows check_cells(const oom_column *columns, size_t n_columns)
{
    oom_query q = { .group = OOM_AXES, .keep_reasons = true, .threads = 2, .n_columns = n_columns };
    oom_rows rows;

    memcpy(q.columns, columns, n_columns * sizeof *columns);
    rows = run(&q);
    assert_int_equal(rows.n, oom_grid_size(&grid));
    for (size_t i = 0; i < rows.n; i++) {
        oom_memory m;
        size_t at[OOM_AXES];
        bool compares;
        const int64_t *v = rows.values + i * n_columns;

        assert_int_equal(rows.index[i], i);
        oom_grid_at(&grid, i, at);
        compares = device_list[at[OOM_AXIS_DEVICE]] != NULL;
        if (!alone(i, &m)) {
            assert_true(v[0] == OOM_MISSING);
            assert_true(v[2] == OOM_MISSING);
            assert_true(v[3] == OOM_MISSING);
            assert_int_not_equal(oom_grid_reason(&grid, i, NULL), OOM_OK);
            continue;
        }
        if (i % 11 == 0)                /* a plan of its own each time */
            assert_int_equal(oom_grid_reason(&grid, i, NULL), OOM_OK);
        assert_int_equal(v[0], m.device.total);
        assert_int_equal(v[1], compares ? (int64_t)m.available : OOM_MISSING);
        assert_int_equal(v[2], compares ? m.fits : OOM_MISSING);
        assert_int_equal(v[3], compares ? (int64_t)(m.available - m.device.total) : OOM_MISSING);
        if (n_columns > 4) {
            const int64_t parts[] = { (int64_t)m.device.kv, (int64_t)m.device.weights,
                                      (int64_t)m.device.state, (int64_t)m.device.activations,
                                      (int64_t)m.device.overhead };

            assert_memory_equal(v + 4, parts, sizeof parts);
        }
    }
    return rows;
}

static void every_cell_is_what_memory_says(void **state)
{
    static const oom_column quick[] = { OOM_COLUMN_TOTAL, OOM_COLUMN_AVAILABLE, OOM_COLUMN_FITS,
                                        OOM_COLUMN_FREE };
    static const oom_column full[] = { OOM_COLUMN_TOTAL, OOM_COLUMN_AVAILABLE, OOM_COLUMN_FITS,
                                       OOM_COLUMN_FREE, OOM_COLUMN_KV, OOM_COLUMN_WEIGHTS,
                                       OOM_COLUMN_STATE, OOM_COLUMN_ACTIVATIONS,
                                       OOM_COLUMN_OVERHEAD };
    oom_rows by_totals = check_cells(quick, COUNT(quick)), in_full = check_cells(full, COUNT(full));

    (void)state;
    /* nothing is told of what a row that is too large has at hand, the same both ways */
    for (size_t i = 0; i < by_totals.n; i++)
        assert_int_equal(by_totals.values[i * COUNT(quick) + 1],
                         in_full.values[i * COUNT(full) + 1]);
    oom_rows_free(&by_totals);
    oom_rows_free(&in_full);
}

/* The largest batch is of the row's seq, the largest seq of its batch: what solving says. */
static void the_largest_of_a_row_is_what_solving_says(void **state)
{
    oom_query q = { .group = OOM_AXES, .keep_reasons = true, .n_columns = 2,
                    .where = { { OOM_COLUMN_SEQ, 512, 4096 }, { OOM_COLUMN_BATCH, 2, 3 } },
                    .n_where = 2, .columns = { OOM_COLUMN_MAXBATCH, OOM_COLUMN_MAXSEQ } };
    oom_rows rows = run(&q);
    oom_plan *p = malloc(oom_plan_bytes());

    (void)state;
    assert_true(rows.n > 0);
    for (size_t i = 0; i < rows.n; i++) {
        size_t at[OOM_AXES];
        uint64_t batch, seq;
        bool possible;

        oom_grid_at(&grid, rows.index[i], at);
        possible = device_list[at[3]]
                && oom_plan_make(p, models[at[0]], &precisions[at[1]], device_list[at[3]],
                                 variants[at[2]].engine, &variants[at[2]].options, NULL) == OOM_OK;
        if (!possible) {
            assert_true(rows.values[2 * i] == OOM_MISSING);
            assert_true(rows.values[2 * i + 1] == OOM_MISSING);
            continue;
        }
        assert_int_equal(oom_solve_batch(p, seqs[at[4]], 0, &batch, NULL), OOM_OK);
        assert_int_equal(oom_solve_seq(p, batches[at[5]], 0, &seq, NULL), OOM_OK);
        assert_int_equal(rows.values[2 * i], batch);
        assert_int_equal(rows.values[2 * i + 1], seq);
    }
    free(p);
    oom_rows_free(&rows);
}

static void a_count_agrees_with_counting(void **state)
{
    oom_query q = { .group = OOM_AXES, .count_only = true, .threads = 2,
                    .where = { { OOM_COLUMN_FITS, 1, 1 } }, .n_where = 1 };
    oom_rows rows = run(&q);
    uint64_t n = 0;

    (void)state;
    for (uint64_t i = 0; i < oom_grid_size(&grid); i++)
        n += fits(i);
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

                oom_grid_at(&grid, i, at);
                expected[at[axis]] += fits(i);
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
        oom_param_counts n;

        oom_grid_at(&grid, i, at);
        if (seqs[at[4]] != 4096 || !fits(i))
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
    int *left = ctx;

    (void)done;
    (void)all;
    return (*left)-- > 0;
}

static void an_interrupted_run_keeps_what_is_done(void **state)
{
    static const oom_column columns[] = { OOM_COLUMN_TOTAL, OOM_COLUMN_KV };

    (void)state;
    for (size_t i = 0; i < COUNT(columns); i++) {
        oom_query q = { .group = OOM_AXES, .columns = { columns[i] }, .n_columns = 1,
                        .keep_reasons = true };
        oom_rows all = run(&q);

        for (int asked = 0; asked < 8; asked++) {
            int left = asked;
            oom_rows rows;

            q.go_on = stop_soon;
            q.ctx = &left;
            rows = run(&q);
            assert_true(rows.stopped);
            assert_true(asked < 4 ? rows.n < all.n : rows.n > 0 && rows.n < all.n);
            for (size_t r = 0; r < rows.n; r++)
                assert_int_equal(rows.values[r], all.values[rows.index[r]]);
            oom_rows_free(&rows);
            q.go_on = NULL;
        }
        oom_rows_free(&all);
    }
}

/* More batches than are worked out at once: those that fit are those up to the largest. */
static void a_long_axis_is_cut_into_tiles(void **state)
{
    enum { MANY = 8000 };
    oom_query q = { .group = OOM_AXES, .count_only = true, .where = { { OOM_COLUMN_FITS, 1, 1 } },
                    .n_where = 1 };
    static uint64_t many[MANY];
    uint64_t largest = 0;
    oom_plan *p = malloc(oom_plan_bytes());
    oom_grid one = grid;
    oom_rows rows;

    (void)state;
    for (size_t i = 0; i < MANY; i++)
        many[i] = i + 1;
    one.n_models = one.n_precisions = one.n_variants = one.n_devices = 1;
    one.devices = &device_list[2];
    one.seqs = &seqs[1];
    one.n_seqs = 1;
    one.batches = many;
    one.n_batches = MANY;
    assert_int_equal(oom_grid_run(&one, &q, &oom_libc_alloc, &rows, NULL), OOM_OK);
    assert_int_equal(oom_plan_make(p, models[0], &precisions[0], device_list[2], variants[0].engine,
                                   &variants[0].options, NULL), OOM_OK);
    assert_int_equal(oom_solve_batch(p, seqs[1], 0, &largest, NULL), OOM_OK);
    assert_in_range(largest, 2049, MANY - 1);
    assert_int_equal(rows.matched, largest);
    oom_rows_free(&rows);
    free(p);
}

/* A part that is not told of by totals alone (KV) filters, ranks and groups like the others. */
static void rows_are_chosen_by_their_parts_too(void **state)
{
    oom_query small = { .group = OOM_AXES, .count_only = true,
                        .where = { { OOM_COLUMN_KV, 0, 1 << 30 } }, .n_where = 1 };
    oom_query top = { .group = OOM_AXES, .by = OOM_COLUMN_KV, .top = 1,
                      .columns = { OOM_COLUMN_BATCH, OOM_COLUMN_SEQ }, .n_columns = 2,
                      .where = { { OOM_COLUMN_SEQ, 0, 1000000 } }, .n_where = 1 };
    oom_query group = { .group = OOM_AXIS_BATCH, .by = OOM_COLUMN_KV, .smallest = true,
                        .columns = { OOM_COLUMN_KV, OOM_COLUMN_BATCH }, .n_columns = 2,
                        .where = { { OOM_COLUMN_SEQ, 4096, 4096 }, { OOM_COLUMN_KV, 1, INT64_MAX } },
                        .n_where = 2 };
    oom_rows rows = run(&small);
    uint64_t n = 0, most = 0, least[BATCHES] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < oom_grid_size(&grid); i++) {
        size_t at[OOM_AXES];
        oom_memory m;

        oom_grid_at(&grid, i, at);
        if (!alone(i, &m))
            continue;
        n += m.device.kv <= 1 << 30;
        if (seqs[at[4]] <= 1000000 && m.device.kv > most)
            most = m.device.kv;
        if (seqs[at[4]] == 4096 && m.device.kv && (!least[at[5]] || m.device.kv < least[at[5]]))
            least[at[5]] = m.device.kv;
    }
    assert_int_equal(rows.matched, n);
    oom_rows_free(&rows);

    rows = run(&top);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.values[0], 1000);         /* the largest batch and the longest seq */
    assert_int_equal(rows.values[1], 1000000);
    oom_rows_free(&rows);

    rows = run(&group);
    assert_int_equal(rows.n, BATCHES);
    for (size_t b = 0; b < BATCHES; b++) {
        assert_int_equal(rows.values[2 * b], least[b]);
        assert_int_equal(rows.values[2 * b + 1], batches[b]);
    }
    oom_rows_free(&rows);
}

/* Two free rows of a top list are as good as each other: the earlier of them comes first. */
static void rows_that_are_as_good_stand_in_order(void **state)
{
    oom_query q = { .group = OOM_AXES, .by = OOM_COLUMN_SEQ, .top = 50, .n_columns = 1,
                    .columns = { OOM_COLUMN_SEQ }, .threads = 2 };
    oom_rows rows = run(&q);

    (void)state;
    assert_int_equal(rows.n, 50);
    for (size_t i = 0; i < rows.n; i++) {
        assert_int_equal(rows.values[i], seqs[SEQS - 1]);
        assert_true(i == 0 || rows.index[i - 1] < rows.index[i]);
    }
    oom_rows_free(&rows);
}

static void rows_that_do_not_fit_are_found_too(void **state)
{
    oom_query q = { .group = OOM_AXES, .count_only = true, .where = { { OOM_COLUMN_FITS, 0, 0 } },
                    .n_where = 1 };
    oom_rows rows = run(&q);
    uint64_t n = 0;

    (void)state;
    for (uint64_t i = 0; i < oom_grid_size(&grid); i++) {
        size_t at[OOM_AXES];
        oom_memory m;

        oom_grid_at(&grid, i, at);
        n += device_list[at[OOM_AXIS_DEVICE]] && alone(i, &m) && !m.fits;
    }
    assert_int_equal(rows.matched, n);
    oom_rows_free(&rows);
}

/* gpt2 has 12 heads, which eight devices do not share: its row of a list by parameters is kept, with
 * what is known of it. */
static void a_row_that_cannot_be_keeps_what_is_known_of_it(void **state)
{
    oom_query q = { .group = OOM_AXIS_MODEL, .by = OOM_COLUMN_PARAMS, .keep_reasons = true,
                    .columns = { OOM_COLUMN_PARAMS, OOM_COLUMN_TOTAL }, .n_columns = 2 };
    oom_variant eight = { .engine = oom_engine_find("ideal"),
                          .options = { .gpu_layers = -1, .tp = 8 } };
    oom_grid one = grid;
    oom_rows rows;
    oom_error err;

    (void)state;
    one.models = &models[5];
    one.variants = &eight;
    one.devices = &device_list[3];
    one.n_models = one.n_precisions = one.n_variants = one.n_devices = one.n_seqs = 1;
    assert_int_equal(oom_grid_run(&one, &q, &oom_libc_alloc, &rows, NULL), OOM_OK);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.values[0], 124439808);
    assert_true(rows.values[1] == OOM_MISSING);
    assert_int_equal(oom_grid_reason(&one, rows.index[0], &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "tp=8 does not divide the 12 attention heads of gpt2");
    oom_rows_free(&rows);
}

static void the_reason_of_a_row_past_63_bits_is_its_size(void **state)
{
    oom_error err;

    (void)state;
    assert_int_equal(oom_grid_reason(&grid, (SEQS - 1) * BATCHES, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "batch 1 x seq 2305843009213693952: too large");
}

static void a_grid_without_points_has_no_rows(void **state)
{
    oom_query q = { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1 };
    oom_grid none = grid;
    oom_rows rows;

    (void)state;
    none.n_batches = 0;
    assert_int_equal(oom_grid_run(&none, &q, &oom_libc_alloc, &rows, NULL), OOM_OK);
    assert_int_equal(rows.points, 0);
    assert_int_equal(rows.n, 0);
    oom_rows_free(&rows);
}

static void a_grid_of_more_than_2_to_63_points_is_refused(void **state)
{
    oom_query q = { .group = OOM_AXES, .count_only = true };
    oom_grid endless = grid;
    oom_rows rows;
    oom_error err;

    (void)state;
    endless.n_seqs = endless.n_batches = (size_t)1 << 32;
    assert_int_equal(oom_grid_run(&endless, &q, &oom_libc_alloc, &rows, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "sweep: more than 2^63 points");
    assert_int_equal(rows.n, 0);
}

static void more_rows_than_may_be_kept_are_refused(void **state)
{
    oom_query q = { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1,
                    .max_bytes = 1000 };
    oom_rows rows;
    oom_error err;

    (void)state;
    for (int full = 0; full < 2; full++) {
        q.columns[0] = full ? OOM_COLUMN_KV : OOM_COLUMN_TOTAL;
        assert_int_equal(oom_grid_run(&grid, &q, &oom_libc_alloc, &rows, &err), OOM_TOOLARGE);
        assert_string_equal(err.msg, "sweep: more rows than memory allows; filter with :where, "
                                     "group, or stream with to=\"file.csv\"");
        assert_null(rows.index);
    }
    q = (oom_query){ .group = OOM_AXES, .by = OOM_COLUMN_TOTAL, .top = SIZE_MAX / 4 };
    assert_int_equal(oom_grid_run(&grid, &q, &oom_libc_alloc, &rows, &err), OOM_NOMEM);
    assert_string_equal(err.msg, "out of memory");
}

static void columns_have_the_names_that_queries_use(void **state)
{
    (void)state;
    assert_string_equal(oom_column_name(OOM_COLUMN_TOTAL), "total");
    assert_string_equal(oom_column_name(OOM_COLUMN_ACTIVE), "active_params");
    assert_string_equal(oom_column_name(OOM_COLUMN_MAXSEQ), "maxseq");
    assert_null(oom_column_name(OOM_COLUMNS));
}

/* ---- running out of memory ---- */

static oom_status small_run(const oom_alloc *a, void *query)
{
    const oom_variant engines[] = {
        variants[0], { .engine = oom_engine_find("llama.cpp"), .options = { .gpu_layers = -1 } } };
    oom_grid small = grid;
    oom_rows rows;
    oom_error err = { OOM_OK, "" };
    oom_status st;

    small.n_models = 2;
    small.n_precisions = small.n_devices = 1;
    small.variants = engines;
    small.n_variants = COUNT(engines);
    st = oom_grid_run(&small, query, a, &rows, &err);
    assert_string_equal(err.msg, st == OOM_OK ? "" : "out of memory");
    oom_rows_free(&rows);
    return st;
}

static void memory_that_runs_out_is_an_error_and_nothing_leaks(void **state)
{
    oom_query queries[] = {
        { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1 },
        { .group = OOM_AXES, .columns = { OOM_COLUMN_KV }, .n_columns = 1 },
        { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1, .top = 3,
          .by = OOM_COLUMN_TOTAL },
        { .group = OOM_AXIS_SEQ, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1,
          .by = OOM_COLUMN_TOTAL },
        { .group = OOM_AXIS_SEQ, .count_only = true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(queries); i++)
        assert_true(fail_each_allocation(small_run, &queries[i]) > 6);
}

/* The view of a model as a GGUF file is built before the work begins, in the model's own memory;
 * llama.cpp asks it for more at points, and where layers stay in main memory. */
static oom_status run_of_files(const oom_alloc *a, void *query)
{
    const oom_variant engines[] = {
        variants[0], { .engine = oom_engine_find("llama.cpp"), .options = { .gpu_layers = -1 } },
        { .engine = oom_engine_find("llama.cpp"), .options = { .gpu_layers = 1 } } };
    oom_model *m = oom_model_new(a, NULL);
    oom_precision file;
    oom_grid small = grid;
    oom_rows rows;
    const char config[] = "{\"model_type\": \"llama\", \"hidden_size\": 64, \"vocab_size\": 256, "
                          "\"num_hidden_layers\": 2, \"intermediate_size\": 256, "
                          "\"num_attention_heads\": 4}";
    oom_status st = m ? read_config(m, "test", config, sizeof config - 1, NULL) : OOM_NOMEM;

    if (st == OOM_OK) {
        const oom_query *q = query;
        const uint64_t picked[] = { 3, 1 };

        small.models = &m;
        small.n_models = small.n_precisions = small.n_devices = 1;
        small.variants = engines;
        small.n_variants = COUNT(engines);
        small.precisions = &file;
        small.seqs = seqs + SEQS - 2;
        small.n_seqs = small.n_batches = 2;
        assert_int_equal(oom_precision_parse("q4_k_m", &file, NULL), OOM_OK);
        st = q->count_only || q->top || q->n_columns > 1 ? oom_grid_run(&small, q, a, &rows, NULL)
                                     : oom_grid_pick(&small, q, picked, 2, a, &rows, NULL);
        if (st == OOM_OK)
            st = oom_grid_reason(&small, 0, NULL);
        oom_rows_free(&rows);
    }
    oom_model_free(m);
    return st;
}

static void a_view_that_cannot_be_built_is_an_error_and_nothing_leaks(void **state)
{
    oom_query count = { .group = OOM_AXES, .count_only = true };
    oom_query top = { .group = OOM_AXES, .top = 1, .by = OOM_COLUMN_TOTAL };
    oom_query pick = { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1 };
    oom_query solve = { .group = OOM_AXES, .columns = { OOM_COLUMN_MAXBATCH, OOM_COLUMN_MAXSEQ },
                        .n_columns = 2 };

    (void)state;
    assert_true(fail_each_allocation(run_of_files, &solve) > 10);
    assert_true(fail_each_allocation(run_of_files, &pick) > 10);
    assert_true(fail_each_allocation(run_of_files, &count) > 10);
    assert_true(fail_each_allocation(run_of_files, &top) > 10);
}

static void a_model_of_more_than_2_to_63_parameters_is_refused(void **state)
{
    oom_query q = { .group = OOM_AXES, .count_only = true };
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    const oom_tensor huge = { .n_dims = 1, .dims = { UINT64_C(1) << 62 } };
    oom_grid one = grid;
    oom_rows rows;
    oom_error err;

    (void)state;
    m->id = "huge";
    assert_int_equal(oom_model_add_tensor(m, &huge, NULL), OOM_OK);
    assert_int_equal(oom_model_add_tensor(m, &huge, NULL), OOM_OK);
    one.models = &m;
    one.n_models = 1;
    assert_int_equal(oom_grid_run(&one, &q, &oom_libc_alloc, &rows, &err), OOM_TOOLARGE);
    assert_string_equal(err.msg, "huge: more than 2^63 parameters");
    oom_model_free(m);
}

/* More rows than the first room of 1024: a list grows, or the run ends. */
static oom_status long_run(const oom_alloc *a, void *query)
{
    oom_rows rows;
    oom_status st = oom_grid_run(&grid, query, a, &rows, NULL);

    oom_rows_free(&rows);
    return st;
}

static void a_list_that_cannot_grow_is_an_error_and_nothing_leaks(void **state)
{
    oom_query q = { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1 };

    (void)state;
    assert_true(fail_each_allocation(long_run, &q) > 10);
}

/* One row moved to a list of its own, as what asks for rows one by one does. */
static oom_status list_of_one(const oom_alloc *a, void *from)
{
    oom_rows list = { .n_columns = 1, .alloc = a };
    oom_status st = oom_rows_add(&list, from, 0, NULL);

    oom_rows_free(&list);
    return st;
}

static void a_row_without_room_is_an_error_and_nothing_leaks(void **state)
{
    oom_rows rows = run(&(oom_query){ .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL },
                                      .n_columns = 1, .top = 1, .by = OOM_COLUMN_TOTAL });

    (void)state;
    assert_int_equal(fail_each_allocation(list_of_one, &rows), 2);      /* its number, its value */
    oom_rows_free(&rows);
}

static void more_rows_than_there_are_addresses_for_are_refused(void **state)
{
    oom_query q = { .group = OOM_AXES, .columns = { OOM_COLUMN_TOTAL }, .n_columns = 1 };
    const uint64_t first = 0;
    oom_rows rows;
    oom_error err;

    (void)state;
    assert_int_equal(oom_grid_pick(&grid, &q, &first, SIZE_MAX / 8, &oom_libc_alloc, &rows, &err),
                     OOM_NOMEM);
    assert_string_equal(err.msg, "out of memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_what_memory_says),
        cmocka_unit_test(the_largest_of_a_row_is_what_solving_says),
        cmocka_unit_test(a_count_agrees_with_counting),
        cmocka_unit_test(the_counts_of_groups_add_up_on_every_axis),
        cmocka_unit_test(the_best_of_a_group_is_the_first_of_the_best),
        cmocka_unit_test(a_top_list_is_sorted_and_does_not_depend_on_threads),
        cmocka_unit_test(picked_rows_are_the_grids_own_in_the_order_asked),
        cmocka_unit_test(an_interrupted_run_keeps_what_is_done),
        cmocka_unit_test(rows_are_chosen_by_their_parts_too),
        cmocka_unit_test(rows_that_are_as_good_stand_in_order),
        cmocka_unit_test(rows_that_do_not_fit_are_found_too),
        cmocka_unit_test(a_row_that_cannot_be_keeps_what_is_known_of_it),
        cmocka_unit_test(the_reason_of_a_row_past_63_bits_is_its_size),
        cmocka_unit_test(a_grid_without_points_has_no_rows),
        cmocka_unit_test(a_grid_of_more_than_2_to_63_points_is_refused),
        cmocka_unit_test(more_rows_than_may_be_kept_are_refused),
        cmocka_unit_test(columns_have_the_names_that_queries_use),
        cmocka_unit_test(memory_that_runs_out_is_an_error_and_nothing_leaks),
        cmocka_unit_test(a_long_axis_is_cut_into_tiles),
        cmocka_unit_test(a_view_that_cannot_be_built_is_an_error_and_nothing_leaks),
        cmocka_unit_test(a_model_of_more_than_2_to_63_parameters_is_refused),
        cmocka_unit_test(a_row_without_room_is_an_error_and_nothing_leaks),
        cmocka_unit_test(more_rows_than_there_are_addresses_for_are_refused),
        cmocka_unit_test(a_list_that_cannot_grow_is_an_error_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
