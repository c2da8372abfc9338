/* GGUF headers: against what llama.cpp measured on the same headers (tests/truth), and against
 * files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "failing.h"
#include "gguf_writer.h"
#include "read.h"

/* ---- the measured models as files ------------------------------------------------------------ */

enum { MOST_MODELS = 64 };

static struct { char id[64]; oom_model *m; } models[MOST_MODELS];
static size_t n_models;

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    size_t cap = 4u << 20;
    char *text = malloc(cap);

    assert_non_null(f);
    assert_non_null(text);
    *n = fread(text, 1, cap - 1, f);
    text[*n] = '\0';
    fclose(f);
    return text;
}

/* Hyper-parameters in llama.cpp's words. */
static const struct { const char *ours, *key; } words[] = {
    { "ctx", "context_length" },            { "embd", "embedding_length" },
    { "vocab", "vocab_size" },              { "ff", "feed_forward_length" },
    { "heads", "attention.head_count" },    { "kv", "attention.head_count_kv" },
    { "hd", "attention.key_length" },       { "swa", "attention.sliding_window" },
    { "experts", "expert_count" },          { "used", "expert_used_count" },
    { "moeff", "expert_feed_forward_length" }, { "nextn", "nextn_predict_layers" },
    { "d_inner", "ssm.inner_size" },        { "d_state", "ssm.state_size" },
    { "dt_rank", "ssm.time_step_rank" },    { "groups", "ssm.group_count" },
};

static void put_value(gguf_writer *w, const char *arch, const char *key, const oom_value *v)
{
    uint32_t items[512];
    char name[128];

    snprintf(name, sizeof name, "%s.%s", arch, key);
    if (v->kind == OOM_INT)
        gguf_u32(w, name, (uint32_t)v->u.i);
    if (v->kind != OOM_LIST)
        return;
    for (size_t i = 0; i < v->u.list.n; i++)
        items[i] = v->u.list.items[i].kind == OOM_BOOL ? v->u.list.items[i].u.truth
                                                       : (uint32_t)v->u.list.items[i].u.i;
    gguf_list(w, name, items, v->u.list.n);
}

static void put_keys(gguf_writer *w, const oom_value *record)
{
    const char *arch = oom_value_get(record, "arch")->u.text;
    const oom_value *hyper = oom_value_get(record, "hyper_parameters"), *v, *extra;
    oom_value blocks = { .kind = OOM_INT }, conv = { .kind = OOM_INT, .u.i = 4 };
    oom_value l_cache = { .kind = OOM_INT, .u.i = 3 };

    gguf_str(w, "general.architecture", arch);
    blocks.u.i = oom_value_get(hyper, "layers")->u.i;
    if ((v = oom_value_get(hyper, "nextn")))
        blocks.u.i += v->u.i;
    put_value(w, arch, "block_count", &blocks);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((v = oom_value_get(hyper, words[i].ours)))
            put_value(w, arch, words[i].key, v);
    if (oom_value_get(hyper, "hd"))
        put_value(w, arch, "attention.value_length",
                  oom_value_get(hyper, oom_value_get(hyper, "hdv") ? "hdv" : "hd"));
    if ((v = oom_value_get(hyper, "rope")))
        put_value(w, arch, "rope.dimension_count", v);
    if (oom_value_get(hyper, "d_inner"))
        put_value(w, arch, "ssm.conv_kernel", &conv);
    if (strncmp(arch, "lfm2", 4) == 0)
        put_value(w, arch, "shortconv.l_cache", &l_cache);
    extra = oom_value_get(hyper, "extra");
    for (size_t i = 0; extra && i < extra->u.map.n; i++)
        put_value(w, arch, extra->u.map.members[i].key, extra->u.map.members[i].value);
}

/* What an f16 file keeps in f32. */
static bool stays_f32(const char *name, uint32_t n_dims)
{
    static const char *const parts[] = { "_norm",           "ffn_gate_inp.", "ssm_conv1d",
                                         "shortconv.conv.", ".bias",         "altup_correct",
                                         "altup_predict",   "altup_router" };

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i]))
            return true;
    return n_dims == 1 || strcmp(name, "ssm_a") == 0 || strcmp(name, "ssm_d") == 0;
}

static void put_tensor_line(gguf_writer *w, const char *layers, const char *stem, const char *shape)
{
    uint64_t slow[4], dims[4], n = 1;
    uint32_t n_dims = 0;
    char name[160];

    for (const char *s = shape; s; s = strchr(s, 'x') ? strchr(s, 'x') + 1 : NULL)
        n *= slow[n_dims++] = strtoull(s, NULL, 10);
    for (uint32_t i = 0; i < n_dims; i++)
        dims[i] = slow[n_dims - 1 - i];
    for (const char *r = layers; r; r = strchr(r, ',') ? strchr(r, ',') + 1 : NULL) {
        char *end;
        long first = *r == '-' ? -1 : strtol(r, &end, 10), last = first;

        if (*r != '-' && *end == '-')
            last = strtol(end + 1, NULL, 10);
        for (long i = first; i <= last; i++) {
            bool f32 = stays_f32(stem, n_dims);

            if (i >= 0)
                snprintf(name, sizeof name, "blk.%ld.%s", i, stem);
            else
                snprintf(name, sizeof name, "%s", stem);
            gguf_put_tensor(w, name, n_dims, dims, f32 ? 0 : 1, n * (f32 ? 4 : 2));
        }
    }
}

