/* ggml's scheduler and allocator over graphs of a few operations, written out here: peaks by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "engine/llamacpp_graph.h"

#define ROOM 64                         /* tensors to write down */

typedef struct { oom_arena *arena; lc_graph g; } bench;

static bench *bench_on(const lc_placement *where)
{
    bench *b = calloc(1, sizeof *b);

    assert_non_null(b);
    b->arena = oom_arena_new(&oom_libc_alloc, NULL);
    assert_true(lc_open(&b->g, b->arena, ROOM, where));
    return b;
}

static bench *bench_new(uint32_t devices)
{
    return bench_on(&(lc_placement){ .n_devices = devices, .op_offload = true });
}

static void bench_free(bench *b)
{
    oom_arena_free(b->arena);
    free(b);
}

static uint64_t bench_peak(bench *b, uint32_t buffer)
{
    uint64_t peaks[LC_MAX_DEVICES + 1];

    assert_true(lc_reserve(&b->g, peaks));
    bench_free(b);
    return peaks[buffer];
}

/* Whether it has peaks at all. */
static bool bench_holds(bench *b)
{
    uint64_t peaks[LC_MAX_DEVICES + 1];
    bool holds = lc_reserve(&b->g, peaks);

    bench_free(b);
    return holds;
}

/* A vector of 256 times a matrix of 256 x 1024, then an operation that may be in place. */
static lc_t product(bench *b, int8_t home)
{
    lc_t x = lc_input(&b->g, LC_F32, lc_ne(256, 1, 1, 1));
    lc_t w = lc_weight(&b->g, lc_ne(256, 1024, 1, 1), 1 << 20, home);

    return lc_result(&b->g, LC_MATMUL, LC_F32, lc_ne(1024, 1, 1, 1), (const lc_t[]){ w, x }, 2);
}

static void an_operation_in_place_needs_no_room(void **state)
{
    bench *b = bench_new(0);
    lc_t y = product(b, 0);

    (void)state;
    y = lc_result(&b->g, LC_INPLACE, LC_F32, lc_ne(1024, 1, 1, 1), &y, 1);
    lc_expand(&b->g, y);
    assert_int_equal(bench_peak(b, 0), 1024 + 4096);
}

static void a_view_in_between_costs_the_place(void **state)
{
    bench *b = bench_new(0);
    lc_t y = lc_view(&b->g, product(b, 0), lc_ne(1024, 1, 1, 1));

    (void)state;
    y = lc_result(&b->g, LC_INPLACE, LC_F32, lc_ne(1024, 1, 1, 1), &y, 1);
    lc_expand(&b->g, y);
    /* the input's 1024 bytes are free by then, and too small */
    assert_int_equal(bench_peak(b, 0), 1024 + 4096 + 4096);
}

static void what_a_device_reads_from_the_host_is_copied(void **state)
{
    bench *b = bench_new(1);

    (void)state;
    lc_expand(&b->g, product(b, 0));
    assert_int_equal(bench_peak(b, 0), 1024 + 4096);    /* the vector's copy, the result */
}

static void a_large_batch_takes_a_host_weight_along(void **state)
{
    for (uint64_t rows = 31; rows <= 32; rows++) {
        bench *b = bench_new(1);
        lc_t x = lc_input(&b->g, LC_F32, lc_ne(256, rows, 1, 1));
        lc_t w = lc_weight(&b->g, lc_ne(256, 1024, 1, 1), 1 << 20, 1);
        lc_t y = lc_result(&b->g, LC_MATMUL, LC_F32, lc_ne(1024, rows, 1, 1),
                           (const lc_t[]){ w, x }, 2);

        lc_expand(&b->g, y);
        assert_int_equal(bench_peak(b, 0),
                         rows < 32 ? 0 : (1 << 20) + rows * 1024 + rows * 4096);
    }
    (void)state;
}

static void what_a_fused_operation_reads_outlives_it(void **state)
{
    for (int kept = 0; kept <= 1; kept++) {
        bench *b = bench_new(1);
        lc_t y = product(b, 0), z;

        z = lc_result(&b->g, LC_INPLACE, LC_F32, lc_ne(1024, 1, 1, 1), &y, 1);
        lc_expand(&b->g, z);
        if (kept)
            lc_fuse(&b->g, z, z, &y, 1);
        assert_int_equal(bench_peak(b, 0), kept ? 1024 + 4096 + 4096 : 1024 + 4096);
    }
    (void)state;
}

