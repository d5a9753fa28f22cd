// Times libllama on a model at a depth, without paying for a prompt of that depth; with -DIK, ik_llama.cpp's libllama.
//
//   llama_depth MODEL CACHE_TYPE DEPTH QUERY_LENGTH THREADS
//
// CACHE_TYPE: f16, bf16, q8_0; with -DIK also q8_KV, which is keys as q8_KV and values as q8_0 (its values cannot be q8_KV).
// One prompt is really decoded; its saved cache is then repeated to DEPTH cells, with the right positions. The values repeat, and the
// time does not depend on them. It flatters both a little all the same: with FILL=1 in the environment the cache is really decoded.
// "decode" times single tokens at that depth, "prefill" a prompt of QUERY_LENGTH tokens.
#include "llama.h"

#include <stdint.h>

#include "worker.h"

#ifdef IK  // This fork's names: positions are the caller's, and a state may hold four bytes more at its end.
static int next_position;
#define llama_memory_t struct llama_context *
#define llama_get_memory(context) (context)
#define llama_memory_clear(memory, data) llama_kv_cache_clear(memory)
#define llama_memory_seq_rm(memory, sequence, from, to) (next_position = (from), llama_kv_cache_seq_rm(memory, sequence, from, to))
#define llama_state_seq_get_size(context, sequence) llama_state_seq_get_size(context, sequence, 0)
#define llama_state_seq_get_data(context, bytes, count, sequence) llama_state_seq_get_data(context, bytes, count, sequence, 0)
#define llama_state_seq_set_data(context, bytes, count, sequence) \
    (next_position = depth, llama_state_seq_set_data(context, bytes, count, sequence, 0))
#define llama_batch_get_one(tokens, count) llama_batch_get_one(tokens, count, (next_position += (count)) - (count), 0)
// Its q8_KV cells are longer than the row size that its state goes by: 540 of the former are 500 of the latter.
enum { cell_bytes = 8, first_prompt = 540 };
#else
enum { cell_bytes = 12, first_prompt = 512 };
#endif

enum { maximum_batch = 2048, vocabulary_used = 20000 };

static struct llama_context *context;
static llama_memory_t memory;
static llama_token tokens[2 * maximum_batch];
static int depth;

