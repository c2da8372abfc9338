/* Readers when memory or the system ends: every request for memory is refused (each of an arena and
 * each of malloc), and every call that opens, maps, reads or writes a file; once and from then on.
 * A refusal is an error in one line that says which, nothing stays open, and the next try works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <cmocka.h>

#include "enginelog.h"
#include "gguf_writer.h"
#include "local.h"
#include "refuse.h"
#include "scratch.h"

static const char config[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 64, "
    "\"intermediate_size\": 128, \"num_attention_heads\": 4, \"num_hidden_layers\": 2, "
    "\"vocab_size\": 100, \"rope_theta\": Infinity, \"quantization_config\": {\"bits\": 4, "
    "\"quant_method\": \"awq\", \"modules_to_not_convert\": [\"a\", \"b\"]}, "
    "\"1\": 1, \"2\": 1, \"3\": 1, \"4\": 1, \"5\": 1, \"6\": 1, \"7\": 1, \"8\": 1, \"9\": 1}";

/* One tensor a name, each of `bytes` bytes. */
static void put_safetensors(const char *name, const char *const *tensors, const char *dtype,
                            const char *shape, uint64_t bytes)
{
    char text[2048] = "........{\"__metadata__\":{}";
    uint64_t data = 0, header;
    size_t n = strlen(text);

    for (; *tensors; tensors++, data += bytes)
        n += (size_t)snprintf(text + n, sizeof text - n, ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,"
                              "\"data_offsets\":[%llu,%llu]}", *tensors, dtype, shape,
                              (unsigned long long)data, (unsigned long long)data + bytes);
    text[n++] = '}';
    header = n - 8;
    for (size_t i = 0; i < 8; i++)
        text[i] = (char)(header >> (8 * i));
    scratch_put(name, text, n, n + data);
}

static void put_gguf(const char *name, const char *arch, unsigned no, unsigned count)
{
    gguf_writer w = gguf_begin(3, 0);
    uint64_t dims[] = { 64, 64 };
    char tensor[64];
    uint64_t size;

    gguf_u32(&w, "split.no", no);
    gguf_u32(&w, "split.count", count);
    if (no == 0) {
        gguf_str(&w, "general.architecture", arch);
        gguf_str(&w, "general.name", "Small One");
        gguf_u32(&w, "llama.block_count", 1);
        gguf_u32(&w, "llama.embedding_length", 64);
        gguf_u32(&w, "llama.attention.head_count", 4);
        gguf_u32(&w, "llama.context_length", 128);
        gguf_put_tensor(&w, strcmp(arch, "clip") == 0 ? "v.blk.0.attn_q.weight"
                                                      : "token_embd.weight", 2, dims, 1, 8192);
    }
    snprintf(tensor, sizeof tensor, strcmp(arch, "clip") == 0 ? "mm.%u.weight"
             : no ? "blk.0.attn_v.%u.weight" : "blk.0.attn_k.weight", no);
    gguf_put_tensor(&w, tensor, 2, dims, 1, 8192);
    size = gguf_end(&w);
    scratch_put(name, w.bytes, w.n, size);
    free(w.bytes);
}