/* The second of three operations runs on the host, so that each is a split of its own. */
static void operations_of_two_splits_are_not_fused(void **state)
{
    for (int apart = 0; apart <= 1; apart++) {
        bench *b = bench_new(1);
        lc_t y = product(b, 0), x = lc_input(&b->g, LC_F32, lc_ne(256, 1, 1, 1));
        lc_t hosts = lc_weight(&b->g, lc_ne(256, 512, 1, 1), 1 << 19, 1);
        lc_t h = lc_result(&b->g, LC_MATMUL, LC_F32, lc_ne(512, 1, 1, 1),
                           (const lc_t[]){ hosts, x }, 2);
        lc_t w = lc_weight(&b->g, lc_ne(1024, 1, 1, 1), 4096, 0);
        lc_t z = lc_result(&b->g, LC_INPLACE, LC_F32, lc_ne(1024, 1, 1, 1),
                           (const lc_t[]){ y, h, w }, 3);

        lc_expand(&b->g, y);
        lc_expand(&b->g, h);
        lc_expand(&b->g, z);
        lc_fuse(&b->g, apart ? y : z, z, &y, 1);
        /* a vector's copy and its product; the copy of the host's; z, unless it takes over */
        assert_int_equal(bench_peak(b, 0), 1024 + 4096 + 2048 + (apart ? 0 : 4096));
    }
    (void)state;
}

static void a_place_is_not_taken_over_by_another_shape(void **state)
{
    bench *b = bench_new(0);
    uint64_t peaks[1];
    lc_t y = product(b, 0);

    (void)state;
    y = lc_result(&b->g, LC_INPLACE, LC_F32, lc_ne(512, 1, 1, 1), &y, 1);
    lc_expand(&b->g, y);
    assert_true(lc_reserve(&b->g, peaks));
    /* the input's 1024 bytes are free by then, and too small for half of the product */
    assert_int_equal(peaks[0], 1024 + 4096 + 2048);
    assert_true(b->g.shapes_decide);
    bench_free(b);
}

static void what_lies_elsewhere_is_not_kept(void **state)
{
    bench *b = bench_new(1);
    lc_t host = lc_input(&b->g, LC_F32, lc_ne(256, 1, 1, 1)), y = product(b, 0);

    (void)state;
    lc_expand(&b->g, host);
    lc_expand(&b->g, y);
    lc_fuse(&b->g, y, y, &host, 1);
    assert_int_equal(bench_peak(b, 0), 1024 + 4096);
}

static void a_layer_begins_where_its_first_operation_runs(void **state)
{
    bench *b = bench_new(0);
    uint64_t peaks[1];
    lc_t y;

    (void)state;
    lc_begin_layer(&b->g);
    y = product(b, 0);
    lc_expand(&b->g, y);
    lc_begin_layer(&b->g);
    y = lc_result(&b->g, LC_OP, LC_F32, lc_ne(1024, 1, 1, 1), &y, 1);
    lc_expand(&b->g, y);
    lc_begin_layer(&b->g);              /* one without any */
    assert_true(lc_reserve(&b->g, peaks));
    /* the input is taken before all layers; the product, the input given back; the result, the
     * product given back */
    assert_int_equal(b->g.n_events, 5);
    assert_int_equal(b->g.marks[0], 1);
    assert_int_equal(b->g.marks[1], 3);
    assert_int_equal(b->g.marks[2], 5);
    bench_free(b);
}

/* ---- what is too much, or missing ------------------------------------------------------------ */

static void a_graph_larger_than_its_room_has_no_peaks(void **state)
{
    (void)state;
    for (uint32_t n = ROOM; n <= ROOM + 1; n++) {
        bench *b = bench_new(1);

        lc_expand(&b->g, product(b, 0));
        for (uint32_t i = 3; i < n; i++)
            lc_input(&b->g, LC_F32, lc_ne(1, 1, 1, 1));
        assert_int_equal(bench_holds(b), n <= ROOM);
    }
}

static void more_is_kept_than_there_is_room_for(void **state)
{
    (void)state;
    for (uint32_t n = 5; n <= 6; n++) { /* one for each 16 tensors, and one */
        bench *b = bench_new(1);
        lc_t y = product(b, 0);

        lc_expand(&b->g, y);
        for (uint32_t i = 0; i < n; i++)
            lc_fuse(&b->g, y, y, &y, 1);
        assert_int_equal(bench_holds(b), n == 5);
    }
}