static void put_tensors(gguf_writer *w, const char *headers, const char *id)
{
    char line[512], wanted[96], layers[256], stem[128], shape[128];
    bool here = false;

    snprintf(wanted, sizeof wanted, "model %s ", id);
    for (const char *s = headers; *s;) {
        size_t n = strcspn(s, "\n");

        snprintf(line, sizeof line, "%.*s", (int)n, s);
        s += n + (s[n] == '\n');
        if (strncmp(line, "model ", 6) == 0)
            here = strncmp(line, wanted, strlen(wanted)) == 0;
        else if (here && sscanf(line, "%255s %127s %127s", layers, stem, shape) == 3)
            put_tensor_line(w, layers, stem, shape);
    }
}

static int read_measured(void **state)
{
    oom_arena *arena = oom_arena_new(&oom_libc_alloc, NULL);
    const oom_value *list = NULL;
    size_t n, n_headers;
    char *text = slurp("tests/truth/llamacpp_models.json", &n);
    char *headers = slurp("tests/truth/llamacpp_headers.txt", &n_headers);

    (void)state;
    assert_int_equal(read_json(arena, "models", text, n, &list, NULL), OOM_OK);
    for (size_t i = 0; i < list->u.list.n; i++) {
        const oom_value *record = &list->u.list.items[i];
        /* old and new containers take turns */
        gguf_writer w = gguf_begin((uint32_t)(1 + i % 3), i % 2);
        oom_error err = { 0 };
        uint64_t bytes;

        assert_true(n_models < MOST_MODELS);
        snprintf(models[n_models].id, sizeof models->id, "%s", oom_value_get(record, "id")->u.text);
        put_keys(&w, record);
        gguf_words(&w, "tokenizer.ggml.tokens", 1000);
        put_tensors(&w, headers, models[n_models].id);
        bytes = gguf_end(&w);
        models[n_models].m = oom_model_new(&oom_libc_alloc, NULL);
        /* the data is not there: whoever touched it would fall over */
        if (read_gguf(models[n_models].m, models[n_models].id, w.bytes, bytes, &err) != OOM_OK)
            fail_msg("%s", err.msg);
        n_models++;
        free(w.bytes);
    }
    free(text);
    free(headers);
    oom_arena_free(arena);
    return 0;
}

static int free_measured(void **state)
{
    (void)state;
    while (n_models)
        oom_model_free(models[--n_models].m);
    return 0;
}

static const oom_model *measured(const char *id)
{
    for (size_t i = 0; i < n_models; i++)
        if (strcmp(models[i].id, id) == 0)
            return models[i].m;
    return NULL;
}

/* ---- what was measured ----------------------------------------------------------------------- */

static void the_tensors_of_an_f16_file_add_up(void **state)
{
    size_t n, checked = 0;
    char *text = slurp("tests/truth/llamacpp_weights.csv", &n), id[64], recipe[32];
    unsigned long long expected;

    (void)state;
    for (char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const oom_model *m;
        uint64_t sum = 0;

        if (sscanf(line, "%63[^,],%31[^,],%llu", id, recipe, &expected) != 3 ||
            strcmp(recipe, "f16") != 0 || !(m = measured(id)))
            continue;
        for (size_t i = 0; i < m->n_tensors; i++) {
            sum += m->tensors[i].stored_bytes;
            if (m->tensors[i].role == OOM_ROLE_OTHER)
                fail_msg("%s: %s has no role", id, m->tensors[i].name);
        }
        if (sum != expected)
            fail_msg("%s: %llu bytes, measured %llu", id, (unsigned long long)sum, expected);
        checked++;
    }
    free(text);
    assert_true(checked >= 40);
}

/* llama.cpp's cells: n_ctx padded to 256 and shared out over the sequences, windows hold a window
 * and a micro-batch, states are fp32; CUDA pads the last row of a quantised tensor to 512
 * elements and every tensor to 128 bytes. */
typedef struct {
    char backend[8], k[16], v[16];
    unsigned n_ctx, n_seq, n_batch, n_ubatch, flash, swa_full, unified;
} setting;

static uint64_t pad(uint64_t x, uint64_t n) { return (x + n - 1) / n * n; }