static int setup(void **state)
{
    static const char *const first[] = { "model.embed_tokens.weight",
                                         "model.layers.0.self_attn.q_proj.weight", NULL };
    static const char *const second[] = { "lm_head.weight", NULL };
    static const char *const loose[] = { "scales.scales", NULL };

    (void)state;
    refuse_arenas = true;
    if (!scratch_begin())
        return -1;
    scratch_text("c/config.json", config);
    scratch_text("s/config.json", config);
    put_safetensors("s/a.safetensors", first, "F16", "[64,64]", 8192);
    put_safetensors("s/b.safetensors", second, "F16", "[100,64]", 12800);
    scratch_text("s/model.safetensors.index.json",
               "{\"weight_map\": {\"lm_head.weight\": \"b.safetensors\","
               " \"model.embed_tokens.weight\": \"a.safetensors\"}}");
    put_safetensors("one/x.safetensors", loose, "F16", "[8]", 16);
    put_gguf("g/x.gguf", "llama", 0, 1);
    put_gguf("p/mmproj.gguf", "clip", 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        char name[64];

        snprintf(name, sizeof name, "split/m-%05u-of-00003.gguf", i + 1);
        put_gguf(name, "llama", i, 3);
    }
    scratch_text("proc/meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n");
    scratch_text("proc/cpuinfo", "model name : A processor\n");
    scratch_text("sys/class/drm/card0/device/vendor", "0x1002\n");
    scratch_text("sys/class/drm/card0/device/mem_info_vram_total", "25753026560\n");
    scratch_text("smi", "echo 'A card, 8192, 8.9, 4096'\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return scratch_end() ? 0 : -1;
}

/* ---- presets ---- */

static bool presets(void *ctx, const char *where, size_t i, const char **name, const char **text,
                    size_t *n)
{
    static const char models[] =
        "{\"vendor\": \"V\", \"models\": [{\"id\": \"m\", \"hf_id\": \"V/M\", \"aliases\": [\"n\"], "
        "\"config\": {\"model_type\": \"llama\", \"hidden_size\": 64, \"num_attention_heads\": 4, "
        "\"num_hidden_layers\": 2, \"vocab_size\": 100, \"intermediate_size\": 128, \"x\": [1, "
        "\"a\"]}}]}";
    static const char devices[] =
        "{\"vendor\": \"NVIDIA\", \"devices\": [{\"id\": \"d\", \"name\": \"D\", "
        "\"memory_gb_marketing\": 24, \"compute_capability\": \"8.9\"}]}";
    static const char learned[] =
        "{\"learned\": [{\"device\": \"d\", \"engine\": \"vllm\", \"overhead_bytes\": 7}]}";

    (void)ctx;
    *name = "presets.json";
    *text = strstr(where, "models") ? models : strstr(where, "devices") ? devices : learned;
    *n = strlen(*text);
    return i == 0;
}

/* ---- what is tried ---- */

static oom_status one_model(const char *spec, oom_error *err)
{
    oom_model *m = NULL;
    oom_status status = read_model(NULL, spec, &oom_libc_alloc, &m, err);

    oom_model_free(m);
    return status;
}

static oom_status read_a_config(oom_error *err) { return one_model(scratch_at("c"), err); }
static oom_status read_shards(oom_error *err) { return one_model(scratch_at("s"), err); }
static oom_status read_loose_scales(oom_error *err) { return one_model(scratch_at("one"), err); }
static oom_status read_one_gguf(oom_error *err) { return one_model(scratch_at("g/x.gguf"), err); }
static oom_status read_a_split_gguf(oom_error *err) { return one_model(scratch_at("split"), err); }

static oom_status read_with_projector(oom_error *err)
{
    char both[300];

    snprintf(both, sizeof both, "%s + %s", scratch_at("g/x.gguf"), scratch_at("p/mmproj.gguf"));
    return one_model(both, err);
}

static oom_status with_catalogue(oom_status (*work)(read_catalogue *c, oom_error *err),
                                 oom_error *err)
{
    read_source source = { presets, NULL };
    read_catalogue *c = read_catalogue_new(&source, &oom_libc_alloc, err);
    oom_status status = c ? work(c, err) : OOM_NOMEM;

    read_catalogue_free(c);
    return status;
}

static oom_status preset_model(read_catalogue *c, oom_error *err)
{
    oom_model *m = NULL;
    oom_status status = read_model(c, "V/M-AWQ", &oom_libc_alloc, &m, err);

    oom_model_free(m);
    return status;
}

static oom_status preset_device(read_catalogue *c, oom_error *err)
{
    oom_deployment d;
    static char text[512];
    oom_status status = read_deployment(c, "2x d + 24GiB + d windows", &d, err);

    if (status == OOM_OK)
        status = read_learn(c, "d", "generic", 9, "a log", err);
    return status == OOM_OK ? read_learned_text(c, text, sizeof text, err) : status;
}

static oom_status learned_alone(read_catalogue *c, oom_error *err)
{
    static char text[512];

    return read_learned_text(c, text, sizeof text, err);
}

static oom_deployment found;

static oom_status this_machine(read_catalogue *c, oom_error *err)
{
    char sys[128], proc[128], smi[160];
    local_places places = { "/nonexistent.so", smi, proc, sys };

    snprintf(sys, sizeof sys, "%s/sys", scratch);
    snprintf(proc, sizeof proc, "%s/proc", scratch);
    snprintf(smi, sizeof smi, "sh %s/smi", scratch);
    return read_local(c, &places, true, &found, err);
}

static oom_status read_a_preset(oom_error *err) { return with_catalogue(preset_model, err); }
static oom_status read_devices_named(oom_error *err) { return with_catalogue(preset_device, err); }
static oom_status read_what_was_learned(oom_error *err) { return with_catalogue(learned_alone, err); }

static oom_status read_a_log(oom_error *err)
{
    static const char text[] = "using device CUDA0 (A card) (0000:01:00.0) - 23819 MiB free\n"
        "Device 0: A card, compute capability 8.9\nload_tensors: CUDA0 model buffer size = 4.50 MiB\n"
        "general.name = A\nlines that say much: --tensor-split 3,1 -m a.gguf\n";
    oom_arena *arena = oom_arena_new(&oom_libc_alloc, err);
    read_log log;
    oom_status status = arena ? read_engine_log(arena, text, sizeof text - 1, &log, err) : OOM_NOMEM;

    oom_arena_free(arena);
    return status;
}

/* A configuration as the file that llama.cpp would read of it. */
static oom_status view_as_a_file(oom_error *err)
{
    static const char t5[] = "{\"model_type\": \"t5\", \"d_model\": 64, \"num_layers\": 1, "
        "\"num_heads\": 4, \"d_kv\": 16, \"d_ff\": 128, \"vocab_size\": 100}";
    oom_model *m = oom_model_new(&oom_libc_alloc, err);
    const oom_model *file;
    oom_precision q8;
    oom_status status = m ? oom_precision_parse("q8_0", &q8, err) : OOM_NOMEM;

    if (status == OOM_OK)
        status = read_config(m, "config.json", t5, sizeof t5 - 1, err);
    if (status == OOM_OK)
        status = oom_precision_inventory(m, &q8, &file, err);
    oom_model_free(m);
    return status;
}

static const struct { const char *name; oom_status (*work)(oom_error *err); } works[] = {
    { "a config.json", read_a_config },         { "shards", read_shards },
    { "loose scales", read_loose_scales },      { "a GGUF", read_one_gguf },
    { "a split GGUF", read_a_split_gguf },      { "a projector", read_with_projector },
    { "a preset", read_a_preset },              { "devices", read_devices_named },
    { "what was learned", read_what_was_learned }, { "a log", read_a_log },
    { "a view", view_as_a_file },
};
#define N_WORKS (sizeof works / sizeof *works)

/* ---- refusals -------------------------------------------------------------------------------- */

static int open_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

static size_t counted;                  /* for docs/reliability.md */

static void a_line(const char *name, size_t n, const oom_error *err)
{
    counted++;
    if (!*err->msg || strchr(err->msg, '\n'))
        fail_msg("%s: request %zu: \"%s\" is no line", name, n, err->msg);
}

static void every_request_for_memory_may_be_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_WORKS; i++)
        for (int for_good = 0; for_good < 2; for_good++)
            for (size_t n = 1;; n++) {
                oom_error err = { 0 };
                oom_status status;

                refuse_memory = (refusal){ .left = n, .for_good = for_good };
                status = works[i].work(&err);
                refuse_memory.left = 0;
                if (refuse_memory.refused == 0) {
                    if (status != OOM_OK)
                        fail_msg("%s: %s", works[i].name, err.msg);
#ifndef __APPLE__
                    assert_true(n > 3);
#endif
                    break;
                }
                if (status == OOM_OK && !for_good)
                    continue;           /* asked again, and answered */
                if (status != OOM_NOMEM)
                    fail_msg("%s: request %zu was refused: %d, %s", works[i].name, n, (int)status,
                             err.msg);
                a_line(works[i].name, n, &err);
            }
}

