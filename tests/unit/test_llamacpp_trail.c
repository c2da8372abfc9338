/* Scripts, their runs, the buffer they run in and what is remembered of them, each by itself and with
 * figures by hand: in particular where there is no more room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/llamacpp_memory.h"

/* ---- a buffer -------------------------------------------------------------------------------- */

static void ggml_keeps_no_more_than_256_free_blocks(void **state)
{
    lc_buffer *b = malloc(sizeof *b);

    (void)state;
    assert_non_null(b);
    lc_open_buffer(b);
    for (uint64_t i = 0; i < 2 * LC_MAX_HOLES; i++)
        assert_int_equal(lc_take(b, lc_fixed(128)).now, 128 * i);
    /* every other block given back is a hole; with the open end they are 256 */
    for (uint64_t i = 0; i < LC_MAX_HOLES - 1; i++)
        lc_give(b, lc_fixed(256 * i), lc_fixed(128));
    assert_false(b->full);
    lc_give(b, lc_fixed(256 * (LC_MAX_HOLES - 1)), lc_fixed(128));
    assert_true(b->full);
    assert_int_equal(b->peak.now, 2 * LC_MAX_HOLES * 128);
    free(b);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static void a_size_grows_with_the_cells_of_a_context(void **state)
{
    const lc_sum now = { .of = { [LC_ONE] = 1, [LC_TOKENS] = 512, [LC_MASK] = 512 * 256 } };
    const lc_sum next = { .of = { [LC_ONE] = 1, [LC_TOKENS] = 512, [LC_MASK] = 512 * 512 } };
    lc_amount x = { .of = { [LC_ONE] = 100, [LC_TOKENS] = 8, [LC_MASK] = 2 } };
    lc_size got;

    (void)state;
    assert_true(lc_amount_in(&x, &now, &next, &got));
    assert_int_equal(got.now, 100 + 8 * 512 + 2 * 512 * 256);
    assert_int_equal(got.grows, 2 * 512 * 256);
    x.of[LC_TOKENS] = INT64_MAX / 2;            /* 512 of them pass 2^63, */
    assert_false(lc_amount_in(&x, &now, &next, &got));
    x.of[LC_TOKENS] = INT64_C(1) << 42;         /* or the 2^50 that is worked with, */
    assert_false(lc_amount_in(&x, &now, &next, &got));
    x.of[LC_TOKENS] = -8;                       /* or there would be less than nothing */
    x.of[LC_MASK] = 0;
    assert_false(lc_amount_in(&x, &now, &next, &got));
}

static void a_step_of_more_cells_than_are_worked_with_has_no_measures(void **state)
{
    lc_step step = { .tokens = 512, .sequences = 2, .streams = 2, .cells = 4096 };
    lc_sum sum;

    (void)state;
    assert_true(lc_measure(&step, &sum));
    assert_int_equal(sum.of[LC_TOKENS_EACH], 256);
    assert_int_equal(sum.of[LC_MASK], 512 * 4096);
    assert_int_equal(sum.of[LC_ROWS_OF_CACHE], 2 * 4096);
    step.cells = UINT64_C(1) << 42;             /* times 512 is 2^51 */
    assert_false(lc_measure(&step, &sum));
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Whether a graph of so many operations, each with a size of its own, can be written as a script. */
static bool script_of_sizes(uint32_t n)
{
    oom_arena *arena = oom_arena_new(&oom_libc_alloc, NULL);
    const lc_step step = { .tokens = 4, .sequences = 2, .streams = 2 };
    lc_lesson *same = calloc(n + 1, sizeof *same), *lessons[LC_LESSONS];
    uint64_t bytes = 1 << 20, peak;
    lc_script *room = malloc(bytes);
    lc_graph g;
    lc_t x;
    bool written;

    assert_true(same && room && lc_open(&g, arena, n + 1, &(lc_placement){ 0 }));
    lc_begin_layer(&g);
    x = lc_weight(&g, lc_ne(1, 1, 1, 1), 4, 0);
    for (uint32_t i = 0; i < n; i++) {
        lc_t y = lc_result(&g, LC_OP, LC_F32, lc_ne(8 * (i + 1), 1, 1, 1), &x, 1);

        lc_expand(&g, y);
        same[y].bytes = g.t[y].bytes;
    }
    for (int i = 0; i < LC_LESSONS; i++)
        lessons[i] = same;
    assert_true(lc_reserve(&g, &peak));
    written = lc_write_script(&g, &step, lessons, false, NULL, 0, room, bytes, arena);
    if (written) {
        assert_int_equal(room->n_sizes, n);
        assert_int_equal(room->n_deeds, n);     /* nobody reads the results: each keeps its place */
    }
    free(same);
    free(room);
    oom_arena_free(arena);
    return written;
}

static void a_script_has_at_most_511_sizes(void **state)
{
    (void)state;
    assert_true(script_of_sizes(511));
    assert_false(script_of_sizes(512));
}

/* ---- running --------------------------------------------------------------------------------- */

/* A script written by hand: bytes that grow with the cells, taken and given back. */
typedef struct { lc_script *s; lc_point at; unsigned char *trail; uint64_t trail_bytes; } bench;

static bench bench_new(uint32_t n_sizes, uint32_t n_layers, uint32_t n_deeds, uint32_t n_loops)
{
    bench b = { .s = calloc(1, 1 << 16), .trail_bytes = 1 << 16 };

    b.trail = malloc(b.trail_bytes);
    assert_true(b.s && b.trail);
    *b.s = (lc_script){ .n_sizes = n_sizes, .n_layers = n_layers, .n_deeds = n_deeds,
                        .n_loops = n_loops, .n_buffers = 1 };
    lc_layers(b.s)[n_layers] = n_deeds;
    b.at.key = 7;
    return b;
}

static void bench_free(bench *b)
{
    free(b->s);
    free(b->trail);
}

/* Contexts of so many units of 256 cells. */
static bool run_at(bench *b, uint32_t unit, lc_found *found)
{
    oom_arena *arena = oom_arena_new(&oom_libc_alloc, NULL);
    bool done;

    b->at.unit = unit;
    b->at.now.of[LC_ONE] = b->at.next.of[LC_ONE] = 1;
    b->at.now.of[LC_ROWS_OF_CACHE] = 256 * (int64_t)unit;
    b->at.next.of[LC_ROWS_OF_CACHE] = 256 * ((int64_t)unit + 1);
    done = lc_run_script(b->s, &b->at, (lc_trail){ b->trail, b->trail_bytes }, found, arena);
    oom_arena_free(arena);
    return done;
}

/* Three layers: the first takes what grows by 512 bytes a unit and a fixed 4096; then, three times,
 * one takes 1024 more and gives them back; the last takes 256. */
static bench small_script(void)
{
    bench b = bench_new(4, 3, 5, 1);
    lc_amount *x = lc_amounts(b.s);
    lc_deed *d = lc_deeds(b.s);

    x[0] = (lc_amount){ .of = { [LC_ROWS_OF_CACHE] = 2 }, .align = 128 };
    x[1] = (lc_amount){ .of = { [LC_ONE] = 4096 }, .align = 128 };
    x[2] = (lc_amount){ .of = { [LC_ONE] = 1024 }, .align = 128 };
    x[3] = (lc_amount){ .of = { [LC_ONE] = 256 }, .align = 128 };
    lc_layers(b.s)[0] = 0;
    lc_layers(b.s)[1] = 2;
    lc_layers(b.s)[2] = 4;
    lc_loops(b.s)[0] = (lc_loop){ .begin = 1, .end = 2, .times = 3 };
    b.s->n_slots = 3;
    d[0] = (lc_deed){ LC_TAKE, 0, 0, 0, 0 };
    d[1] = (lc_deed){ LC_TAKE, 0, 1, 1, 1 };
    d[2] = (lc_deed){ LC_TAKE, 0, 2, 2, 2 };
    d[3] = (lc_deed){ LC_GIVE, 0, 2, 2, 2 };
    d[4] = (lc_deed){ LC_TAKE, 0, 2, 3, 3 };
    return b;
}

static void a_run_finds_the_peak_and_how_it_grows(void **state)
{
    bench b = small_script();
    lc_found found;

    (void)state;
    lc_forget_trail((lc_trail){ b.trail, b.trail_bytes });
    for (uint32_t unit = 1; unit <= 40; unit += 13) {
        assert_true(run_at(&b, unit, &found));
        assert_int_equal(found.peak.now, 512 * unit + 4096 + 1024);
        assert_int_equal(found.peak.grows, 512);
    }
    bench_free(&b);
}

/* Wherever a trail ends for want of room: in a node, in an edge, before the first of either. */
static void a_trail_that_is_lost_is_played_again(void **state)
{
    bench b = small_script();
    lc_found found;

    (void)state;
    for (b.trail_bytes = 1024; b.trail_bytes < 1536; b.trail_bytes += 8) {
        lc_forget_trail((lc_trail){ b.trail, b.trail_bytes });
        for (b.at.key = 1; b.at.key < 40; b.at.key++)
            for (uint32_t unit = 1; unit < 4; unit++) {
                assert_true(run_at(&b, unit, &found));
                assert_int_equal(found.peak.now, 512 * unit + 4096 + 1024);
            }
    }
    bench_free(&b);
}

static void sizes_past_all_that_is_worked_with_end_a_run(void **state)
{
    bench b = small_script();
    lc_found found;

    (void)state;
    lc_forget_trail((lc_trail){ b.trail, b.trail_bytes });
    lc_amounts(b.s)[0].of[LC_ROWS_OF_CACHE] = INT64_C(1) << 40;
    assert_false(run_at(&b, 8, &found));        /* 2^40 x 2048 */
    assert_true(run_at(&b, 2, &found));         /* 2^40 x 512 */
    assert_int_equal(found.peak.now, (INT64_C(1) << 49) + 4096 + 1024);
    bench_free(&b);
}

/* 513 blocks taken, every other one given back: in the only layer, or in one that repeats. */
static void a_full_buffer_ends_a_run(void **state)
{
    (void)state;
    for (uint32_t loops = 0; loops <= 1; loops++) {
        const uint32_t taken = 2 * LC_MAX_HOLES + 1, given = LC_MAX_HOLES;
        bench b = bench_new(1, 1, taken + given, loops);
        lc_deed *d = lc_deeds(b.s);
        lc_found found;

        lc_amounts(b.s)[0] = (lc_amount){ .of = { [LC_ONE] = 128 }, .align = 128 };
        lc_layers(b.s)[0] = 0;
        if (loops)
            lc_loops(b.s)[0] = (lc_loop){ .begin = 0, .end = 1, .times = 2 };
        b.s->n_slots = taken;
        for (uint32_t i = 0; i < taken; i++)
            d[i] = (lc_deed){ LC_TAKE, 0, (uint16_t)i, 0, 0 };
        for (uint32_t i = 0; i < given; i++)
            d[taken + i] = (lc_deed){ LC_GIVE, 0, (uint16_t)(2 * i), 0, 0 };
        lc_forget_trail((lc_trail){ b.trail, b.trail_bytes });
        assert_false(run_at(&b, 1, &found));
        bench_free(&b);
    }
}

/* ---- remembering ----------------------------------------------------------------------------- */

static void a_line_is_found_within_its_contexts_whatever_the_room(void **state)
{
    (void)state;
    for (uint64_t n = 1 << 14; n <= 1 << 18; n *= 4) {
        lc_memory m = { calloc(1, n), n };
        const lc_line *found;

        assert_non_null(m.bytes);
        for (uint32_t i = 1; i < 2000; i++) {
            lc_line x = { .key = i << 8, .first = i, .last = i + i % 200, .at = i, .grows = 3 * i };

            lc_keep_line(m, &x, i);
            found = lc_find_line(m, i << 8, i + i % 200);
            assert_non_null(found);
            assert_int_equal(found->grows, 3 * i);
            assert_null(lc_find_line(m, i << 8, i + 200));
            assert_null(lc_find_line(m, i << 8, i - 1));
        }
        free(m.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ggml_keeps_no_more_than_256_free_blocks),
        cmocka_unit_test(a_size_grows_with_the_cells_of_a_context),
        cmocka_unit_test(a_step_of_more_cells_than_are_worked_with_has_no_measures),
        cmocka_unit_test(a_script_has_at_most_511_sizes),
        cmocka_unit_test(a_run_finds_the_peak_and_how_it_grows),
        cmocka_unit_test(a_trail_that_is_lost_is_played_again),
        cmocka_unit_test(sizes_past_all_that_is_worked_with_end_a_run),
        cmocka_unit_test(a_full_buffer_ends_a_run),
        cmocka_unit_test(a_line_is_found_within_its_contexts_whatever_the_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