static uint64_t cache_bytes(const setting *s, const char *type, uint64_t width, uint64_t cells)
{
    const oom_format *f = oom_format_find(type);
    uint64_t row = 0, rest = 0;

    oom_format_row_bytes(f, width, &row, NULL);
    if (strcmp(s->backend, "cuda") != 0)
        return row * cells;
    if (f->block > 1 && width % 512)
        oom_format_row_bytes(f, 512 - width % 512, &rest, NULL);
    return pad(row * cells + rest, 128);
}

static uint64_t context_bytes(const oom_model *m, const setting *s)
{
    uint64_t ctx = pad(s->n_ctx, 256), streams = s->unified ? 1 : s->n_seq, v_max = 0, sum = 0;
    uint64_t cells = s->unified ? ctx : pad(ctx / s->n_seq, 256);

    for (size_t i = 0; i < m->n_caches; i++)
        v_max = m->caches[i].v_width > v_max ? m->caches[i].v_width : v_max;
    for (size_t i = 0; i < m->n_caches; i++) {
        const oom_cache *c = &m->caches[i];
        uint64_t n = cells, batch = s->n_ubatch < s->n_batch ? s->n_ubatch : s->n_batch;
        uint64_t window = c->window * (s->unified ? s->n_seq : 1) + batch;

        if (c->kind == OOM_CACHE_STATE) {
            sum += 4 *
                   ((c->conv_kernel ? c->conv_kernel - 1 : 0) * c->conv_width + c->state_elements) *
                   s->n_seq;
            continue;
        }
        if (c->window && !s->swa_full)
            n = pad(window < cells ? window : cells, 256);
        sum += cache_bytes(s, s->k, c->k_width, n * streams);
        if (c->v_width)
            sum += cache_bytes(s, s->v, s->flash ? c->v_width : v_max, n * streams);
    }
    return sum;
}

/* Rows of one setting follow each other, one for each buffer. */
static void caches_and_states_take_what_was_measured(void **state)
{
    size_t n, checked = 0, wrong = 0;
    char *text = slurp("tests/truth/llamacpp_context.csv", &n), id[64], last[64] = "";
    char key[256], last_key[256] = "", buffers[256] = "";
    setting s = { 0 }, now;
    unsigned long long sum = 0, bytes;

    (void)state;
    for (char *line = strchr(text, '\n') + 1; line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        char buffer[72], fields[20][64] = { "" };
        int field = 0;

        for (char *p = line; *p && *p != '\n' && field < 20; field++) {
            size_t len = strcspn(p, ",\n");

            snprintf(fields[field], sizeof fields[field], "%.*s", (int)len, p);
            p += len + (p[len] == ',');
        }
        snprintf(key, sizeof key, "%.*s", (int)(strcspn(line, "\n")), line);
        for (int commas = 0, i = 0; key[i]; i++)
            if (key[i] == ',' && ++commas == 15)
                key[i] = '\0';
        snprintf(buffer, sizeof buffer, "|%s|", fields[16]);
        if (strcmp(key, last_key) != 0 || strstr(buffers, buffer)) {
            const oom_model *m = measured(last);

            if (m) {
                checked++;
                wrong += context_bytes(m, &s) != sum;
                if (context_bytes(m, &s) != sum && wrong < 4)
                    print_message("%s: %llu, measured %llu\n", last_key,
                                  (unsigned long long)context_bytes(m, &s), sum);
            }
            sum = 0;
            buffers[0] = '\0';
        }
        if (field < 19)
            break;
        strcat(buffers, buffer);
        now = (setting){ .n_ctx = (unsigned)atoi(fields[3]),
                         .n_seq = (unsigned)atoi(fields[4]),
                         .n_batch = (unsigned)atoi(fields[5]),
                         .n_ubatch = (unsigned)atoi(fields[6]),
                         .flash = (unsigned)atoi(fields[7]),
                         .swa_full = (unsigned)atoi(fields[10]),
                         .unified = (unsigned)atoi(fields[11]) };
        snprintf(now.backend, sizeof now.backend, "%.7s", fields[2]);
        snprintf(now.k, sizeof now.k, "%.15s", fields[8]);
        snprintf(now.v, sizeof now.v, "%.15s", fields[9]);
        s = now;
        bytes = strtoull(fields[18], NULL, 10);
        sum += bytes;
        snprintf(id, sizeof id, "%s", fields[0]);
        strcpy(last, id);
        strcpy(last_key, key);
    }
    free(text);
    assert_int_equal(wrong, 0);
    assert_true(checked > 7000);
}

