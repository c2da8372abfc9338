/* Where the cursor stands in a piece of Lua, and when a block is whole. The cursor is at the end
 * of each text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <lauxlib.h>

#include "context.h"
#include "shell.h"

static context at_end(const char *text)
{
    context c;

    context_read(text, strlen(text), &c);
    return c;
}

static void a_string_knows_the_variable_it_is_for(void **state)
{
    context c = at_end("model = \"llama-3.");

    (void)state;
    assert_int_equal(c.kind, CONTEXT_STRING);
    assert_string_equal(c.key, "model");
    assert_int_equal(c.word_at, 9);
    c = at_end("if precision == 'q4");
    assert_int_equal(c.kind, CONTEXT_STRING);
    assert_string_equal(c.key, "precision");
}

static void a_string_in_braces_knows_the_key_and_the_call(void **state)
{
    context c = at_end("memory{seq=4096, device=\"rtx");

    (void)state;
    assert_int_equal(c.kind, CONTEXT_STRING);
    assert_string_equal(c.key, "device");
    assert_string_equal(c.callee, "memory");
    c = at_end("memory{kv = {k = \"q8");
    assert_string_equal(c.key, "k");
    assert_string_equal(c.outer_key, "kv");
    c = at_end("memory{precision = {\"q8_0\", \"");
    assert_string_equal(c.key, "");
    assert_string_equal(c.outer_key, "precision");
}

static void a_method_of_a_call_s_result_is_a_field_of_no_chain(void **state)
{
    context c = at_end("memory{batch=4}:ma");

    (void)state;
    assert_int_equal(c.kind, CONTEXT_FIELD);
    assert_string_equal(c.chain, "");
    assert_int_equal(c.word_at, 16);
    c = at_end("x = f() .. na");                /* a sign, no member */
    assert_int_equal(c.kind, CONTEXT_NAME);
    c = at_end("sweep{}:where{fi");
    assert_int_equal(c.kind, CONTEXT_KEY);
    assert_string_equal(c.callee, ":where");
    c = at_end("s:top(5, \"to");
    assert_int_equal(c.kind, CONTEXT_STRING);
    assert_string_equal(c.callee, "s:top");
}

static void a_string_alone_belongs_to_the_call_before_it(void **state)
{
    context c = at_end("help \"max");

    (void)state;
    assert_string_equal(c.callee, "help");
    c = at_end("x = models(\"ll");
    assert_string_equal(c.callee, "models");
}

static void a_key_is_asked_for_after_a_brace_or_a_comma(void **state)
{
    static const char *const texts[] = { "memory{", "memory{pre", "memory{ batch = 4, pre", "memory({pre",
                                         "print(memory{batch=4,\n  pre" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        context c = at_end(texts[i]);

        assert_int_equal(c.kind, CONTEXT_KEY);
        assert_string_equal(c.callee, "memory");
    }
    assert_int_equal(at_end("memory{batch = pre").kind, CONTEXT_NAME);
    assert_int_equal(at_end("memory{batch = 4} pre").kind, CONTEXT_NAME);
}

static void a_field_knows_its_chain(void **state)
{
    context c = at_end("x = result.rows.pre");

    (void)state;
    assert_int_equal(c.kind, CONTEXT_FIELD);
    assert_string_equal(c.chain, "result.rows");
    assert_int_equal(c.word_at, 16);
    c = at_end("result:cs");
    assert_int_equal(c.kind, CONTEXT_FIELD);
    assert_string_equal(c.chain, "result");
    assert_int_equal(at_end("a..pre").kind, CONTEXT_NAME);
}

static void comments_numbers_and_long_strings_complete_to_nothing(void **state)
{
    (void)state;
    assert_int_equal(at_end("-- mod").kind, CONTEXT_NONE);
    assert_int_equal(at_end("--[[ a\nmod").kind, CONTEXT_NONE);
    assert_int_equal(at_end("x = [==[ ]] mod").kind, CONTEXT_NONE);
    assert_int_equal(at_end("x = 12").kind, CONTEXT_NONE);
    assert_int_equal(at_end("--[[ a ]] mod").kind, CONTEXT_NAME);
    assert_int_equal(at_end("x = [==[ ]] ]==] mod").kind, CONTEXT_NAME);
}