static void quiet(enum ggml_log_level level, const char *text, void *user) {
    (void)user;
    if (level >= GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static uint32_t word_at(const uint8_t *bytes) {
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/// A saved cache, its cells repeated up to `wanted` of them.
///
/// The format: a head that ends in the count of cells; a record per cell, which begins with its position; whether the values are
/// transposed and the count of layers; then for the keys of every layer and the values of every layer the type, the bytes of a row and
/// the rows.
static uint8_t *repeated(const uint8_t *state, size_t count, uint32_t wanted, size_t *grown_count) {
#ifdef IK
    size_t head = 0;
#else
    size_t head = word_at(state) == 1 ? 4 : 12;  // newer versions begin with a magic number and the sequence
    if (word_at(state + head - 4) != 1) fail("llama_depth: the saved cache has several streams");
#endif
    const uint8_t *from = state + head + 4;
    uint32_t cells = word_at(state + head);
    uint8_t *grown = malloc((size_t)((double)count * wanted / cells) + 65536), *to = grown;
    memcpy(to, state, head);
    memcpy(to + head, &wanted, 4);
    to += head + 4;
    for (uint32_t i = 0; i < wanted; i++, to += cell_bytes) {
        memcpy(to, from, cell_bytes);
        memcpy(to, &i, 4);
    }
    from += (size_t)cell_bytes * cells;
    if (word_at(from) != 0) fail("llama_depth: the saved cache's values are transposed");
    uint32_t layers = word_at(from + 4);
    memcpy(to, from, 8);
    from += 8;
    to += 8;
    for (uint32_t i = 0; i < 2 * layers; i++) {
        uint64_t row_bytes;
        memcpy(&row_bytes, from + 4, 8);
        memcpy(to, from, 12);
        from += 12;
        to += 12;
        for (uint32_t done = 0; done < wanted; done += cells) {
            size_t bytes = (wanted - done < cells ? wanted - done : cells) * row_bytes;
            memcpy(to, from, bytes);
            to += bytes;
        }
        from += cells * row_bytes;
    }
#ifdef IK
    memcpy(to, from, 4);
    to += 4;
    from += 4;
#endif
    if ((size_t)(from - state) != count) fail("llama_depth: the saved cache has %zu bytes; read %zu", count, (size_t)(from - state));
    *grown_count = to - grown;
    return grown;
}

static void decode(int first, int count) {
    if (llama_decode(context, llama_batch_get_one(tokens + first, count))) fail("llama_depth: %d tokens were refused", count);
}

static void fill(void) {
    if (getenv("FILL")) {
        for (int done = 0; done < depth; done += 512) decode(done % maximum_batch, depth - done < 512 ? depth - done : 512);
        return;
    }
    decode(0, first_prompt);
    size_t count = llama_state_seq_get_size(context, 0), grown_count;
    uint8_t *state = malloc(count);
    count = llama_state_seq_get_data(context, state, count, 0);
    uint8_t *grown = repeated(state, count, depth, &grown_count);
    llama_memory_clear(memory, true);
    if (!llama_state_seq_set_data(context, grown, grown_count, 0)) fail("llama_depth: the repeated cache was refused");
    free(grown);
    free(state);
}

/// One step over exactly `depth` tokens, which the next one finds again.
static void step(void *state) {
    decode(0, *(int *)state);
    llama_synchronize(context);
    llama_memory_seq_rm(memory, 0, depth, -1);
}

int main(int count, char **arguments) {
    if (count != 6) fail("usage: llama_depth MODEL CACHE_TYPE DEPTH QUERY_LENGTH THREADS");
    const char *type = arguments[2];
    depth = atoi(arguments[3]);
    int queries = atoi(arguments[4]), threads = atoi(arguments[5]);
    if (queries > maximum_batch) fail("llama_depth: at most %d tokens in a prompt; got %d", maximum_batch, queries);
    for (int i = 0; i < 2 * maximum_batch; i++) tokens[i] = 100 + i * 7919 % vocabulary_used;

    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model *model = llama_model_load_from_file(arguments[1], llama_model_default_params());
    if (!model) fail("llama_depth: could not read %s", arguments[1]);
    struct llama_context_params parameters = llama_context_default_params();
    parameters.n_ctx = depth + 2 * maximum_batch;
    parameters.n_batch = maximum_batch;
    parameters.n_ubatch = 512;
    parameters.n_threads = parameters.n_threads_batch = threads;
    parameters.n_seq_max = 1;
    if (!strcmp(type, "f16")) parameters.type_k = parameters.type_v = GGML_TYPE_F16;
    else if (!strcmp(type, "bf16")) parameters.type_k = parameters.type_v = GGML_TYPE_BF16;
    else if (!strcmp(type, "q8_0")) parameters.type_k = parameters.type_v = GGML_TYPE_Q8_0;
#ifdef IK
    else if (!strcmp(type, "q8_KV")) parameters.type_k = GGML_TYPE_Q8_KV, parameters.type_v = GGML_TYPE_Q8_0;
#endif
    else fail("llama_depth: no cache type is called '%s'", type);
#ifdef IK
    parameters.flash_attn = true;
#else
    parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
#endif
    context = llama_init_from_model(model, parameters);
    if (!context) fail("llama_depth: no memory for a depth of %d", depth);
    memory = llama_get_memory(context);
    if (depth > 0) fill();

    puts("READY");
    fflush(stdout);
    const char *name = strrchr(arguments[1], '/');
    const char *value_type = strcmp(type, "q8_KV") ? type : "q8_0";
    char operation[16];
    double seconds;
    while (next_request(operation, &seconds)) {
        int length = strcmp(operation, "decode") ? queries : 1;
        int warm_up = length < 128 ? length : 128;
        step(&warm_up);
        struct timing timing = measure(step, &length, seconds);
        printf("{\"engine\":\"%s\",\"version\":\"%s\",\"operation\":\"%s\",\"model\":\"%s\",\"depth\":%d,\"context\":%d,"
               "\"queryLength\":%d,\"queryHeads\":9,\"kvHeads\":3,\"headDimension\":64,\"keyType\":\"%s\",\"valueType\":\"%s\","
               "\"threads\":%d,\"medianMilliseconds\":%.4f,\"minimumMilliseconds\":%.4f,\"tokensPerSecond\":%.4f}\n",
               ENGINE, VERSION, operation, name ? name + 1 : arguments[1], depth, depth + length, length, type, value_type, threads,
               timing.median, timing.minimum, length * 1e3 / timing.median);
        fflush(stdout);
    }
    _Exit(0);  // both libraries' own clean-up may wait for their threads
}