static void the_shape_comes_from_the_keys_and_the_tensors(void **state)
{
    const oom_model *m = measured("deepseek-v3");
    oom_param_counts counts;

    (void)state;
    assert_string_equal(m->family, "gguf:deepseek2");
    assert_string_equal(m->ggml_arch, "deepseek2");
    assert_string_equal(m->attention, "mla");
    assert_true(m->is_gguf && m->from_file);
    assert_int_equal(m->shape.n_layers, 61);
    assert_int_equal(m->shape.heads, 128);
    assert_int_equal(m->shape.head_dim, 192);
    assert_int_equal(m->shape.v_head_dim, 128);
    assert_int_equal(m->shape.kv_lora_rank, 512);
    assert_int_equal(m->shape.experts, 256);
    assert_int_equal(m->shape.experts_used, 8);
    assert_int_equal(m->shape.expert_width, 2048);
    assert_int_equal(m->shape.shared_width, 2048);
    assert_int_equal(m->shape.vocab_size, 129280);
    assert_int_equal(m->caches[0].k_width, 576);
    /* GLM-4.5-Air: the MTP block is there, apart, and has no cache */
    m = measured("glm-4.5-air");
    assert_int_equal(m->shape.n_layers, 46);
    assert_int_equal(m->shape.n_mtp_layers, 1);
    assert_int_equal(m->n_caches, 46);
    assert_int_equal(oom_model_count(m, &counts, NULL), OOM_OK);
    assert_true(counts.mtp > 0);
    assert_true(measured("llama-3.2-1b")->shape.tied);
    assert_false(measured("llama-3.1-8b")->shape.tied);
}

/* ---- small files of our own ------------------------------------------------------------------ */

static gguf_writer small(void)
{
    gguf_writer w = gguf_begin(3, 0);
    uint64_t dims[] = { 64, 32 };

    gguf_str(&w, "general.architecture", "llama");
    gguf_u32(&w, "llama.block_count", 1);
    gguf_u32(&w, "llama.embedding_length", 64);
    gguf_u32(&w, "llama.attention.head_count", 4);
    gguf_u32(&w, "llama.attention.head_count_kv", 2);
    gguf_put_tensor(&w, "token_embd.weight", 2, dims, 1, 4096);
    gguf_put_tensor(&w, "blk.0.attn_k.weight", 2, dims, 1, 4096);
    return w;
}

/* Ending a file may move it: before its place is taken. */
static oom_status read_written(oom_model *m, const char *name, gguf_writer *w, oom_error *err)
{
    uint64_t bytes = gguf_end(w);

    return read_gguf(m, name, w->bytes, bytes, err);
}

static oom_status status_of(gguf_writer *w, uint64_t bytes, oom_error *err)
{
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_status status = read_gguf(m, "x.gguf", w->bytes, bytes, err);

    oom_model_free(m);
    return status;
}

static void says(gguf_writer w, const char *message)
{
    uint64_t bytes = gguf_end(&w);
    oom_error err = { 0 };

    assert_int_equal(status_of(&w, bytes, &err), OOM_BADFILE);
    assert_string_equal(err.msg, message);
    free(w.bytes);
}

static void every_type_has_its_size(void **state)
{
    (void)state;
    for (size_t i = 0; oom_format_at(i); i++) {
        const oom_format *f = oom_format_at(i);
        gguf_writer w = small();
        uint64_t dims[] = { f->block, 3 };
        oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
        uint32_t type = f->ggml_id >= 0 ? (uint32_t)f->ggml_id : 99;

        gguf_put_tensor(&w, "blk.0.ffn_up.weight", 2, dims, type, 3 * f->block_bytes);
        assert_int_equal(read_written(m, "x", &w, NULL),
                         f->ggml_id >= 0 ? OOM_OK : OOM_BADFILE);
        if (f->ggml_id >= 0) {
            assert_int_equal(m->tensors[2].stored_bytes, 3 * f->block_bytes);
            assert_ptr_equal(m->tensors[2].stored, f);
        }
        oom_model_free(m);
        free(w.bytes);
    }
}

