// Times ggml's attention (ggml_flash_attn_ext) on the CPU, in llama.cpp's ggml or, with -DIK, in ik_llama.cpp's.
//
//   ggml_attention TYPE CONTEXT QUERY_LENGTH THREADS LAYOUT
//
// TYPE is that of keys and values: f32, f16, bf16, q8_0, and q8_KV with -DIK. LAYOUT is head-major, which suits the operator best, or
// token-major, which is how both programs store their caches. Several queries are causal: the last QUERY_LENGTH of CONTEXT positions.
// The error printed is that of the last query of head 0 against double precision over the keys and values as stored.
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"
#ifndef IK
#include "ggml-cpu.h"
#endif
#include <math.h>
#include <stdint.h>

#include "worker.h"

enum { query_heads = 32, kv_heads = 8, dimension = 128 };

static struct ggml_cgraph *graph;
static ggml_backend_t backend;

static enum ggml_type type_named(const char *name) {
    static const struct {
        const char *name;
        enum ggml_type type;
    } types[] = {
        {"f32", GGML_TYPE_F32}, {"f16", GGML_TYPE_F16}, {"bf16", GGML_TYPE_BF16}, {"q8_0", GGML_TYPE_Q8_0},
#ifdef IK
        {"q8_KV", GGML_TYPE_Q8_KV},
#endif
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(name, types[i].name)) return types[i].type;
    fail("ggml_attention: no type is called '%s'", name);
}

static void to_float(enum ggml_type type, const void *row, float *values) {
    if (type == GGML_TYPE_F32) {
        memcpy(values, row, dimension * sizeof(float));
        return;
    }
#ifdef IK
    ggml_internal_get_type_traits(type).to_float(row, values, dimension);
#else
    ggml_get_type_traits(type)->to_float(row, values, dimension);
#endif
}

static void quantise(enum ggml_type type, const float *values, char *rows, int count) {
    if (type == GGML_TYPE_F32) {
        memcpy(rows, values, (size_t)count * dimension * sizeof(float));
        return;
    }
#ifdef IK
    if (type == GGML_TYPE_Q8_KV) {  // one scale per row, which the chunked function does not know
        size_t bytes = ggml_row_size(type, dimension);
        for (int i = 0; i < count; i++)
            ggml_internal_get_type_traits(type).from_float(values + (size_t)i * dimension, rows + i * bytes, dimension);
        return;
    }
#endif
    ggml_quantize_chunk(type, values, rows, 0, count, dimension, NULL);
}

/// About N(0, 1): the sum of four uniform numbers.
static float random_normal(void) {
    static uint64_t state = 88172645463325252u;
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        sum += (float)(state >> 40) / (1 << 24) - 0.5f;
    }
    return sum * 1.732f;
}

/// Fills a tensor with copies of 4,099 different rows: quick, and the prime keeps the heads from being alike.
static void fill(struct ggml_tensor *tensor) {
    enum { distinct = 4099 };
    int64_t rows = ggml_nelements(tensor) / dimension;
    size_t bytes = ggml_row_size(tensor->type, dimension);
    float *values = malloc(sizeof(float) * distinct * dimension);
    char *stored = malloc(bytes * distinct);
    for (int i = 0; i < distinct * dimension; i++) values[i] = random_normal();
    quantise(tensor->type, values, stored, distinct);
    for (int64_t row = 0; row < rows; row += distinct)
        memcpy((char *)tensor->data + row * bytes, stored, bytes * (rows - row < distinct ? rows - row : distinct));
    free(values);
    free(stored);
}