static void every_call_of_the_system_may_be_refused(void **state)
{
    static const int errors[] = { EIO, EMFILE, ENOMEM, EACCES };
    int before = open_descriptors();

    (void)state;
    for (size_t i = 0; i < N_WORKS; i++)
        for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
            for (int for_good = 0; for_good < 2; for_good++)
                for (size_t n = 1;; n++) {
                    oom_error err = { 0 };
                    oom_status status;

                    refuse_errno = errors[e];
                    refuse_system = (refusal){ .left = n, .for_good = for_good };
                    status = works[i].work(&err);
                    refuse_system.left = 0;
                    assert_int_equal(open_descriptors(), before);
                    if (refuse_system.refused == 0) {
                        assert_int_equal(status, OOM_OK);
                        break;
                    }
                    if (status == OOM_OK)
                        fail_msg("%s: call %zu was refused, unnoticed", works[i].name, n);
                    a_line(works[i].name, n, &err);
                    if (status == OOM_IO && !strstr(err.msg, strerror(errors[e])))
                        fail_msg("%s: call %zu: %s", works[i].name, n, err.msg);
                }
}

/* The machine is asked in several ways: what one does not answer, another may. */
static void a_machine_that_does_not_answer_is_asked_otherwise(void **state)
{
    int before = open_descriptors();
    oom_error err = { 0 };

    (void)state;
    assert_int_equal(with_catalogue(this_machine, &err), OOM_OK);
    assert_int_equal(found.n, 2);               /* nvidia-smi's and AMD's */
    for (size_t n = 1;; n++) {
        refuse_errno = EIO;
        refuse_system = (refusal){ .left = n, .for_good = true };
        err.msg[0] = '\0';
        if (with_catalogue(this_machine, &err) != OOM_OK)
            a_line("the machine", n, &err);
        else
            assert_true(found.n >= 1);
        refuse_system.left = 0;
        assert_int_equal(open_descriptors(), before);
        if (refuse_system.refused == 0)
            break;
    }
    assert_int_equal(found.n, 2);
}