/* What no measured header has: counted by hand from llama-hparams.cpp, n_embd_r and n_embd_s. */
static void states_of_other_kinds_follow_their_keys(void **state)
{
    static const struct {
        const char *arch, *key; uint32_t value; const char *tensor;
        uint64_t convolution, recurrence;
    } kinds[] = {
        /* 4 heads of 16: 3 (q, k, v) x 3 rows x 64, and a square of 16 per head */
        { "kimi-linear", "kda.head_dim", 16, "blk.0.ssm_conv1d_q.weight", 3 * 3 * 64, 4 * 16 * 16 },
        /* two shifts of the row, and 64 x head size */
        { "rwkv7", "wkv.head_size", 16, "blk.0.time_mix_key.weight", 2 * 64, 64 * 16 },
        { "lfm2", "shortconv.l_cache", 3, "blk.0.shortconv.conv.weight", 2 * 64, 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        gguf_writer w = gguf_begin(3, 0);
        oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
        uint64_t dims[] = { 64 };
        const oom_cache *c;
        oom_error err = { 0 };
        char key[64];

        gguf_str(&w, "general.architecture", kinds[i].arch);
        snprintf(key, sizeof key, "%s.block_count", kinds[i].arch);
        gguf_u32(&w, key, 1);
        snprintf(key, sizeof key, "%s.embedding_length", kinds[i].arch);
        gguf_u32(&w, key, 64);
        snprintf(key, sizeof key, "%s.attention.head_count", kinds[i].arch);
        gguf_u32(&w, key, 4);
        snprintf(key, sizeof key, "%s.attention.head_count_kv", kinds[i].arch);
        gguf_u32(&w, key, 0);
        snprintf(key, sizeof key, "%s.%s", kinds[i].arch, kinds[i].key);
        gguf_u32(&w, key, kinds[i].value);
        gguf_put_tensor(&w, kinds[i].tensor, 1, dims, 0, 256);
        gguf_put_tensor(&w, "blk.0.attn_k.weight", 1, dims, 0, 256);
        if (read_written(m, "x", &w, &err) != OOM_OK)
            fail_msg("%s", err.msg);
        assert_int_equal(m->n_caches, 1);
        c = m->caches;
        assert_int_equal(c->kind, OOM_CACHE_STATE);
        assert_int_equal((c->conv_kernel - 1) * c->conv_width, kinds[i].convolution);
        assert_int_equal(c->state_elements, kinds[i].recurrence);
        assert_int_equal(c->state_bytes_each, 4);
        oom_model_free(m);
        free(w.bytes);
    }
}

/* One layer of Mamba: a row of 128, 4 taps, a state of 16 a channel, in fp32: (3 + 16) x 128 x 4
 * bytes. Without ssm_a nothing works on that state; it is kept all the same. */
static void a_state_that_nothing_works_on_is_counted(void **state)
{
    gguf_writer w = gguf_begin(3, 0);
    uint64_t dims[] = { 64, 100 };
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_plan *p = malloc(oom_plan_bytes());
    oom_precision stored;
    oom_options none = { .gpu_layers = -1 };
    oom_load load = { .batch = 1, .seq = 512 };
    oom_memory memory;

    (void)state;
    assert_non_null(p);
    gguf_str(&w, "general.architecture", "mamba");
    gguf_u32(&w, "mamba.block_count", 1);
    gguf_u32(&w, "mamba.embedding_length", 64);
    gguf_u32(&w, "mamba.ssm.conv_kernel", 4);
    gguf_u32(&w, "mamba.ssm.inner_size", 128);
    gguf_u32(&w, "mamba.ssm.state_size", 16);
    gguf_u32(&w, "mamba.ssm.time_step_rank", 4);
    gguf_put_tensor(&w, "token_embd.weight", 2, dims, 0, 25600);
    gguf_put_tensor(&w, "output_norm.weight", 1, dims, 0, 256);
    gguf_put_tensor(&w, "blk.0.attn_norm.weight", 1, dims, 0, 256);
    gguf_put_tensor(&w, "blk.0.ssm_conv1d.weight", 2, (uint64_t[]){ 4, 128 }, 0, 2048);
    assert_int_equal(read_written(m, "x", &w, NULL), OOM_OK);
    assert_int_equal(oom_precision_parse("stored", &stored, NULL), OOM_OK);
    assert_int_equal(oom_plan_make(p, m, &stored, NULL, oom_engine_find("llama.cpp"), &none, NULL),
                     OOM_OK);
    assert_int_equal(oom_plan_memory(p, &load, &memory, NULL, NULL), OOM_OK);
    assert_int_equal(memory.device.state + memory.host.state, 19 * 128 * 4);
    free(p);
    oom_model_free(m);
    free(w.bytes);
}

static void names_say_what_a_tensor_is(void **state)
{
    static const struct {
        const char *name;
        int layer;
        oom_role role;
        oom_suffix suffix;
        oom_part part;
    } known[] = {
        { "blk.0.attn_q.weight", 0, OOM_ROLE_ATTN_Q, OOM_WEIGHT, OOM_PART_TEXT },
        { "blk.0.ssm_a", 0, OOM_ROLE_SSM_A, OOM_BARE, OOM_PART_TEXT },
        { "blk.0.exp_probs_b.bias", 0, OOM_ROLE_ROUTER_BIAS, OOM_BIAS, OOM_PART_TEXT },
        { "blk.0.ffn_gate.3.weight", 0, OOM_ROLE_EXP_GATE, OOM_WEIGHT, OOM_PART_TEXT },
        { "blk.0.time_mix_lerp_w.weight", 0, OOM_ROLE_TIME_MIX, OOM_WEIGHT, OOM_PART_TEXT },
        { "blk.0.time_mix_key.weight", 0, OOM_ROLE_TIME_MIX_KEY, OOM_WEIGHT, OOM_PART_TEXT },
        { "blk.0.indexer.attn_k.weight", 0, OOM_ROLE_INDEXER_K, OOM_WEIGHT, OOM_PART_TEXT },
        { "enc.blk.0.attn_q.weight", 0, OOM_ROLE_ATTN_Q, OOM_WEIGHT, OOM_PART_TEXT },
        { "v.blk.7.attn_q.weight", 7, OOM_ROLE_TOWER, OOM_WEIGHT, OOM_PART_VISION },
        { "v.patch_embd.weight", -1, OOM_ROLE_PATCH_EMBED, OOM_WEIGHT, OOM_PART_VISION },
        { "v.post_ln.bias", -1, OOM_ROLE_TOWER_NORM, OOM_BIAS, OOM_PART_VISION },
        { "mm.0.weight", -1, OOM_ROLE_PROJECTOR, OOM_WEIGHT, OOM_PART_VISION },
        { "a.blk.2.ffn_up.weight", 2, OOM_ROLE_TOWER, OOM_WEIGHT, OOM_PART_AUDIO },
        { "something.new", -1, OOM_ROLE_OTHER, OOM_BARE, OOM_PART_TEXT },
    };
    uint64_t dims[] = { 8 };
    gguf_writer w = small();
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        gguf_put_tensor(&w, known[i].name, 1, dims, 0, 32);
    assert_int_equal(read_written(m, "x", &w, NULL), OOM_OK);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const oom_tensor *t = &m->tensors[i + 2];

        assert_string_equal(t->name, known[i].name);
        assert_int_equal(t->layer, known[i].layer);
        assert_int_equal(t->role, known[i].role);
        assert_int_equal(t->suffix, known[i].suffix);
        assert_int_equal(t->part, known[i].part);
    }
    oom_model_free(m);
    free(w.bytes);
}