static double relative_error(const struct ggml_tensor *q, const struct ggml_tensor *k, const struct ggml_tensor *v,
                             const struct ggml_tensor *output) {
    int64_t last = q->ne[1] - 1;
    const float *query = (const float *)((char *)q->data + last * q->nb[1]);
    const float *result = (const float *)((char *)output->data + last * output->nb[2]);  // [row, head, channel]
    float row[dimension];
    double sums[dimension] = {0}, maximum = -INFINITY, denominator = 0;
    for (int64_t position = 0; position < k->ne[1]; position++) {
        to_float(k->type, (char *)k->data + position * k->nb[1], row);
        double score = 0;
        for (int c = 0; c < dimension; c++) score += (double)row[c] * query[c];
        score /= sqrt(dimension);
        if (score > maximum) {
            double factor = exp(maximum - score);
            for (int c = 0; c < dimension; c++) sums[c] *= factor;
            denominator *= factor;
            maximum = score;
        }
        double probability = exp(score - maximum);
        denominator += probability;
        to_float(v->type, (char *)v->data + position * v->nb[1], row);
        for (int c = 0; c < dimension; c++) sums[c] += probability * row[c];
    }
    double error = 0, norm = 0;
    for (int c = 0; c < dimension; c++) {
        double expected = sums[c] / denominator;
        error += (result[c] - expected) * (result[c] - expected);
        norm += expected * expected;
    }
    return sqrt(error / norm);
}

static void step(void *state) {
    (void)state;
    if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) fail("ggml_attention: the graph failed");
}

int main(int count, char **arguments) {
    if (count != 6) fail("usage: ggml_attention TYPE CONTEXT QUERY_LENGTH THREADS LAYOUT");
    enum ggml_type type = type_named(arguments[1]);
    int64_t context = atoll(arguments[2]), queries = atoll(arguments[3]);
    int threads = atoi(arguments[4]), token_major = !strcmp(arguments[5], "token-major");

    backend = ggml_backend_cpu_init();
    ggml_backend_cpu_set_n_threads(backend, threads);
    struct ggml_init_params parameters = {ggml_tensor_overhead() * 64 + ggml_graph_overhead(), NULL, true};
    struct ggml_context *c = ggml_init(parameters);
    struct ggml_tensor *q = ggml_new_tensor_3d(c, GGML_TYPE_F32, dimension, queries, query_heads);
    struct ggml_tensor *stored[2], *view[2];
    for (int i = 0; i < 2; i++) {
        stored[i] = token_major ? ggml_new_tensor_3d(c, type, dimension, kv_heads, context)
                                : ggml_new_tensor_3d(c, type, dimension, context, kv_heads);
        view[i] = token_major ? ggml_permute(c, stored[i], 0, 2, 1, 3) : stored[i];
    }
    // Both libraries want the mask's rows in sixteens.
    struct ggml_tensor *mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, context, (queries + 15) / 16 * 16);
    struct ggml_tensor *output = ggml_flash_attn_ext(c, q, view[0], view[1], mask, 1 / sqrtf(dimension), 0, 0);
    ggml_flash_attn_ext_set_prec(output, GGML_PREC_F32);
    graph = ggml_new_graph_custom(c, 16, false);
    ggml_build_forward_expand(graph, output);
    if (!ggml_backend_alloc_ctx_tensors(c, backend)) fail("ggml_attention: no memory for a context of %s", arguments[2]);

    for (int64_t i = 0; i < ggml_nelements(q); i++) ((float *)q->data)[i] = random_normal();
    fill(stored[0]);
    fill(stored[1]);
    ggml_fp16_t *visible = mask->data, hidden = ggml_fp32_to_fp16(-INFINITY);
    for (int64_t row = 0; row < queries; row++)
        for (int64_t position = 0; position < context; position++)
            visible[row * context + position] = position > context - queries + row ? hidden : 0;
    step(NULL);
    double error = relative_error(q, view[0], view[1], output);

    puts("READY");
    fflush(stdout);
    char operation[16];
    double seconds;
    while (next_request(operation, &seconds)) {
        struct timing timing = measure(step, NULL, seconds);
        printf("{\"engine\":\"%s\",\"version\":\"%s\",\"variant\":\"%s\",\"operation\":\"%s\",\"context\":%lld,\"queryLength\":%lld,"
               "\"queryHeads\":%d,\"kvHeads\":%d,\"headDimension\":%d,\"keyType\":\"%s\",\"valueType\":\"%s\",\"threads\":%d,"
               "\"medianMilliseconds\":%.4f,\"minimumMilliseconds\":%.4f,\"relativeError\":%.3g}\n",
               ENGINE, VERSION, arguments[5], queries == 1 ? "decode" : "prefill", (long long)context, (long long)queries,
               query_heads, kv_heads, dimension, arguments[1], arguments[1], threads, timing.median, timing.minimum, error);
        fflush(stdout);
    }
    return 0;
}