/* Inputs that an operation on each of 15 devices reads, and more operations on the last. */
static bench *copied_to_all(uint32_t inputs, uint32_t more, bool pipeline)
{
    bench *b = bench_on(&(lc_placement){ .n_devices = LC_MAX_DEVICES, .pipeline = pipeline });
    lc_t src[LC_MAX_SRC], y = LC_NONE;

    for (uint32_t i = 0; i < inputs; i++)
        src[i + 1] = lc_input(&b->g, LC_F32, lc_ne(256, 1, 1, 1));
    for (int8_t d = 0; d < LC_MAX_DEVICES; d++) {
        src[0] = lc_weight(&b->g, lc_ne(256, 1024, 1, 1), 1 << 20, d);
        y = lc_result(&b->g, LC_MATMUL, LC_F32, lc_ne(1024, 1, 1, 1), src, inputs + 1);
        lc_expand(&b->g, y);
    }
    for (uint32_t i = 0; i < more; i++) {
        y = lc_result(&b->g, LC_INPLACE, LC_F32, lc_ne(1024, 1, 1, 1), &y, 1);
        lc_expand(&b->g, y);
    }
    return b;
}

static void more_is_copied_than_there_is_room_for(void **state)
{
    (void)state;
    for (uint32_t d = 0; d < LC_MAX_DEVICES; d++)
        assert_int_equal(bench_peak(copied_to_all(8, 0, false), d), 8 * 1024 + 4096);
    /* room for 4 steps for each of 64 tensors: 2 for each of 8 x 15 copies, and 15 or more operations */
    assert_true(bench_holds(copied_to_all(8, 1, false)));
    assert_false(bench_holds(copied_to_all(8, 2, false)));
    /* and for 8 copies of each: in a pipeline 3 of each input at home and 4 on each device; 8 inputs
     * are 504, 9 are 567 */
    assert_true(bench_holds(copied_to_all(8, 0, true)));
    assert_false(bench_holds(copied_to_all(9, 0, true)));
}

static void write_with_a_gap(lc_graph *g, int what)
{
    lc_t x = lc_input(g, LC_F32, lc_ne(256, 1, 1, 1)), none = LC_NONE;

    switch (what) {
    case 0: lc_view(g, none, lc_ne(256, 1, 1, 1)); break;
    case 1: lc_view_bytes(g, none, lc_ne(256, 1, 1, 1), 1024); break;
    case 2: lc_slice(g, none, lc_ne(16, 1, 1, 1)); break;
    case 3: lc_store(g, none, &x, 1); break;
    case 4: lc_store(g, x, &none, 1); break;
    default: lc_output(g, none); break;
    }
}

static void a_graph_with_a_tensor_missing_has_no_peaks(void **state)
{
    (void)state;
    for (int what = 0; what <= 5; what++) {
        bench *b = bench_new(1);
        uint64_t peaks[2];

        write_with_a_gap(&b->g, what);
        for (int later = 0; later <= 5; later++)    /* nothing heals it */
            write_with_a_gap(&b->g, later);
        lc_fuse(&b->g, 0, 0, NULL, 0);
        lc_scratch(&b->g, 0, 1024, 1024);
        lc_expand(&b->g, product(b, 0));
        assert_false(lc_reserve(&b->g, peaks));
        lc_clear(&b->g);                            /* but a new one */
        lc_expand(&b->g, product(b, 0));
        assert_true(lc_reserve(&b->g, peaks));
        assert_int_equal(peaks[0], 1024 + 4096);
        bench_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_in_place_needs_no_room),
        cmocka_unit_test(a_view_in_between_costs_the_place),
        cmocka_unit_test(what_a_device_reads_from_the_host_is_copied),
        cmocka_unit_test(a_large_batch_takes_a_host_weight_along),
        cmocka_unit_test(what_a_fused_operation_reads_outlives_it),
        cmocka_unit_test(operations_of_two_splits_are_not_fused),
        cmocka_unit_test(a_place_is_not_taken_over_by_another_shape),
        cmocka_unit_test(what_lies_elsewhere_is_not_kept),
        cmocka_unit_test(a_layer_begins_where_its_first_operation_runs),
        cmocka_unit_test(a_graph_larger_than_its_room_has_no_peaks),
        cmocka_unit_test(more_is_kept_than_there_is_room_for),
        cmocka_unit_test(more_is_copied_than_there_is_room_for),
        cmocka_unit_test(a_graph_with_a_tensor_missing_has_no_peaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