static void a_projector_joins_its_model(void **state)
{
    gguf_writer text = small(), tower = gguf_begin(3, 0);
    uint64_t dims[] = { 16, 16 };
    oom_model *m = oom_model_new(&oom_libc_alloc, NULL);
    oom_param_counts counts;
    oom_error err = { 0 };

    (void)state;
    gguf_str(&tower, "general.architecture", "clip");
    gguf_put_tensor(&tower, "v.blk.0.attn_q.weight", 2, dims, 1, 512);
    gguf_put_tensor(&tower, "mm.0.weight", 2, dims, 1, 512);
    assert_int_equal(read_written(m, "x", &text, NULL), OOM_OK);
    assert_int_equal(read_written(m, "mmproj", &tower, NULL), OOM_OK);
    assert_int_equal(oom_model_count(m, &counts, NULL), OOM_OK);
    assert_int_equal(counts.vision, 512);
    assert_int_equal(counts.loaded, 2 * 64 * 32 + 512);
    assert_int_equal(m->shape.n_layers, 1);
    assert_int_equal(read_written(m, "x.gguf", &text, &err), OOM_BADFILE);
    assert_string_equal(err.msg, "x.gguf: a model of its own, expected a projector (mmproj)");
    oom_model_free(m);
    free(text.bytes);
    free(tower.bytes);
}

static gguf_writer part(unsigned no, unsigned count)
{
    gguf_writer w = no == 0 ? small() : gguf_begin(3, 0);
    uint64_t dims[] = { 64 };
    char name[64];

    gguf_u32(&w, "split.no", no);
    gguf_u32(&w, "split.count", count);
    snprintf(name, sizeof name, "blk.0.ffn_up.%u.weight", no);
    gguf_put_tensor(&w, name, 1, dims, 0, 256);
    return w;
}

