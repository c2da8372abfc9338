/* The bindings and the Lua modules when memory ends: Lua's n-th request fails, or the n-th of the
 * core and the readers under them, for every n, once and from then on. A failure is an error with a
 * message, the state answers afterwards as if nothing had been, and closing it gives every byte
 * back. */
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "refuse.h"

#include <lauxlib.h>
#include <lualib.h>

int luaopen_oomph(lua_State *L);

typedef struct {
    size_t left;                /* requests until one fails; 0: none does */
    bool for_good, failed;
    size_t held_bytes;
} account;

static size_t injected;         /* over the whole run, for docs/reliability.md */

static void *counted(void *ctx, void *p, size_t old_bytes, size_t new_bytes)
{
    account *a = ctx;
    void *moved;

    if (!p)
        old_bytes = 0;          /* Lua passes a type code then */
    if (new_bytes == 0) {
        free(p);
        a->held_bytes -= old_bytes;
        return NULL;
    }
    if (new_bytes > old_bytes && a->left > 0 && --a->left == 0) {
        a->left = a->for_good;
        a->failed = true;
        return NULL;
    }
    moved = __real_realloc(p, new_bytes);
    if (!moved)
        abort();                /* the machine's own end is not what is tested */
    a->held_bytes += new_bytes - old_bytes;
    return moved;
}

static int open_module(lua_State *L)
{
    luaL_openlibs(L);
    luaL_requiref(L, "oomph", luaopen_oomph, 1);
    return 0;
}

static int open_protected(lua_State *L)
{
    lua_pushcfunction(L, open_module);
    return lua_pcall(L, 0, 0, 0);
}

/* A chunk that returns true. */
static int run(lua_State *L, const char *code)
{
    int status;

    lua_settop(L, 0);
    status = luaL_loadstring(L, code);
    return status == LUA_OK ? lua_pcall(L, 0, 1, 0) : status;
}

static void holds(lua_State *L, const char *code)
{
    if (run(L, code) != LUA_OK)
        fail_msg("%s: %s", code, lua_tostring(L, -1));
    if (!lua_toboolean(L, -1))
        fail_msg("%s: false", code);
}

static void a_module_that_cannot_be_opened_leaves_nothing(void **unused)
{
    (void)unused;
    for (int for_good = 0; for_good < 2; for_good++)
        for (size_t n = 1;; n++) {
            account a = { .left = n, .for_good = for_good };
            lua_State *L = lua_newstate(counted, &a);
            int status = L ? open_protected(L) : LUA_ERRMEM;

            injected += a.failed;
            if (!a.failed)
                assert_int_equal(status, LUA_OK);
            else if (for_good)
                assert_int_equal(status, LUA_ERRMEM);
            a.left = 0;
            if (L)
                lua_close(L);
            assert_int_equal(a.held_bytes, 0);
            if (!a.failed)
                break;
        }
}

/* Each begins where the one before ended, so that what is loaded on first use is loaded again:
 * the state is new for every line, and fails at every n-th request of it. */
static const char *const lines[] = {
    "return oomph.footprint{model='llama-3.1-8b', device='rtx-4090'}.fp16.bytes == 16060522496",
    "return oomph.memory{model='llama-3.1-8b', device='l4', precision='int8', seq='32Ki'}.kv == 1 << 32",
    "local c = oomph.memory{model={model_type='llama', hidden_size=64, num_hidden_layers=2, "
    "num_attention_heads=4, intermediate_size=128, vocab_size=100}, precision='fp16', engine='ideal'} "
    "return c.weights == 2 * (2 * 100 * 64 + 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64))",
    "return oomph.maxbatch{model='llama-3.1-8b', device='rtx-4090', precision='fp16', seq=8192} == 7",
    "return #oomph.maxcurve{model='llama-3.1-8b', device='rtx-4090'}.series.int8 > 5",
    "return oomph.capacity{model='llama-3.1-8b', device='a100-sxm-80gb', engine='vllm', precision='bf16'}"
    ".kv_tokens > 0",
    "return oomph.inspect('llama-3.1-8b').params == 8030261248",
    "return #oomph.models('llama*').rows > 3",
    "return oomph.sweep{model='llama*', device='rtx-4090', precision={'fp16', 'int4'}, "
    "seq=oomph.powers(1024, 8192)}:count() > 8",
    "return not pcall(oomph.memory, {model='no such model'}) and true",
    "return not pcall(oomph.memory, {bacth=4}) and true",
    "return #oomph.json(oomph.footprint{model='llama-3.1-8b', device='rtx-4090'}) > 100",
    "return tostring(oomph.footprint{model='llama-3.1-8b', device='rtx-4090'}):find('14.96') ~= nil",
    "return oomph.explain(oomph.memory{model='llama-3.1-8b', device='l4', precision='int8'})"
    ":find('8 030 261 248') ~= nil",
};