static void a_read_that_is_interrupted_or_short_goes_on(void **state)
{
    char text[64], first[4];

    (void)state;
    refuse_errno = EINTR;
    for (size_t n = 1; n < 4; n++) {
        refuse_system = (refusal){ .left = n + 1 };
        reads_are_short = true;
        assert_true(read_small(scratch_at("sys/class/drm/card0/device/vendor"), text, sizeof text));
        assert_string_equal(text, "0x1002\n");
#ifndef __APPLE__
        assert_int_equal(refuse_system.refused, 1);
#endif
    }
    refuse_system.left = 0;
    reads_are_short = false;
    assert_true(read_small(scratch_at("sys/class/drm/card0/device/vendor"), first, sizeof first));
    assert_string_equal(first, "0x1");
    assert_false(read_small(scratch, text, sizeof text));
    assert_false(read_small(scratch_at("nowhere"), text, sizeof text));
}

/* ---- writing --------------------------------------------------------------------------------- */

static void holds(const char *name, const char *content)
{
    char text[64] = "";

    assert_true(read_small(scratch_at(name), text, sizeof text));
    assert_string_equal(text, content);
}

static size_t files_in(const char *where)
{
    char name[READ_NAME_BYTES];
    size_t n = 0;

    assert_int_equal(read_folder_find(where, "", name, &n, NULL), OOM_OK);
    return n;
}

static void a_file_is_replaced_whole_or_not_at_all(void **state)
{
    int before = open_descriptors();
    oom_error err = { 0 };
    size_t n = 0;

    (void)state;
    assert_int_equal(read_replace(scratch_at("new/folders/x"), "old", 3, &err), OOM_OK);
    holds("new/folders/x", "old");
    do {
        oom_status status;

        refuse_errno = ENOSPC;
        refuse_system = (refusal){ .left = ++n };
        err.msg[0] = '\0';
        status = read_replace(scratch_at("new/folders/x"), "new", 3, &err);
        refuse_system.left = 0;
        assert_int_equal(open_descriptors(), before);
        assert_int_equal(files_in(scratch_at("new/folders")), 3);       /* . and .. and the file */
        if (refuse_system.refused) {
            assert_int_equal(status, OOM_IO);
            assert_non_null(strstr(err.msg, "new/folders/x: No space left on device"));
            holds("new/folders/x", "old");
        }
    } while (refuse_system.refused);
    holds("new/folders/x", "new");
    assert_int_equal(read_replace(scratch_at("new/folders/x/y"), "new", 3, &err), OOM_NOTFOUND);
    assert_non_null(strstr(err.msg, "x/y: Not a directory"));
}

/* The same by the system's own limits. */
static void limits_of_the_process_are_errors_in_one_line(void **state)
{
    struct rlimit files, size, few = { 0 }, small = { 0 };
    static char long_path[5000], text[4096];
    oom_error err = { 0 };

    (void)state;
    getrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_FSIZE, &size);
    few = files;
    few.rlim_cur = 0;
    small = size;
    small.rlim_cur = 100;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(read_replace(scratch_at("full"), text, sizeof text, &err), OOM_IO);
    setrlimit(RLIMIT_FSIZE, &size);
    assert_non_null(strstr(err.msg, "full: File too large"));
    assert_int_equal(read_path_kind(scratch_at("full")), READ_ABSENT);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(one_model(scratch_at("g/x.gguf"), &err), OOM_IO);
    assert_non_null(strstr(err.msg, "x.gguf: Too many open files"));
    assert_int_equal(one_model(scratch_at("c"), &err), OOM_IO);
    assert_non_null(strstr(err.msg, "/c: Too many open files"));
    assert_int_equal(read_replace(scratch_at("full"), text, sizeof text, &err), OOM_IO);
    setrlimit(RLIMIT_NOFILE, &files);
    assert_non_null(strstr(err.msg, "full: Too many open files"));
    assert_int_equal(one_model(scratch_at("g/x.gguf"), &err), OOM_OK);

    if (getenv("RELIABILITY"))
        fprintf(stderr, "%zu requests and calls of readers refused\n", counted);
    memset(long_path, 'a', sizeof long_path - 1);
    assert_int_equal(read_replace(long_path, "", 0, &err), OOM_BADVALUE);
    assert_string_equal(err.msg, "path too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_for_memory_may_be_refused),
        cmocka_unit_test(every_call_of_the_system_may_be_refused),
        cmocka_unit_test(a_machine_that_does_not_answer_is_asked_otherwise),
        cmocka_unit_test(a_read_that_is_interrupted_or_short_goes_on),
        cmocka_unit_test(a_file_is_replaced_whole_or_not_at_all),
        cmocka_unit_test(limits_of_the_process_are_errors_in_one_line),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