static void a_split_model_is_read_from_any_of_its_files(void **state)
{
    char dir[] = "/tmp/oomph-test-XXXXXX", path[128], command[160];
    oom_error err = { 0 };
    oom_model *m = NULL;

    (void)state;
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 3; i++) {
        gguf_writer w = part(i, 3);
        uint64_t bytes = gguf_end(&w);
        FILE *f;

        snprintf(path, sizeof path, "%s/m-%05u-of-00003.gguf", dir, i + 1);
        f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(w.bytes, 1, w.n, f);
        fclose(f);
        assert_int_equal(truncate(path, (off_t)bytes), 0);
        free(w.bytes);
    }
    snprintf(path, sizeof path, "%s/m-00002-of-00003.gguf", dir);
    if (read_model(NULL, path, &oom_libc_alloc, &m, &err) != OOM_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(m->n_tensors, 5);
    assert_string_equal(m->id, "m-00002-of-00003.gguf");
    oom_model_free(m);
    /* the third is the second again */
    snprintf(command, sizeof command, "cd %s && ln -sf m-00002-of-00003.gguf m-00003-of-00003.gguf",
             dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(read_model(NULL, path, &oom_libc_alloc, &m, &err), OOM_BADFILE);
    assert_non_null(strstr(err.msg, "says it is part 2, expected part 3"));
    snprintf(command, sizeof command, "rm -rf %s/m-00003*", dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(read_model(NULL, path, &oom_libc_alloc, &m, &err), OOM_NOTFOUND);
    assert_non_null(strstr(err.msg, "m-00003-of-00003.gguf: No such file or directory"));
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

static const char *id_at(const char *folder, const char *name)
{
    static char id[128];
    char path[256], command[300];
    gguf_writer w = small();
    oom_model *m = NULL;
    uint64_t bytes;
    FILE *f;

    gguf_str(&w, "general.name", "Own Name");
    bytes = gguf_end(&w);
    snprintf(command, sizeof command, "mkdir -p %s", folder);
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(w.bytes, 1, w.n, f);
    fclose(f);
    assert_int_equal(truncate(path, (off_t)bytes), 0);
    assert_int_equal(read_model(NULL, path, &oom_libc_alloc, &m, NULL), OOM_OK);
    snprintf(id, sizeof id, "%s", m->id);
    oom_model_free(m);
    free(w.bytes);
    return id;
}

static void a_model_is_called_by_what_people_know_it_as(void **state)
{
    char dir[] = "/tmp/oomph-test-XXXXXX", folder[128], command[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_string_equal(id_at(dir, "m-q4_k_m.gguf"), "m-q4_k_m.gguf");
    assert_string_equal(id_at(dir, "sha256-0123abcd"), "Own Name");
    snprintf(folder, sizeof folder, "%s/models--Org--Llama-3.1-8B/snapshots/0e9e", dir);
    assert_string_equal(id_at(folder, "x.gguf"), "Llama-3.1-8B");
    snprintf(command, sizeof command, "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

/* ---- files that lie -------------------------------------------------------------------------- */

static void a_lying_header_is_refused_in_one_line(void **state)
{
    gguf_writer w;
    uint64_t dims[] = { 64, 32, 1, 1, 1 }, huge[] = { UINT64_MAX / 2, 3 }, odd[] = { 33 };

    (void)state;
    w = gguf_begin(3, 0);
    gguf_u32(&w, "a", 1);
    says(w, "x.gguf: general.architecture: expected a name of 1 to 64 letters, digits, - and _");
    w = gguf_begin(3, 0);                       /* found by fuzzing: an error of two lines */
    gguf_str(&w, "general.architecture", "a\nb");
    says(w, "x.gguf: general.architecture: expected a name of 1 to 64 letters, digits, - and _");
    w = small();
    gguf_put_tensor(&w, "a\x1b[31m", 2, dims, 1, 4096);
    says(w, "x.gguf: byte 357: a tensor's name is empty, longer than 512 bytes or no plain text");
    w = gguf_begin(4, 0);
    says(w, "x.gguf: GGUF version 4, expected 1, 2 or 3");
    w = small();
    gguf_u32(&w, "llama.block_count", 2);
    says(w, "x.gguf: \"llama.block_count\" is there twice");
    w = small();
    gguf_put_tensor(&w, "token_embd.weight", 2, dims, 1, 4096);
    says(w, "x.gguf: tensor \"token_embd.weight\": is there twice");
    w = small();
    gguf_put_tensor(&w, "blk.1.attn_k.weight", 2, dims, 1, 4096);
    says(w, "x.gguf: tensor \"blk.1.attn_k.weight\" is beyond the 1 blocks of the model");
    w = small();
    gguf_put_tensor(&w, "a", 5, dims, 1, 4096);
    says(w, "x.gguf: tensor \"a\": expected 1 to 4 dimensions");
    w = small();
    gguf_put_tensor(&w, "a", 2, huge, 1, 0);
    says(w, "x.gguf: tensor \"a\": larger than 2^63 bytes");
    w = small();
    gguf_put_tensor(&w, "a", 1, odd, 2, 18);
    says(w, "x.gguf: tensor \"a\": its rows are no whole number of blocks");
    w = small();
    gguf_put_tensor(&w, "a", 1, dims, 99, 18);
    says(w, "x.gguf: tensor \"a\": its type is not one of ggml's");
    w = small();
    w.data_bytes = 32;
    gguf_put_tensor(&w, "a", 1, dims, 0, 256);
    w.data_bytes = 1 << 20;
    says(w, "x.gguf: tensor \"a\": its data overlaps another tensor's");
    w = small();
    w.data_bytes = 1ull << 62;
    gguf_put_tensor(&w, "a", 1, dims, 0, 0);
    says(w, "x.gguf: tensor \"a\": its data goes on past the end of the file");
    w = small();
    w.data_bytes = UINT64_MAX - 15;
    gguf_put_tensor(&w, "a", 1, dims, 0, 0);
    w.data_bytes = 1 << 20;
    says(w, "x.gguf: tensor \"a\": its data goes on past the end of the file");
    w = small();
    gguf_u32(&w, "general.alignment", 0);
    says(w, "x.gguf: general.alignment is no power of two");
    w = small();
    gguf_u32(&w, "llama.nextn_predict_layers", 1);
    says(w, "x.gguf: 1 of 1 blocks predict further tokens");
    w = small();
    gguf_str(&w, "llama.context_length", "8192");
    says(w, "x.gguf: llama.context_length: expected a whole number");
    w = part(0, 2);
    says(w, "x.gguf: part of a model in 2 files, of which 1 is here");
    w = small();
    gguf_str(&w, "general.type", "adapter");
    says(w, "x.gguf: is an adapter file, expected a model");
}

/* Counts of 2^63 and lists of lists, over ten gigabytes of zeros: refused at once, in little
 * memory. */
static void a_huge_lie_costs_nothing(void **state)
{
    static const unsigned char counts[] = "GGUF\3\0\0\0\0\0\0\0\0\0\0\x80\0\0\0\0\0\0\0\x80";
    static const struct { uint32_t type; uint64_t n; const char *says; } lists[] = {
        { 8, 1ull << 63, "x.gguf: byte 49: a list of more than 4 million items" },
        { 0, 1ull << 63, "x.gguf: byte 49: a list of more than 4 million items" },
        { 9, 1, "x.gguf: byte 49: a list of lists" },
        { 77, 1, "x.gguf: byte 41: a value of a type that GGUF does not have" },
    };
    gguf_writer w = { 0 };
    oom_error err = { 0 };
    struct rusage before, after;
    clock_t start = clock();

    (void)state;
    getrusage(RUSAGE_SELF, &before);
    put_bytes(&w, counts, 24);
    assert_int_equal(status_of(&w, 10ull << 30, &err), OOM_BADFILE);
    assert_string_equal(err.msg, "x.gguf: byte 24: more than a million tensors");
    free(w.bytes);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        w = gguf_begin(3, 0);
        gguf_key(&w, "a", 9);
        put_number(&w, lists[i].type, 4);
        put_number(&w, lists[i].n, 8);
        gguf_end(&w);
        assert_int_equal(status_of(&w, 10ull << 30, &err), OOM_BADFILE);
        assert_string_equal(err.msg, lists[i].says);
        free(w.bytes);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
    assert_true(clock() - start < CLOCKS_PER_SEC / 10);
}

static void every_truncation_is_refused(void **state)
{
    gguf_writer w = small();
    uint64_t bytes = gguf_end(&w);

    (void)state;
    for (size_t n = 0; n < w.n; n++) {
        oom_error err = { 0 };
        unsigned char *copy = malloc(n ? n : 1);
        gguf_writer cut = { .bytes = copy };

        memcpy(copy, w.bytes, n);       /* of its own size, so that a read past it shows */
        assert_int_equal(status_of(&cut, n, &err), OOM_BADFILE);
        assert_null(strchr(err.msg, '\n'));
        free(copy);
    }
    assert_int_equal(status_of(&w, bytes, NULL), OOM_OK);
    free(w.bytes);
}

static oom_status read_small_file(const oom_alloc *a, void *ctx)
{
    gguf_writer *w = ctx;
    oom_model *m = oom_model_new(a, NULL);
    oom_status status = m ? read_gguf(m, "x", w->bytes, w->n + w->data_bytes, NULL) : OOM_NOMEM;

    oom_model_free(m);
    return status;
}

static void every_failed_allocation_is_an_error_and_no_leak(void **state)
{
    gguf_writer w = small();
    uint64_t dims[] = { 64 };
    char name[64];

    (void)state;
    for (int i = 0; i < 700; i++) {
        snprintf(name, sizeof name, "blk.0.ffn_gate.%d.weight", i);
        gguf_put_tensor(&w, name, 1, dims, 0, 256);
    }
    gguf_end(&w);
    assert_true(fail_each_allocation(read_small_file, &w) > 5);
    free(w.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tensors_of_an_f16_file_add_up),
        cmocka_unit_test(caches_and_states_take_what_was_measured),
        cmocka_unit_test(the_shape_comes_from_the_keys_and_the_tensors),
        cmocka_unit_test(every_type_has_its_size),
        cmocka_unit_test(states_of_other_kinds_follow_their_keys),
        cmocka_unit_test(a_state_that_nothing_works_on_is_counted),
        cmocka_unit_test(names_say_what_a_tensor_is),
        cmocka_unit_test(a_projector_joins_its_model),
        cmocka_unit_test(a_split_model_is_read_from_any_of_its_files),
        cmocka_unit_test(a_model_is_called_by_what_people_know_it_as),
        cmocka_unit_test(a_lying_header_is_refused_in_one_line),
        cmocka_unit_test(a_huge_lie_costs_nothing),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_no_leak),
    };
    return cmocka_run_group_tests(tests, read_measured, free_measured);
}