static void what_is_no_lua_does_no_harm(void **state)
{
    char deep[1000];

    (void)state;
    memset(deep, '{', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    assert_int_equal(at_end(deep).kind, CONTEXT_NAME);      /* deeper than is remembered */
    assert_int_equal(at_end("}}}) = \"\\").kind, CONTEXT_STRING);
    assert_int_equal(at_end("").kind, CONTEXT_NAME);
    assert_int_equal(at_end("\xff\xfe = \"").kind, CONTEXT_STRING);
}

/* ---- blocks ---- */

static chunk_state state_of(const char *text)
{
    lua_State *L = luaL_newstate();
    chunk_kind kind;
    chunk_state state = chunk_compile(L, text, &kind);

    assert_int_equal(lua_gettop(L), state == CHUNK_READY || state == CHUNK_BROKEN);
    lua_close(L);
    return state;
}

static void a_block_is_whole_broken_or_goes_on(void **state)
{
    (void)state;
    assert_int_equal(state_of("1 + 1"), CHUNK_READY);
    assert_int_equal(state_of("= 5"), CHUNK_READY);
    assert_int_equal(state_of("x = 1; x + 1"), CHUNK_READY);
    assert_int_equal(state_of("  "), CHUNK_EMPTY);
    assert_int_equal(state_of("{ 1,"), CHUNK_INCOMPLETE);
    assert_int_equal(state_of("[[ a"), CHUNK_INCOMPLETE);
    assert_int_equal(state_of("for i = 1, 2 do"), CHUNK_INCOMPLETE);
    assert_int_equal(state_of("\"abc"), CHUNK_BROKEN);
    assert_int_equal(state_of("x = = 1"), CHUNK_BROKEN);
    assert_int_equal(state_of("a b"), CHUNK_BROKEN);
}

static int64_t value_of(const char *text)
{
    lua_State *L = luaL_newstate();
    chunk_kind kind;
    int64_t value;

    assert_int_equal(chunk_compile(L, text, &kind), CHUNK_READY);
    assert_int_equal(lua_pcall(L, 0, 1, 0), LUA_OK);
    value = lua_isnil(L, -1) ? -1 : lua_tointeger(L, -1);
    lua_close(L);
    return value;
}

static void the_last_statement_shows_its_value(void **state)
{
    (void)state;
    assert_int_equal(value_of("x = 2; x * 21"), 42);
    assert_int_equal(value_of("local x = 2\nlocal y = 3\nx * y"), 6);
    assert_int_equal(value_of("f = function() return 7 end; f()"), 7);
    /* a call in a loop is not the last statement: the loop goes round */
    assert_int_equal(value_of("n = 0; f = function() n = n + 1 end for i = 1, 3 do f(); f() end return n"), 6);
    /* a bracket after a newline goes on with the call before it, as Lua reads it */
    assert_int_equal(value_of("f = function(a) return function(b) return a + b end end\nx = f(1)\n(2) return x"), 3);
}

static void statements_of_a_paste_run_one_by_one(void **state)
{
    lua_State *L = luaL_newstate();

    (void)state;
    assert_int_equal(chunk_first(L, "a = 1\nb = 2\n"), 6);
    assert_int_equal(chunk_first(L, "a = 1 +\n2\nb = 3"), 10);
    assert_int_equal(chunk_first(L, "a = 1\n  + 2\nb = 3"), 12);
    assert_int_equal(chunk_first(L, "if x then\n\ny()\nend\nz()"), 19);
    assert_int_equal(chunk_first(L, "for i = 1, 2 do\n"), 0);
    assert_int_equal(chunk_first(L, "local a = 1\nb = a"), 17);
    lua_close(L);
}

static void prompts_of_a_transcript_go(void **state)
{
    char text[] = "oomph> for i = 1, 2 do\n  ...>   f(i)\n  ...> end\n12\noomph> g()\n";
    char plain[] = "x = 1\noomph> y";

    (void)state;
    chunk_strip_prompts(text);
    assert_string_equal(text, "for i = 1, 2 do\n  f(i)\nend\ng()\n");
    chunk_strip_prompts(plain);
    assert_string_equal(plain, "x = 1\noomph> y");
}

static void words_ask_for_help_and_leave(void **state)
{
    (void)state;
    assert_string_equal(chunk_word("help"), "help()");
    assert_string_equal(chunk_word(" help maxbatch "), "help(\"maxbatch\")");
    assert_string_equal(chunk_word("?kv"), "help(\"kv\")");
    assert_string_equal(chunk_word("kv?"), "help(\"kv\")");
    assert_string_equal(chunk_word("quit"), "exit()");
    assert_null(chunk_word("help = 5"));
    assert_null(chunk_word("helpless"));
    assert_null(chunk_word("help(\"kv\")"));
    assert_null(chunk_word("quit()"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_knows_the_variable_it_is_for),
        cmocka_unit_test(a_string_in_braces_knows_the_key_and_the_call),
        cmocka_unit_test(a_method_of_a_call_s_result_is_a_field_of_no_chain),
        cmocka_unit_test(a_string_alone_belongs_to_the_call_before_it),
        cmocka_unit_test(a_key_is_asked_for_after_a_brace_or_a_comma),
        cmocka_unit_test(a_field_knows_its_chain),
        cmocka_unit_test(comments_numbers_and_long_strings_complete_to_nothing),
        cmocka_unit_test(what_is_no_lua_does_no_harm),
        cmocka_unit_test(a_block_is_whole_broken_or_goes_on),
        cmocka_unit_test(the_last_statement_shows_its_value),
        cmocka_unit_test(statements_of_a_paste_run_one_by_one),
        cmocka_unit_test(prompts_of_a_transcript_go),
        cmocka_unit_test(words_ask_for_help_and_leave),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
