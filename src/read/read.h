/* read.h: hostile bytes in, inventory out. Only file.c opens files; every parser takes a buffer,
 * so that a fuzzer can call it. A failing reader names the file, the place and what was
 * expected. */
#ifndef OOM_READ_H
#define OOM_READ_H

#include "oom.h"

/* ---- files (file.c) ---- */

/* A file's bytes, mapped: nothing is read before it is looked at. Refuses what is no regular file.
 * The caller owns *out: read_release. */
typedef struct { const unsigned char *bytes; size_t n; void *map; size_t map_bytes; } read_bytes;
oom_status read_file(const char *path, read_bytes *out, oom_error *err);
void read_release(read_bytes *b);
/* A path for a message: made safe, and of a long one the end, where files differ. */
const char *read_quote_path(const char *path, char *buf, size_t buf_bytes);
typedef enum { READ_ABSENT, READ_FILE, READ_FOLDER } read_kind;
read_kind read_path_kind(const char *path);
/* A file, a folder or nothing yet: what may be replaced. No link, device or pipe. */
bool read_is_plain(const char *path);
#define READ_NAME_BYTES 256             /* of one name in a folder, with its end */
/* How many files of a folder end in `ending`, and the name of the alphabetically first. */
oom_status read_folder_find(const char *folder, const char *ending, char name[READ_NAME_BYTES],
                            size_t *found, oom_error *err);
/* A short text of the system (/proc, /sys) into `text`, ended with NUL; false: there is none. */
bool read_small(const char *path, char *text, size_t text_bytes);
/* Writes a file whole or not at all: beside it first, then moved; makes the folders it lacks. */
oom_status read_replace(const char *path, const char *text, size_t n, oom_error *err);

/* ---- JSON (json.c): cJSON behind limits on size, depth and values ---- */

oom_status read_json(oom_arena *arena, const char *name, const char *text, size_t n,
                     const oom_value **out, oom_error *err);

/* ---- models: each parse(buffer) fills an empty model ---- */

/* One file's bytes and its name, ready for a message. */
typedef struct { const char *name; const unsigned char *bytes; size_t n; } read_part;

/* A GGUF model in one file, or in the files it was split into, in order. A projector (mmproj)
 * also joins a model that is there already. */
oom_status read_gguf(oom_model *m, const char *name, const void *bytes, size_t n, oom_error *err);
oom_status read_gguf_parts(oom_model *m, const read_part *parts, size_t n_parts, oom_error *err);
/* A checkpoint in safetensors files. `map`: the index's weight_map, every name of which must be
 * there; NULL: none. `config`: config.json, in the model's arena; NULL: weights only. */
oom_status read_safetensors(oom_model *m, const char *name, const void *bytes, size_t n,
                            oom_error *err);
oom_status read_checkpoint(oom_model *m, const read_part *parts, size_t n_parts,
                           const oom_value *map, const oom_value *config, oom_error *err);
oom_status read_config(oom_model *m, const char *name, const void *bytes, size_t n, oom_error *err);

/* A path, or several joined by " + ": a model and its projector (open.c). */
oom_status read_paths(oom_model *m, const char *spec, oom_error *err);

/* ---- presets (preset.c): parsed on first need; the user's before the binary's ---------------- */

typedef struct read_catalogue read_catalogue;

/* `source` gives the n-th preset file of a kind ("presets/models", "presets/devices"): the shell
 * passes the embedded table, a test passes a folder. */
typedef struct {
    bool (*file)(void *ctx, const char *folder, size_t i, const char **name, const char **text,
                 size_t *n);
    void *ctx;
} read_source;

read_catalogue *read_catalogue_new(const read_source *source, const oom_alloc *a, oom_error *err);
void read_catalogue_free(read_catalogue *c);
/* From now on presets alone: no path is opened and no device is asked. */
void read_catalogue_seal(read_catalogue *c);
bool read_catalogue_sealed(const read_catalogue *c);

typedef struct {
    const char *id, *vendor;
    const char *hf_id;                  /* models */
    const oom_value *record;            /* the whole record of the preset file */
    size_t order;                       /* of all records, as the files came */
} read_preset;

size_t read_models(read_catalogue *c, const read_preset **list, oom_error *err); /* sorted by id */
size_t read_devices(read_catalogue *c, const read_preset **list, oom_error *err);
/* By id, alias, Hugging Face id or variant; NULL with "no model "x"; did you mean …" in err. */
const read_preset *read_model_preset(read_catalogue *c, const char *name, oom_error *err);
const read_preset *read_device_preset(read_catalogue *c, const char *name, oom_error *err);
/* The model of a preset; the caller owns it. */
oom_status read_preset_model(const read_preset *p, const oom_alloc *a, oom_model **out,
                             oom_error *err);
/* No memory for a processor: that is the machine's, not the record's. */
oom_device read_device_record(const read_preset *p);

/* ---- what logs taught (learned.c): bytes by device and engine, from "presets/learned" ---- */

/* Puts into `d` what is known of its id. A file that cannot be read as such is an error. */
oom_status read_learned(read_catalogue *c, oom_device *d, oom_error *err);
/* Adds or replaces one, for as long as the catalogue lives. `from`: what it was learned from. */
oom_status read_learn(read_catalogue *c, const char *device, const char *engine, uint64_t bytes,
                      const char *from, oom_error *err);
/* All of them as the text of such a file, into `text`. */
oom_status read_learned_text(read_catalogue *c, char *text, size_t text_bytes, oom_error *err);

/* Anything `model = "…"` takes: preset, alias, Hugging Face id, Ollama name, path. The caller
 * owns the model. */
oom_status read_model(read_catalogue *c, const char *spec, const oom_alloc *a, oom_model **out,
                      oom_error *err);
/* Anything `device = "…"` takes: "rtx-4090", "2x h100-sxm", "1x rtx-4090 + 1x rtx-3090", "24GiB",
 * "24GB", "local". */
oom_status read_deployment(read_catalogue *c, const char *spec, oom_deployment *out,
                           oom_error *err);

#endif