static void every_call_survives_every_failing_request(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        for (int for_good = 0; for_good < 2; for_good++) {
            account a = { 0 };
            lua_State *L = lua_newstate(counted, &a);

            assert_int_equal(open_protected(L), LUA_OK);
            for (size_t n = 1;; n++) {
                int status;

                a.failed = false;
                a.for_good = for_good;
                a.left = n;
                status = run(L, lines[i]);
                a.left = 0;
                injected += a.failed;
                if (status != LUA_OK && lua_type(L, -1) != LUA_TSTRING)
                    fail_msg("%s: an error without a message", lines[i]);
                if (status != LUA_OK && !strstr(lua_tostring(L, -1), "memory"))
                    fail_msg("%s: request %zu failed, and the message was: %s", lines[i], n,
                             lua_tostring(L, -1));
                if (status == LUA_OK && !lua_toboolean(L, -1))
                    fail_msg("%s: request %zu failed, and the answer was wrong", lines[i], n);
                if (!a.failed) {
                    assert_int_equal(status, LUA_OK);
                    break;
                }
            }
            holds(L, lines[i]);
            holds(L, lines[0]);
            lua_close(L);
            assert_int_equal(a.held_bytes, 0);
        }
}

/* ---- what is not Lua's: arenas, plans, grids, notes -------------------------------------------- */

/* A model that is a table is read anew each time, and so are its plans. */
#define SMALL "local m = {model_type='llama', hidden_size=64, num_hidden_layers=2, vocab_size=100, " \
    "num_attention_heads=4, intermediate_size=128} local d = 'rtx-4090' "

static const char *const anew[] = {
    SMALL "return oomph.memory{model=m, precision='fp16', engine='ideal'}.weights == "
        "2 * (2 * 100 * 64 + 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64))",
    /* what llama.cpp's walks find is remembered: another width each time */
    SMALL "width = (width or 64) + 64 m.hidden_size = width return oomph.memory{model=m, device=d, "
        "precision='q4_0', engine='llama.cpp', seq=512}.fits",
    SMALL "width = (width or 64) + 64 m.hidden_size = width return oomph.maxseq{model=m, device=d, "
        "precision='q4_0', engine='llama.cpp', batch=3} > 9999",
    SMALL "return oomph.maxbatch{model=m, device=d, precision='fp16', engine='vllm', seq=128} > 9",
    SMALL "return oomph.maxseq{model=m, device='l4 + 24GiB', precision='q8_0', batch=2} > 999",
    SMALL "return oomph.capacity{model=m, device=d, precision='bf16', engine='vllm'}.blocks > 9",
    SMALL "return oomph.footprint{model=m, device=d}.fp32.bytes > 0",
    SMALL "return oomph.inspect(m).params == 2 * 100 * 64 + 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64)",
    SMALL "return oomph.sweep{model=m, device={d, 'l4'}, precision={'fp16', 'int4'}, engine='llama.cpp', "
        "seq=oomph.powers(128, 512), batch=oomph.powers(1, 8)}:where{fits=true}:count() == 48",
    SMALL "return #oomph.sweep{model=m, device='rtx-40*', precision='fp16', seq=128}:top(2, 'free'):csv() > 20",
    "return oomph.check(\"load_tensors: CUDA0 model buffer size = 4.50 MiB\\n\\n\").rows[1].measured "
        "== 4718592",
    "return #oomph.json{ {1, 'a'}, x = 2.5 } > 9",
};

static void refuse_in(const char *line, bool for_good, size_t stride)
{
    account a = { 0 };
    lua_State *L = lua_newstate(counted, &a);

    assert_int_equal(open_protected(L), LUA_OK);
    if (stride == 0)                    /* what is loaded on first use is loaded */
        holds(L, line);
    for (size_t n = 1;; n += 1 + (stride ? n / stride : 0)) {
        int status;

        refuse_memory = (refusal){ .left = n, .for_good = for_good };
        status = run(L, line);
        refuse_memory.left = 0;
        injected += refuse_memory.refused > 0;
        if (refuse_memory.refused == 0) {
            assert_int_equal(status, LUA_OK);
            break;
        }
        if (status == LUA_OK ? !lua_toboolean(L, -1) : lua_type(L, -1) != LUA_TSTRING
                                                       || !strstr(lua_tostring(L, -1), "memory"))
            fail_msg("%s: request %zu was refused: %s", line, n, lua_tostring(L, -1));
    }
    holds(L, line);
    lua_close(L);
    assert_int_equal(a.held_bytes, 0);
}

static void every_call_survives_every_refused_request_of_the_core(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof anew / sizeof *anew; i++)
        for (int for_good = 0; for_good < 2; for_good++)
            refuse_in(anew[i], for_good, 0);
    /* all presets are read: some tens of thousands of requests, of which a part is refused */
    for (int for_good = 0; for_good < 2; for_good++)
        refuse_in(lines[1], for_good, 20);
    if (getenv("RELIABILITY"))
        fprintf(stderr, "%zu requests of Lua's and the core's refused\n", injected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_that_cannot_be_opened_leaves_nothing),
        cmocka_unit_test(every_call_survives_every_failing_request),
        cmocka_unit_test(every_call_survives_every_refused_request_of_the_core),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
